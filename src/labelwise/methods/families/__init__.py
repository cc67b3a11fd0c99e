"""Families: methods that share an assumption share its stages, targets and hyper-parameters.

- ``assumed_negative``: an unknown entry counts as negative; with a penalty on the head's weights, ``l1r`` and ``l2r``.
- ``large_loss``: assumed negatives of large loss are likely relevant (``ll_r``, ``ll_ct``, ``ll_cp``).
- ``expectation``: the mean number of positives of an item is known (``epr``, ``role``).
- ``linear_init``: the head on the frozen network first, then the whole network.
- ``semi_supervised``: a warm-up, then class-aware pseudo-labels for all rows (``cap``, ``bbam``).
- ``consistency``: the strong view of an item learns what its weak view says (``softmatch``, ``flatmatch``).
"""

"""Two test processes on two cores: one thread each, set before anything loads a numerical library.

Features of pictures and texts are kept in a folder of the tests' own, and no model hub is asked.
"""

import os
import tempfile

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
_cache = tempfile.TemporaryDirectory(prefix="labelwise-tests-")
os.environ["LABELWISE_CACHE"] = _cache.name
os.environ["HF_HUB_OFFLINE"] = "1"

"""The label states: parse, validate, describe (facts only), simulate, split.

**The states.** Every entry of an annotation matrix ``Y`` (n items, K labels; int8, C-contiguous) is
*relevant* (1), *irrelevant* (0) or *unknown* (-1). Full labels, single positives, partial labels and
semi-supervision are not modes: they are what the matrix looks like, and :func:`describe` says which.

**Matrices.** :func:`parse` and :func:`as_matrix` read numpy arrays, lists of lists, masked arrays, pandas
frames and scipy sparse matrices. -1, NaN, None, NA and a masked entry are unknown; True is 1 and False is 0;
text and every other number are refused with their row (counted from 0) and label. A sparse matrix stores 1, 0
and -1 explicitly; what it does not store is ``unlisted``: ``"unknown"`` (the default) or ``"absent"`` (0). An
int8 C-contiguous array is taken as it is, without a copy. Labels are named by the frame's columns, by
``label_names``, or ``label_0``, ``label_1``, ...; where the input has names of its own, ``label_names``
chooses and orders its labels.

**Names.** :func:`parse_names` reads one cell a row: a list (tuple, set, array) of names, or text. A text of
the form ``["cat", "dog"]`` is a list; other text is split at ``separator``, by default at the first of ``;``
``|`` ``,`` that occurs in any cell of the column. ``separator=" "`` splits at any whitespace; nobody's spaces
are guessed: where only spaces could separate, ``label_names`` decide, or else the user is asked. Names are
stripped; numbers in a list are read as text; the labels are ``label_names``, or all names in sorted order. A
name that is listed is relevant. One that is not is ``unlisted``: unknown, or with ``unlisted="absent"``
irrelevant. An *empty cell* (None, NaN, NA, blank text) says nothing in either case: the row is unlabelled. An
*empty list* (``[]``, also as text) is a statement: with ``unlisted="absent"`` no label applies; with
``unlisted="unknown"`` it lists nothing, so all is unknown.

**Settings**, the first of these that holds:

- ``unlabelled``: no entry is known;
- ``full``: every entry is known;
- ``single_positive``: no known negative, and at most one known positive in a row (rows with none are
  allowed);
- ``partial_positive``: no known negative, otherwise;
- ``semi_supervised``: every row is wholly known or wholly unknown;
- ``partial``: every mixture that remains, such as fully labelled rows beside rows with single positives. The
  counts of a :class:`Summary` (rows fully, partly, not at all known) say what it is made of.

**Simulation** (:mod:`.simulate`) hides entries of a wholly known matrix by published rules, to the bit where
the rule is published in code. **Splits** (:func:`split`) keep each label's known positives in proportion, and
likewise the rows that are known to have none and the rows that nobody labelled.
"""

from __future__ import annotations

from labelwise.annotations import simulate
from labelwise.annotations._codes import Codes, code_of, hint_of
from labelwise.annotations._describe import Summary, describe
from labelwise.annotations._matrix import Annotations, as_matrix, check_label_names
from labelwise.annotations._names import name_notes, names_in, parse_names
from labelwise.annotations._parse import holds_names, parse
from labelwise.annotations._split import split

__all__ = [
    "Annotations",
    "Codes",
    "Summary",
    "as_matrix",
    "check_label_names",
    "code_of",
    "describe",
    "hint_of",
    "holds_names",
    "name_notes",
    "names_in",
    "parse",
    "parse_names",
    "simulate",
    "split",
]

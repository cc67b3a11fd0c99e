"""Label states: parse, validate, describe (facts only), simulate, split.

**The states.** Every entry of an annotation matrix ``Y`` (n items, K labels; int8, C-contiguous) is
*relevant* (1), *irrelevant* (0) or *unknown* (-1). Full labels, single positives, partial labels and
semi-supervision are not modes: they are what the matrix looks like, and ``describe`` says which.

**Matrices.** ``parse`` and ``as_matrix`` read numpy arrays, lists of lists, masked arrays, torch
tensors, pandas and polars frames and scipy sparse matrices. True is 1 and False is 0; text and every other
number are refused with their row (counted from 0) and label. -1 is ``minus_one`` and an empty entry (NaN, None,
NA, masked) is ``empty``: ``"unknown"`` (the default) or ``"absent"`` (0). What a sparse matrix does not store is
``unlisted``, which must be given, ``"unknown"`` or ``"absent"``; a zero that it stores is irrelevant, but for the
blocks and diagonals of BSR and DIA, whose zeros are filling. An int8 C-contiguous array is taken as it is,
without a copy. Labels are named by the frame's columns, by ``label_names``, or ``label_0``, ``label_1``, ...;
where the input has names of its own, ``label_names`` chooses and orders its labels. Names are different, and
hold no control characters.

**Names.** ``parse_names`` reads one cell a row, which is, as an object or as the text that spells it in JSON
or Python:

- a list, tuple, set or array of names: ``["cat", "dog"]``, ``{'cat', 'dog'}``; numbers in it are names (ids);
- states by name: ``{"cat": 1, "dog": 0}``, the states as above (``yes``, ``true``, ``null`` too);
- a list of objects with one text each: ``[{"id": 1, "name": "cat"}]``; ``name_key`` names the key where there are
  several;
- Label Studio's choices, ``{"choices": ["cat"]}``, and its results; a text beside them is one name;
- a list of states, ``[1, 0, 1]``, one for each of ``label_names``; refused where these are not given;
- tags, ``<cat><dog>`` or ``#cat #dog``, where every cell of the column is so written;
- joined names, ``cat;dog``. ``separator`` splits them; by default it is that of ``;`` ``|`` ``,`` (and the commas and
  semicolons of Chinese and Arabic) under which the whole column has the fewest different names, one that holds
  another mark counted twice, then the one in most cells. ``separator=" "`` splits at any whitespace. Nobody's spaces
  are guessed, nor other marks: where a cell may be one name or several, ``label_names`` decide, or else the user is
  asked.

What looks like such syntax and is none is refused with what to write. Names are stripped; the labels are
``label_names``, or all names in sorted order. A name that is listed is relevant. One that is not is ``unlisted``:
unknown, or with ``unlisted="absent"`` irrelevant. An *empty cell* (None, NaN, NA, blank text, and a text that is
``nan``, ``NaN``, ``null``, ``None``, ``NA`` or the like and no known name) says nothing: the row is ``empty``. An
*empty list* (``[]``, also as text) is a statement: with ``unlisted="absent"`` no label applies; with
``unlisted="unknown"`` it lists nothing, so all is unknown.

**Notes.** ``Annotations.notes`` and ``Summary.notes`` tell what was guessed: the separator and what contradicts it,
cells read as empty, codes of another convention (only 1 and -1, as in CelebA), names that look like syntax, and
names that differ in case, blanks or encoding alone.

**Settings**, the first of these that holds:

- ``unlabelled``: no entry is known;
- ``full``: every entry is known;
- ``single_positive``: no known negative, and at most one known positive in a row (rows with none are
  allowed);
- ``partial_positive``: no known negative, otherwise;
- ``semi_supervised``: every row is wholly known or wholly unknown;
- ``partial``: every mixture that remains, such as fully labelled rows beside rows with single positives. The
  counts of a ``Summary`` (rows fully, partly, not at all known) say what it is made of.

**Simulation** (``simulate``) hides entries of a wholly known matrix by published rules, to the bit where
the rule is published in code. **Splits** (``split``) keep each label's known positives in proportion, and
likewise the rows that are known to have none and the rows that nobody labelled.

**Hierarchies** (``Hierarchy``) say which labels stand above which: ``close`` fills what follows from known entries.
"""

from __future__ import annotations

from labelwise.annotations import simulate
from labelwise.annotations.codes import Codes, code_of, hint_of
from labelwise.annotations.description import LabelCounts, Summary, describe
from labelwise.annotations.groups import as_groups
from labelwise.annotations.hierarchy import Closing, Hierarchy
from labelwise.annotations.listed import (
    ListedAnnotations,
    ListedStates,
    States,
    are_many,
    dense_states,
    held_as_lists,
    known_rows,
    positives_of,
    stack_states,
    stays_lists,
)
from labelwise.annotations.matrix import (
    Annotations,
    as_matrix,
    both_signs_known,
    check_label_names,
    row_blocks,
)
from labelwise.annotations.parsing import name_notes, names_in, parse, parse_names
from labelwise.annotations.readers import from_tensor, stored_entries
from labelwise.annotations.splitting import split

__all__ = [
    "Annotations",
    "Closing",
    "Codes",
    "Hierarchy",
    "LabelCounts",
    "ListedAnnotations",
    "ListedStates",
    "States",
    "Summary",
    "are_many",
    "as_groups",
    "as_matrix",
    "both_signs_known",
    "check_label_names",
    "code_of",
    "dense_states",
    "describe",
    "from_tensor",
    "held_as_lists",
    "hint_of",
    "known_rows",
    "name_notes",
    "names_in",
    "parse",
    "parse_names",
    "positives_of",
    "row_blocks",
    "simulate",
    "split",
    "stack_states",
    "stays_lists",
    "stored_entries",
]

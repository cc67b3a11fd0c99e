"""Random items with label states, and their comparison by name."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from labelwise.annotations import Annotations
from labelwise.exchange import LabelledItems

NAME = st.text(
    st.characters(exclude_categories=("C", "Zl", "Zp"))
    | st.sampled_from(list(",;|\"'\\{}[]<>&%#=:? äßñ日本é")),
    min_size=1,
    max_size=8,
).filter(lambda name: bool(name.strip()) and name == name.strip())
"""Names with all that formats use as marks; blanks around a name are nobody's."""


def states(n, k):
    """Matrices with rows that nobody labelled, rows without a relevant label, and labels never seen."""
    row = st.lists(st.sampled_from([1, 0, -1]), min_size=k, max_size=k)
    whole = st.sampled_from([1, 0, -1]).map(lambda state: [state] * k)
    return st.lists(row | whole, min_size=n, max_size=n)


@st.composite
def labelled(draw, kinds=("image", "text"), scores=False, item=NAME, name=NAME):
    """Items of a kind, their label states, and perhaps scores."""
    n, k = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    kind = draw(st.sampled_from(kinds))
    items = draw(st.lists(item, min_size=n, max_size=n, unique=True))
    names = draw(st.lists(name, min_size=k, max_size=k, unique=True))
    matrix = np.array(draw(states(n, k)), dtype=np.int8).reshape(n, k)
    contents = list(items) if kind == "image" else [f"the text of {one}" for one in items]
    given = (
        draw(st.lists(st.integers(1, 999).map(lambda part: part / 1000), min_size=n * k, max_size=n * k))
        if scores
        else None
    )
    return LabelledItems(
        items=tuple(items),
        kind=kind,
        annotations=Annotations(matrix, tuple(names)),
        contents=None if kind == "features" else contents,
        features=np.arange(n * 3, dtype=np.float32).reshape(n, 3) if kind == "features" else None,
        scores=None if given is None else np.array(given, dtype=np.float32).reshape(n, k),
    )


def by_name(items):
    """Return every entry's state by item and label."""
    return {
        (item, label): int(items.matrix[row, column])
        for row, item in enumerate(items.items)
        for column, label in enumerate(items.label_names)
    }


def scores_by_name(items):
    """Return every score by item and label."""
    if items.scores is None:
        return {}
    return {
        (item, label): round(float(items.scores[row, column]), 4)
        for row, item in enumerate(items.items)
        for column, label in enumerate(items.label_names)
        if not np.isnan(items.scores[row, column])
    }

"""From what a file lists to label states, with its silence read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import Annotations
from labelwise.errors import UserError, listed, shown
from labelwise.exchange.items import Kind, LabelledItems
from labelwise.exchange.silence import WORDS, Beside, Silence, state_of_rest

MOST_ENTRIES = 1 << 31
"""Most entries of a label matrix, which takes a byte each."""


@dataclass
class Entry:
    """What a file lists of one item.

    Attributes:
        item: The item's id.
        relevant: Names of the labels said to apply.
        irrelevant: Names of those said not to.
        unknown: Names of those said to be open, as where two annotators differ.
        annotated: Whether anybody labelled the item: of one that nobody did, all that is not listed is unknown.
        content: Its text, or its picture's path, address or bytes.
        scores: Scores by label.
        size: Width and height, 0 where not known.
        silence: The item's second place, where the file holds it.
    """

    item: str
    relevant: Sequence[str] = ()
    irrelevant: Sequence[str] = ()
    unknown: Sequence[str] = ()
    annotated: bool = True
    content: Any = None
    scores: dict[str, float] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)
    silence: Silence | None = None


def to_items(
    name: str,
    title: str,
    entries: Sequence[Entry],
    *,
    kind: Kind,
    labels: Sequence[str] = (),
    beside: Beside | None = None,
    unlisted: str | None = None,
    rest: int | None = None,
    notes: Sequence[str] = (),
    features: Any = None,
) -> LabelledItems:
    """Return the items of a file with their label states.

    The state of an entry is the first of: what the file lists, the item's second place, its rest, the rest of the whole
    file, ``rest`` of the format, ``unlisted`` of the user.

    Args:
        name: The file's name, for messages.
        title: The format's title, for messages.
        labels: The labels that the file declares; those seen beside them come after them, sorted.
        beside: The second place of the whole file.
        rest: The state of what is not listed, where the format says so.

    Raises:
        UserError: Where a label is listed as relevant and irrelevant at once, and where nothing says what the file's
            silence means.
    """
    if not entries:
        raise UserError(f"{name} holds no items; give a file with at least one")
    beside = beside or Beside()
    names = _label_names(name, entries, [*beside.labels, *labels])
    _check_size(name, len(entries), len(names))
    column = {label: place for place, label in enumerate(names)}
    matrix = np.empty((len(entries), len(names)), dtype=np.int8)
    asked, ids = 0, []
    for row, entry in enumerate(entries):
        silence = entry.silence or beside.items.get(entry.item) or Silence()
        ids.append(silence.item or entry.item)
        state = silence.rest if silence.rest is not None else _rest(entry, beside, rest, unlisted)
        asked += state is None
        matrix[row] = -1 if state is None else state
        for label, other in silence.states.items():
            if label in column:
                matrix[row, column[label]] = other
        for state, said in ((-1, entry.unknown), (0, entry.irrelevant), (1, entry.relevant)):
            matrix[row, [column[label] for label in said]] = state
        if both := set(entry.relevant) & set(entry.irrelevant):
            raise UserError(
                f"{name}: item {shown(entry.item)} has {listed(map(shown, sorted(both)))} as relevant and as"
                " irrelevant; keep one of them"
            )
    if asked:
        raise UserError(
            f"{name}: {title} lists the labels that apply, and nothing says what the others of {asked:,} items are: add"
            " --unlisted unknown (nobody said) or --unlisted absent (they do not apply)"
        )
    used = (
        ()
        if unlisted is None or rest is None
        else (f"not used: --unlisted, since {title} says what is unknown",)
    )
    try:
        return LabelledItems(
            items=tuple(ids),
            kind=kind,
            annotations=Annotations(matrix, names),
            contents=None
            if all(entry.content is None for entry in entries)
            else [e.content for e in entries],
            features=features,
            scores=_scores(entries, column),
            sizes=_sizes(entries),
            notes=(*notes, *used),
        )
    except UserError as wrong:
        raise UserError(f"{name}: {wrong}") from None


def _rest(entry: Entry, beside: Beside, rest: int | None, unlisted: str | None) -> int | None:
    if beside.rest is not None:
        return beside.rest
    if rest is not None:
        return rest
    return state_of_rest(unlisted) if entry.annotated else -1


def _label_names(name: str, entries: Sequence[Entry], declared: Sequence[str]) -> tuple[str, ...]:
    seen = dict.fromkeys(declared)
    others = {
        label
        for entry in entries
        for said in (entry.relevant, entry.irrelevant, entry.unknown, entry.scores)
        for label in said
    }
    others |= {label for entry in entries if entry.silence is not None for label in entry.silence.states}
    names = (*seen, *sorted(others - set(seen)))
    if not names:
        raise UserError(f"{name} names no label; give a file with at least one")
    return names


def _check_size(name: str, n_items: int, n_labels: int) -> None:
    if n_items * n_labels > MOST_ENTRIES:
        raise UserError(
            f"{name} has {n_items:,} items and {n_labels:,} labels, more than {MOST_ENTRIES:,} entries; split it, or"
            " leave out labels"
        )


def _scores(entries: Sequence[Entry], column: dict[str, int]) -> NDArray[np.float32] | None:
    if not any(entry.scores for entry in entries):
        return None
    scores = np.full((len(entries), len(column)), np.nan, dtype=np.float32)
    for row, entry in enumerate(entries):
        for label, score in entry.scores.items():
            scores[row, column[label]] = score
    return scores


def _sizes(entries: Sequence[Entry]) -> NDArray[np.int64] | None:
    sizes = np.array([entry.size for entry in entries], dtype=np.int64)
    return sizes if sizes.any() else None


def agreed(answers: Sequence[Sequence[str]]) -> tuple[list[str], list[str]]:
    """Return the labels that all annotators of an item chose, and those that some did."""
    every = [set(answer) for answer in answers]
    if not every:
        return [], []
    all_of, some = set.intersection(*every), set.union(*every)
    order = list(dict.fromkeys(label for answer in answers for label in answer))
    return [label for label in order if label in all_of], [label for label in order if label in some - all_of]


def note_on_differences(entries: Sequence[Entry]) -> list[str]:
    """Return a sentence on the entries about which annotators differ."""
    differing = sum(len(entry.unknown) for entry in entries)
    return [f"{differing:,} entries on which annotators differ are {WORDS[-1]}"] if differing else []

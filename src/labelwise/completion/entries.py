"""The best-scored unknown entries of a table, and what was answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.annotations import as_matrix, check_label_names
from labelwise.completion.answers import FILE_NAME, Answers
from labelwise.errors import UserError, listed

UNANSWERED, SKIPPED = -2, -1
MOST = 250_000
"""Entries that are kept of a table, the best-scored ones."""
_CLIP = 1e-12
_BLOCK = 1 << 21
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Answered:
    """Answers to unknown entries of a table, in the order of the table.

    Attributes:
        places: (m,) ``row * K + column``, rising.
        values: (m,) int8: 1, 0 or -1 (skipped).
        width: K.
        notes: Sentences on answers that found no unknown entry.
    """

    places: Integers
    values: NDArray[np.int8]
    width: int
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        answers: Any,
        Y: NDArray[np.int8],
        items: Sequence[str],
        names: Sequence[str],
        added: Sequence[str] = (),
    ) -> Self:
        """Return the answers that count, of ``Answers``, a frame, a file or None.

        Args:
            added: Labels that reviewers added, beside those of the table.
        """
        others = {*added, *_added_in(answers)} - {*names}
        latest, width = read_answers(answers).latest().rows, Y.shape[1]
        wanted = {one.item for one in latest}
        row_of = {item: row for row, item in enumerate(items) if item in wanted} if wanted else {}
        column_of = {name: k for k, name in enumerate(names)}
        found, lost, known, of_added = dict[int, int](), list[str](), 0, Counter[str]()
        for one in latest:
            if one.item in row_of and one.label in others:
                of_added[one.label] += 1
            elif one.item not in row_of or one.label not in column_of:
                lost.append(f"{one.item} / {one.label}")
            elif Y[row := row_of[one.item], k := column_of[one.label]] >= 0:
                known += 1
            else:
                found[row * width + k] = one.answer
        places = np.array(sorted(found), dtype=np.int64)
        values = np.array([found[place] for place in places.tolist()], dtype=np.int8)
        notes = []
        if of_added:
            notes.append(
                f"{of_added.total():,} answers are of labels that reviewers added ({listed(sorted(of_added))}), which"
                " the model does not know: they say nothing of its scores, stand in what --fill writes and in the"
                " page's table, and 'labelwise train --answers' learns them"
            )
        if lost:
            notes.append(f"{len(lost):,} answers are of no item and label of the table ({listed(lost)})")
        if known:
            notes.append(f"{known:,} answers are of entries that the table knows, and do not count")
        return cls(places, values, width, tuple(notes))

    def at(self, rows: ArrayLike, columns: ArrayLike) -> NDArray[np.int8]:
        """Return the answers to some entries, -2 where there is none."""
        places = np.asarray(rows, np.int64) * self.width + np.asarray(columns, np.int64)
        if not len(self.places):
            return np.full(places.shape, UNANSWERED, np.int8)
        at = np.minimum(np.searchsorted(self.places, places), len(self.places) - 1)
        return np.where(self.places[at] == places, self.values[at], UNANSWERED).astype(np.int8)

    def into(self, Y: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return a copy of ``Y`` (n, K) with yes and no in its unknown entries."""
        labels = Y.copy()
        said = self.values >= 0
        places = self.places[said]
        flat = labels.reshape(-1)
        flat[places] = np.where(flat[places] == -1, self.values[said], flat[places])
        return labels


@dataclass(frozen=True, eq=False)
class Entries:
    """Best-scored unknown entries of a table.

    Attributes:
        rows: (m,) their rows; the entries are in the order of the table.
        columns: (m,) their columns.
        logits: (m,) float64, of models that did not see the row.
        n_unknown: The unknown entries with a score, those that are not kept included.
        Y: (n, K) the labels as given, before any answer.
        items: n ids.
        label_names: K names.
        answered: The answers.
    """

    rows: Integers
    columns: Integers
    logits: NDArray[np.float64]
    n_unknown: int
    Y: NDArray[np.int8]
    items: Sequence[str]
    label_names: tuple[str, ...]
    answered: Answered

    @classmethod
    def of(
        cls,
        scores: ArrayLike,
        Y: Any,
        answers: Any = None,
        *,
        items: Sequence[Any] | None = None,
        label_names: Sequence[str] | None = None,
        most: int = MOST,
    ) -> Self:
        """Check scores in [0, 1], labels and answers, and put them side by side.

        ``items`` None: the row numbers from 0; ``label_names`` None: a frame's columns, else ``label_0``, ...
        """
        s, matrix, ids, names = checked(scores, Y, items, label_names)
        block = max(1, _BLOCK // max(s.shape[1], 1))
        blocks = (logits_of(s[start : start + block]) for start in range(0, len(s), block))
        return cls.streamed(blocks, matrix, answers, items=ids, label_names=names, most=most)

    @classmethod
    def streamed(
        cls,
        blocks: Iterable[NDArray[np.float64]],
        Y: NDArray[np.int8],
        answers: Any = None,
        *,
        items: Sequence[str],
        label_names: Sequence[str],
        most: int = MOST,
        added: Sequence[str] = (),
    ) -> Self:
        """Keep the best of logits that come in blocks of rows, in order; NaN is no score.

        ``added`` names labels that reviewers added, whose answers are told apart.
        """
        width, start, n_unknown = Y.shape[1], 0, 0
        best, places = np.zeros(0), np.zeros(0, np.int64)
        for block in blocks:
            unknown = (Y[start : start + len(block)] == -1) & ~np.isnan(block)
            index = np.flatnonzero(unknown)
            n_unknown += len(index)
            values = block.reshape(-1)[index]
            if len(best) >= most:
                # What lies below the worst that is kept cannot come in.
                index = index[higher := values > best.min()]
                values = values[higher]
            best, places = np.concatenate([best, values]), np.concatenate([places, start * width + index])
            best, places = _best(best, places, most)
            start += len(block)
        order = np.argsort(places)
        best, places = best[order], places[order]
        answered = Answered.of(answers, Y, items, label_names, added)
        rows, columns = places // width, places % width
        return cls(rows, columns, best, n_unknown, Y, items, tuple(label_names), answered)


def checked(
    scores: ArrayLike, Y: Any, items: Sequence[Any] | None, label_names: Sequence[str] | None
) -> tuple[NDArray[Any], NDArray[np.int8], list[str], tuple[str, ...]]:
    """Return scores, labels, ids and names that fit together.

    Raises:
        UserError: For shapes that differ, and scores outside [0, 1].
    """
    if label_names is None and hasattr(Y, "columns"):
        label_names = [str(name) for name in Y.columns]
    matrix, s = as_matrix(Y), np.asarray(scores)
    if s.shape != matrix.shape:
        raise UserError(f"scores has shape {s.shape} but Y has {matrix.shape}: give a score for each entry")
    with np.errstate(invalid="ignore"):
        outside = s.size and not (np.nanmin(s, initial=0.5) >= 0 and np.nanmax(s, initial=0.5) <= 1)
    if outside:
        row, k = np.argwhere((s < 0) | (s > 1))[0]
        raise UserError(f"scores holds {s[row, k]:g} at row {row}, label {k}: give values in [0, 1]")
    n, width = matrix.shape
    ids = [str(row) for row in range(n)] if items is None else [str(item) for item in items]
    if len(ids) != n or len(set(ids)) != n:
        raise UserError(f"items has {len(set(ids))} different ids but Y has {n} rows: give one an item")
    names = [f"label_{k}" for k in range(width)] if label_names is None else check_label_names(label_names)
    if len(names) != width:
        raise UserError(f"label_names has {len(names)} names but Y has {width} labels: give one a label")
    return s, matrix, ids, tuple(names)


def logits_of(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return logits of scores in [0, 1], clipped at 1e-12 from either end."""
    clipped = np.clip(scores.astype(np.float64), _CLIP, 1 - _CLIP)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def read_answers(answers: Any) -> Answers:
    """Return answers that were given as such, as a frame, as a file, or not at all."""
    if answers is None:
        return Answers()
    if isinstance(answers, Answers):
        return answers
    return Answers.read(answers) if isinstance(answers, str | Path) else Answers.from_frame(answers)


def _added_in(answers: Any) -> tuple[str, ...]:
    """Return the labels that reviewers added, which a database of answers names."""
    from labelwise.completion.store import read_added_labels

    if not isinstance(answers, str | Path):
        return ()
    path = Path(answers)
    return read_added_labels(path / FILE_NAME if path.is_dir() else path)


def _best(values: NDArray[np.float64], places: Integers, most: int) -> tuple[NDArray[np.float64], Integers]:
    """Return the ``most`` greatest values; of equal ones the first of the table."""
    if len(values) <= most:
        return values, places
    cut = np.partition(values, len(values) - most)[len(values) - most]
    above, equal = np.flatnonzero(values > cut), np.flatnonzero(values == cut)
    equal = equal[np.argsort(places[equal])][: most - len(above)]
    kept = np.concatenate([above, equal])
    return values[kept], places[kept]

"""Pseudo-labels and statistics of a refresh, of rows that are read in passes.

The passes are those of a method's refresh in memory: class-aware thresholds by exact counts, prototypes of the
pseudo-positives, and the distributions of the angles to them. All of them merge over fragments, whoever reads these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from labelwise._files import file_digest, replacing
from labelwise.data import Fragment, TableStream
from labelwise.errors import UserError
from labelwise.models import FragmentTree
from labelwise.runs.fragments import begun, one_by_one
from labelwise.runs.tables import FinishedRun
from labelwise.summaries import AngleMoments, LabelMoments, ScoreHistogram, Thresholds
from labelwise.workers import Workers, open_workers

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

_MANIFEST, _STATISTICS = "refresh.json", "statistics.safetensors"


@dataclass(frozen=True)
class Refreshed:
    """The summary of a folder of pseudo-labels.

    Attributes:
        n_positives: Pseudo-labels that say relevant, of the fragments that were written now.
        n_masked: Entries that are left out, of the same.
        n_found: Number of fragments that were there already.
    """

    run: str
    source: str
    out: str
    n_items: int
    n_labels: int
    n_positives: int
    n_masked: int
    n_fragments: int
    n_found: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        return asdict(self)


def refresh(
    run: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    prior: NDArray[np.floating[Any]] | None = None,
    positive_share: float = 1.0,
    negative_share: float = 1.0,
    engine: str = "here",
    workers: int | None = None,
) -> Refreshed:
    """Write class-aware pseudo-labels of a folder of Parquet, fragment by fragment, and their statistics.

    Label k makes its ``int(prior_k n)`` highest scores positives, as ``targets.class_aware_pseudo_labels`` of all
    scores does, to the bit. A file of the folder has the item, ``pseudo_labels`` (names) and ``masked`` (names of
    entries between the shares). ``statistics.safetensors`` has ``thresholds`` and ``masked_below`` (K,), ``counts``
    (K,) and ``prototypes`` (K, D) of the pseudo-positives, and the means and variances (K,) of the angles to these.

    Args:
        run: A finished run on features.
        source: A folder of Parquet files with the run's features; its labels are not read.
        out: A folder; a killed command that is given again goes on there, to the same bits.
        prior: (K,) each label's expected share of positives; None: that of the run.
        positive_share: The most certain share of positives to keep.
        negative_share: The most certain share of negatives to keep.
        engine: ``"here"``, this process, or ``"ray"``, the workers of a cluster.
        workers: Ray's tasks at a time.

    Raises:
        UserError: For a run whose prior nothing identifies, rows without its features, and an ``out`` that holds
            anything else.
    """
    crew = open_workers(engine, workers)
    finished = FinishedRun.open(run, progress=False)
    model, columns = finished.model, finished.columns
    shares = model.prior_ if prior is None else np.asarray(prior, np.float64)
    if shares is None or shares.shape != (len(columns.label_names),):
        raise UserError(
            "prior: give each label's share of positives, (K,), since the run's labels do not tell it"
        )
    options = finished.config.table_options()
    names = (columns.feature_names, columns.label_names)
    stream = TableStream.open(source, options, expect=names, require_labels=False)
    out = Path(out).absolute()
    fragments = stream.fragments()
    wanted = {
        "model": file_digest(finished.directory.model / "model.json"),
        "weights": file_digest(finished.directory.model / "weights.safetensors"),
        "rows": stream.digest,
        "shares": [positive_share, negative_share, [float(share) for share in shares]],
    }
    done = begun(out, wanted, {f"{one.name}.parquet" for one in fragments}, _MANIFEST, "pseudo-labels")
    scored = _Scored(model, _starts(fragments))
    counts = _counts(shares, len(stream), positive_share, negative_share)
    top, rest = _settled(stream, crew, scored, [ScoreHistogram(count) for count in counts])
    selection = _Selection(scored, top, rest, out, frozenset(done))
    prototypes, written = _folded(
        stream, crew, partial(_moments_of, selection), LabelMoments(len(shares), stream.n_features)
    )
    centres = prototypes.finalize()
    angles, _ = _folded(stream, crew, partial(_angles_of, selection, centres), AngleMoments(len(shares)))
    _write(out / _STATISTICS, top, rest, prototypes, angles)
    return Refreshed(
        run=str(finished.directory.path),
        source=str(source),
        out=str(out),
        n_items=len(stream),
        n_labels=len(shares),
        n_positives=sum(positives for positives, _ in written),
        n_masked=sum(masked for _, masked in written),
        n_fragments=len(fragments),
        n_found=len(done),
    )


def _starts(fragments: list[Fragment]) -> dict[int, int]:
    """Return the first row of each fragment among all."""
    starts, first = {}, 0
    for one in fragments:
        starts[one.number] = first
        first += one.rows
    return starts


def _counts(
    shares: NDArray[np.floating[Any]], n: int, positive: float, negative: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many scores of each label are kept as positives, and how many are no kept negatives."""
    kept_negatives = (negative * (n - (shares * n).astype(np.int64))).astype(np.int64)
    return (positive * shares * n).astype(np.int64), n - kept_negatives


class _Mergeable(Protocol):
    def merge(self, other: Self, /) -> None: ...


Summary = TypeVar("Summary", bound=_Mergeable)


@dataclass(frozen=True)
class _Scored:
    """Scores rows of a stream; ``starts`` are the first rows of its fragments among all."""

    model: MultiLabelClassifier
    starts: Mapping[int, int]

    def rows(self, stream: TableStream) -> Iterator[tuple[Fragment, int, Any, list[str], Any]]:
        """Yield each fragment, its first row, its features, items and scores (b, K) float32."""
        for fragment, X, items, _ in stream.items():
            read = self.model.read(X)
            scores = np.asarray(self.model.decision_function(read), np.float32)
            yield fragment, self.starts[fragment.number], X, items, scores


def _settled(
    stream: TableStream, crew: Workers, scored: _Scored, histograms: list[ScoreHistogram]
) -> list[Thresholds]:
    """Return exact thresholds, from passes over all scores that the histograms share."""
    while left := [histogram for histogram in histograms if not histogram.done]:
        # A copy, since this process counts a fragment only when the one before is merged.
        for parts in _over(stream, crew, partial(_counted, scored, deepcopy(left))):
            for histogram, part in zip(left, parts, strict=True):
                histogram.merge(part)
        for histogram in left:
            histogram.next_pass()
    return [histogram.finalize() for histogram in histograms]


def _counted(scored: _Scored, histograms: list[ScoreHistogram], stream: TableStream) -> list[ScoreHistogram]:
    histograms = deepcopy(histograms)
    for _, first, _, _, scores in scored.rows(stream):
        for histogram in histograms:
            histogram.update(scores, first)
    return histograms


def _over(stream: TableStream, crew: Workers, work: Callable[[TableStream], Any]) -> Iterator[Any]:
    # Alone too, each fragment is a task: its counts are merged before the next is read.
    return crew.map(work, one_by_one(stream))


@dataclass(frozen=True)
class _Selection:
    """Pseudo-labels by thresholds; a fragment that is not there yet is written."""

    scored: _Scored
    top: Thresholds
    rest: Thresholds
    out: Path
    done: frozenset[str]

    def targets(self, scores: NDArray[np.float32], first: int) -> NDArray[np.int8]:
        """Return the pseudo-labels (b, K) of scores."""
        chosen = np.where(self.rest.select(scores, first), np.int8(-1), np.int8(0))
        chosen[self.top.select(scores, first)] = 1
        return chosen

    def write(self, fragment: Fragment, items: list[str], targets: NDArray[np.int8]) -> tuple[int, int]:
        """Write a fragment whole; return the numbers of positives and of masked entries."""
        import pyarrow as pa
        from pyarrow import parquet

        name = f"{fragment.name}.parquet"
        if name in self.done:
            return 0, 0
        labels = pa.array(self.scored.model.label_names_, pa.string())
        columns = [pa.array(items, pa.string()), *(_lists(targets == state, labels) for state in (1, -1))]
        with replacing(self.out / name) as draft:
            parquet.write_table(pa.table(columns, names=["item", "pseudo_labels", "masked"]), draft)
        return int((targets == 1).sum()), int((targets == -1).sum())


def _lists(chosen: NDArray[np.bool_], names: Any) -> Any:
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, names.take(pa.array(np.nonzero(chosen)[1])))


def _moments_of(
    selection: _Selection, empty: LabelMoments, stream: TableStream
) -> tuple[FragmentTree[LabelMoments], tuple[int, int]]:
    tree: FragmentTree[LabelMoments] = FragmentTree(_joined)
    written = (0, 0)
    for fragment, first, X, items, scores in selection.scored.rows(stream):
        targets = selection.targets(scores, first)
        moments = deepcopy(empty)
        moments.update(X, targets)
        tree.add(fragment.number, moments)
        written = selection.write(fragment, items, targets)
    return tree, written


def _angles_of(
    selection: _Selection, centres: NDArray[np.float64], empty: AngleMoments, stream: TableStream
) -> tuple[FragmentTree[AngleMoments], tuple[int, int]]:
    lengths = np.linalg.norm(centres, axis=1, keepdims=True)
    directions = centres / np.where(lengths > 0, lengths, 1)
    tree: FragmentTree[AngleMoments] = FragmentTree(_joined)
    for fragment, first, X, _, scores in selection.scored.rows(stream):
        norms = np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)
        cosines = np.clip((X / np.where(norms > 0, norms, 1)) @ directions.T, -1, 1)
        moments = deepcopy(empty)
        moments.update(np.arccos(cosines), selection.targets(scores, first))
        tree.add(fragment.number, moments)
    return tree, (0, 0)


def _folded(
    stream: TableStream,
    crew: Workers,
    work: Callable[[Summary, TableStream], tuple[FragmentTree[Summary], tuple[int, int]]],
    empty: Summary,
) -> tuple[Summary, list[tuple[int, int]]]:
    """Return the summaries of all fragments, joined along the tree of their numbers, and what was written."""
    tree: FragmentTree[Summary] = FragmentTree(_joined)
    written = []
    for part, counts in _over(stream, crew, partial(work, empty)):
        tree.merge(part)
        written.append(counts)
    total = tree.fold()
    return (empty if total is None else total), written


def _joined(one: Summary, other: Summary) -> Summary:
    one = deepcopy(one)
    one.merge(other)
    return one


def _write(
    path: Path, top: Thresholds, rest: Thresholds, prototypes: LabelMoments, angles: AngleMoments
) -> None:
    from safetensors.numpy import save_file

    arrays = {
        "thresholds": top.scores,
        "masked_below": rest.scores,
        "counts": prototypes.counts,
        "prototypes": prototypes.finalize(),
        **{name: value.numpy() for name, value in angles.finalize().tensors().items()},
    }
    with replacing(path) as draft:
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, draft)

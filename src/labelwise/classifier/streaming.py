"""Fits on rows that do not fit in memory: ridge in passes, judged on a sample of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import Annotations, ListedStates, row_blocks, stays_lists
from labelwise.classifier.decision import Decision, check_rule, learn_decision
from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.given import resolve_prior
from labelwise.classifier.notes import all_notes
from labelwise.classifier.options import FitOptions
from labelwise.classifier.reader import ItemReader
from labelwise.classifier.training import TrainingSet, train
from labelwise.classifier.unseen import ValidationResult
from labelwise.classifier.validation import ValidationPlan, left_out_words, result_of
from labelwise.data import TableOptions, TableStream, fragment_rows
from labelwise.errors import UserError, shown
from labelwise.methods import Method, get
from labelwise.methods.recommendation import check_positive
from labelwise.models import RowStream, StreamedRidge, judged_rows, solve_stream

METHOD = "ridge"
"""What a stream of rows is trained by: sums of rows are all that it needs."""

_IN_MEMORY = (
    "true_labels",
    "warm_start",
    "on_epoch",
    "groups",
    "hints",
    "sample_weight",
    "callbacks",
    "items",
    "label_names",
)


@dataclass(frozen=True, eq=False)
class ArrayStream(RowStream):
    """Rows in memory whose labels are lists, read in fragments as files are.

    Attributes:
        X: (n, D) features, dense or sparse.
        states: Their lists (n, K).
        label_names: The K names.
    """

    X: Any
    states: ListedStates
    label_names: tuple[str, ...]

    @property
    def n_features(self) -> int:
        """Number D of features."""
        return int(self.X.shape[1])

    @property
    def n_labels(self) -> int:
        """Number K of labels."""
        return self.states.shape[1]

    def labels(self) -> Iterator[tuple[int, ListedStates]]:
        """Yield each fragment's number and its states (b, K)."""
        for number, rows in enumerate(self._fragments()):
            yield number, self.states[rows]

    def rows(self) -> Iterator[tuple[int, Any, ListedStates]]:
        """Yield each fragment's number, its rows (b, D) float32 and its states (b, K)."""
        for number, rows in enumerate(self._fragments()):
            yield number, self.X[rows].astype(np.float32, copy=False), self.states[rows]

    def _fragments(self) -> Iterator[slice]:
        return row_blocks(len(self.states), 1, fragment_rows(self.n_features))


def fits_in_passes(options: FitOptions, labels: Annotations, given: Mapping[str, Any]) -> bool:
    """Return whether labels stay lists in a fit: ridge, asked for or for want of a method, and nothing beside."""
    plain = options.backbone == "features" and not options.hierarchy and not options.compile
    alone = options.validation is None or (
        isinstance(options.validation, str) and options.validation == "auto"
    )
    asked = options.method in (None, METHOD) and all(value is None for value in given.values())
    return stays_lists(labels.states) and plain and alone and asked


@dataclass(frozen=True, eq=False)
class StreamedRows:
    """The rows of a stream by which a fit was judged.

    Attributes:
        X: (j, D) float32.
        labels: (j, K) int8.
        index: (j,) their places among all rows.
        n_rows: Number of all rows.
        n_known: Number of those with a known entry.
        held: Whether the rows are in memory, and only their labels are lists.
    """

    X: NDArray[np.float32]
    labels: NDArray[np.int8]
    index: NDArray[np.int64]
    n_rows: int
    n_known: int
    held: bool = False

    @classmethod
    def of(cls, stream: TableStream | ArrayStream, solved: StreamedRidge | None = None) -> Self:
        """Return the rows by which a fit on a stream was judged; read in two passes over it where none is given."""
        if solved is None:
            X, labels, index, counts = judged_rows(stream)
        else:
            X, labels, index, counts = solved.X, solved.labels, solved.index, solved.counts
        return cls(X, labels, index, counts.n_items, counts.known, isinstance(stream, ArrayStream))

    @property
    def words(self) -> str:
        """A sentence on what was read."""
        judged, known = len(self.index), self.n_known
        which = "all" if judged == known else f"a keyed sample of {judged:,} of the"
        read = "were read in passes and not held in memory"
        if self.held:
            read = f"list {self.labels.shape[1]:,} labels, of which no matrix is made"
        return (
            f"{self.n_rows:,} rows {read}: method {METHOD!r}; thresholds, figures"
            f" and the report rest on {which} {known:,} rows with labels, each scored by the model of all others"
        )


@dataclass(frozen=True, eq=False)
class StreamFit:
    """What a fit on a stream comes to."""

    training_set: TrainingSet
    model: FittedModel
    result: ValidationResult
    decision: Decision
    notes: tuple[str, ...]
    rows: StreamedRows


def as_stream(options: FitOptions, X: Any, Y: Any) -> TableStream:
    """Return a stream of a dataset, whose columns of labels ``Y`` names.

    Raises:
        UserError: For a dataset without such columns, and for labels beside a stream.
    """
    if isinstance(X, TableStream):
        if Y is not None:
            raise UserError("Y: a stream of rows has its labels with it; give None")
        return X
    if not (isinstance(Y, str) or (isinstance(Y, list | tuple) and all(isinstance(name, str) for name in Y))):
        raise UserError(
            f"Y is {shown(Y)}: for a dataset give the name of its column of lists of labels, or the names of its"
            " columns of states"
        )
    meanings: dict[str, Any] = {name: getattr(options, name) for name in ("unlisted", "minus_one", "empty")}
    columns: dict[str, Any] = {"labels_column" if isinstance(Y, str) else "label_columns": Y}
    return TableStream.open(X, TableOptions(**columns, **meanings))


def fit_stream(
    options: FitOptions,
    stream: TableStream | ArrayStream,
    given: Mapping[str, Any] | None = None,
    on_pass: Callable[[str], object] | None = None,
    reader: ItemReader | None = None,
) -> StreamFit:
    """Train on a stream of rows, in three passes over it.

    Args:
        options: Checked ones.
        stream: Features and labels.
        given: Further arguments of ``fit``, none of which a stream can have.
        on_pass: Is told in words what each pass does.
        reader: What read rows in memory.

    Raises:
        UserError: For another method than ridge, and for what needs all rows in memory.
    """
    options = _checked(options, given or {})
    method = get(METHOD)
    streamed = solve_stream(stream, on_pass=on_pass)
    facts = streamed.counts.finalize(stream.label_names)
    check_positive(facts)
    labels = Annotations(streamed.labels, stream.label_names)
    own, X = ItemReader.of(options, method, streamed.X, labels.matrix, None)
    reader = reader or own
    training_set = TrainingSet(reader, X, labels, facts, resolve_prior(options.prior, facts))
    rows = StreamedRows.of(stream, streamed)
    words = left_out_words(None)
    if not streamed.whole:
        words = words.replace("the labelled rows", f"{len(X):,} of {rows.n_known:,} labelled rows", 1)
    check_rule(options, training_set, ValidationPlan(None, labels.matrix, words))
    model = train(options, training_set, method, part="final", solved=streamed.solution)
    result = result_of(model, None, positives=options.rule == "recall")
    if result.unseen is not None:
        result = replace(result, unseen=replace(result.unseen, source=words))
    decision = learn_decision(options, training_set, model, result.unseen)
    # The stream has read its labels by these already.
    read = replace(options, unlisted=None, minus_one="unknown", empty="unknown")
    notes = all_notes(read, training_set, model, decision, result, X, streamed.labels, {})
    first = (rows.words, *_words_on_choice(streamed.chosen_by, len(stream.label_names)))
    return StreamFit(training_set, model, result, decision, (*first, *notes), rows)


def _words_on_choice(chosen_by: tuple[int, int], n_labels: int) -> list[str]:
    """Return a sentence where a sample of the labels chose scaling and lambda."""
    first, then = chosen_by
    if first == n_labels:
        return []
    return [
        f"scaling was chosen by a keyed sample of {first:,} of {n_labels:,} labels, and lambda by {then:,} of them,"
        " since ranking the scores of all would take far longer than the sums"
    ]


def _checked(options: FitOptions, given: Mapping[str, Any]) -> FitOptions:
    """Return the options with the method of a stream; refuse what needs all rows in memory."""
    if options.method not in (None, METHOD):
        raise UserError(
            f"method {options.method!r} needs all rows in memory; rows that are read in passes are trained by"
            f" {METHOD!r}: leave the method out, or train on a sample"
        )
    if options.backbone != "features":
        raise UserError(
            f"backbone {shown(options.backbone)}: rows that are read in passes are features; embed the items before"
        )
    if options.validation is not None and options.validation != "auto":
        raise UserError(
            "validation: rows that are read in passes are judged each left out in turn; leave it out, and evaluate the"
            " model on another table"
        )
    if options.hierarchy is not None:
        raise UserError("hierarchy: the labels of rows that are read in passes are not filled; leave it out")
    for name in _IN_MEMORY:
        if given.get(name) is not None:
            raise UserError(
                f"{name}: it is for rows in memory; leave it out for rows that are read in passes"
            )
    if options.compile:
        raise UserError("compile: rows that are read in passes are solved in closed form; leave it out")
    return replace(options, method=METHOD)


def options_for_lists(
    options: FitOptions, labels: Annotations, method: type[Method]
) -> tuple[FitOptions, tuple[str, ...]]:
    """Return the options of a fit by steps, with a sentence where labels stay lists and the head starts at random.

    Raises:
        UserError: For a head that is asked to start from ridge then.
    """
    if not (stays_lists(labels.states) and method.spec.pointwise and method.spec.passes) or options.hierarchy:
        return options, ()
    n, n_labels = labels.states.shape
    if options.head_start == "ridge":
        raise UserError(
            f"head_start='ridge' (--head-start): its leave-one-out scores of {n:,} items x {n_labels:,} labels would be"
            " held at once; leave it out (the head starts at random), or take method 'ridge'"
        )
    words = f"{n:,} rows list {n_labels:,} labels, of which no matrix is made: the head starts at random"
    return replace(options, head_start="random"), (words,)

"""From a fitted classifier and its training items to what it learnt, and to what their labels seem to miss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise import analysis
from labelwise.analysis import LabelCorrelation, MissingLabels, Survey
from labelwise.methods import get
from labelwise.report import words
from labelwise.report.content import Learnt, Missing, MissingExample
from labelwise.report.pictures import thumbnail
from labelwise.summaries import AngleStatistics

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

_MOST_LABELS = 200
"""Labels that take part in the correlations: those with the most known positives."""
_LEAST = 5
"""Known positives that such a label has at least."""


def learnt_of(model: MultiLabelClassifier, found: Survey, Y: NDArray[np.int8]) -> Learnt:
    """Return angles, for a head that gives cosines, and how labels go together."""
    cosines = get(model.method_).spec.head == "cosine"
    angles = None
    if cosines:
        statistics = getattr(model.trained_method_, "angles", None)
        angles = analysis.angle_distributions(
            found.outputs, Y[found.rows], statistics if isinstance(statistics, AngleStatistics) else None
        )
    return Learnt(angles, _correlation(model, found, Y, cosines=cosines))


def _correlation(
    model: MultiLabelClassifier, found: Survey, Y: NDArray[np.int8], *, cosines: bool
) -> LabelCorrelation | None:
    positives = (Y == 1).sum(axis=0)
    shown = np.sort(np.argsort(-positives, kind="stable")[:_MOST_LABELS])
    shown = shown[positives[shown] >= _LEAST]
    if len(shown) < 3 or len(found.rows) < 3:
        return None
    weights = analysis.weight_correlation(model.network_.head) if cosines else None
    return LabelCorrelation(
        tuple(model.label_names_[k] for k in shown),
        analysis.output_correlation(found.outputs[:, shown])
        if weights is None
        else weights[np.ix_(shown, shown)],
        analysis.known_correlation(Y[:, shown]),
        "predictions" if weights is None else "class weights",
    )


def missing_of(
    model: MultiLabelClassifier,
    found: MissingLabels,
    Y: NDArray[np.int8],
    items: Sequence[str] | None,
    contents: Sequence[Any] | None,
    kind: Literal["image", "text"] | None,
) -> Missing:
    """Return the most probable missing labels with their items as they look or read."""
    names = model.label_names_
    meaning = (
        "calibrated probability" if model.calibration_ is not None else "score (which is no probability)"
    )
    total, claimed = int(found.unknown.sum()), int(found.predicted.sum())
    return Missing(
        [
            _example(names, Y[row], names[k], score, row, items, contents, kind)
            for row, k, score in zip(
                found.rows.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True
            )
        ],
        names,
        found.predicted.tolist(),
        found.unknown.tolist(),
        (
            f"Of the {words.count(total)} unknown entries of the training items, the model takes "
            f"{words.count(claimed)} ({words.percent(claimed / total)}) for relevant by its decision rule.",
            f"Below are entries of the highest {meaning}: one an item, and few of each label. Nobody has confirmed "
            "them, and the model was trained on these very items.",
        ),
    )


def _example(
    names: Sequence[str],
    labels: NDArray[np.int8],
    label: str,
    score: float,
    row: int,
    items: Sequence[str] | None,
    contents: Sequence[Any] | None,
    kind: Literal["image", "text"] | None,
) -> MissingExample:
    content = None if contents is None else contents[row]
    picture: Any = None
    if kind == "image" and content is not None:
        picture = content if isinstance(content, np.ndarray) else thumbnail(content)
    return MissingExample(
        f"Item {row + 1}" if items is None else str(items[row]),
        label,
        score,
        tuple(names[k] for k in np.flatnonzero(labels == 1).tolist()),
        picture,
        str(content) if kind == "text" and content is not None else None,
    )

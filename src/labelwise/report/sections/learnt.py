"""Angles between items and labels, and correlated labels, of a trained model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelwise import analysis, plots
from labelwise.analysis import AngleDistributions, LabelCorrelation
from labelwise.report import formats
from labelwise.report.section import Section, Subject

_MOST_LABELS, _FEWEST_POSITIVES = 200, 5
"""Labels that take part in the correlations: those with the most known positives, and so many at least."""
_MOST_EDGES, _MOST_NODES = 20, 24
Edges = list[tuple[int, int, float]]


@dataclass(frozen=True, eq=False)
class Learnt:
    """Angles and correlations of a trained model's labels."""

    angles: AngleDistributions | None = None
    correlation: LabelCorrelation | None = None


def gather(subject: Subject) -> dict[str, Any]:
    """Return angles, for a head with cosines, and label correlations."""
    model, survey = subject.model, subject.survey
    if survey is None:
        return {}
    angles = None
    if model.fitted_.method.spec.head == "cosine":
        angles = analysis.angle_distributions(
            survey.outputs,
            subject.annotations[survey.rows],
            model.fitted_.method.angles,
        )
    return {"learnt": Learnt(angles, _correlation(subject))}


def _correlation(subject: Subject) -> LabelCorrelation | None:
    model, survey, Y = subject.model, subject.survey, subject.annotations
    assert survey is not None
    positives = (Y == 1).sum(axis=0)
    # Correlations grow with the square of the labels, and rare ones tell little.
    labels = np.sort(np.argsort(-positives, kind="stable")[:_MOST_LABELS])
    labels = labels[positives[labels] >= _FEWEST_POSITIVES]
    if len(labels) < 3 or len(survey.rows) < 3:
        return None
    cosines = model.fitted_.method.spec.head == "cosine"
    # A cosine head alone is trained on the directions of its weights, which this compares.
    weights = analysis.weight_correlation(model.fitted_.network.head) if cosines else None
    return LabelCorrelation(
        tuple(model.label_names_[k] for k in labels),
        analysis.output_correlation(survey.outputs[:, labels])
        if weights is None
        else weights[np.ix_(labels, labels)],
        analysis.known_correlation(Y[:, labels]),
        "predictions" if weights is None else "class weights",
    )


def show(learnt: Learnt | None) -> dict[str, Any] | None:
    """Return the angles and the correlation graph; None where there is neither."""
    if learnt is None or not (learnt.angles or learnt.correlation):
        return None
    return {
        "angles": learnt.angles and _angles(learnt.angles),
        "graph": learnt.correlation and _graph(learnt.correlation),
    }


def _angles(angles: AngleDistributions) -> dict[str, Any]:
    panels: list[tuple[str, Any, Any]] = [("", angles.positives, angles.negatives)]
    balanced = angles.balanced_positives is not None
    if balanced:
        panels = [
            ("before balancing", angles.positives, angles.negatives),
            ("after balancing", angles.balanced_positives, angles.balanced_negatives),
        ]
    entries = (
        "the training items, unknown entries counted as negatives."
        if angles.assumed
        else "the training items, known entries only."
    )
    return {
        "words": [
            "Angles between items and the weights of the labels, over all labels, each sign scaled to the same area. "
            "The model holds an item the more firmly for relevant, the smaller its angle. "
            f"{formats.count(angles.n_positives)} positives and {formats.count(angles.n_negatives)} negatives of a "
            f"sample of {entries}",
            _spread(angles),
        ],
        "plot": formats.drawings(
            lambda width: plots.angle_densities(angles.edges, panels, width=width),
            "Densities of the angles of positives and of negatives"
            + (", before and after balancing" if balanced else "")
            + f". Their peaks lie at {_peak(angles, angles.positives)} and {_peak(angles, angles.negatives)} degrees.",
            "angles",
        ),
    }


def _spread(angles: AngleDistributions) -> str:
    """Return in words the difference between the spreads of both signs' angles."""
    size = _mean_size(angles.vdfd)
    if not math.isfinite(size):
        return ""
    balanced = "."
    if angles.balanced_vdfd is not None:
        balanced = (
            f"; after the balancing that training uses, {_mean_size(angles.balanced_vdfd):.3g}. Balancing is measured "
            "on the angles to a label's prototype and used on the angles to its weights, so it need not bring VDFD "
            "to 0."
        )
    return (
        "VDFD, the variance of a label's positive angles less that of its negative ones, is "
        f"{size:.3g} degrees² in size, averaged over labels{balanced}"
    )


def _mean_size(values: Any) -> float:
    sizes = np.abs(np.asarray(values, dtype=np.float64))
    return float(np.nanmean(sizes)) if np.isfinite(sizes).any() else math.nan


def _peak(angles: AngleDistributions, density: Any) -> str:
    place = int(np.argmax(density))
    return f"{(angles.edges[place] + angles.edges[place + 1]) / 2:.1f}"


def _graph(correlation: LabelCorrelation) -> dict[str, Any]:
    names, known_values = correlation.names, correlation.known
    most = min(_MOST_EDGES, 2 * len(names))
    learnt = analysis.strongest(correlation.learnt, most)
    known = [] if known_values is None else analysis.strongest(known_values, most)
    if not learnt and not known:
        return {
            "words": ["No two labels go together, neither for the model nor in what is known."],
            "plot": None,
        }
    learnt, known, nodes = _fit_circle(learnt, known)
    place = {k: at for at, k in enumerate(nodes)}
    panels = [
        (title, [(place[i], place[j], value) for i, j, value in edges])
        for title, edges in (("for the model", learnt), ("in the known labels", known))
        if edges or edges is learnt
    ]
    pairs = learnt + [edge for edge in known if edge[:2] not in {other[:2] for other in learnt}]
    return {
        "words": [_graph_words(correlation, learnt, known)],
        "plot": formats.drawings(
            lambda width: plots.label_graphs([names[k] for k in nodes], panels, width=width),
            "Graph of labels that go together; the table below has the pairs.",
            "correlation",
        ),
        "rows": [
            (
                f"{names[i]} – {names[j]}",
                _signed(correlation.learnt[i, j]),
                formats.MISSING if known_values is None else _signed(known_values[i, j]),
            )
            for i, j, _ in pairs
        ],
    }


def _graph_words(correlation: LabelCorrelation, learnt: Edges, known: Edges) -> str:
    source = {
        "class weights": "cosines between the weights of two labels",
        "predictions": "correlations of the model's outputs for two labels over the training items",
    }[correlation.learnt_from]
    if known:
        common = len({edge[:2] for edge in learnt} & {edge[:2] for edge in known})
        beside = (
            ", beside the pairs that go together in the known labels of the training items. "
            f"{common} of {len(learnt)} pairs are in both graphs; those are blue."
        )
    elif correlation.known is None:
        beside = ". The known labels cannot be set beside it: no item shows two of them."
    else:
        beside = ". In the known labels no pair goes together."
    return f"The strongest pairs: {source}{beside}"


def _fit_circle(learnt: Edges, known: Edges) -> tuple[Edges, Edges, list[int]]:
    """Drop the weakest pairs of both until the labels fit a circle."""
    while True:
        nodes = sorted({end for edge in (*learnt, *known) for end in edge[:2]})
        if len(nodes) <= _MOST_NODES:
            return learnt, known, nodes
        # Both are sorted: the last pair of a list is its weakest.
        longer = max(learnt, known, key=len)
        longer.pop()


def _signed(value: float) -> str:
    return formats.MISSING if math.isnan(value) else f"{value:.2f}".replace("-", "−")


LEARNT = Section("learnt", "What was learnt", ("learnt",), show, gather)

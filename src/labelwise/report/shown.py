"""The sections on what was learnt, on missing labels and on the decision rule, as what the template prints."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labelwise import plots
from labelwise.analysis import AngleDistributions, LabelCorrelation, strongest
from labelwise.report import words
from labelwise.report.content import Decision, Learnt, Missing
from labelwise.report.drawing import drawing
from labelwise.report.pictures import shortened

_MOST_EDGES, _MOST_NODES = 20, 24


def learnt_view(learnt: Learnt) -> dict[str, Any] | None:
    """Return the angles and the correlation graph; None where there is neither."""
    angles = learnt.angles and _angles(learnt.angles)
    graph = learnt.correlation and _correlation(learnt.correlation)
    return {"angles": angles, "graph": graph} if angles or graph else None


def _angles(found: AngleDistributions) -> dict[str, Any]:
    panels: list[tuple[str, Any, Any]] = [("", found.positives, found.negatives)]
    balanced = found.balanced_positives is not None
    if balanced:
        panels = [
            ("before balancing", found.positives, found.negatives),
            ("after balancing", found.balanced_positives, found.balanced_negatives),
        ]
    sizes = [_mean_size(values) for values in (found.vdfd, found.balanced_vdfd) if values is not None]
    told = (
        "Angles between items and the weights of the labels, over all labels, each sign scaled to the same area. The "
        "model holds an item the more firmly for relevant, the smaller its angle."
    )
    counted = (
        f"{words.count(found.n_positives)} positives and {words.count(found.n_negatives)} negatives of a sample of "
        + (
            "the training items, unknown entries counted as negatives."
            if found.assumed
            else "the training items, known entries only."
        )
    )
    spread = (
        "VDFD, the variance of a label's positive angles less that of its negative ones, is "
        f"{sizes[0]:.3g} degrees² in size, averaged over labels"
        + (
            f"; after the balancing that training uses, {sizes[1]:.3g}. Balancing is measured on the angles to a "
            "label's prototype and used on the angles to its weights, so it need not bring VDFD to 0."
            if balanced
            else "."
        )
        if sizes and math.isfinite(sizes[0])
        else ""
    )
    return {
        "words": [f"{told} {counted}", spread],
        "plot": drawing(
            lambda width: plots.angle_densities(found.edges, panels, width=width),
            "Densities of the angles of positives and of negatives"
            + (", before and after balancing" if balanced else "")
            + f". Their peaks lie at {_peak(found, found.positives)} and {_peak(found, found.negatives)} degrees.",
            "angles",
        ),
    }


def _mean_size(values: Any) -> float:
    sizes = np.abs(np.asarray(values, dtype=np.float64))
    return float(np.nanmean(sizes)) if np.isfinite(sizes).any() else math.nan


def _peak(found: AngleDistributions, density: Any) -> str:
    place = int(np.argmax(density))
    return f"{(found.edges[place] + found.edges[place + 1]) / 2:.1f}"


def _correlation(found: LabelCorrelation) -> dict[str, Any]:
    most = min(_MOST_EDGES, 2 * len(found.names))
    learnt = strongest(found.learnt, most)
    known = [] if found.known is None else strongest(found.known, most)
    if not learnt and not known:
        return {
            "words": ["No two labels go together, neither for the model nor in what is known."],
            "plot": None,
        }
    learnt, known, nodes = _within(learnt, known)
    names = [found.names[k] for k in nodes]
    place = {k: at for at, k in enumerate(nodes)}

    def moved(edges: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
        return [(place[i], place[j], value) for i, j, value in edges]

    panels = [("for the model", moved(learnt))]
    if known:
        panels.append(("in the known labels", moved(known)))
    common = len({edge[:2] for edge in learnt} & {edge[:2] for edge in known})
    source = {
        "class weights": "cosines between the weights of two labels",
        "predictions": "correlations of the model's outputs for two labels over the training items",
    }[found.learnt_from]
    told = f"The strongest pairs: {source}"
    if known:
        told += (
            ", beside the pairs that go together in the known labels of the training items. "
            f"{common} of {len(learnt)} pairs are in both graphs; those are blue."
        )
    elif found.known is None:
        told += ". The known labels cannot be set beside it: no item shows two of them."
    else:
        told += ". In the known labels no pair goes together."
    pairs = learnt + [edge for edge in known if edge[:2] not in {other[:2] for other in learnt}]
    return {
        "words": [told],
        "plot": drawing(
            lambda width: plots.label_graphs(names, panels, width=width),
            "Graph of labels that go together; the table below has the pairs.",
            "correlation",
        ),
        "rows": [
            (
                f"{found.names[i]} – {found.names[j]}",
                _signed(found.learnt[i, j]),
                words.MISSING if found.known is None else _signed(found.known[i, j]),
            )
            for i, j, _ in pairs
        ],
    }


def _within(
    learnt: list[tuple[int, int, float]], known: list[tuple[int, int, float]]
) -> tuple[list[tuple[int, int, float]], list[tuple[int, int, float]], list[int]]:
    """Drop the weakest pairs of both until the labels fit a circle."""
    while True:
        nodes = sorted({end for edge in (*learnt, *known) for end in edge[:2]})
        if len(nodes) <= _MOST_NODES:
            return learnt, known, nodes
        longer = max(learnt, known, key=len)
        longer.pop()


def _signed(value: float) -> str:
    return words.MISSING if math.isnan(value) else f"{value:.2f}".replace("-", "−")


def missing_view(missing: Missing) -> dict[str, Any]:
    """Return the items with the label that each seems to miss, and how many unknown entries are claimed."""
    order = sorted(range(len(missing.names)), key=lambda k: (-missing.predicted[k], k))
    return {
        "words": list(missing.words),
        "items": [
            {
                "name": example.name,
                "label": example.label,
                "score": words.bounded(example.score),
                "known": list(example.known),
                "picture": example.picture
                if isinstance(example.picture, str) or example.picture is None
                else plots.picture_data_uri(example.picture),
                "small": isinstance(example.picture, np.ndarray) and max(example.picture.shape[:2]) <= 64,
                "alt": f"{example.name}; known: {', '.join(example.known) or 'nothing'}; "
                f"probably also {example.label}",
                "text": None if example.text is None else shortened(example.text),
            }
            for example in missing.examples
        ],
        "rows": [
            (
                missing.names[k],
                words.count(missing.unknown[k]),
                words.count(missing.predicted[k]),
                words.percent(missing.predicted[k] / missing.unknown[k]),
            )
            for k in order
            if missing.unknown[k]
        ],
    }


def decision_view(decision: Decision) -> dict[str, Any]:
    """Return the rule in words, and each label's threshold where it has thresholds."""
    told = f"Labels are decided by the rule {decision.rule.replace('_', ' ')}"
    return {
        "words": [words.sentence(told + (f": {decision.source}" if decision.source else ""))],
        "rows": [
            (name, words.count(known), "never" if math.isinf(value) else words.share(value))
            for name, known, value in zip(
                decision.names, decision.known_positives, decision.thresholds, strict=True
            )
        ]
        if decision.thresholds
        else [],
    }

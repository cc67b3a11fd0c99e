"""The result of a comparison: a table of methods, their differences, and what they rest on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelwise._files import write
from labelwise.annotations import Annotations
from labelwise.comparison.differences import Difference, corrected_difference, holm
from labelwise.comparison.folds import Fold
from labelwise.comparison.logistic import BASELINE
from labelwise.comparison.logistic import WORDS as BASELINE_WORDS
from labelwise.errors import UserError, listed, printable
from labelwise.metrics import LOWER_IS_BETTER, RULE_METRICS, TITLES, Judgeable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

OBSERVED = "observed_map"
"""The metric where positives alone are known."""


@dataclass(frozen=True)
class MethodResult:
    """A method's figures over the folds.

    Attributes:
        name: Its id; ``"logistic"`` for the baseline.
        value: Mean of the metric over folds.
        deviation: Standard deviation over folds.
        folds: The metric on each fold.
        to_best: Difference to the best method, None for the best itself.
        to_baseline: Difference to the baseline, None for itself and without one.
        seconds: Median seconds of a fold.
        figures: Mean over folds of every metric that could be measured.
    """

    name: str
    value: float
    deviation: float
    folds: tuple[float, ...]
    to_best: Difference | None
    to_baseline: Difference | None
    seconds: float
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """Methods compared on the same folds, the best first.

    Attributes:
        metric: What they are ranked by.
        methods: Their results, the best first.
        left_out: Why methods could not take part, by name.
        folds: Parts of a repetition.
        repeats: Repetitions.
        grouped: Whether groups were kept whole.
        level: Coverage that the intervals aim at.
        n_items: Items in all.
        n_judged: Items that are held out once a repetition.
        setting: Setting of the labels.
        words: Sentences on what the criterion can and cannot tell.
        caveats: Sentences on how far the intervals go.
    """

    metric: str
    methods: tuple[MethodResult, ...]
    left_out: Mapping[str, str]
    folds: int
    repeats: int
    grouped: bool
    level: float
    n_items: int
    n_judged: int
    setting: str
    words: tuple[str, ...]
    caveats: tuple[str, ...]

    @property
    def best(self) -> str:
        """Name of the method with the best mean."""
        return self.methods[0].name

    @property
    def best_method(self) -> str | None:
        """The best that this library trains: the best, or the next after the baseline; None if there is none."""
        return next((one.name for one in self.methods if one.name != BASELINE), None)

    @property
    def not_told_apart(self) -> tuple[str, ...]:
        """Methods whose interval to the best holds 0."""
        return tuple(one.name for one in self.methods if one.to_best is not None and not one.to_best.clear)

    @property
    def baseline(self) -> str | None:
        """Name of the baseline, None where none took part."""
        return next((one.name for one in self.methods if one.name == BASELINE), None)

    @property
    def verdict(self) -> str:
        """The result in a sentence or two."""
        first = self.methods[0]
        words = f"{first.name} is the best of {len(self.methods)}: {self.title} {first.value:.4f}."
        if self.not_told_apart:
            words += f" These folds do not tell it from {listed(self.not_told_apart, 4)}."
        return words

    @property
    def title(self) -> str:
        """The metric's name for readers."""
        return "observed mAP" if self.metric == OBSERVED else TITLES.get(self.metric, self.metric)

    def __getitem__(self, name: str) -> MethodResult:
        for one in self.methods:
            if one.name == name:
                return one
        raise KeyError(name)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a method, the best first, indexed by its name."""
        import pandas as pd

        return pd.DataFrame(list(map(_row, self.methods))).set_index("method")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        return {**asdict(self), "best": self.best, "not_told_apart": list(self.not_told_apart)}

    def to_json(self, path: str | Path) -> None:
        """Write ``to_dict`` as JSON."""
        write(Path(path), json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def to_csv(self, path: str | Path) -> None:
        """Write ``to_frame`` as CSV."""
        write(Path(path), self.to_frame().to_csv())

    def figure(self, width: float = 680) -> Figure:
        """Draw the differences to the best, and to the baseline, with their intervals."""
        from labelwise import plots

        panels: dict[str, tuple[list[float], list[float], list[float]]] = {}
        for title, name in (
            (f"to {self.best}, the best", "to_best"),
            (f"to {BASELINE}, the baseline", "to_baseline"),
        ):
            parts = [getattr(one, name) for one in self.methods]
            if any(part is not None for part in parts) and title not in panels:
                value, low, high = (
                    [np.nan if part is None else getattr(part, end) for part in parts]
                    for end in ("value", "low", "high")
                )
                panels[title] = value, low, high
        return plots.paired_gains(
            [one.name for one in self.methods],
            panels,
            label=f"difference of {self.title}, with {self.level:.0%} intervals",
            emphasis=[BASELINE],
            width=width,
        )

    def __str__(self) -> str:
        width = max(len(one.name) for one in self.methods)
        lines = [
            f"{one.name:<{width}}  {self.title} {one.value:.4f} +- {one.deviation:.4f}  {_difference(one.to_best)}"
            for one in self.methods
        ]
        lines += [f"left out: {name}: {why}" for name, why in self.left_out.items()]
        return printable("\n".join([*lines, *self.words, *self.caveats]))

    def _repr_html_(self) -> str:
        sentences = "".join(f"<p>{escape(word)}</p>" for word in (*self.words, *self.caveats))
        return f"{self.to_frame().to_html()}{sentences}"


def _difference(one: Difference | None) -> str:
    return "best" if one is None else f"{one.value:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"


def _row(one: MethodResult) -> dict[str, Any]:
    row: dict[str, Any] = {"method": one.name, "value": one.value, "deviation": one.deviation}
    for name in ("to_best", "to_baseline"):
        for end in ("value", "low", "high", "p", "p_holm"):
            part = getattr(one, name)
            row[f"{name}_{end}"] = None if part is None else getattr(part, end)
    return row | {"seconds": one.seconds} | {f"mean_{key}": value for key, value in one.figures.items()}


def comparison_of(
    shards: Sequence[Mapping[str, Any]],
    dealt: Sequence[Fold],
    labels: Annotations,
    can: Judgeable,
    *,
    metric: str,
    level: float,
    folds: int,
    repeats: int,
    grouped: bool,
    left_out: Mapping[str, str],
    setting: str,
) -> Comparison:
    """Put the figures of all methods and folds together.

    A method of which a fold failed is left out, with its error.
    """
    names = list(dict.fromkeys(str(shard["job"]["method"]) for shard in shards))
    by_name = {name: [one for one in shards if one["job"]["method"] == name] for name in names}
    errors = {name: shard["error"] for name in names for shard in by_name[name] if shard["status"] != "done"}
    left_out = {**left_out, **errors}
    values = {name: _values(by_name[name], metric) for name in names if name not in errors}
    if not values:
        raise UserError(f"no method could be trained: {listed(errors.values(), 3, 300)}")
    sign = -1 if metric in LOWER_IS_BETTER else 1
    order = sorted(values, key=lambda name: -sign * float(values[name].mean()))
    share = float(np.mean([len(fold.held_out) / len(fold.train) for fold in dealt]))
    to_best = _differences(values, order[0], share, level)
    to_baseline = _differences(values, BASELINE, share, level) if BASELINE in values else {}
    methods = tuple(
        MethodResult(
            name,
            float(values[name].mean()),
            float(values[name].std(ddof=1)),
            tuple(values[name].tolist()),
            to_best.get(name),
            to_baseline.get(name),
            # The first run of a process loads the libraries: a mean would count that.
            float(np.median([shard["seconds"] for shard in by_name[name]])),
            _figures(by_name[name]),
        )
        for name in order
    )
    return Comparison(
        metric,
        methods,
        left_out,
        folds,
        repeats,
        grouped,
        level,
        len(labels.matrix),
        int(can.rows.sum()),
        setting,
        _words(can, metric, BASELINE in values),
        _caveats(len(order), folds * repeats, repeats, level),
    )


def _values(shards: Iterable[Mapping[str, Any]], metric: str) -> Any:
    return np.array([_figure(shard, metric) for shard in shards], dtype=np.float64)


def _figure(shard: Mapping[str, Any], metric: str) -> float:
    values = [one["value"] for one in shard["measurements"] if one["metric"] == metric]
    if not values or values[0] is None:
        raise UserError(
            f"metric={metric!r} is not defined on every fold: give another metric, or fewer folds"
        )
    return float(values[0])


def _figures(shards: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean over folds of every metric that has a value on each."""
    names = [one["metric"] for one in shards[0]["measurements"]]
    columns = {
        name: [one["value"] for shard in shards for one in shard["measurements"] if one["metric"] == name]
        for name in names
    }
    return {name: float(np.mean(column)) for name, column in columns.items() if None not in column}


def _differences(
    values: Mapping[str, Any], reference: str, share: float, level: float
) -> dict[str, Difference]:
    """Return every other method's difference to one of them, with Holm's p-values."""
    others = [name for name in values if name != reference]
    pairs = [corrected_difference(values[name], values[reference], share, level) for name in others]
    corrected = holm([pair.p for pair in pairs])
    return {name: replace(pair, p_holm=p) for name, pair, p in zip(others, pairs, corrected, strict=True)}


def _words(can: Judgeable, metric: str, baseline: bool) -> tuple[str, ...]:
    words = list(can.words)
    if metric in RULE_METRICS:
        words.append("Each method decides by the rule that it learnt without the fold.")
    if metric in LOWER_IS_BETTER:
        words.append("Lower is better.")
    if baseline:
        words.append(BASELINE_WORDS)
    return tuple(words)


def _caveats(methods: int, count: int, repeats: int, level: float) -> tuple[str, ...]:
    caveats = [
        f"Differences are paired over {count} folds; intervals by the corrected resampled t-test (Nadeau and Bengio,"
        " 2003), for methods trained on as many rows as a fold leaves.",
    ]
    if methods > 2:
        caveats.append(
            f"Each interval covers {level:.0%} alone: of {methods - 1} differences the chance that one leaves 0 out by"
            " luck is larger. p_holm is corrected for that."
        )
    caveats.append(
        "The best is the best of these folds: its own figure flatters it, the more so the more methods were tried;"
        " judge the saved model on rows that no comparison has seen."
    )
    if repeats == 1 and count < 10:
        caveats.append("Few folds make wide intervals; repeats add folds from the same rows.")
    return tuple(caveats)

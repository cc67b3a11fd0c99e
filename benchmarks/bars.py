"""The bars of speed and memory, each with the committed table that it is read from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import ge, le

from benchmarks.common import RESULTS, read_rows

Row = Mapping[str, str]
Test = Callable[[float, float], bool]


@dataclass(frozen=True)
class Verdict:
    """A bar beside what was measured.

    Attributes:
        what: What is measured.
        measured: The figure.
        bar: What it may be at most, or must be at least.
        holds: Whether it is.
        command: What measures it.
    """

    what: str
    measured: str
    bar: str
    holds: bool
    command: str


def verdict(what: str, figure: float, test: Test, bar: float, unit: str, command: str) -> Verdict:
    """Return a bar's line."""
    side = "at most" if test is le else "at least"
    return Verdict(what, f"{figure:,g}{unit}", f"{side} {bar:,g}{unit}", test(figure, bar), command)


def bars() -> list[Verdict]:
    """Return every bar that a committed table holds the figure of."""
    return [
        *_training(),
        *_bare_heads(),
        *_measures(),
        *_pages(),
        *_serving(),
        *_complete(),
        *_accelerator(),
        *_default(),
        *_exported(),
        *_streaming(),
        *_many_labels(),
        *_faults(),
    ]


def _rows(name: str) -> list[Row]:
    path = RESULTS / f"{name}.csv"
    return list(read_rows(path)) if path.exists() else []


def _training() -> Iterator[Verdict]:
    for row in _rows("epoch"):
        command = "python -m benchmarks.speed epoch"
        yield verdict(
            "an epoch of `bbam` beside `an`, 5,717 x 1,280",
            float(row["ratio"]),
            le,
            float(row["bound"]),
            "",
            command,
        )
    steps = _rows("steps")
    bounds = {
        bound: [row for row in steps if row["bound"] == bound]
        for bound in sorted({r["bound"] for r in steps})
    }
    for bound, rows in bounds.items():
        worst = max(rows, key=lambda row: float(row["network_ratio"]))
        named = (
            f"`{worst['method']}`"
            if len(rows) == 1
            else f"the slowest of {len(rows)} methods, `{worst['method']}`"
        )
        yield verdict(
            f"a step of a network beside `an`: {named}",
            float(worst["network_ratio"]),
            le,
            float(bound),
            "",
            "python -m benchmarks.speed steps",
        )
    for name, what in (
        ("embedding", "reading items once, beside the network alone"),
        ("images", "weak views"),
    ):
        for row in _rows(name):
            if row["bound"]:
                which = row.get("backbone") or row["pipeline"]
                command = f"python -m benchmarks.speed {name}"
                yield verdict(f"{what}: {which}", float(row["ratio"]), ge, float(row["bound"]), "", command)
    for row in _rows("losses"):
        if row["limit"]:
            yield verdict(
                f"loss `{row['loss']}` on {row['machine']}, beside cross-entropy",
                float(row["ratio"]),
                le,
                float(row["limit"]),
                "",
                "python -m benchmarks.speed losses",
            )
    for row in _rows("commands"):
        command = "python -m benchmarks.speed commands"
        yield verdict(f"`{row['command']}`", float(row["seconds"]), le, float(row["limit"]), " s", command)


def _pages() -> Iterator[Verdict]:
    for row in _rows("review"):
        what = f"the review page, {int(row['items']):,} items: {row['request']}"
        command = "python -m benchmarks.speed review"
        yield verdict(f"{what}, median", float(row["median_ms"]), le, 100, " ms", command)
        yield verdict(f"{what}, 99 of 100", float(row["p99_ms"]), le, 300, " ms", command)
    for row in _rows("review_parallel"):
        lost = float(row["lost"]) + float(row["changed"]) + float(row["doubled"])
        what = f"answers lost, changed or doubled of {int(row['confirmed']):,}, {row['kills']} kills"
        yield verdict(what, lost, le, 0, "", "python -m benchmarks.speed review")


def _serving() -> Iterator[Verdict]:
    for row in _rows("serving"):
        if row["bar"]:
            side, unit = (
                (ge, "") if row["unit"] == "" and float(row["bar"]) else (le, f" {row['unit']}".rstrip())
            )
            what = f"`labelwise serve`: {row['question']}"
            command = "python -m benchmarks.speed.serving"
            yield verdict(what, float(row["figure"]), side, float(row["bar"]), unit, command)


def _complete() -> Iterator[Verdict]:
    for row in _rows("complete"):
        what = f"`complete`, {row['what']}, {int(row['items']):,} items x {row['labels']} labels: memory"
        yield verdict(what, float(row["gb_peak"]), le, 2, " GB", "python -m benchmarks.speed.complete")


def _accelerator() -> Iterator[Verdict]:
    command = "python -m benchmarks.speed.accelerator"
    for row in _rows("accelerator"):
        what = f"`{row['method']}`, {row['what']} ({row['card']})"
        if row["epochs_per_second"]:
            yield verdict(what, float(row["epochs_per_second"]), ge, 20, " epochs/s", command)
        elif row["method"] == "an":
            yield verdict(what, float(row["pictures_per_second"]), ge, 2500, " pictures/s", command)
        else:
            yield verdict(f"{what}, beside `an`", float(row["share_of_an"]), ge, 0.95, "", command)


def _bare_heads() -> Iterator[Verdict]:
    """Yield the steps of heads on features, where what a method adds is not hidden by a network's products."""
    command = "python -m benchmarks.speed steps"
    rows = [row for row in _rows("steps") if row.get("head_beyond")]
    once = [row for row in rows if float(row["bound"]) <= 1.15]
    more = [row for row in rows if float(row["bound"]) > 1.15]
    what = "a step of a bare head beyond forward, backward and optimiser, as a share of a step of `an`"
    for group, kind in ((once, "see an item once"), (more, "do more by definition")):
        if group:
            worst = max(group, key=lambda row: float(row["head_beyond"]))
            told = f"{what}: the slowest of {len(group)} that {kind}, `{worst['method']}`"
            yield verdict(told, float(worst["head_beyond"]), le, 0.15, "", command)
    for row in once:
        if row["method"] in {"hml", "em_apl", "cap", "bbam"}:
            yield verdict(f"{what}: `{row['method']}`", float(row["head_beyond"]), le, 0.15, "", command)
            told = f"a whole step of a bare head beside `an`: `{row['method']}`"
            yield verdict(told, float(row["head_ratio"]), le, 1.15, "", command)


def _measures() -> Iterator[Verdict]:
    """Yield metrics beside scikit-learn's, summaries by their rate, and the closed form beside other solvers."""
    command = "python -m benchmarks.speed metrics"
    for row in _rows("metrics"):
        size = f"{int(row['items']):,} x {row['labels']}"
        what = f"{row['metric']} with unknown entries beside scikit-learn's without, {size}"
        yield verdict(what, float(row["ratio"]), le, float(row["bound"]), "", command)
    for row in _rows("summaries"):
        what = f"{row['summary']}, {int(row['items']):,} x {row['labels']}"
        figure = float(f"{float(row['scores_a_second']):.3g}")
        yield verdict(what, figure / 1e6, ge, float(row["bound"]) / 1e6, " million scores/s", command)
    for row in _rows("ridge_beside"):
        if row["bound"]:
            size = f"{int(row['rows']):,} x {row['features']} x {row['labels']}"
            what = f"ridge with leave-one-out beside {row['beside']}, {size}"
            yield verdict(
                what, float(row["ratio"]), le, float(row["bound"]), "", "python -m benchmarks.speed ridge"
            )


def _default() -> Iterator[Verdict]:
    command = "python -m benchmarks.speed.auto"
    for row in _rows("auto"):
        what = f"`auto`: {row['case']} ({row['shape']}), {row['setting']}"
        if row.get("bar") and row.get("seconds"):
            # where other work had the cores, wall time tells of that work
            alone = float(row["reference"]) <= 1.5
            told = what if alone else f"{what}, processor time"
            yield verdict(
                told, float(row["seconds" if alone else "cpu"]), le, float(row["bar"]), " s", command
            )
        elif row.get("bar"):
            yield Verdict(what, row["verdict"], f"at most {float(row['bar']):g} s", False, command)
        if row.get("bar_mb") and row.get("peak_mb"):
            yield verdict(f"{what}: memory", float(row["peak_mb"]), le, float(row["bar_mb"]), " MB", command)
        if row.get("bar_rows") and row.get("rows_a_second"):
            told, rate = f"{what}: rows scored", float(row["rows_a_second"])
            yield verdict(told, rate, ge, float(row["bar_rows"]), " rows/s", command)


def _exported() -> Iterator[Verdict]:
    rows = [row for row in _rows("exported") if row["bar"]]
    for backbone in dict.fromkeys(row["backbone"] for row in rows):
        worst = max(
            (row for row in rows if row["backbone"] == backbone), key=lambda row: float(row["largest"])
        )
        yield verdict(
            f"an exported file beside its model, `{backbone}`, {int(worst['items']):,} items: largest difference of a"
            " probability",
            float(worst["largest"]),
            le,
            float(worst["bar"]),
            "",
            "python -m benchmarks.studies.exported",
        )


def _streaming() -> Iterator[Verdict]:
    command = "python -m benchmarks.speed.streaming"
    for row in _rows("streaming"):
        size = f"{int(row['rows']):,} x {row['features']} with {int(row['labels']):,} labels"
        what = f"memory of `{row['phase']}` in passes, {size}"
        if row["phase"] != "read":
            yield verdict(what, float(row["peak_mb"]), le, float(row["most_mb"]), " MB", command)
    command = "python -m benchmarks.speed workers"
    for row in _rows("workers"):
        size = f"{int(row['rows']):,} x {row['features']} with {int(row['labels']):,} labels"
        what = {"fit": "the streaming fit", "score": "scoring a folder"}[row["phase"]]
        what = f"{what} by two workers of Ray, {size}"
        yield verdict(
            f"{what}, beside one process", float(row["ratio"]), le, float(row["bound"]), "", command
        )
        yield Verdict(f"{what}: the same bits", row["same"], "yes", row["same"] == "yes", command)


_COMMAND_BARS = {
    "train": (120, 3_000),
    "evaluate": (60, 3_000),
    "report": (60, 3_000),
    "predict": (30, 3_000),
}
_PAGE_KB = 5_000


def _many_labels() -> Iterator[Verdict]:
    command, size = (
        "python -m benchmarks.studies.many_labels --only command",
        "14,000 x 384 with 10,000 labels",
    )
    for row in _rows("many_labels"):
        kind, name = row["case"].split()
        if kind != "command":
            continue
        seconds, memory = _COMMAND_BARS[name]
        yield verdict(f"processor time of `{name}`, {size}", float(row["cpu"]), le, seconds, " s", command)
        yield verdict(f"memory of `{name}`, {size}", float(row["peak_mb"]), le, memory, " MB", command)
        if row["page_kb"]:
            yield verdict(f"page of `{name}`, {size}", float(row["page_kb"]), le, _PAGE_KB, " kB", command)


def _faults() -> Iterator[Verdict]:
    """Yield what broke under each fault, of how many tries."""
    for row in _rows("faults"):
        what = f"failures under: {row['fault']} ({int(row['tries']):,} tries)"
        command = f"python -m benchmarks.faults {row['fault']!r}"
        yield verdict(what, float(row["failures"]), le, 0, "", command)


def lines(found: Iterable[Verdict]) -> list[list[str]]:
    """Return table rows: what, measured, bar, verdict."""
    return [[one.what, one.measured, one.bar, "holds" if one.holds else "**fails**"] for one in found]

"""Compare methods on a table, and save the best as a run that is trained on everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise.errors import UserError
from labelwise.runs import toml
from labelwise.runs.config import RunConfig
from labelwise.runs.directory import RunDirectory
from labelwise.runs.inputs import check_kind, default_backbone, read_inputs
from labelwise.runs.outcome import Outcome
from labelwise.runs.tables import items_of
from labelwise.runs.training import train

if TYPE_CHECKING:
    from labelwise.comparison import Comparison

_NOT_COMPARED = ("method", "hyperparameters", "random_state")
_LEAKS = ("warm_start", "hints")
FILES = ("comparison.json", "comparison.csv", "comparison.html")
"""Files of a folder of results, beside the shards that a stopped comparison goes on from."""


@dataclass(frozen=True, eq=False)
class TableComparison:
    """Methods compared on a table.

    Attributes:
        table: Path of the table.
        comparison: The figures.
        notes: Sentences on what was guessed of the table.
        files: What was written.
        outcome: The training of the best on everything, None where no run was asked for.
        saved: The method of that run.
    """

    table: str
    comparison: Comparison
    notes: tuple[str, ...]
    files: tuple[str, ...] = ()
    outcome: Outcome | None = None
    saved: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        return {
            "table": self.table,
            "comparison": self.comparison.to_dict(),
            "notes": list(self.notes),
            "files": list(self.files),
            "saved": self.saved,
            "run": None if self.outcome is None else self.outcome.to_dict(),
        }


def compare(
    config: RunConfig,
    methods: Sequence[str] | None = None,
    *,
    out: str | Path | None = None,
    results: str | Path | None = None,
    sets: Sequence[str] = (),
    progress: Callable[[int, int, Mapping[str, Any]], None] | None = None,
    training_progress: bool = False,
    **asked: Any,
) -> TableComparison:
    """Compare methods on the table of ``config``.

    Args:
        config: The settings that all methods share; it names no method.
        methods: Their ids, by default those that the labels recommend.
        out: A new run directory for the best, trained on the whole table.
        results: A folder for the figures and for what a stopped comparison goes on from; by default that of ``out``
            with ``-comparison`` behind it.
        sets: ``METHOD.KEY=VALUE`` texts of methods' own hyper-parameters.
        progress: As for ``labelwise.compare``.
        training_progress: Whether the training of the best shows a bar.
        **asked: ``baseline``, ``folds``, ``repeats``, ``metric``, ``level`` and ``workers`` of ``labelwise.compare``.

    Raises:
        UserError: For bad input, and where ``out`` is taken by anything but the run of this comparison.
    """
    from labelwise.comparison import compare as compare_items

    _check(config)
    hyperparameters = _hyperparameters(sets)
    if out is not None:
        run = RunDirectory(Path(out))
        if not run.exists():
            run.check_free()
        results = Path(out).with_name(Path(out).name + "-comparison") if results is None else results
    inputs = read_inputs(config)
    table = inputs.table
    check_kind(config.backbone, table)
    options = config.classifier_options() | inputs.classifier_options()
    options["backbone"] = config.backbone or default_backbone(table, config.tune)
    comparison = compare_items(
        items_of(table),
        table.annotations,
        methods,
        groups=inputs.groups,
        hyperparameters=hyperparameters,
        items=table.items,
        true_labels=inputs.true_labels,
        seed=config.seed,
        folder=results,
        progress=progress,
        **{name: value for name, value in options.items() if name not in _NOT_COMPARED},
        **asked,
    )
    files = () if results is None else _write(comparison, table.path.name, Path(results))
    saved = comparison.best_method if out is not None else None
    outcome = None
    if saved is not None and out is not None:
        chosen = {"method": saved, "hyperparameters": hyperparameters.get(saved, {})}
        outcome = train(config.model_copy(update=chosen), out, resume=True, progress=training_progress)
    return TableComparison(str(config.table), comparison, inputs.notes, files, outcome, saved)


def _check(config: RunConfig) -> None:
    """Refuse settings that choose a method, or that would tell a model of the rows held out."""
    if config.method is not None or config.hyperparameters:
        raise UserError(
            "method (--method) or hyperparameters: a comparison takes --methods, and --set METHOD.KEY=VALUE"
        )
    for name in _LEAKS:
        if getattr(config, name) is not None:
            raise UserError(
                f"{name} (--{name.replace('_', '-')}): the earlier model may have learnt from rows that are held out"
                " here: leave it out"
            )


def _hyperparameters(sets: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return hyper-parameters by method, from texts ``METHOD.KEY=VALUE``."""
    result: dict[str, dict[str, Any]] = {}
    for text in sets:
        name, equals, value = text.partition("=")
        method, dot, key = name.strip().partition(".")
        if not (equals and dot and method and key):
            raise UserError(
                f"--set {text!r}: write --set METHOD.KEY=VALUE; 'labelwise methods NAME' lists the keys of a method"
            )
        result.setdefault(method, {})[key] = toml.parse_value(value.strip())
    return result


def _write(comparison: Comparison, table: str, folder: Path) -> tuple[str, ...]:
    """Write the figures as JSON, CSV and a page; return the paths."""
    data, frame, page = (folder / name for name in FILES)
    comparison.to_json(data)
    comparison.to_csv(frame)
    _write_page(comparison, table, page)
    return str(data), str(frame), str(page)


def _write_page(comparison: Comparison, table: str, path: Path) -> None:
    """Write the page of a comparison, which needs no other file."""
    from labelwise import report
    from labelwise.metrics import LOWER_IS_BETTER

    low = comparison.metric in LOWER_IS_BETTER
    columns = [
        report.Column("value", comparison.title, better="low" if low else "high"),
        report.Column("to_best", f"to {comparison.best}", "gain", None),
        report.Column("to_baseline", "to the baseline", "gain", None),
        report.Column("seconds", "time of a fold", "seconds", "low"),
    ]
    rows = []
    for one in comparison.methods:
        pairs = {"to_best": one.to_best, "to_baseline": one.to_baseline}
        rows.append(
            report.ComparisonRow(
                one.name,
                {
                    "value": one.value,
                    "seconds": one.seconds,
                    **{key: None if pair is None else pair.value for key, pair in pairs.items()},
                },
                {key: (pair.low, pair.high) for key, pair in pairs.items() if pair is not None},
                "reference" if pairs["to_baseline"] is None and one.name == comparison.baseline else "",
            )
        )
    words = [f"Left out: {name}: {why}" for name, why in comparison.left_out.items()]
    content = report.ReportContent(
        title=f"Methods on {table}",
        lead=[comparison.verdict],
        key_figures=[
            ("items", f"{comparison.n_items:,}"),
            ("held out in turn", f"{comparison.n_judged:,}"),
            ("folds", f"{comparison.folds}" + (f" x {comparison.repeats}" if comparison.repeats > 1 else "")),
        ],
        comparison=report.Comparison(
            rows,
            columns,
            drawn=("value",),
            words=[*words, *comparison.words, *comparison.caveats],
            differences=("to_best", "to_baseline") if comparison.baseline else ("to_best",),
        ),
    )
    report.write_report(content, path)

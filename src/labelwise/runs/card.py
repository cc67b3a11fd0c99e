"""A model card made from a run: data, label states, protocol, figures with their rule, limits, use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise._files import write
from labelwise.runs.directory import RunDirectory, check_output
from labelwise.runs.records import read_evaluation
from labelwise.runs.tables import ModelColumns, read_model

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

_MOST_LABELS = 100
_ITEMS = {"image": "pictures", "text": "texts", "features": "rows of features"}
_TASKS = {
    "image": "image-classification",
    "text": "text-classification",
    "features": "tabular-classification",
}
_MARKS = re.compile(r"([\\`*_\[\]<>|#])")


def card(run: str | Path, out: str | Path | None = None, *, license: str | None = None) -> Path:
    """Write a finished run's model card, in Markdown with the front matter of model hubs.

    Args:
        run: The run directory.
        out: A file ending in .md; by default the run's own ``README.md``.
        license: The licence under which the model may be used, as an SPDX identifier.

    Returns:
        The file.

    Raises:
        UserError: For a run that is not finished.
    """
    directory = RunDirectory(Path(run))
    state = directory.finished()
    model, columns = read_model(directory, state)
    target = directory.path / "README.md" if out is None else Path(out)
    check_output(target, [], (".md",))
    record = read_evaluation(directory.evaluation)
    table = directory.config().files().get("table")
    name = "a table" if table is None else Path(table).name
    lines = [
        *_front_matter(columns, license),
        *_body(directory, model, columns, state["result"], record, name),
    ]
    write(target, "\n".join(lines) + "\n")
    return target


def _front_matter(columns: ModelColumns, license: str | None) -> Iterator[str]:
    yield "---"
    yield "library_name: labelwise"
    if license is not None:
        # JSON is YAML, whatever the text holds.
        yield f"license: {json.dumps(license)}"
    yield f"pipeline_tag: {_TASKS[columns.kind]}"
    yield "tags: [multi-label-classification, weak-supervision, missing-labels]"
    yield "---"
    yield ""


def _body(
    directory: RunDirectory,
    model: MultiLabelClassifier,
    columns: ModelColumns,
    result: Mapping[str, Any],
    record: Mapping[str, Any],
    table: str,
) -> Iterator[str]:
    summary, spec = model.summary_, model.trained_method_.spec
    yield f"# {_plain(model.method_)} on {_plain(table)}"
    yield ""
    yield f"A multi-label classifier of {_ITEMS[columns.kind]}, {summary.n_labels:,} labels, trained by labelwise."
    yield ""
    names = [_plain(name) for name in summary.label_names[:_MOST_LABELS]]
    more = f" and {summary.n_labels - _MOST_LABELS:,} more" if summary.n_labels > _MOST_LABELS else ""
    yield f"Labels: {', '.join(names)}{more}."
    yield from _section("Data and its labels")
    total = summary.n_items * summary.n_labels
    yield f"{summary.n_items:,} items with {total:,} entries, setting *{_plain(summary.setting.replace('_', ' '))}*:"
    yield ""
    for words, counts in (
        ("known to be relevant", summary.positives),
        ("known to be irrelevant", summary.negatives),
        ("unknown", summary.unknown),
    ):
        yield f"- {int(counts.sum()):,} {words} ({counts.sum() / total:.1%})"
    if summary.not_identified:
        yield from _section("What these labels cannot tell")
        yield from _list(summary.not_identified)
    yield from _section("How it was made")
    yield f"- Method: {_plain(spec.title)} ({_plain(spec.paper)}). It assumes: {_plain(spec.assumption)}."
    yield f"- Backbone: {_plain(str(model.backbone) if isinstance(model.backbone, str) else 'a module of its own')}."
    yield f"- Decision rule: {_plain(model.rule_.name)}, {_plain(model.rule_source_)}."
    calibrated = (
        "calibrated probabilities" if model.calibration_ is not None else "scores that rank, not calibrated"
    )
    yield f"- Its numbers are {calibrated}."
    yield f"- Random state {model.random_state}; the run's settings are in `run.toml`."
    yield from _section("Figures")
    yield from _figures(record)
    notes = [*result.get("notes", ()), *model.notes_]
    yield from _section("Limits")
    yield from _list(dict.fromkeys([*notes, *_limits(summary)]))
    yield from _section("Use")
    yield "```console"
    yield f"labelwise predict {directory.path.name} new.csv --out predictions.csv"
    yield "```"
    yield ""
    yield "```python"
    yield "import labelwise as lw"
    yield ""
    yield f"model = lw.load({json.dumps(f'{directory.path.name}/{directory.model.name}')})"
    yield "probabilities = model.predict_proba(X)"
    yield "```"


def _figures(record: Mapping[str, Any]) -> Iterator[str]:
    from labelwise.metrics import RULE_METRICS

    figures = record["figures"]
    if figures is None:
        yield "None: what is known of the labels judges nothing."
        yield ""
        yield from _list(record["why_no_figures"])
        return
    yield f"On {figures['n_items']:,} items, scored as if the model had not seen them, known entries alone:"
    yield ""
    yield "| metric | value | decision rule |"
    yield "|---|---:|---|"
    for name, value in figures["metrics"].items():
        if value is not None:
            yield f"| {_plain(name)} | {value:.4f} | {_plain(figures['rule']) if name in RULE_METRICS else ''} |"


def _limits(summary: Any) -> Iterator[str]:
    if summary.labels_without_positive:
        yield f"Labels without a known positive: {', '.join(summary.labels_without_positive[:20])}."
    if summary.rare_labels:
        yield f"Labels with few known positives: {', '.join(summary.rare_labels[:20])}."
    yield "It was judged on items drawn as its training items were; on others it may do worse."


def _section(title: str) -> Sequence[str]:
    return "", f"## {title}", ""


def _list(sentences: Any) -> Iterator[str]:
    for sentence in sentences:
        yield f"- {_plain(sentence)}"


def _plain(text: str) -> str:
    """Return a text with nothing in it that Markdown or HTML would read as a mark."""
    return _MARKS.sub(r"\\\1", " ".join(str(text).split())).replace("\\<", "&lt;").replace("\\>", "&gt;")

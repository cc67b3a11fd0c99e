"""The card of a model: data and label states, protocol, figures with their rule, limits, licence, use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from labelwise._version import __version__
from labelwise.errors import printable
from labelwise.metrics import RULE_METRICS, TITLES

Classifier: TypeAlias = Any
_MOST_LABELS = 100
_ITEMS = {"image": "pictures", "text": "texts", "features": "rows of features"}
_TASKS = {
    "image": "image-classification",
    "text": "text-classification",
    "features": "tabular-classification",
}
_MARKS = re.compile(r"([\\`*_\[\]<>|#~!])")


@dataclass(frozen=True)
class Background:
    """What is known of a model beyond itself.

    Attributes:
        data: The name of its table.
        figures: Held-out figures, as ``Evaluation.to_dict`` has them; None takes the model's own.
        why_no_figures: Sentences on why there are none.
        notes: Sentences on how the data were read.
        license: The licence under which the model may be used, as an SPDX identifier; None where it was not said.
        name: The folder or repository from which it is loaded.
        use: Lines of a shell that predict with it.
    """

    data: str = "a table"
    figures: Mapping[str, Any] | None = None
    why_no_figures: Sequence[str] = ()
    notes: Sequence[str] = ()
    license: str | None = None
    name: str = "model"
    use: Sequence[str] = ()


def model_card(model: Classifier, background: Background) -> str:
    """Return the card of a fitted classifier, in Markdown with the front matter of model hubs."""
    figures = background.figures
    if figures is None and model.validation_ is not None:
        figures = model.validation_.to_dict()
    kind = str(model.reader_.kind or "features")
    lines = [*_front_matter(model, kind, background, figures), *_body(model, kind, background, figures)]
    return "\n".join(lines) + "\n"


def _front_matter(
    model: Classifier, kind: str, background: Background, figures: Mapping[str, Any] | None
) -> Iterator[str]:
    # JSON is YAML, whatever the texts hold.
    yield "---"
    yield "library_name: labelwise"
    if background.license is not None:
        yield f"license: {_json(background.license)}"
    yield f"pipeline_tag: {_TASKS[kind]}"
    yield "tags: [multi-label-classification, weak-supervision, missing-labels]"
    if figures is not None:
        metrics = [
            {"type": name, "name": _metric(name, figures["rule"]), "value": round(value, 4)}
            for name, value in figures["metrics"].items()
            if value is not None
        ]
        result = {
            "task": {"type": _TASKS[kind], "name": "Multi-label classification"},
            "dataset": {
                "type": "held-out",
                "name": f"{figures['n_items']} held-out items of {background.data}",
            },
            "metrics": metrics,
        }
        yield f"model-index: {_json([{'name': background.name, 'results': [result]}])}"
    yield "---"
    yield ""


def _metric(name: str, rule: str) -> str:
    title = TITLES.get(name, name)
    return f"{title} by {rule}" if name in RULE_METRICS else title


def _json(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False))


def _body(
    model: Classifier, kind: str, background: Background, figures: Mapping[str, Any] | None
) -> Iterator[str]:
    summary = model.summary_
    yield f"# {_plain(model.method_)} on {_plain(background.data)}"
    yield ""
    made = f"{summary.n_labels:,} labels, trained by labelwise {__version__}"
    yield f"A multi-label classifier of {_ITEMS[kind]}, {made}."
    yield from _section("Data and its labels")
    yield from _states(summary)
    yield ""
    yield from _labels(summary, figures)
    yield from _section("What these labels cannot tell")
    yield from _list(summary.not_identified or ["Nothing that training and figures rest on."])
    yield from _section("How it was made")
    yield from _list(_protocol(model))
    yield from _section("Figures")
    yield from _figures(figures, background)
    yield from _section("Limits")
    yield from _list(dict.fromkeys([*background.notes, *model.notes_, *_limits(summary)]))
    yield from _section("Licence")
    yield (
        "None was named: ask whoever gave you the model before you use it."
        if background.license is None
        else _plain(background.license)
    )
    yield from _section("Use")
    yield from _use(model, kind, background)


def _states(summary: Any) -> Iterator[str]:
    total = summary.n_items * summary.n_labels
    setting = _plain(summary.setting.replace("_", " "))
    yield f"{summary.n_items:,} items with {total:,} entries, setting *{setting}*:"
    yield ""
    for words, counts in (
        ("known to be relevant", summary.positives),
        ("known to be irrelevant", summary.negatives),
        ("unknown", summary.unknown),
    ):
        yield f"- {int(counts.sum()):,} {words} ({counts.sum() / max(total, 1):.1%})"


def _labels(summary: Any, figures: Mapping[str, Any] | None) -> Iterator[str]:
    per_label = {} if figures is None else figures["per_label"]
    precision = dict(zip(per_label.get("name", ()), per_label.get("average_precision", ()), strict=False))
    yield "| label | relevant | irrelevant | unknown | average precision |"
    yield "|---|---:|---:|---:|---:|"
    for k, name in enumerate(summary.label_names[:_MOST_LABELS]):
        value = precision.get(name)
        counts = " | ".join(
            f"{int(part[k]):,}" for part in (summary.positives, summary.negatives, summary.unknown)
        )
        yield f"| {_plain(name)} | {counts} | {'' if value is None else f'{value:.4f}'} |"
    if summary.n_labels > _MOST_LABELS:
        yield ""
        yield f"And {summary.n_labels - _MOST_LABELS:,} more."


def _protocol(model: Classifier) -> Iterator[str]:
    spec = model.trained_method_.spec
    yield f"Method: {spec.title} ({spec.paper}). It assumes: {spec.assumption}."
    if model.hyperparameters_:
        yield "Hyper-parameters: " + ", ".join(f"{k} {v}" for k, v in model.hyperparameters_.items()) + "."
    backbone = model.backbone if isinstance(model.backbone, str) else "a module of its own"
    trained = "the head alone was trained" if model.tune_ == "head" else "the whole network was trained"
    yield f"Backbone: {backbone}; {trained}."
    if spec.passes:
        yield "Budget: " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in model.budget_.items()) + "."
    yield (
        "Judged on known entries alone, of rows that the judged model had not seen; validation never takes test labels."
    )
    yield f"Decision rule: {model.rule_.name}, {model.rule_source_}."
    calibrated = model.calibration_ is not None
    yield f"Its numbers are {'calibrated probabilities' if calibrated else 'scores that rank, not calibrated'}."
    yield f"Random state {model.random_state}, {model.seconds_:.1f} seconds of training."


def _figures(figures: Mapping[str, Any] | None, background: Background) -> Iterator[str]:
    if figures is None:
        yield "None: what is known of the labels judges nothing."
        yield ""
        yield from _list(background.why_no_figures)
        return
    yield f"On {figures['n_items']:,} items, scored as if the model had not seen them, known entries alone:"
    yield ""
    yield "| metric | value | decision rule |"
    yield "|---|---:|---|"
    for name, value in figures["metrics"].items():
        if value is not None:
            rule = _plain(figures["rule"]) if name in RULE_METRICS else ""
            yield f"| {_plain(TITLES.get(name, name))} | {value:.4f} | {rule} |"
    if figures["notes"]:
        yield ""
        yield from _list(figures["notes"])


def _limits(summary: Any) -> Iterator[str]:
    if summary.labels_without_positive:
        yield f"Labels without a known positive: {', '.join(summary.labels_without_positive[:20])}."
    if summary.rare_labels:
        yield f"Labels with few known positives: {', '.join(summary.rare_labels[:20])}."
    yield "It was judged on items drawn as its training items were; on others it may do worse."


def _use(model: Classifier, kind: str, background: Background) -> Iterator[str]:
    if background.use:
        yield "```console"
        yield from background.use
        yield "```"
        yield ""
    names = getattr(model, "feature_names_in_", None)
    columns = (
        ""
        if names is None
        else f" with the columns {', '.join(map(str, names[:5]))}{', ...' * (len(names) > 5)}"
    )
    items = {
        "features": f"an array or frame{columns}",
        "text": "a list of texts",
        "image": "a list of paths of pictures",
    }[kind]
    yield "```python"
    yield "from labelwise import MultiLabelClassifier"
    yield ""
    yield f"model = MultiLabelClassifier.from_pretrained({_json(background.name)})"
    yield printable(
        f"probabilities = model.predict_proba(X)  # X: {' '.join(items.replace('```', '').split())}"
    )
    yield "names = model.predict_names(X)"
    yield "```"


def _section(title: str) -> Sequence[str]:
    return "", f"## {title}", ""


def _list(sentences: Iterable[str]) -> Iterator[str]:
    for sentence in sentences:
        yield f"- {_plain(sentence)}"


def _plain(text: str) -> str:
    """Return a text with nothing in it that Markdown or HTML would read as a mark."""
    marked = _MARKS.sub(r"\\\1", printable(" ".join(str(text).split())))
    return marked.replace("&", "&amp;").replace("\\<", "&lt;").replace("\\>", "&gt;")

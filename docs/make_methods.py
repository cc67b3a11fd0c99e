"""Writes ``docs/methods.md`` from the registry: ``python docs/make_methods.py``; ``--print`` shows it instead."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np

from labelwise.methods import SETTINGS, Budget, Hyperparameter, Method, MethodSpec, Problem, get, names
from labelwise.targets import ItemState

PAGE = Path(__file__).with_name("methods.md")
NEEDS = {
    "prior": "share of positives of each label",
    "true_labels": "the true labels (an oracle)",
    "feature_maps": "feature maps",
}
_ANGLES = (
    "on features whose length says nothing it is far ahead of `an` where a linear head gets them as they are; where "
    "they are scaled first, as a head on fixed features has it, it ranks no better. With single positives, the default "
    "budget and no prior its scores rarely reach one half: give a prior, or a rule of your own."
)
_SMOOTHING = "with single positives its probabilities come nearer to the truth (log loss), the ranking is that of `an`."
_LARGE = (
    "ahead of `an` in ranking where the features nearly decide the labels, at ten times the default rate."
)
FINDINGS = {
    "em": "with known entries that lie unevenly it ranks ahead of `an`. With single positives it ranks no better, but "
    "decides far better at one half, since nothing pushes unknown positives to no.",
    "em_apl": "as `em`, on both counts.",
    "hml_fixed": _ANGLES,
    "hml": _ANGLES
    + " Scale and margin move by at most .001 a step at the default budget: after some hundred steps it "
    "decides far better than `hml_fixed` at one half, at the same ranking; trained from scratch it does too.",
    "bam": _ANGLES,
    "cap": "given the shares of positives it is ahead of training on labelled rows alone; with shares estimated on 25 "
    "labelled rows it is behind in some draws.",
    "label_smoothing": _SMOOTHING,
    "label_smoothing_linear_init": _SMOOTHING,
    "negative_label_smoothing": _SMOOTHING,
    "asl": "decides far better than `an` at one half with single positives, and ranks as well.",
    "entropy_minimization": "collapses where no negative is known, as published; with both signs known its gain over "
    "`an` is that of ignoring the unknown.",
    "ll_r": _LARGE,
    "ll_ct": _LARGE,
    "ll_cp": _LARGE,
    "drml": "a network from scratch on few labels: behind the closed-form start where labels are linear in the "
    "features and unrelated; ahead where a label follows from others.",
    "mime": "ahead of `an` where labels are not linear in the features, behind it where they are; at the published "
    "threshold of .95 a head on features finds hardly any positive, at .8 it does.",
}
"""What the tests of proof found of a method where that is not plainly an advantage over ``an``.

Each line is asserted in `tests/methods`, in `worth` and `released`."""
HEADER = """# The methods

Made from the registry by `python docs/make_methods.py`; a test fails when this page differs from it.

*Settings* are the label settings that a method's assumption allows: full labels, single positives, partial positives,
general partial labels (known negatives present) and semi-supervised labels (some rows whole, the others unknown).
*Passes* are the forward passes that an unlabelled item costs in an epoch, a backward counted as two, refreshes
included; 0 stands for a closed form, which reads every item once. *Needs* is what the labels alone may not tell.
What each comes to on five sets of frozen features: [the local benchmark](benchmark.md), which names those without runs.
*Found* says what tests found of a method on problems made for its assumption, where that is not plainly an advantage.
"""


def page() -> str:
    """Return the whole page."""
    specs = [get(name).spec for name in names()]
    lines = ["| method | paper | settings | assumption | passes | needs |", "|---|---|---|---|---|---|"]
    lines += [_row(spec) for spec in specs]
    return "\n".join([HEADER, *lines, "", *(_section(spec) for spec in specs)])


def _row(spec: MethodSpec) -> str:
    cells = (f"[`{spec.id}`](#{spec.id})", spec.paper, _settings(spec), spec.assumption, spec.passes)
    return "| " + " | ".join(_cell(str(cell)) for cell in (*cells, _needs(spec) or "–")) + " |"


def _section(spec: MethodSpec) -> str:
    lines = [f"## {spec.id}", "", f"**{spec.title}.** {spec.paper}.", "", _text(spec.id), ""]
    own = get(spec.id).head is not Method.head
    facts = ["head of its own" if own else f"{spec.head} head", _memory(spec)]
    if spec.passes:
        facts += [f"a head on fixed features: {_budget(spec.head_budget)}"]
        facts += [f"a whole network: {_budget(spec.full_budget)}"]
    if spec.whole_batch:
        facts.append("the loss looks at the batch as a whole, so that gradients cannot be accumulated")
    lines += ["; ".join(facts).capitalize() + ".", ""]
    if spec.id in FINDINGS:
        lines += [f"*Found:* {FINDINGS[spec.id]}", ""]
    if spec.hyperparameters:
        lines += ["| hyper-parameter | default | range | what it is | source |", "|---|---|---|---|---|"]
        lines += [_hyperparameter(name, h) for name, h in spec.hyperparameters.items()]
        lines.append("")
    return "\n".join(lines)


def _hyperparameter(name: str, h: Hyperparameter) -> str:
    default = f"{h.default:g}" if isinstance(h.default, float) else str(h.default)
    cells = (f"`{name}`", default, h.range().removeprefix("it is "), h.help, h.source)
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _text(method: str) -> str:
    text = inspect.cleandoc(get(method).__doc__ or "")
    return text.replace("*", "\\*").replace("<", "&lt;")


def _memory(spec: MethodSpec) -> str:
    size = bytes_per_entry(spec.id)
    return f"item state: {size:g} bytes an entry" if size else "no item state"


def bytes_per_entry(method: str) -> float:
    """Return the bytes of item state an entry of the labels costs, slots per item left out."""
    accepted = [s for s in SETTINGS if s in get(method).spec.settings]
    labels = np.zeros((4, 2), np.int8)
    prior = np.full(2, 0.5)
    slots = get(method)(Problem(labels, accepted[-1], prior, true_labels=labels), {}).slots()
    entries = {name: slot for name, slot in slots.items() if slot.per == "entry"}
    return sum(array.nbytes for array in ItemState(entries, *labels.shape).arrays().values()) / labels.size


def _settings(spec: MethodSpec) -> str:
    if spec.settings == set(SETTINGS):
        return "any"
    return ", ".join(s.replace("_", " ") for s in SETTINGS if s in spec.settings)


def _needs(spec: MethodSpec) -> str:
    return ", ".join(NEEDS.get(need, need.replace("_", " ")) for need in sorted(spec.needs))


def _budget(budget: Budget) -> str:
    return (
        f"{budget.epochs} epochs, {budget.batch_size} items a batch, learning rate {budget.learning_rate:g}"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


if __name__ == "__main__":
    if "--print" in sys.argv[1:]:
        print(page(), end="")
    else:
        PAGE.write_text(page(), encoding="utf-8")

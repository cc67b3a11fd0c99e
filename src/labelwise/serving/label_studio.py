"""Label Studio's tasks in, its predictions out: the routes of its machine-learning backend."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from labelwise.errors import UserError, listed
from labelwise.exchange import label_studio
from labelwise.exchange.xml import Element, parse
from labelwise.serving.bodies import Tasks
from labelwise.serving.fetching import Fetcher
from labelwise.serving.models import ServedModel
from labelwise.serving.refusals import Refused

if TYPE_CHECKING:
    from labelwise.serving.app import Desk, Service

_OBJECTS = {"text": ("Text", "HyperText", "Paragraphs"), "image": ("Image",)}


@dataclass(frozen=True)
class Control:
    """The control of a label configuration that holds the model's labels.

    Attributes:
        name: That of the control.
        to: The name of what it is about.
        field: The field of a task's data with the text or picture.
        choices: The configuration's choice for each label of the model that it has.
    """

    name: str
    to: str
    field: str
    choices: Mapping[str, str]


@lru_cache(maxsize=64)
def control_of(config: str | None, kind: str, labels: tuple[str, ...]) -> Control:
    """Return the control of a project's label configuration that suits a model.

    That is the one of ``Choices`` with most of the model's labels; without a configuration, the one of the files that
    ``labelwise convert`` writes.

    Raises:
        Refused: For a configuration that cannot be read, or has no such control.
    """
    if not config or not config.strip():
        return Control(label_studio.CONTROL, kind, kind, {name: name for name in labels})
    try:
        root = parse("label_config", config.encode("utf-8", "replace"))
    except UserError as error:
        raise Refused(409, str(error)) from None
    elements = list(_all(root))
    objects = {
        one.attributes["name"]: one
        for one in elements
        if "value" in one.attributes and "name" in one.attributes
    }
    found: list[Control] = []
    for one in elements:
        about = objects.get(one.attributes.get("toName", ""))
        if one.tag != "Choices" or about is None or about.tag not in _OBJECTS[kind]:
            continue
        # A choice is kept under its alias where it has one.
        names = {
            choice.attributes["value"]: choice.attributes.get("alias", choice.attributes["value"])
            for choice in _all(one)
            if choice.tag == "Choice" and "value" in choice.attributes
        }
        names |= {alias: alias for alias in names.values()}
        known = {label: names[label] for label in labels if label in names}
        if known:
            field = about.attributes["value"].lstrip("$")
            found.append(Control(one.attributes.get("name", ""), about.attributes["name"], field, known))
    if not found:
        raise Refused(
            409,
            f"label_config: no <Choices> about {' or '.join(f'<{tag}>' for tag in _OBJECTS[kind])} has a choice"
            f" called as a label of the model ({listed(labels)})",
        )
    return max(found, key=lambda control: len(control.choices))


def _all(element: Element) -> Sequence[Element]:
    return [element, *(deep for child in element.children for deep in _all(child))]


def setup(model: ServedModel, config: str | None) -> dict[str, Any]:
    """Return the answer to a project that connects, once its configuration is known to suit the model.

    Raises:
        Refused: For one that does not.
    """
    _check(model)
    control = control_of(config, model.kind, model.labels)
    missing = [label for label in model.labels if label not in control.choices]
    return {"model_version": model.name, "control": control.name, "labels_without_choice": missing}


async def results(service: Service, desk: Desk, tasks: Tasks, deadline: float) -> dict[str, Any]:
    """Return the predictions of tasks, in their order.

    A prediction holds the chosen labels with the scores of all in its ``meta``, as ``labelwise convert`` reads them
    back, and the mean certainty as its score.

    Raises:
        Refused: For tasks without what the model reads.
    """
    model = desk.model
    _check(model)
    control = control_of(tasks.label_config, model.kind, model.labels)
    items: list[dict[str, Any]] = [
        {model.kind: _content(task.data, control, row)} for row, task in enumerate(tasks.tasks)
    ]
    if model.kind == "image":
        items = [
            {"image": await _picture(service.fetcher, one["image"], row)} for row, one in enumerate(items)
        ]
    for row, item in enumerate(items):
        if model.kind == "text" and len(item["text"]) > service.limits.characters:
            raise Refused(
                413, f"tasks.{row}: the text has more than {service.limits.characters:,} characters"
            )
    logits = await service.logits(desk, items, deadline, single=False)
    return {"results": [_prediction(answer, control, model) for answer in model.answers(logits)]}


def _check(model: ServedModel) -> None:
    if not model.reads_tasks:
        raise Refused(
            409, f"the model {model.name!r} reads features, and Label Studio's tasks are texts or pictures"
        )


def _content(data: Mapping[str, Any], control: Control, row: int) -> str:
    value = data.get(control.field)
    if not isinstance(value, str):
        raise Refused(
            409, f"tasks.{row}.data.{control.field}: there is no text or address of a picture in it"
        )
    return value


async def _picture(fetcher: Fetcher, value: str, row: int) -> str | bytes:
    """Return a picture of a task: as it is in a data: URL or base64, or fetched from Label Studio."""
    if value.startswith("/") or urlsplit(value).scheme in ("http", "https"):
        return await asyncio.to_thread(fetcher.fetch, value, f"tasks.{row}")
    return value


def _prediction(answer: Mapping[str, Any], control: Control, model: ServedModel) -> dict[str, Any]:
    scores = {
        control.choices[name]: score for name, score in answer["scores"].items() if name in control.choices
    }
    chosen = [control.choices[name] for name in answer["labels"] if name in control.choices]
    prediction = label_studio.prediction(scores, chosen, control=control.name, to=control.to)
    return {**prediction, "model_version": model.name}

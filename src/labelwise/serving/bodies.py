"""Bodies of requests: what an item looks like for a model, checked and described once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Self, Union

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    create_model,
)

from labelwise.serving.limits import Limits
from labelwise.serving.models import ServedModel
from labelwise.serving.refusals import Refused

_LARGEST = 1e30
_MOST_NAMED = 256
"""Features up to this number are described by name."""
_ONE, _SEVERAL, _TASKS, _ROW, _NAMED = "(one)", "(several)", "(tasks)", "(list)", "(names)"
_TAGS = frozenset((_ONE, _SEVERAL, _TASKS, _ROW, _NAMED))
_CONFIG = ConfigDict(extra="forbid", strict=True)

Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-_LARGEST, le=_LARGEST)]
Cell = Annotated[
    Number
    | Annotated[str, Field(max_length=1000)]
    | Annotated[list[Number], Field(min_length=1, max_length=10_000)]
    | None,
    Field(union_mode="left_to_right"),
]
"""A number, a word, a list of numbers, or nothing: what a cell of a table may hold."""


class _Read(BaseModel):
    """A body of Label Studio, which may hold more than is read."""

    model_config = ConfigDict(extra="allow", strict=True)

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Return the body that JSON says.

        Raises:
            Refused: For what is none, with the place.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise _refused(error) from None


class Task(_Read):
    """A task of Label Studio."""

    data: dict[str, Any] = Field(description="What the label configuration names, such as text or image.")


class Tasks(_Read):
    """Tasks of Label Studio, with the label configuration of their project."""

    tasks: Annotated[list[Task], Field(min_length=1)]
    label_config: str | None = Field(None, description="The XML that says which control holds the labels.")


class Setup(_Read):
    """A project of Label Studio that connects."""

    schema_: str | None = Field(None, alias="schema", description="The label configuration of the project.")


class Event(_Read):
    """An event of Label Studio."""

    action: str = Field(description="Such as ANNOTATION_CREATED or START_TRAINING.")


class Prediction(BaseModel):
    """The labels of one item."""

    labels: list[str] = Field(description="The labels that the model's rule decides for.")
    scores: dict[str, float] = Field(description="A score in [0, 1] for each label.")


class Predictions(BaseModel):
    """The labels of every item, in the order in which they came."""

    model: str
    calibrated: bool = Field(description="Whether the scores are calibrated probabilities.")
    rule: str = Field(description="The rule that decides for labels.")
    predictions: list[Prediction]


class Labels(BaseModel):
    """A model's labels, and what its items look like."""

    model: str
    calibrated: bool
    rule: str
    labels: list[str]
    kind: str = Field(description="features, text or image.")
    features: list[str] = Field(description="The names of a row's features, in their order.")
    n_features: int = Field(description="The numbers of a row; 0 where an item has none.")


class Results(BaseModel):
    """The predictions of Label Studio's tasks, in their order."""

    results: list[dict[str, Any]]


class Failure(BaseModel):
    """A request that was not answered as asked."""

    error: str = Field(description="One line that says what to mend.")


class Bodies:
    """The JSON bodies that a model's items may come in.

    Attributes:
        examples: Real ones, by their titles.
        tasks: The bodies of Label Studio.
    """

    def __init__(self, model: ServedModel, limits: Limits) -> None:
        self.model, self.limits = model, limits
        self.example = example_item(model)
        item = _item_type(model, limits, self.example)
        several = create_model(
            "Items",
            __config__=_CONFIG,
            items=(_list_of(item, limits.items), ...),
        )
        self.tasks = create_model("Tasks", __base__=Tasks, tasks=(_list_of(Task, limits.items), ...))
        kinds = [(item, _ONE), (several, _SEVERAL), *([(self.tasks, _TASKS)] if model.reads_tasks else [])]
        known = [tag for _, tag in kinds]
        self._adapter: TypeAdapter[Any] = TypeAdapter(
            _union(
                *(_tagged(kind, tag) for kind, tag in kinds),
                which=lambda body: tag if (tag := _which(body)) in known else _ONE,
            )
        )
        self.examples = {"one item": self.example, "several items": {"items": [self.example, self.example]}}

    def parse(self, content: bytes) -> Tasks | list[dict[str, Any]]:
        """Return the items of a body, or the tasks of Label Studio.

        Raises:
            Refused: For what is neither, with the place.
        """
        try:
            body = self._adapter.validate_json(content)
        except ValidationError as error:
            raise _refused(error) from None
        if isinstance(body, Tasks):
            return body
        return [one.model_dump() for one in getattr(body, "items", [body])]

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the bodies."""
        return self._adapter.json_schema(ref_template="#/components/schemas/{model}")


def _tagged(kind: Any, tag: str) -> Any:
    return Annotated[kind, Tag(tag)]


def _list_of(kind: Any, most: int, least: int = 1) -> Any:
    return Annotated[list[kind], Field(min_length=least, max_length=most)]


def _union(*tagged: Any, which: Callable[[Any], str]) -> Any:
    """Return the union of tagged types, told apart by a function before any is tried."""
    return Annotated[Union[tagged], Discriminator(which)]  # noqa: UP007


def _which(body: Any) -> str:
    if isinstance(body, Mapping):
        return _SEVERAL if "items" in body else _TASKS if "tasks" in body else _ONE
    return _ONE


def _refused(error: ValidationError) -> Refused:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"] if part not in _TAGS)
    if first["type"] == "json_invalid":
        return Refused(400, f"the body is not JSON: {first['ctx']['error']}")
    message = f"{where}: {first['msg']}" if where else first["msg"]
    return Refused(413 if first["type"] == "too_long" and where in ("items", "tasks") else 422, message[:300])


def example_item(model: ServedModel) -> dict[str, Any]:
    """Return an item that the model takes."""
    names = model.raw_names
    item: dict[str, Any] = {}
    if model.kind == "text":
        item["text"] = "They charged me twice, and I cannot log in."
    elif model.kind == "image":
        item["image"] = EXAMPLE_PICTURE
    if model.n_features:
        values = [model.example_cell(name) for name in names] if names else [0.5] * model.n_features
        item["features"] = dict(zip(names, values, strict=True)) if names else values
    return item


EXAMPLE_PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR4nGP8z4ADMOGSGKYSBAQABoYB"
    "D5kPNmYAAAAASUVORK5CYII="
)
"""A small picture, as a page would send it."""


def _item_type(model: ServedModel, limits: Limits, example: Mapping[str, Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    if model.kind == "text":
        text = Annotated[str, Field(max_length=limits.characters, description="The text.")]
        fields["text"] = (text, ...)
    elif model.kind == "image":
        fields["image"] = (
            Annotated[
                str,
                Field(
                    description="The bytes of a JPEG, PNG, WebP, GIF, BMP or TIFF file in base64, or a data: URL.",
                    json_schema_extra={"format": "picture"},
                ),
            ],
            ...,
        )
    if model.n_features:
        fields["features"] = (_features_type(model), ...)
    config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [dict(example)]})
    return create_model("Item", __config__=config, __doc__=f"An item of {model.name!r}.", **fields)


def _features_type(model: ServedModel) -> Any:
    names = model.raw_names
    cell: Any = Cell if model.preparation is not None else Number
    count = len(names) or model.n_features
    row = _list_of(cell, count, count)
    if not names:
        return row
    named = Annotated[
        dict[str, cell],
        Field(min_length=count, max_length=count, json_schema_extra=_named_schema(names)),
    ]
    return _union(
        _tagged(row, _ROW),
        _tagged(named, _NAMED),
        which=lambda value: _NAMED if isinstance(value, Mapping) else _ROW,
    )


def _named_schema(names: Sequence[str]) -> dict[str, Any]:
    if len(names) > _MOST_NAMED:
        return {}
    return {"required": list(names), "propertyNames": {"enum": list(names)}}

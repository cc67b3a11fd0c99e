"""Parts of the description of the routes: bodies with their examples, and what is answered."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from labelwise.serving.bodies import Bodies, Event, Failure, Predictions, Results, Setup

_WHY = {
    400: "The body is not what its content type says.",
    401: "The token is missing.",
    409: "The tasks or their label configuration do not suit the model.",
    408: "The body did not arrive in time.",
    413: "The body, a picture or the number of items is too large.",
    415: "The content type is none that the model takes.",
    422: "An item is none that the model takes.",
    503: "Too much is asked at once, or the answer took too long.",
}
PREDICTING: dict[int | str, dict[str, Any]] = {
    200: {"model": Predictions | Results, "description": "The labels of every item."},
    **{status: {"model": Failure, "description": why} for status, why in _WHY.items()},
}

TELLING: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure, "description": _WHY[status]} for status in (400, 401, 408, 409, 413, 422, 503)
}
_CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="labels" toName="text" choice="multiple">'
    '<Choice value="billing"/><Choice value="login"/></Choices></View>'
)


def _json_body(kind: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    schema = inlined(kind.model_json_schema())
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": example}},
        }
    }


def body_of(bodies: Bodies) -> dict[str, Any]:
    """Return the description of a prediction's body, with real examples."""
    examples = {
        title.replace(" ", "_"): {"summary": title, "value": value}
        for title, value in bodies.examples.items()
    }
    content: dict[str, Any] = {"application/json": {"schema": inlined(bodies.schema()), "examples": examples}}
    return {"requestBody": {"required": True, "content": content}}


def inlined(schema: Any, known: dict[str, Any] | None = None) -> Any:
    """Return a JSON Schema without references: each is replaced by what it leads to."""
    if isinstance(schema, list):
        return [inlined(one, known) for one in schema]
    if not isinstance(schema, dict):
        return schema
    known = schema.get("$defs", known or {})
    if "$ref" in schema:
        return inlined(known[schema["$ref"].rpartition("/")[2]], known)
    return {
        name: inlined(value, known)
        for name, value in schema.items()
        if name not in ("$defs", "discriminator")
    }


def tasks_of(bodies: Bodies) -> dict[str, Any]:
    """Return the description of a body of Label Studio's tasks."""
    task = {"id": 1, "data": {"text": "They charged me twice."}}
    return _json_body(bodies.tasks, {"tasks": [task], "label_config": _CONFIG})


SETUP = _json_body(Setup, {"project": "1.1700000000", "schema": _CONFIG})
EVENT = _json_body(Event, {"action": "ANNOTATION_CREATED", "project": {"id": 1}})

"""Label Studio's tasks in, its predictions out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labelwise.serving.bodies import Tasks
from labelwise.serving.refusals import Refused

if TYPE_CHECKING:
    from labelwise.serving.app import Desk, Service


async def results(service: Service, desk: Desk, tasks: Tasks, deadline: float) -> dict[str, Any]:
    """Return the predictions of tasks."""
    raise Refused(422, "tasks: later")

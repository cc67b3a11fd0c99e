"""Limits of a server: what one request may bring, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass, fields

from labelwise.errors import UserError


@dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Attributes:
        body: The most bytes of a request.
        pixels: The most pixels of a picture.
        items: The most items of a request.
        characters: The most characters of a text.
        timeout: Seconds for a request to arrive, and for its answer from then on.
        batch_size: The most items of one pass of the model.
        queue: The most items that wait for a pass.
        gather: Seconds for which a pass waits for the items of other requests.
        connections: The most open connections.
    """

    body: int = 20_000_000
    pixels: int = 50_000_000
    items: int = 256
    characters: int = 100_000
    timeout: float = 30.0
    batch_size: int = 64
    queue: int = 1024
    gather: float = 0.003
    connections: int = 1000

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "gather" and getattr(self, field.name) <= 0:
                raise UserError(f"{field.name} is {getattr(self, field.name)}: give a number above 0")
        if self.queue < self.items:
            raise UserError(
                f"queue (--queue) is {self.queue}, less than the {self.items} items of one request: give more, or fewer"
                " items (--items)"
            )

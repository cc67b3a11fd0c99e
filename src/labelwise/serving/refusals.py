"""Refusals of a request: a status and one line."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi.responses import JSONResponse


class Refused(Exception):
    """A request that is not answered as asked.

    Attributes:
        status: That of HTTP.
        message: One line that says what to mend.
    """

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, " ".join(message.split())
        self.headers: Mapping[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> JSONResponse:
        """Return the answer."""
        return JSONResponse({"error": self.message}, status_code=self.status, headers=dict(self.headers))

"""A package's own pages: files with names that are known beforehand."""

from __future__ import annotations

from importlib.resources import files

from starlette.responses import JSONResponse, Response

_TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}


class Pages:
    """The files in the folder ``static`` of a package, and those that every page shares, read once."""

    def __init__(self, package: str) -> None:
        self._files = {
            entry.name: entry.read_bytes()
            for room in ("labelwise.http", package)
            for entry in (files(room) / "static").iterdir()
            if entry.name.rpartition(".")[2] in _TYPES
        }

    def get(self, name: str) -> Response:
        """Return the answer to a request for a file."""
        if name not in self._files:
            return JSONResponse({"error": "there is no such page"}, status_code=404)
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(self._files[name], media_type=kind, headers={"cache-control": "no-cache"})

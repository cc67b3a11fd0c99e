"""Requests as they arrive: read within limits of size and time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message

from labelwise.serving.bodies import Bodies, Tasks
from labelwise.serving.limits import Limits
from labelwise.serving.refusals import Refused

_LARGE = 100_000
"""Bytes past which a body is parsed beside the loop, which answers others meanwhile."""


class Arrivals:
    """Bodies that are being read, which together stay below a bound of memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._most, self._held = max(8 * limits.body, 256_000_000), 0

    async def body(self, request: Request, deadline: float) -> bytes:
        """Return a request's body.

        Raises:
            Refused: For one that is too large or too slow.
        """
        most = self._limits.body
        told = request.headers.get("content-length", "0")
        if told.isdigit() and int(told) > most:
            raise Refused(413, f"the body has {int(told):,} bytes, more than {most:,}", connection="close")
        if self._held + most > self._most:
            raise Refused(503, "too many large requests at once: send it again later", retry_after="1")
        self._held += most
        chunks, size = [], 0
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > most:
                        raise Refused(413, f"the body has more than {most:,} bytes", connection="close")
                    chunks.append(chunk)
        except TimeoutError:
            raise Refused(
                408, f"the body did not arrive within {self._limits.timeout:g} s", connection="close"
            ) from None
        finally:
            self._held -= most
        return b"".join(chunks)


async def parse(request: Request, content: bytes, bodies: Bodies) -> Tasks | list[dict[str, Any]]:
    """Return the items of a body in JSON, a form with files, or one picture's file.

    Raises:
        Refused: For another kind of body, and one that is not as its kind says.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    pictures = bodies.model.kind == "image" and not bodies.model.n_features
    if kind == "application/json":
        if len(content) > _LARGE:
            return await asyncio.to_thread(bodies.parse, content)
        return bodies.parse(content)
    if pictures and kind.startswith("image/"):
        return [{"image": content}]
    if pictures and kind == "multipart/form-data":
        return await _files(request, content, bodies.limits)
    kinds = "application/json" + (", multipart/form-data or image/*" if pictures else "")
    raise Refused(415, f"the content type is {kind[:80] or 'missing'}: send {kinds}")


async def _files(request: Request, content: bytes, limits: Limits) -> list[dict[str, Any]]:
    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    try:
        form = await Request(request.scope, receive).form(max_files=limits.items, max_fields=16)
    except HTTPException as error:
        many = "Too many" in str(error.detail)
        raise Refused(413 if many else 400, f"the form cannot be read: {error.detail}") from None
    try:
        fields = form.multi_items()
        files = [value for _, value in fields if isinstance(value, UploadFile)]
        if not files or len(files) != len(fields):
            raise Refused(
                422, "the form holds other than files: send one file a picture, as in -F image=@photo.jpg"
            )
        return [{"image": await file.read()} for file in files]
    finally:
        await form.close()

"""Pictures that tasks name by address, fetched from one named host alone."""

from __future__ import annotations

from http.client import HTTPException
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from labelwise.errors import UserError, shown
from labelwise.serving.refusals import Refused


class _StaysHere(HTTPRedirectHandler):
    """Follows no redirection: it could lead to any host."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Fetcher:
    """Fetches pictures from Label Studio, where its address was given.

    Addresses come in requests: without this bound whoever asks could have the server fetch from hosts that it alone
    reaches.

    Args:
        base: The address of Label Studio; None fetches nothing.
        token: Its access token.
        most: The most bytes of a picture.
        timeout: Seconds for each step of the connection.
    """

    def __init__(self, base: str | None, token: str | None, *, most: int, timeout: float) -> None:
        if base is not None and urlsplit(base).scheme not in ("http", "https"):
            raise UserError(f"--label-studio {shown(base)}: give an address as in http://localhost:8080")
        self._base, self._token, self._most, self._timeout = base, token, most, timeout
        self._opener = build_opener(_StaysHere)

    def fetch(self, address: str, place: str) -> bytes:
        """Return the bytes behind an address.

        Raises:
            Refused: For another host's, what cannot be had, and what is too large.
        """
        if self._base is None:
            raise Refused(
                422,
                f"{place}: the picture is an address, and none is fetched: start the server with --label-studio and the"
                " address of Label Studio",
            )
        url = urljoin(self._base.rstrip("/") + "/", address)
        if urlsplit(url)[:2] != urlsplit(self._base)[:2]:
            raise Refused(
                422, f"{place}: the picture lies at {urlsplit(url).netloc[:80]!r}, not at --label-studio"
            )
        headers = {} if self._token is None else {"authorization": f"Token {self._token}"}
        try:
            with self._opener.open(Request(url, headers=headers), timeout=self._timeout) as answer:
                return self._bounded(answer, place)
        except HTTPError as error:
            raise Refused(422, f"{place}: Label Studio answers {error.code} for the picture") from None
        except (OSError, HTTPException, ValueError) as error:
            raise Refused(422, f"{place}: the picture cannot be had ({error!s:.100})") from None

    def _bounded(self, answer: IO[bytes], place: str) -> bytes:
        content = answer.read(self._most + 1)
        if len(content) > self._most:
            raise Refused(413, f"{place}: the picture has more than {self._most:,} bytes")
        return content

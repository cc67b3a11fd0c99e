"""Who may ask: the token, the host, the page's own requests; and what a page may load."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE, HEADER = "labelwise", "x-labelwise"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SAFE = ("GET", "HEAD")
_MOST_BYTES = 64 << 20
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """An ASGI layer that lets through what the page itself asks, and nobody else's requests.

    A request that changes something carries ``proof`` in a header, which other sites can neither read nor send; its
    origin, where a browser names one, is this host. On loopback the host's name must be a loopback one, so that no
    other site's name leads here (DNS rebinding). Where a ``token`` is set, each request needs it, in the address once
    and in a cookie from then on.

    Args:
        token: None where whoever reaches the port may answer.
        hosts: The names by which the page may be asked for; empty for any.
        command: The command that printed the address with the token.
        programs: Whether programs ask too, which bring no proof; what another site's page sends stays out.
        open_paths: Paths that need no token.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str | None = None,
        hosts: Iterable[str] = (),
        *,
        command: str = "labelwise review",
        programs: bool = False,
        open_paths: Iterable[str] = (),
    ) -> None:
        self.app, self.token, self.hosts = app, token, frozenset(hosts)
        self.command, self.programs, self.open_paths = command, programs, frozenset(open_paths)
        self.proof = secrets.token_urlsafe(24)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
            return
        scope["proof"] = self.proof
        await self.app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.hosts and (urlsplit(f"//{host}").hostname or "") not in self.hosts:
            return _refused(403, f"this page is not to be had as {host!r:.80}")
        is_open = scope["path"] in self.open_paths and scope["method"] in _SAFE
        if self.token is not None and not is_open and not self._knows_token(headers):
            return self._at_the_door(scope)
        if scope["method"] in _SAFE:
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return _refused(403, "another site asked for this")
        if self.programs:
            return None
        if not hmac.compare_digest(headers.get(HEADER, "").encode(), self.proof.encode()):
            return _refused(403, "the page is of an earlier start: load it again")
        if not headers.get("content-length", "").isdigit() or int(headers["content-length"]) > _MOST_BYTES:
            return _refused(
                413, f"the request is larger than {_MOST_BYTES >> 20} MB, or does not say its length"
            )
        return None

    def _knows_token(self, headers: Headers) -> bool:
        cookie: SimpleCookie = SimpleCookie()
        try:
            cookie.load(headers.get("cookie", ""))
        except Exception:  # a cookie that is none
            return False
        value = cookie[COOKIE].value if COOKIE in cookie else ""
        return self._is_token(value) or self._is_token(_credential(headers.get("authorization", "")))

    def _is_token(self, value: str) -> bool:
        return hmac.compare_digest(value.encode(), (self.token or "").encode())

    def _at_the_door(self, scope: Scope) -> Response:
        """Let whoever brings the token in the address in, with a cookie, and nobody else."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        given = query.pop("token", [""])[0]
        if not given or not self._is_token(given) or scope["method"] not in _SAFE:
            return _refused(401, f"open the address that {self.command!r} printed: it holds the token")
        rest = urlencode(query, doseq=True)
        answer = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), status_code=303)
        answer.set_cookie(COOKIE, given, httponly=True, samesite="strict", path="/")
        return answer


def _credential(value: str) -> str:
    """Return the token of a header: a bearer's, or the password beside a name, which Label Studio sends."""
    kind, _, rest = value.partition(" ")
    if kind.lower() != "basic":
        return rest if kind.lower() == "bearer" else value
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status_code=status)

"""Addresses of servers: who reaches them, and the socket that is bound."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass
from urllib.parse import quote

from labelwise.errors import UserError
from labelwise.http.guard import LOOPBACK


@dataclass(frozen=True)
class Address:
    """Where a page is to be had."""

    host: str
    port: int
    token: str | None

    @property
    def url(self) -> str:
        """The address for a browser, with the token."""
        host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(self.host, self.host)
        name = f"[{host}]" if ":" in host else host
        return f"http://{name}:{self.port}/" + (f"?token={quote(self.token)}" if self.token else "")


def checked_token(token: str | None, *, local: bool) -> str | None:
    """Return the token that requests need: the given one, or a new one where others than this machine ask.

    Raises:
        UserError: For a token that is guessed at once.
    """
    if token is not None and len(token) < 8:
        raise UserError("--token: give at least 8 characters, or leave it out and one is made")
    return token or (None if local else secrets.token_urlsafe(16))


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an interface."""
    try:
        return host in LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, before anything takes its time.

    Raises:
        UserError: For a port that is in use or none.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns off Nagle's algorithm: else each reply waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Without this, two servers could both be bound, and the second would only fail once it listens.
        listener.listen(128)
    except OverflowError:
        raise UserError(f"--port {port}: a port is 0 to 65535") from None
    except OSError as error:
        listener.close()
        raise UserError(
            f"--host {host} --port {port} cannot be had ({error.strerror or error}): give another --port, or --port 0"
            " for a free one"
        ) from None
    return listener

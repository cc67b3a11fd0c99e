"""Parts that every server of ours shares: its address, and who may ask."""

from __future__ import annotations

from labelwise.http.address import Address, checked_token, is_loopback, listen
from labelwise.http.guard import LOOPBACK, Guard
from labelwise.http.pages import Pages

__all__ = ["LOOPBACK", "Address", "Guard", "Pages", "checked_token", "is_loopback", "listen"]

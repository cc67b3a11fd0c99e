"""The review page: its routes, its files, its storage."""

from __future__ import annotations

from labelwise.http import Address
from labelwise.web.app import create_app
from labelwise.web.review import Filters, Review
from labelwise.web.server import PORT, serve
from labelwise.web.storage import CannotStore, Request, ReviewStore

__all__ = [
    "PORT",
    "Address",
    "CannotStore",
    "Filters",
    "Request",
    "Review",
    "ReviewStore",
    "create_app",
    "serve",
]

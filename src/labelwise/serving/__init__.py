"""The server of trained models: their routes, their limits, their page."""

from __future__ import annotations

from labelwise.http import Address
from labelwise.serving.app import Service, create_app
from labelwise.serving.limits import Limits
from labelwise.serving.models import ServedModel
from labelwise.serving.server import PORT, open_models, serve

__all__ = ["PORT", "Address", "Limits", "ServedModel", "Service", "create_app", "open_models", "serve"]

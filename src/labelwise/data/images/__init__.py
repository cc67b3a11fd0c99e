"""Pictures: files and arrays, decoding, and the views that training draws."""

from __future__ import annotations

from labelwise.data.images.digits import DIGIT_NAMES, digits_canvases, digits_features
from labelwise.data.images.files import BadItem, ImageFiles, refuse_too_many
from labelwise.data.images.memory import ImageSource
from labelwise.data.images.paths import list_pictures
from labelwise.data.images.strong_view import StrongView

__all__ = [
    "DIGIT_NAMES",
    "BadItem",
    "ImageFiles",
    "ImageSource",
    "StrongView",
    "digits_canvases",
    "digits_features",
    "list_pictures",
    "refuse_too_many",
]

"""Imports of optional packages, with one line for a user who does not have them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from labelwise.errors import UserError


@contextmanager
def needs(extra: str, backbone: str) -> Iterator[None]:
    """Explain a failing import inside the block: the extra is missing, or torchvision does not fit torch."""
    try:
        yield
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        words = " ".join(str(error).split())
        if "torchvision" in words and "No module named" not in words:
            raise UserError(
                f"backbone {backbone!r} cannot be used: torchvision is installed but was built for another torch"
                f" ({words:.120}); install both anew from one index, or remove torchvision where only"
                " timm/ needs it"
            ) from error
        if not isinstance(error, ImportError):
            raise
        raise UserError(
            f"backbone {backbone!r} needs an extra: in the checkout of labelwise, pip install '.[{extra}]'"
            f" ({words:.120})"
        ) from error

"""Optional libraries: missing extras, log noise, and errors in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from labelwise.errors import UserError, missing_extra


@contextmanager
def require_extra(extra: str, backbone: str) -> Iterator[None]:
    """Explain a failing import inside the block in one line.

    Either the extra is missing, or torchvision does not fit torch.
    """
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
        raise missing_extra(f"backbone {backbone!r} needs an extra", extra, error) from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' log and progress bars: what matters is raised."""
    logging: Any = import_module("transformers.utils.logging")
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Turn the hub's error about a name into one line."""
    with require_extra("text", f"hf/{name}"), quiet_transformers():
        try:
            yield
        except UserError:
            raise
        except (OSError, ValueError, KeyError) as error:
            words = " ".join(str(error).split()) or type(error).__name__
            if "trust_remote_code" in words:
                raise UserError(
                    f"backbone 'hf/{name}' comes with code of its own, which labelwise never runs: take a model that"
                    " transformers has the code of, or build it yourself and give the module"
                ) from error
            raise UserError(
                f"backbone 'hf/{name}' cannot be loaded: {words:.200}; give a model's name on the hub, with a"
                " connection or a filled cache, or a local folder"
            ) from error


@contextmanager
def offline(name: str) -> Iterator[None]:
    """Build a recorded model without the hub, its errors in one line."""
    with require_extra("text", f"hf/{name}"), quiet_transformers():
        constants: Any = import_module("huggingface_hub.constants")
        before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # many kinds, by what the record says
            words = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"the architecture of backbone 'hf/{name:.80}' makes no network: {words:.200}"
            ) from error
        finally:
            constants.HF_HUB_OFFLINE = before

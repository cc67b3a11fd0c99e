"""Digests of what decides an item's features.

They are its content, the backbone with its weights, the preprocessing and the precision.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from labelwise.embedding.store import FORMAT

_SIZE = 16
_LIBRARIES = ("torch", "transformers", "timm")


def backbone_digest(backbone: nn.Module) -> str:
    """Return a digest of a module: weights, structure, attributes and code.

    The structure is as printed, the attributes are the plain ones, and the code is that of the module's classes. Of
    this library's classes it is the ``version``, so that they can be moved and reworded.

    The code of torch, transformers and timm is left out, and so are the private attributes of their modules, some of
    which tell how a model was loaded: their structure is printed whole.
    """
    digest = hashlib.blake2b(digest_size=_SIZE)
    # Addresses in memory differ from run to run.
    digest.update(re.sub(r"0x[0-9a-f]+", "", repr(backbone)).encode())
    for kind in sorted({type(module) for module in backbone.modules()}, key=lambda t: t.__qualname__):
        if not _is_of_library(kind):
            digest.update(_identity(kind).encode())
    for name, module in backbone.named_modules():
        of_library = _is_of_library(type(module))
        plain = {
            k: v
            for k, v in vars(module).items()
            if k != "training" and not (of_library and k.startswith("_")) and _is_plain(v)
        }
        digest.update(f"{name}:{sorted(plain.items())!r}".encode())
    for name, tensor in (*backbone.named_parameters(), *backbone.named_buffers()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        if flat.numel():
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def item_digests(digests: Iterable[Any]) -> NDArray[np.uint8]:
    """Return a source's digests as (n, 16) uint8.

    They come as bytes or strings, one an item.
    """
    parts = []
    for item in digests:
        content = (
            bytes(item)
            if isinstance(item, bytes | bytearray | memoryview | np.ndarray)
            else str(item).encode()
        )
        parts.append(hashlib.blake2b(content, digest_size=_SIZE).digest())
    return np.frombuffer(b"".join(parts), np.uint8).reshape(-1, _SIZE)


def space_key(**parts: Any) -> str:
    """Return the digest of all but the items.

    Two items of equal content have equal features in one space.
    """
    text = json.dumps({"format": FORMAT, **parts}, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=_SIZE).hexdigest()


def _is_of_library(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in _LIBRARIES


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, bool | int | float | str)


def _identity(kind: type) -> str:
    """Return a text that is equal for classes that compute the same.

    It is the versions of ours, and the code of others.
    """
    if kind.__module__.partition(".")[0] == "labelwise" and "version" in vars(kind):
        versions = [
            f"{each.__qualname__} {vars(each)['version']}" for each in kind.__mro__ if "version" in vars(each)
        ]
        return ", ".join(versions) + "\n"
    try:
        code = inspect.getsource(kind)
    except (OSError, TypeError):
        code = ""
    return f"{kind.__module__}.{kind.__qualname__}\n{code}"

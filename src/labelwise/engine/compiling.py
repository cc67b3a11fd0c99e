"""The network of a run's steps, compiled by ``torch.compile``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, cast

import torch
from torch import Tensor, nn

from labelwise.errors import UserError
from labelwise.models import Network, Outputs

_BACKEND = "inductor"
_OPTIONS = {
    # Dropout draws as without it: inductor's own generator would draw other masks.
    "fallback_random": True,
}
_MOST = 64
"""Forms of a network (by batch size, mode, gradients) that one run may compile; torch's own limit is 8."""


class CompiledNetwork(nn.Module):
    """Call a network's compiled forward pass; parameters, names and modes are the network's.

    The network itself stays as it was: what evaluates, saves or copies it sees nothing of this.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self._call = _compiled()

    def forward(self, inputs: Tensor) -> Outputs:
        """Return the network's outputs.

        Raises:
            UserError: Where torch cannot compile the network; whatever the network itself raises.
        """
        from torch._dynamo import exc, maybe_mark_dynamic

        # From the first batch on: torch would compile for its size alone, and again for every other. By what it had
        # seen earlier in the process, too, so that the same fit twice would differ.
        maybe_mark_dynamic(inputs, [0] if inputs.is_floating_point() else [0, 1])
        try:
            # Past its limit of forms torch would go on uncompiled, and only log it.
            with _limits():
                return self._call(self.network, inputs)
        except (exc.TorchDynamoException, exc.FailOnRecompileLimitHit) as error:
            # A fault of the network or of its inputs is told as it is without compiling.
            self.network(inputs)
            raise UserError(
                f"compile: torch cannot compile {type(self.network.backbone).__name__} with"
                f" {type(self.network.head).__name__} ({_reason(error)}): leave compile out"
            ) from error


def check_compiler(device: torch.device | str) -> None:
    """Refuse a device, or a machine, for which torch cannot compile.

    ``"auto"`` is the GPU where there is one.
    """
    kind = str(device).partition(":")[0]
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind not in ("cpu", "cuda"):
        raise UserError(f"compile is for the CPU and for CUDA, not for device={kind!r}: leave it out")
    if kind == "cuda" and importlib.util.find_spec("triton") is None:
        raise UserError("compile on a GPU needs Triton: pip install triton, or leave compile out")
    compiler = _compiler(kind)
    if shutil.which(compiler) is None:
        raise UserError(
            f"compile needs a C++ compiler, and there is no {compiler!r} here: install one (Debian: apt-get install"
            " g++), name it in the environment variable CXX, or leave compile out"
        )
    if not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        raise UserError(
            "compile needs Python's headers, and there is no Python.h here: install them (Debian: apt-get install"
            " python3-dev), or leave compile out"
        )


def _compiler(kind: str) -> str:
    """Return the name of the compiler that torch calls."""
    if kind == "cuda":
        return os.environ.get("CC") or "gcc"
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return os.environ.get("CXX") or usual


def _forward(network: Network, inputs: Tensor) -> Outputs:
    return cast(Outputs, network(inputs))


def _compiled() -> Callable[[Network, Tensor], Outputs]:
    """Return a compiled ``_forward`` with a cache of its own."""
    # torch keeps what it compiled, and counts it, by code object: with one for all runs, the ninth would be refused.
    function = FunctionType(_forward.__code__.replace(), _forward.__globals__, _forward.__name__)
    options: Any = _OPTIONS if _BACKEND == "inductor" else None
    try:
        return cast(
            Callable[[Network, Tensor], Outputs],
            torch.compile(function, backend=_BACKEND, options=options),
        )
    except RuntimeError as error:
        raise UserError(f"compile: {_reason(error)}; leave compile out") from None


def _limits() -> Any:
    """Raise torch's limit of forms, and let it refuse past it."""
    from torch._dynamo import config

    # Versions before 2.7 know it by its old name.
    limit = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
    return config.patch({limit: _MOST, f"fail_on_{limit}_hit": True})


def _reason(error: BaseException) -> str:
    """Return the first line of what torch says."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{lines[0].strip():.160}"

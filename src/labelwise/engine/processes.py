"""Processes of one run: started on this machine, and ended where another is lost.

Fabric starts processes too, but watches them from the first alone, which it kills without a word once another has
ended, be it at work for itself or about to say why it ends. Where processes are started from outside (torchrun, SLURM),
who starts them ends them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labelwise.errors import UserError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_LOST = re.compile(
    r"gloo|NCCL|closed by peer|reset by peer|broken pipe|TCPStore|client socket|store->", re.IGNORECASE
)
_SAID = (
    "another process of this run ended or cannot be reached, so this one ends too: see what that one said, and give the"
    " same command with --resume, which goes on from the last checkpoint, or begins anew without one"
)
_FIRST = "LABELWISE_FIRST_PROCESS"
_POLL_SECONDS = 0.5
_GRACE_SECONDS = 15.0
"""Seconds that a process without the others has to end by itself, with what it has to say."""


@contextmanager
def lost_processes(world_size: int) -> Iterator[None]:
    """End in one line where another process of the run is gone.

    The library that connects them says it at length where it notices; where it waits for a process that never comes,
    this one is ended from beside.

    Raises:
        UserError: In the place of that library's error, where the run has several processes, and at the start where one
            of them is known to be lost.
    """
    if world_size == 1:
        yield
        return
    try:
        with _needing_others():
            yield
    except RuntimeError as error:
        if not _LOST.search(str(error)):
            raise
        raise UserError(_SAID) from error


def start_processes(fabric: Fabric, here: int, count: int) -> None:
    """Start this machine's other processes where nobody else does, and watch for their end.

    They run the command that this one was started by, with the variables by which Fabric knows them.

    Args:
        fabric: Which is not launched yet, and then starts none.
        here: Processes of this machine.
        count: Those of all machines.
    """
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    environment = getattr(fabric.strategy, "cluster_environment", None)
    # A prompt has no command to start again; Fabric refuses it.
    if _watches or not isinstance(environment, LightningEnvironment) or hasattr(sys, "ps1"):
        return
    if environment.creates_processes_externally:
        if first := os.environ.get(_FIRST):
            _watches.append(_Watch(lambda: os.getppid() != int(first)))
        return
    os.environ |= {
        "MASTER_ADDR": environment.main_address,
        "MASTER_PORT": str(environment.main_port),
        "NODE_RANK": str(environment.node_rank()),
        "LOCAL_RANK": "0",
        "WORLD_SIZE": str(count),
    }
    command = _own_command()
    others = [
        subprocess.Popen(command, env={**os.environ, "LOCAL_RANK": str(rank), _FIRST: str(os.getpid())})
        for rank in range(1, here)
    ]
    _watches.append(_Watch(lambda: any(process.poll() for process in others), others))


def _own_command() -> list[str]:
    spec = sys.modules["__main__"].__spec__
    own = [os.path.abspath(sys.argv[0])] if spec is None else ["-m", spec.name]
    return [sys.executable, *own, *sys.argv[1:]]


class _Watch:
    """A thread that ends this process once another is lost and this one goes on needing it."""

    def __init__(self, is_lost: Callable[[], bool], others: Sequence[subprocess.Popen[bytes]] = ()) -> None:
        self.is_lost, self._others = is_lost, others
        self.needed = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="labelwise-processes").start()

    def _run(self) -> None:
        began: float | None = None
        while began is None or time.monotonic() - began < _GRACE_SECONDS:
            time.sleep(_POLL_SECONDS)
            # Behind its last sum over processes this one ends its work alone.
            alone = self.needed.is_set() and self.is_lost()
            began = (began or time.monotonic()) if alone else None
        sys.stderr.write(f"error: {_SAID}\n")
        sys.stderr.flush()
        for process in self._others:
            process.kill()
        # The main thread may wait inside a library, where no exception reaches it.
        os._exit(2)


_watches: list[_Watch] = []
"""At most one: the processes of a run stay those of all its fits."""


@contextmanager
def _needing_others() -> Iterator[None]:
    if not _watches or _watches[0].needed.is_set():
        yield
        return
    (watch,) = _watches
    if watch.is_lost():
        raise UserError(_SAID)
    watch.needed.set()
    try:
        yield
    finally:
        watch.needed.clear()

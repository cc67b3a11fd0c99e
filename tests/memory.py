"""The most memory that a call allocates, measured in a process that does nothing else.

`tracemalloc.stop` ends a process in which another thread allocates just then (before Python 3.12.9), and a process of
tests has such threads: pyarrow's, torch's, a server's. So a process apart traces from its first call on and never
stops. It is started once, with the first call, and ends with the process that asks it.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import pickle
import time
import traceback
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

PATIENCE = 300
# Imported before tracing begins, which makes an import take several times as long.
COSTLY = (
    "torch",
    "pandas",
    "sklearn.linear_model",
    "labelwise.classifier",
    "labelwise.runs",
    "labelwise.web",
)


@dataclass(frozen=True)
class Cost:
    """What a call returned, the most bytes that it held at once, and the processor seconds that it took."""

    result: object
    peak: int
    seconds: float


def cost_of(call: Callable[..., object], *given: object) -> Cost:
    """Call a function of a module with what it needs and return its cost; what it raises is raised here."""
    pipe = _measuring()
    pipe.send((call, given))
    if not pipe.poll(PATIENCE):
        raise TimeoutError(f"{call.__qualname__} took more than {PATIENCE} s")
    answer = pickle.loads(pipe.recv_bytes())
    if isinstance(answer, Cost):
        return answer
    raise answer


@functools.cache
def _measuring() -> Connection:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    context.Process(target=_serve, args=(theirs,), daemon=True).start()
    # With this end closed here, the process that is asked sees the end of the one that asks.
    theirs.close()
    return ours


def _serve(pipe: Connection) -> None:
    for name in COSTLY:
        with suppress(ImportError):
            importlib.import_module(name)
    while True:
        try:
            call, given = pipe.recv()
        except EOFError:
            return
        try:
            answer = pickle.dumps(_traced(call, given))
            pickle.loads(answer)
        # "Did not raise", as pytest says it, is no Exception.
        except BaseException as error:
            answer = _raised(error)
        pipe.send_bytes(answer)


def _traced(call: Callable[..., object], given: tuple[object, ...]) -> Cost:
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    tracemalloc.clear_traces()
    began = time.process_time()
    result = call(*given)
    seconds = time.process_time() - began
    return Cost(result, tracemalloc.get_traced_memory()[1], seconds)


def _raised(error: BaseException) -> bytes:
    error.add_note("".join(traceback.format_exception(error)))
    try:
        answer = pickle.dumps(error)
        pickle.loads(answer)
    except Exception:
        answer = pickle.dumps(RuntimeError(error.__notes__[0]))
    return answer

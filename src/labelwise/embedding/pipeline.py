"""A frozen backbone's pass: device and precision, batches, threads."""

from __future__ import annotations

import copy
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from labelwise.data import token_spans
from labelwise.errors import UserError, near

_PRECISIONS = ("auto", "32", "bf16")


def choose_device(device: str | torch.device) -> torch.device:
    """Return the device; "auto" is CUDA, else Apple's MPS, else the CPU."""
    if device != "auto":
        try:
            return torch.device(device)
        except RuntimeError:
            raise UserError(
                f"device {device!r} does not exist: give 'auto', 'cpu', 'cuda' or 'mps'"
            ) from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_precision(precision: str, device: torch.device, kind: str | None) -> str:
    """Return "32" or "bf16".

    "auto" is bf16 for pictures and texts (``kind``) where the device multiplies bfloat16 in hardware: CUDA from
    Ampere on, and processors with AVX512-BF16 or AMX. Elsewhere bfloat16 is emulated, and slower than float32.
    """
    if precision not in _PRECISIONS:
        raise UserError(f"precision={precision!r} does not exist; {near(precision, _PRECISIONS)}")
    if precision != "auto":
        return precision
    return "bf16" if kind in ("image", "text") and _multiplies_bfloat16(device) else "32"


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    flags = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, flag, bool)()) for flag in flags)


_SMALLEST_STEP, _STEPS = 4, 8


class Batch(NamedTuple):
    """Items that are computed together, in one shape.

    These are ``rows`` (b,), filled up to ``size`` items, texts to ``width`` tokens.

    The last digits of a network's features depend on the shape of the batch: on how many items it holds and how long
    they are, not on what stands beside an item. So a shape is chosen by the item alone, and its features are the same
    whether it comes with others or not. None leaves the shape as it comes.
    """

    rows: NDArray[np.int64]
    size: int | None = None
    width: int | None = None


def in_order(rows: NDArray[np.int64], size: int) -> list[Batch]:
    """Return the rows (n,) in batches of ``size``."""
    return [Batch(rows[start : start + size], size) for start in range(0, len(rows), size)]


def padded_length(lengths: NDArray[np.int64], longest: int) -> NDArray[np.int64]:
    """Return the number of tokens that texts are padded to.

    They have ``lengths`` (n,), and get at most a quarter more, and ``longest`` at most.
    """
    power = 2 ** np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64)
    step = np.maximum(_SMALLEST_STEP, power // _STEPS)
    padded: NDArray[np.int64] = np.minimum(-(-np.maximum(lengths, 1) // step) * step, longest)
    return np.maximum(padded, lengths)


def shaped(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], longest: int, tokens: int, size: int | None = None
) -> list[Batch]:
    """Return the rows (n,) in batches of one padded length each.

    The longest come first.

    A batch holds ``tokens`` padded tokens (one text at least), or ``size`` texts where that is given. ``lengths`` (n,)
    belongs to ``rows``; no text has more than ``longest``.
    """
    widths = padded_length(lengths, longest)
    batches = []
    # The longest first, so that a batch which does not fit the memory fails at once.
    for width in np.unique(widths)[::-1].tolist():
        count = size or max(1, tokens // max(width, 1))
        batches += [Batch(b.rows, count, width) for b in in_order(rows[widths == width], count)]
    return batches


def bucketed(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], tokens: int, size: int | None = None
) -> list[Batch]:
    """Return the rows (n,) in batches of about equal length.

    The longest come first. It is for texts that cannot be padded.

    A batch holds at most ``tokens`` padded tokens (one text at least), or ``size`` texts where that is given.
    ``lengths`` (n,) belongs to ``rows``. The longest come first, so that a batch which does not fit the memory fails
    at once.
    """
    order = np.argsort(-lengths, kind="stable")
    most = tokens if size is None else int(lengths.max(initial=1)) * size
    return [Batch(rows[order[span]]) for span in token_spans(lengths[order], most, size)]


_START_TOKENS, _TILE, _FILLED = 96, 16, 8


def sparing(lengths: NDArray[np.int64], tokens: int, longest: int | None = None) -> list[Batch]:
    """Return texts in few batches with little padding, for a pass whose items are too few to fill any.

    The longest come first.

    To start a network takes as long as to read some tokens: a batch ends where its padding would be more than that.

    Args:
        lengths: (n,) tokens of each text.
        tokens: The most padded tokens of a batch (one text at least).
        longest: The most tokens that a text may be padded to; None where texts cannot be padded.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start, padding = [], 0, 0
    for place, length in enumerate(lengths[order].tolist()):
        width = lengths[order[start]]
        padding += width - length
        if place > start and (padding > _START_TOKENS or width * (place + 1 - start) > tokens):
            batches.append(order[start:place])
            start, padding = place, 0
    batches += [order[start:]] if len(order) else []
    return [Batch(rows, None, _tiled(int(lengths[rows[0]]), longest)) for rows in batches]


def _tiled(length: int, longest: int | None) -> int | None:
    """Return the tokens that a batch is padded to.

    Attention multiplies tiles of 16 tokens, and takes longer for one that is nearly full than for a full one.
    """
    full = -(-length // _TILE) * _TILE
    return full if longest is not None and full - length <= _FILLED and full <= longest else None


Job = TypeVar("Job")
Result = TypeVar("Result")


def stream(
    jobs: Sequence[Job], sessions: Sequence[AbstractContextManager[Callable[[Job], Result]]], threads: int
) -> Iterator[Result]:
    """Yield the results of ``jobs`` as they are done.

    One thread a session does them.

    Args:
        sessions: Each is entered in its thread and gives the function that turns a job into a result.
        threads: The threads that a session's tensor operations may use.

    At most two results a session wait to be taken. The first error of any thread is raised here; whoever leaves the
    loop early waits for the jobs that are being done.
    """
    remaining = iter(jobs)
    taking, stop = threading.Lock(), threading.Event()
    # Bounded: results that nobody takes would fill the memory.
    done: queue.Queue[Result | BaseException | None] = queue.Queue(2 * len(sessions))

    def put(result: Result | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return done.put(result, timeout=0.1)
            except queue.Full:
                continue

    def run(session: AbstractContextManager[Callable[[Job], Result]]) -> None:
        try:
            torch.set_num_threads(threads)
            with session as work:
                while not stop.is_set():
                    with taking:
                        job = next(remaining, None)
                    if job is None:
                        break
                    put(work(job))
            put(None)
        except BaseException as error:
            put(error)

    workers = [threading.Thread(target=run, args=(s,), name="labelwise-embed", daemon=True) for s in sessions]
    for worker in workers:
        worker.start()
    running = len(workers)
    try:
        while running:
            result = done.get()
            if result is None:
                running -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def copies(backbone: nn.Module, count: int, device: torch.device) -> list[nn.Module]:
    """Return modules in evaluation mode that share their weights.

    They are on the device, channels last.

    The given module stays as it is. The copies let each thread have what a forward pass may leave on a module.
    """
    first = copy.deepcopy(backbone).to(device).eval()
    if any(parameter.ndim == 4 for parameter in first.parameters()):
        first = cast(Any, first).to(memory_format=torch.channels_last)
    for parameter in first.parameters():
        # Autocast keeps the cast weights from batch to batch for leaves that require gradients only.
        parameter.requires_grad_(parameter.is_floating_point())
    # A memo for deepcopy: tensors in it are taken as copied already, so all modules hold the same ones.
    shared = {id(tensor): tensor for tensor in (*first.parameters(), *first.buffers())}
    return [first, *(copy.deepcopy(first, dict(shared)) for _ in range(count - 1))]

"""The training loop: stages, epochs, steps; and scoring."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from labelwise.data import Source
from labelwise.engine.angles import AngleMonitor
from labelwise.engine.pools import outputs_in_chunks
from labelwise.engine.processes import lost_processes
from labelwise.engine.progress import Progress
from labelwise.engine.run import Run
from labelwise.engine.settings import Settings, make_fabric
from labelwise.methods import Method
from labelwise.models import Network, Outputs, RidgeSolution, device_of, step_threads

Criterion = Callable[[Network, Method], float]


class Interrupted(KeyboardInterrupt):
    """A run that the user stopped, with its checkpoint written.

    The text says how to go on.
    """


@dataclass(frozen=True)
class Result:
    """A finished run: network, method with its statistics, history."""

    network: Network
    method: Method
    history: list[dict[str, Any]]
    best_epoch: int | None


def train(
    network: Network,
    method: Method,
    source: Source,
    settings: Settings,
    *,
    criterion: Criterion | None = None,
    solution: RidgeSolution | None = None,
    label_weights: np.ndarray | None = None,
    fingerprint: str = "",
    progress: Progress | None = None,
    stop_after: int | None = None,
    items: Sequence[str] | None = None,
    on_start: Callable[[Network], object] | None = None,
    on_step: Callable[[Run], None] | None = None,
    on_epoch: Callable[[Run], None] | None = None,
) -> Result:
    """Train ``network`` by ``method`` on ``source``, and return the network to use.

    With ``settings.directory`` the run resumes from its newest checkpoint, to the bit. The history of a method with
    angles holds their VDFD.

    Args:
        criterion: Scores the network after every epoch, higher is better. With ``settings.patience`` as well the run
            stops early, and with it or ``settings.keep_best`` the best epoch's network is returned.
        solution: The closed-form start where the features are fixed.
        stop_after: Number of epochs, over all stages, to end at.
        items: The items' names for messages.
        on_start: Called with the network before the first step, and after every start of the head from ridge; a resumed
            run, which goes on with its own weights, calls it no more.
        on_step: Called after every step.
        on_epoch: Called once an epoch is in the history.
    """
    run = Run(
        network,
        method,
        source,
        settings,
        make_fabric(settings),
        solution=solution,
        on_start=on_start,
        label_weights=label_weights,
        fingerprint=fingerprint,
        progress=progress,
        items=items,
    )
    with lost_processes(run.fabric.world_size), _stop_requests() as stop_requested:

        def pause() -> None:
            """Save when it is time, and stop when asked to."""
            stop = stop_requested() and run.between_updates
            run.save_if_due(force=stop)
            if stop:
                raise Interrupted(_stop_message(run))

        restored = run.restore()
        angles = AngleMonitor(run.network, run.method, source, run.labels, settings.seed)
        while True:
            run.begin_stage(restored)
            restored = None
            # A closed form has no steps, but a checkpoint like any other stage.
            if run.stage.epochs == 0:
                with run.torch_seeded("fit"):
                    method.fit(run.pool("raw"))
                pause()
            while run.epoch < run.stage.epochs and not _should_stop(run, stop_after):
                began = time.perf_counter()
                # A checkpoint inside an epoch holds the item state that the epoch's refresh made.
                if run.stage.refresh and run.step == 0:
                    run.refresh()
                with step_threads(run.network, sum(run.stage.mixture.values())):
                    for members in run.batches()[run.step :]:
                        run.take_step(members)
                        if on_step is not None:
                            on_step(run)
                        pause()
                    run.read_losses()
                validation = criterion(run.evaluated, method) if criterion is not None else None
                # The angles are measured for the history alone: an epoch's seconds leave them out.
                seconds = time.perf_counter() - began
                run.history.note(angles.measure(run.evaluated))
                run.end_epoch(seconds, validation)
                if on_epoch is not None:
                    on_epoch(run)
                pause()
            if run.stage_index + 1 == len(run.plan) or _should_stop(run, stop_after):
                break
            run.next_stage()
        run.save(finished=True)
        run.finish()
    return _finish(run)


def _should_stop(run: Run, stop_after: int | None) -> bool:
    """Whether patience is at its end, or ``stop_after`` epochs are done.

    Patience counts in the last stage only.
    """
    last, patience = run.stage_index + 1 == len(run.plan), run.settings.patience
    return (last and patience is not None and run.stale >= patience) or (
        stop_after is not None and len(run.history.records) >= stop_after
    )


def _finish(run: Run) -> Result:
    """Take the best epoch's network, or the last without a criterion."""
    network, best_epoch = run.evaluated, None
    if run.best and run.settings.chooses_epoch:
        buffers = {k.removeprefix("method."): v for k, v in run.best.items() if k.startswith("method.")}
        network.load_state_dict({k: v for k, v in run.best.items() if not k.startswith("method.")})
        run.method.load_state_dict(buffers, strict=False)
        scores = [record.get("validation", -np.inf) for record in run.history.records]
        best_epoch = int(np.nanargmax(scores)) + 1
    return Result(network.eval(), run.method.eval(), run.history.records, best_epoch)


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request between two steps.

    A second one acts at once.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return
    previous = signal.getsignal(signal.SIGINT)

    def request(number: int, frame: Any) -> None:
        requested.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, request)
    try:
        yield requested.is_set
    finally:
        signal.signal(signal.SIGINT, previous)


def _stop_message(run: Run) -> str:
    where = f"stage {run.stage.name!r}, epoch {run.epoch + 1}, step {run.step}"
    if run.settings.directory is None:
        return f"stopped at {where}; nothing was saved, because the run has no directory"
    return f"stopped at {where}; saved: run the same again to go on (--resume on the command line)"


def score(network: Network, method: Method, source: Source, device: torch.device | None = None) -> np.ndarray:
    """Return scores (n, K) float32 in [0, 1] of every item."""
    return _of_outputs(network, method, source, device, lambda outputs: method.score(outputs).float())


def logits(
    network: Network, method: Method, source: Source, device: torch.device | None = None
) -> np.ndarray:
    """Return the logits (n, K) of ``score``, not tied near 1.

    They are float32 or float64, by the method.
    """

    def wide(outputs: Outputs) -> torch.Tensor:
        values = method.logits(outputs)
        return values if values.dtype == torch.float64 else values.float()

    return _of_outputs(network, method, source, device, wide)


def _of_outputs(
    network: Network,
    method: Method,
    source: Source,
    device: torch.device | None,
    function: Callable[[Outputs], torch.Tensor],
) -> np.ndarray:
    parts = []
    for _, outputs in outputs_in_chunks(network, source, device or device_of(network), rows=1024):
        with torch.inference_mode():
            parts.append(function(outputs).cpu().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, method.problem.n_labels), np.float32)

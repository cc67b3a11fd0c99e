"""Pass of a backbone over all items."""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from labelwise.data import BadItem, Capabilities, Source, TokenizerParts, refuse_too_many, select_rows
from labelwise.embedding.keys import backbone_digest, item_digests, space_key
from labelwise.embedding.pipeline import (
    Batch,
    bucketed,
    choose_device,
    choose_precision,
    copies,
    in_order,
    shaped,
    sparing,
    stream,
)
from labelwise.embedding.tracing import Forward, traced
from labelwise.errors import Notice, UserError, near
from labelwise.models import BackboneCapabilities

if TYPE_CHECKING:
    from labelwise.embedding.cache import FeatureCache
    from labelwise.embedding.store import Store
    from labelwise.engine import Progress

ITEMS = {"cpu": 8, "other": 128}
TOKENS = {"cpu": 1024, "other": 16384}
_MOST_WORKERS = {"cpu": 64, "other": 4}


class Embedded(NamedTuple):
    """``features`` (n, D) float32 of all items, and those unusable.

    The rows of the items in ``bad`` are zeros.
    """

    features: NDArray[np.float32]
    bad: list[BadItem]


class BatchFeatures(NamedTuple):
    """A batch's items, their features, and those that are unusable."""

    rows: NDArray[np.int64]
    features: NDArray[np.float32] | None
    bad: list[BadItem]


def embed(
    backbone: nn.Module,
    source: Source,
    *,
    device: str | torch.device = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
    progress: Progress | None = None,
    cache: FeatureCache | None = None,
    on_bad: str = "stop",
    name: str | None = None,
) -> Embedded:
    """Return a backbone's features of every item's plain view.

    The backbone computes them in evaluation mode and without gradients.

    On one machine an item's features are the same to the bit whatever else is embedded: batches are filled up to one
    shape an item, and on the CPU computed by one thread each. That holds for all but texts whose tokenizer has no
    ``pad_id`` and ``preprocessing``.

    Args:
        backbone: Returns (B, D) for a batch of the source; it is left as it is.
        source: N items. Where it has ``lengths``, items of like length are computed together.
        device: "auto", or a torch device.
        precision: "32"; "bf16", autocast to bfloat16; or "auto": bf16 for pictures and texts where the device has
            it in hardware. Features are float32 either way.
        batch_size: Items at a time; None suits the device (for texts, by their padded tokens).
        progress: Is told of each batch.
        cache: Where features are kept, item by item: what is there is not computed again, in whatever table and
            place it comes, and an interrupted pass goes on where it stopped. Items of equal content are computed
            once. Features past 256 MB lie in a file of the cache's folder that ends with them. A cache that cannot
            be read or written (a full disk, no rights) costs its help and no more: a ``Notice`` says so. None, or a
            source without ``digests``, keeps nothing.
        on_bad: "stop" raises at an item that cannot be used; "skip" goes on, up to 5% of the items (two in any
            case), and gives them in ``bad``.
        name: What the backbone is called where the cache is listed.

    Raises:
        UserError: For bad items as said, a backbone whose output is not (B, D) or not finite, and arguments out of
            range.
    """
    if on_bad not in ("stop", "skip"):
        raise UserError(f"on_bad={on_bad!r} does not exist; {near(on_bad, ('stop', 'skip'))}")
    if batch_size is not None and batch_size < 1:
        raise UserError(f"batch_size is {batch_size}: give at least 1")
    if isinstance(backbone, Resident):
        return Embedded(backbone.embed(source), [])
    place = choose_device(device)
    offers = Capabilities(source)
    exact = choose_precision(precision, place, offers.kind)
    job = _Pass(backbone, source, place, exact, batch_size, progress, on_bad == "skip")
    if cache is None or offers.digests is None or not len(source):
        return job.in_memory()
    digests = item_digests(offers.digests())
    recipe = {
        "backbone": backbone_digest(backbone),
        "preprocessing": _record(BackboneCapabilities.of(backbone).preprocessing),
        "source": _source_record(source),
        "precision": exact,
    }
    meta = {
        "backbone": name or type(backbone).__name__,
        "kind": offers.kind or "",
        "precision": exact,
        "recipe": recipe,
    }

    def waiting() -> None:
        if progress is not None:
            progress.stage("waiting for another run that embeds the same items", 1, 0)

    with cache.open(space_key(**recipe), digests, meta, waiting) as store:
        embedded = job.into(store)
    for note in store.notes:
        warnings.warn(Notice(note), stacklevel=2)
    return embedded


class Resident(nn.Module):
    """A backbone that is kept ready, for few items at a time.

    ``embed`` takes it in the place of the backbone, and no cache. Its copies and threads stay, with the weights as the
    device's precision has them, and a batch is not filled up: an item's features are those of the backbone but for the
    last digits, which depend on what is embedded beside it. A bad item stops the pass.

    A network that reads texts on the CPU is traced, so that Python takes no part in its pass. Several threads may embed
    at once, and share those of the backbone.

    Args:
        backbone: Returns (B, D) for a batch; its weights at this time are those that are used.
        kind: "text" or "image", which decides on the precision.
        device: "auto", or a torch device.
    """

    def __init__(self, backbone: nn.Module, kind: str | None, *, device: str | torch.device = "auto") -> None:
        super().__init__()
        self.backbone = backbone
        self._place = choose_device(device)
        self._exact = choose_precision("auto", self._place, kind)
        on_cpu = self._place.type == "cpu"
        self._reads_texts_here = on_cpu and kind == "text"
        self._workers = torch.get_num_threads() if on_cpu else 1
        self._copies = copies(backbone, self._workers, self._place)
        self._tracing, self._traced = threading.Lock(), False
        self._program: Forward | None = None
        self._own = threading.local()
        self._threads = ThreadPoolExecutor(self._workers, "labelwise-resident", initializer=self._enter)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the backbone's features of a batch."""
        features: torch.Tensor = self.backbone(batch)
        return features

    def embed(self, source: Source) -> NDArray[np.float32]:
        """Return the features (n, D) float32 of every item's plain view.

        Raises:
            UserError: For an item that cannot be used.
        """
        work = _Pass(self.backbone, source, self._place, self._exact, None, None, False)
        batches = self._batches(work)
        if batches:
            self._trace(work, batches[-1])
        done = [self._threads.submit(self._work, work, batch) for batch in batches]
        results = [one.result() for one in done]
        features: NDArray[np.float32] = np.zeros((len(source), work._width()), np.float32)
        for number, result in enumerate(results):
            work._check(result)
            assert result.features is not None
            if not number:
                features = np.zeros((len(source), result.features.shape[1]), np.float32)
            features[result.rows] = result.features
        return features

    def _batches(self, work: _Pass) -> list[Batch]:
        """Return the items in batches; pictures in one for each thread at least."""
        rows, kind = np.arange(len(work.source)), work._device_kind()
        lengths = work.offers.lengths
        if lengths is None:
            size = max(1, min(ITEMS[kind], -(-len(rows) // self._workers)))
            return [Batch(batch.rows) for batch in in_order(rows, size)]
        return sparing(np.asarray(lengths), TOKENS[kind], work._longest())

    def _work(self, work: _Pass, batch: Batch) -> BatchFeatures:
        if self._program is not None:
            # What it cannot compute is left to the network, which says what is wrong.
            with suppress(RuntimeError):
                return work._work(self._program, batch)
        return work._work(self._own.module, batch)

    def _trace(self, work: _Pass, batch: Batch) -> None:
        """Make the program of a network that reads texts, by the first of them."""
        with self._tracing:
            pad_id, half = work.tokenizer.pad_id, self._exact == "bf16"
            if self._traced or not self._reads_texts_here or pad_id is None:
                return
            text = work._load(batch.rows[:1])[1]
            assert text is not None
            self._program = traced(copies(self.backbone, 1, self._place)[0], text, pad_id, half=half)
            self._traced = True

    def _enter(self) -> None:
        """Make a thread ready; what is entered here is never left."""
        if self._place.type == "cpu":
            torch.set_num_threads(1)
        self._own.module = self._copies.pop()
        # Not inference_mode, as in a session; and left open, since autocast forgets its cast weights at its end.
        self._own.contexts = ExitStack()
        self._own.contexts.enter_context(torch.no_grad())
        half = self._exact == "bf16"
        self._own.contexts.enter_context(torch.autocast(self._place.type, torch.bfloat16, enabled=half))


class _Pass:
    """Pass over the items that are still to be computed."""

    def __init__(
        self,
        backbone: nn.Module,
        source: Source,
        device: torch.device,
        precision: str,
        batch_size: int | None,
        progress: Progress | None,
        skip: bool,
    ) -> None:
        self.backbone, self.source, self.device, self.precision = backbone, source, device, precision
        self.offers = Capabilities(source)
        self.tokenizer = TokenizerParts(self.offers.tokenizer)
        self.batch_size, self.progress, self.skip = batch_size, progress, skip
        self.bad: list[BadItem] = []
        self.twins: dict[int, list[int]] = {}

    def in_memory(self) -> Embedded:
        """Compute all items."""
        features: NDArray[np.float32] | None = None
        for index, rows in self.results(np.arange(len(self.source))):
            if features is None:
                features = np.zeros((len(self.source), rows.shape[1]), np.float32)
            features[index] = rows
        if features is None:
            features = np.zeros((len(self.source), self._width()), np.float32)
        return Embedded(features, self._sorted_bad())

    def into(self, store: Store) -> Embedded:
        """Compute what the cache lacks, and return the features of all items."""
        self.twins = store.twins
        for index, rows in self.results(store.pending):
            store.write(index, rows)
        features = store.close()
        if features is None:
            features = np.zeros((len(self.source), self._width()), np.float32)
        return Embedded(features, self._sorted_bad())

    def results(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield (items, their features (b, D) float32) of ``rows``.

        It ends when all are done or known to be bad.
        """
        if not len(rows):
            return  # the lengths of texts need a tokenizer's pass over them
        batches = self._batches(rows)
        if self.progress is not None:
            self.progress.stage("embed", len(batches), 0)
        workers, threads = self._workers(len(batches))
        sessions = [self._session(module) for module in copies(self.backbone, workers, self.device)]
        for result in stream(batches, sessions, threads):
            self._note(result.bad)
            if result.features is not None:
                self._check(result)
                yield result.rows, result.features
            if self.progress is not None:
                self.progress.step(len(result.rows) + len(result.bad), float("nan"))

    def _batches(self, rows: NDArray[np.int64]) -> list[Batch]:
        kind = self._device_kind()
        lengths = self.offers.lengths
        if lengths is None:
            return in_order(rows, self.batch_size or ITEMS[kind])
        lengths, longest = np.asarray(lengths)[rows], self._longest()
        if longest is None:
            return bucketed(rows, lengths, TOKENS[kind], self.batch_size)
        return shaped(rows, lengths, longest, TOKENS[kind], self.batch_size)

    def _longest(self) -> int | None:
        """Return the most tokens that a text may be padded to.

        None where it is not known how to pad.
        """
        longest: int | None = getattr(self.tokenizer.preprocessing, "max_length", None)
        return longest if isinstance(self.tokenizer.pad_id, int) else None

    def _device_kind(self) -> str:
        return self.device.type if self.device.type == "cpu" else "other"

    def _workers(self, batches: int) -> tuple[int, int]:
        """Return the number of computing threads, and the threads of each.

        On the CPU, batches side by side on one core each are faster than one batch on all cores, by far where other
        programs run; and sums that several threads share are rounded otherwise. On a device, the second thread fetches
        while the first one computes.
        """
        on_cpu = self.device.type == "cpu"
        cores = torch.get_num_threads() if on_cpu else min(os.cpu_count() or 1, 4)
        workers = max(1, min(cores, _MOST_WORKERS[self._device_kind()], batches))
        return workers, 1 if on_cpu else max(1, cores // workers)

    @contextmanager
    def _session(self, module: nn.Module) -> Iterator[Callable[[Batch], BatchFeatures]]:
        half = self.precision == "bf16"
        # Not inference_mode: under it, autocast casts the weights anew for every batch.
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            yield lambda job: self._work(module, job)

    def _work(self, module: Forward, job: Batch) -> BatchFeatures:
        rows, batch, bad = self._load(job.rows)
        if batch is None:
            return BatchFeatures(rows, None, bad)
        # Bad items, or the end of the list, leave a batch smaller: filled up, it has the shape of any other.
        batch = self._filled(batch, job)
        if batch.ndim == 4:
            batch = batch.contiguous(memory_format=torch.channels_last)
        out = module(batch.to(self.device, non_blocking=True))
        if not isinstance(out, torch.Tensor) or out.ndim != 2 or len(out) != len(batch):
            returned = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
            raise UserError(
                f"the backbone returned {returned} for {len(batch)} items: it must return a tensor (B, D)"
            )
        return BatchFeatures(rows, out[: len(rows)].float().cpu().numpy(), bad)

    def _filled(self, batch: torch.Tensor, job: Batch) -> torch.Tensor:
        """Return the batch in the shape that it is computed in.

        It is padded, and filled up with its last item.
        """
        if job.width is not None and batch.shape[1] < job.width:
            padding = (0, job.width - batch.shape[1])
            batch = torch.nn.functional.pad(batch, padding, value=self.tokenizer.pad_id)
        missing = 0 if job.size is None else job.size - len(batch)
        return torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])]) if missing > 0 else batch

    def _load(self, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], torch.Tensor | None, list[BadItem]]:
        try:
            return index, self._batch(index), []
        except UserError:
            if not self.skip:
                raise
        bad = self._unusable(index)
        usable = index[~np.isin(index, [item.row for item in bad])]
        return usable, self._batch(usable) if len(usable) else None, bad

    def _batch(self, index: NDArray[np.int64]) -> torch.Tensor:
        return self.source.batch(index, "plain", seed=0, epoch=0)

    def _unusable(self, index: NDArray[np.int64]) -> list[BadItem]:
        """Return the unusable items, by their rows in the source."""
        scan = Capabilities(select_rows(self.source, index)).scan
        if scan is not None:
            return [BadItem(int(index[b.row]), b.item, b.reason) for b in scan()]
        bad = []
        for row in index.tolist():
            try:
                self._batch(np.array([row]))
            except UserError as reason:
                bad.append(BadItem(row, _name(self.source, row), str(reason)))
        return bad

    def _note(self, bad: Sequence[BadItem]) -> None:
        for item in bad:
            # Items of equal content were computed once, and are bad together.
            rows = (item.row, *self.twins.get(item.row, ()))
            self.bad.extend(BadItem(row, _name(self.source, row), item.reason) for row in rows)
        if bad:
            refuse_too_many(self.bad, len(self.source))

    def _check(self, result: BatchFeatures) -> None:
        assert result.features is not None
        wrong = ~np.isfinite(result.features).all(1)
        if wrong.any():
            row = int(result.rows[wrong][0])
            raise UserError(
                f"the backbone's features of item {_name(self.source, row)[:80]!r} (row {row}, counted from 0) are not"
                " finite: check its weights" + (", or use precision='32'" if self.precision != "32" else "")
            )

    def _width(self) -> int:
        return BackboneCapabilities.of(self.backbone).n_features or 0

    def _sorted_bad(self) -> list[BadItem]:
        return sorted(self.bad, key=lambda item: item.row)


def _name(source: Source, row: int) -> str:
    items = Capabilities(source).items
    return str(items[row]) if items is not None else str(row)


def _record(preprocessing: Any) -> Any:
    return preprocessing.to_dict() if hasattr(preprocessing, "to_dict") else repr(preprocessing)


def _source_record(source: Source) -> dict[str, Any]:
    """Return the facts that decide a batch besides the items' content."""
    offers = Capabilities(source)
    tokenizer = TokenizerParts(offers.tokenizer)
    definition = "" if tokenizer.definition is None else tokenizer.definition()
    return {
        "kind": offers.kind,
        "shape": list(source.shape),
        "preprocessing": _record(offers.preprocessing),
        "decoded_side": offers.decoded_side,
        "tokenizer": hashlib.blake2b(definition.encode(), digest_size=16).hexdigest(),
        "tokenizer_preprocessing": _record(tokenizer.preprocessing),
    }

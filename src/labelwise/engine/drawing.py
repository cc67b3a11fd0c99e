"""Inputs of batches, drawn one batch ahead where the source reads files."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from torch import Tensor

from labelwise.data import Capabilities, Source, views_of

Wanted = Mapping[str, np.ndarray]


class Drawer:
    """Draws the views of a batch's items. What is drawn depends on seed, epoch and item only, never on when."""

    def __init__(self, source: Source, seed: int) -> None:
        self._source, self._seed = source, seed
        self._ahead: tuple[Hashable, Future[dict[str, Tensor]]] | None = None
        self._threads = (
            ThreadPoolExecutor(1, "labelwise-draw") if Capabilities(source).workers and len(source) else None
        )

    @property
    def looks_ahead(self) -> bool:
        """Whether the next batch can be drawn while the present one trains."""
        return self._threads is not None

    def draw(self, place: Hashable, wanted: Wanted, epoch: int) -> dict[str, Tensor]:
        """Return the items' inputs by view; ``place`` tells this batch from all others of the run."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == place:
            return ahead[1].result()
        return views_of(self._source, wanted, seed=self._seed, epoch=epoch)

    def begin(self, place: Hashable, wanted: Wanted, epoch: int) -> None:
        """Begin to draw a batch that ``draw`` will be asked for next."""
        if self._threads is not None:
            drawn = self._threads.submit(views_of, self._source, wanted, seed=self._seed, epoch=epoch)
            self._ahead = place, drawn

    def close(self) -> None:
        """Stop drawing."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._ahead = None

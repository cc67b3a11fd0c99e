"""Sources of items: the required members, the optional ones, and rows of features as a source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from labelwise.data.checks import as_matrix
from labelwise.data.images.memory import ImageSource
from labelwise.data.views import NormalTable, bits, check_view, dropped, streams
from labelwise.errors import UserError

if TYPE_CHECKING:
    import torch

    from labelwise.data.images.files import BadItem

_ROWS = 4096
_ENTRIES = 1 << 15


class Source(Protocol):
    """Items by number: an object with these three members can be trained on, embedded and scored.

    ``Capabilities`` lists the members that it may have besides.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one item as the backbone sees it."""
        ...

    def __len__(self) -> int: ...

    def batch(self, index: NDArray[np.int64], view: str, *, seed: int, epoch: int) -> torch.Tensor:
        """Return the items' views (b, *shape), on the CPU, in the order of ``index`` (b,) int64.

        The plain view is the item itself, for scoring; the weak and the strong one are functions of (seed,
        epoch, item) only, so neither the rest of the batch nor its order changes them.
        """
        ...


class OptionalParts:
    """Members that an object may have, read when asked for; None for one that it lacks."""

    def __init__(self, whole: object) -> None:
        self._whole = whole

    if not TYPE_CHECKING:  # a type checker knows the declared members alone

        def __getattr__(self, name: str) -> Any:
            return getattr(self._whole, name, None)


class Capabilities(OptionalParts):
    """Optional members of a source; None for one that it lacks.

    Attributes:
        kind: "image" or "text": features are then computed in bfloat16 where the device has it in hardware.
        items: The ids of the items, for messages.
        lengths: Tokens of each text (n,) int64: texts of like length are computed together.
        digests: Return a digest of each item's content, under which its features are kept on disk.
        scan: Read every item once, and return those that cannot be used.
        views: Return a batch for each of several views, an item decoded once: see ``views_of``.
        workers: Threads that read items; where there are any, the next batch is drawn ahead.
        matrix: The rows of features (n, D) float32 as they are trained on.
        preprocessing: How a picture comes to the backbone's size.
        decoded_side: The shorter side in pixels at which pictures are kept decoded.
        tokenizer: Turns texts into token ids: see ``TokenizerParts``.
    """

    kind: str | None
    items: Sequence[Any] | None
    lengths: NDArray[np.int64] | None
    digests: Callable[[], Iterable[Any]] | None
    scan: Callable[[], list[BadItem]] | None
    views: Callable[..., dict[str, torch.Tensor]] | None
    workers: int | None
    matrix: NDArray[np.float32] | None
    preprocessing: Any
    decoded_side: int | None
    tokenizer: Any


class TokenizerParts(OptionalParts):
    """Optional members of a tokenizer; None for one that it lacks.

    Attributes:
        pad_id: The id that fills up the shorter texts of a batch.
        special_ids: Ids that the strong view never leaves out.
        preprocessing: Its ``max_length`` is the most tokens that a text may have.
        definition: Return what decides its ids, as text.
    """

    pad_id: int | None
    special_ids: Iterable[int] | None
    preprocessing: Any
    definition: Callable[[], str] | None


class Scaling(Protocol):
    """A fitted input scaling, applied row by row."""

    def transform(self, X: Any, /) -> NDArray[np.float32]:
        """Return the scaled rows, dense (b, D)."""
        ...


class ArraySource:
    """Rows of features: an array (n, D), a SciPy sparse matrix or a pandas frame.

    The plain and the weak view are the scaled row x. The strong view is ``x * keep + noise * rms(x) * g``:
    ``keep`` is 0 for a share ``strong_view`` of the coordinates (0 is the mean where the scaling centres),
    ``g`` standard normal to within 1/4,096 quantiles, ``rms(x)`` the root of the row's mean square, so that
    the noise is in the row's units.

    Args:
        scaling: An object with ``transform``; None leaves the rows as they are.
        strong_view: Expected share of coordinates set to 0, in [0, 1); 0 makes the strong view the weak one.
        noise: Standard deviation of the noise in units of the row's root mean square, >= 0.
        budget: Bytes up to which the scaled, dense matrix is computed once and kept; past it, batch by batch.

    Raises:
        UserError: For entries that are not finite numbers (rows named), or an argument out of range.
    """

    def __init__(
        self,
        X: Any,
        scaling: Scaling | None = None,
        *,
        strong_view: float = 0.2,
        noise: float = 0.1,
        budget: int = 1 << 30,
    ) -> None:
        if not 0 <= strong_view < 1:
            raise UserError(f"strong_view is {strong_view}: give a share of coordinates in [0, 1)")
        if not noise >= 0:
            raise UserError(f"noise is {noise}: give a standard deviation of at least 0")
        self.strong_view, self.noise = float(strong_view), float(noise)
        self._rows, self._scaling = as_matrix(X), scaling
        self._normal = NormalTable()
        n = self._rows.shape[0]
        width = self._scaled(np.arange(1)).shape[1] if n else self._rows.shape[1]
        self._length, self._shape = int(n), (int(width),)
        self._kept = self._keep() if n * width * 4 <= budget else None
        self._kept_rms = None if self._kept is None else _rms(self._kept)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(D,)``, D after scaling."""
        return self._shape

    @property
    def matrix(self) -> NDArray[np.float32] | None:
        """The scaled rows (n, D) float32, to be read only, or None where they did not fit the budget."""
        return self._kept

    def __len__(self) -> int:
        return self._length

    def batch(self, index: NDArray[np.int64], view: str, *, seed: int, epoch: int) -> torch.Tensor:
        """Return the rows' views (b, D) float32; see ``Source`` and the class."""
        import torch

        check_view(view)
        index = np.asarray(index, dtype=np.int64)
        rows = self._scaled(index) if self._kept is None else self._kept.take(index, axis=0)
        if view == "strong" and self.strong_view:
            rms = _rms(rows) if self._kept_rms is None else self._kept_rms[index]
            starts = streams(index, seed=seed, epoch=epoch)
            # A few rows at a time, so that the temporary arrays stay in the cache.
            step = max(1, _ENTRIES // max(self._shape[0], 1))
            for start in range(0, len(index), step):
                span = slice(start, start + step)
                self._strengthen(rows[span], rms[span], bits(starts[span], 2 * self._shape[0]))
        return torch.from_numpy(rows)

    def _strengthen(
        self, rows: NDArray[np.float32], rms: NDArray[np.float32], numbers: NDArray[np.uint16]
    ) -> None:
        """Turn weak rows (b, D) into strong ones in place, by random numbers (b, 2D)."""
        width = rows.shape[1]
        rows *= ~dropped(numbers[:, :width], self.strong_view)
        if self.noise:
            noise = self._normal(numbers[:, width:])
            noise *= (np.float32(self.noise) * rms)[:, None]
            rows += noise

    def _scaled(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return a fresh dense float32 copy of the scaled rows."""
        rows = self._rows[index]
        if self._scaling is not None:
            rows = self._scaling.transform(rows)
        return np.array(rows.toarray() if hasattr(rows, "toarray") else rows, dtype=np.float32, order="C")

    def _keep(self) -> NDArray[np.float32]:
        if self._scaling is None and isinstance(self._rows, np.ndarray):
            return self._rows
        kept = np.empty((self._length, *self._shape), dtype=np.float32)
        for start in range(0, self._length, _ROWS):
            index = np.arange(start, min(start + _ROWS, self._length))
            kept[index] = self._scaled(index)
        return kept


def _rms(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    squares: NDArray[np.float32] = np.einsum("ij,ij->i", rows, rows) / np.float32(max(rows.shape[1], 1))
    return np.sqrt(squares)


def is_source(X: object) -> TypeGuard[Source]:
    """Return whether ``X`` has the members of a ``Source``."""
    # A frame may have columns of these names, and none of them can be called.
    return callable(getattr(X, "batch", None)) and hasattr(X, "shape") and hasattr(X, "__len__")


def as_source(X: Any, *, scaling: Scaling | None = None, **options: Any) -> Source:
    """Return ``X`` as a source: itself if it is one, images for three or four dimensions, rows of features
    otherwise.

    Args:
        scaling: For rows of features only.
        options: Keywords of ``ArraySource`` or ``ImageSource``.

    Raises:
        UserError: For data that is neither, or a scaling of something else than rows of features.
    """
    images = getattr(X, "ndim", 2) in (3, 4)
    if scaling is not None and (images or is_source(X)):
        raise UserError(
            "scaling is for rows of features (n, D); images are scaled by mean and std, a source by itself"
        )
    if is_source(X):
        return X
    return ImageSource(X, **options) if images else ArraySource(X, scaling, **options)


class _Rows:
    """Some items of a source that cannot be indexed itself."""

    def __init__(self, source: Source, index: NDArray[np.int64]) -> None:
        self._source, self._index = source, index

    @property
    def shape(self) -> tuple[int, ...]:
        return self._source.shape

    def __len__(self) -> int:
        return len(self._index)

    def batch(self, index: NDArray[np.int64], view: str, *, seed: int, epoch: int) -> torch.Tensor:
        return self._source.batch(self._index[index], view, seed=seed, epoch=epoch)


def select_rows(source: Source, index: NDArray[np.int64]) -> Source:
    """Return the source of these rows: its own where it can be indexed, which keeps what else it offers."""
    selected: Source = source[index] if hasattr(source, "__getitem__") else _Rows(source, index)
    return selected


def views_of(
    source: Source, wanted: Mapping[str, NDArray[np.int64]], *, seed: int, epoch: int
) -> dict[str, torch.Tensor]:
    """Return a batch for each view; a source with ``views`` of its own makes them together.

    Args:
        wanted: For each view the items' numbers (b,) int64.
    """
    make_together = Capabilities(source).views
    if make_together is not None:
        return make_together(wanted, seed=seed, epoch=epoch)
    return {view: source.batch(index, view, seed=seed, epoch=epoch) for view, index in wanted.items()}


def check_lengths(X: Any, Y: Any) -> int:
    """Return the number of items of ``X`` and ``Y``.

    Raises:
        UserError: If they differ.
    """
    items, labelled = map(_length, (X, Y))
    if items != labelled:
        raise UserError(
            f"X has {items} rows and Y has {labelled}: give one row of labels per item (all -1: unknown)"
        )
    return items


def _length(array: Any) -> int:
    """Return the number of rows; the ``shape`` of a source is that of one item."""
    return int(array.shape[0]) if hasattr(array, "shape") and not is_source(array) else len(array)

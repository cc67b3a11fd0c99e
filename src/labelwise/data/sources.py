"""Sources of items: required members, optional ones, and ways to get one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from labelwise.data.arrays import ArraySource, Scaling
from labelwise.data.images.memory import ImageSource
from labelwise.errors import UserError

if TYPE_CHECKING:
    import torch

    from labelwise.data.images.files import BadItem


class Source(Protocol):
    """Items by number.

    An object with these three members can be trained on, embedded and scored.

    ``Capabilities`` lists the members that it may have besides.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one item as the backbone sees it."""
        ...

    def __len__(self) -> int: ...

    def batch(self, index: NDArray[np.int64], view: str, *, seed: int, epoch: int) -> torch.Tensor:
        """Return the items' views (b, *shape), on the CPU.

        They come in the order of ``index`` (b,) int64.

        The plain view is the item itself, for scoring; the weak and the strong one are functions of (seed,
        epoch, item) only, so neither the rest of the batch nor its order changes them.
        """
        ...


class OptionalParts:
    """Members that an object may have; None for one that it lacks.

    They are read when asked for.
    """

    def __init__(self, owner: object) -> None:
        self._owner = owner

    if not TYPE_CHECKING:  # a type checker knows the declared members alone

        def __getattr__(self, name: str) -> Any:
            return getattr(self._owner, name, None)


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
        rows: The rows of features (n, D) float32 as they were given, dense, sparse or in blocks, where none is scaled.
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
    rows: Any
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


def is_source(X: object) -> TypeGuard[Source]:
    """Return whether ``X`` has the members of a ``Source``."""
    # A frame may have columns of these names, and none of them can be called.
    return callable(getattr(X, "batch", None)) and hasattr(X, "shape") and hasattr(X, "__len__")


def as_source(X: Any, *, scaling: Scaling | None = None, **options: Any) -> Source:
    """Return ``X`` as a source of items.

    It is ``X`` itself if that is a source, images for three or four dimensions, rows of features otherwise.

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
    """Return the source of these rows.

    A source that can be indexed gives its own, which keeps what else it offers.
    """
    selected: Source = source[index] if hasattr(source, "__getitem__") else _Rows(source, index)
    return selected


def views_of(
    source: Source, wanted: Mapping[str, NDArray[np.int64]], *, seed: int, epoch: int
) -> dict[str, torch.Tensor]:
    """Return a batch for each view.

    A source with ``views`` of its own makes them together.

    Args:
        wanted: For each view the items' numbers (b,) int64.
    """
    views = Capabilities(source).views
    if views is not None:
        return views(wanted, seed=seed, epoch=epoch)
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


def check_same_order(X: Any, Y: Any) -> None:
    """Refuse two frames with the same index in different orders.

    Rows belong together by their places, as in scikit-learn; such frames do not look as if they did.

    Raises:
        UserError: Where all rows of ``Y`` are those of ``X`` by their index, in another order.
    """
    # By the module's name, since pandas may not be there and another object's attributes may raise anything.
    if not all(type(frame).__module__.partition(".")[0] == "pandas" for frame in (X, Y)):
        return
    left, right = X.index, Y.index
    if len(left) != len(right) or left.equals(right) or not (left.is_unique and right.is_unique):
        return
    if left.isin(right).all():
        raise UserError(
            "X and Y have the same index in different orders, and rows belong together by their places: give"
            " Y.loc[X.index], or both without their index (reset_index)"
        )


def _length(array: Any) -> int:
    """Return the number of rows.

    The ``shape`` of a source is that of one item.
    """
    return int(array.shape[0]) if hasattr(array, "shape") and not is_source(array) else len(array)

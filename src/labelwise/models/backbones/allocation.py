"""A bound on what a network may allocate while it is built anew from a record that nobody vouches for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from labelwise.errors import UserError

_SMALL, _PARTS = 1 << 14, 64


class Allowance(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuse every new tensor inside that is larger than the largest of ``sizes``, the sizes of the stored weights.

    So a record that declares more than its weights hold is refused before room is made for it, and one that declares
    more layers than there are weights before all of them are made. Numbers that are no weights may take as much as
    4 times the weights.

    Raises:
        UserError: Inside, at the first tensor that is too large or too many.
    """

    def __init__(self, sizes: Iterable[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        sizes = list(sizes)
        self._largest = max([_SMALL, *sizes])
        self._left = 4 * (sum(sizes) + self._largest)
        self._count = _PARTS * (len(sizes) + _PARTS)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # No network is compiled in here, and to shield what compiles costs a second of imports.
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Measure what makes a tensor of none, on the device that holds no numbers, before it does."""
        kwargs = dict(kwargs or {})
        if not any(isinstance(leaf, Tensor) for leaf in tree_leaves((args, kwargs))):
            planned = (
                func(*args, **{**kwargs, "device": torch.device("meta")}) if "device" in kwargs else None
            )
            if isinstance(planned, Tensor):
                self._take(planned, torch.device(kwargs["device"] or "cpu"))
        return func(*args, **kwargs)

    def _take(self, planned: Tensor, device: torch.device) -> None:
        numbers = 0 if device.type == "meta" else planned.numel()
        self._left, self._count = self._left - numbers, self._count - 1
        if numbers > self._largest or self._left < 0 or self._count < 0:
            raise UserError(
                f"it declares an array of shape {tuple(planned.shape)}, which its weights do not hold"
                if numbers > self._largest
                else "it declares more arrays than its weights hold"
            )

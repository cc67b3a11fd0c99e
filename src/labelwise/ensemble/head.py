"""The head of ``auto``: a network's last part, computed by an ensemble's arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Arrays = Mapping[str, NDArray[Any]]
_LABELS, _SCORES = "constant.labels", "constant.scores"
_NO_LABELS, _NO_SCORES = np.zeros(0, np.int64), np.zeros(0, np.float32)


class RowScorer(Protocol):
    """A model of rows of features that plain arrays describe."""

    @property
    def n_features(self) -> int:
        """Number D of columns."""
        ...

    @property
    def n_labels(self) -> int:
        """Number K of labels."""
        ...

    def scores(self, rows: Any, /) -> NDArray[np.float32]:
        """Return raw scores (b, K) float32 of rows (b, D), dense, CSR or blocks."""
        ...

    def state(self) -> Arrays:
        """Return all that it is, as arrays by name."""
        ...


class EnsembleHead(nn.Module):
    """Raw scores (B, K) of rows (B, D) as an ensemble gives them.

    It reads rows as they were given, unscaled (``models.ReadsRows``), and computes on the CPU. It holds nothing that
    steps could train. Its state is the ensemble's arrays, whatever they are; before ``take`` it scores nothing.

    Args:
        features: D.
        labels: K.
        from_state: Return the ensemble of its arrays; raises ``ValueError`` or ``LookupError`` for any that it could
            not have written.
    """

    def __init__(self, features: int, labels: int, from_state: Callable[[Arrays], RowScorer]) -> None:
        super().__init__()
        self.n_features, self.n_labels = features, labels
        self._from_state = from_state
        self._arrays: dict[str, Tensor] = {}
        self._ensemble: RowScorer | None = None
        self._constants: tuple[NDArray[np.int64], NDArray[np.float32]] = (_NO_LABELS, _NO_SCORES)

    def take(self, ensemble: RowScorer, constants: NDArray[np.float32] | None = None) -> None:
        """Score by this ensemble from now on.

        By what its arrays say, which may be rounded: the same as after saving and loading.

        Args:
            constants: (K,) the score that a label has for every row, NaN for those that the ensemble scores.
        """
        arrays = dict(ensemble.state())
        if constants is not None and (labels := np.flatnonzero(~np.isnan(constants))).size:
            arrays |= {_LABELS: labels, _SCORES: constants[labels].astype(np.float32)}
        self._read({name: torch.tensor(np.asarray(array)) for name, array in arrays.items()})

    def forward(self, features: Tensor) -> Tensor:
        """Return raw scores (B, K) float32 of dense rows (B, D)."""
        scores = self.score_rows(features.detach().float().cpu().numpy())
        return torch.from_numpy(scores).to(features.device)

    def score_rows(self, rows: Any) -> NDArray[np.float32]:
        """Return raw scores (b, K) float32 of rows (b, D), dense, CSR or blocks."""
        if self._ensemble is None:
            return np.zeros((rows.shape[0], self.n_labels), np.float32)
        scores = np.array(self._ensemble.scores(rows), dtype=np.float32)
        labels, constants = self._constants
        scores[:, labels] = constants
        return scores

    @property
    def scaling(self) -> Any:
        """Scaling by which the tuned ridge in the ensemble reads rows; None of an ensemble without one."""
        return getattr(self._ensemble, "scaling", None)

    @property
    def n_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.numel() * array.element_size() for array in self._arrays.values())

    def _read(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the ensemble of these arrays, which stay its own.

        Raises:
            ValueError, LookupError or TypeError: For arrays that are not those of an ensemble of this size.
        """
        state = {name: value.numpy() for name, value in tensors.items()}
        labels, constants = state.pop(_LABELS, _NO_LABELS), state.pop(_SCORES, _NO_SCORES)
        if labels.dtype != np.int64 or labels.ndim != 1 or labels.shape != constants.shape:
            raise ValueError("the constant scores and their labels do not match")
        if not ((labels >= 0) & (labels < self.n_labels)).all():
            raise ValueError("a constant score is that of no label")
        ensemble = self._from_state(state)
        size, needed = (ensemble.n_features, ensemble.n_labels), (self.n_features, self.n_labels)
        if size != needed:
            raise ValueError(f"it reads {size[0]} features and scores {size[1]} labels, not {needed}")
        self._arrays, self._ensemble, self._constants = dict(tensors), ensemble, (labels, constants)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, value in self._arrays.items():
            destination[prefix + name] = value

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Take whatever arrays stand under ``prefix``: their shapes are not known beforehand."""
        # Copies, in memory aligned as a fit's own: the last bits of sums over rows depend on it.
        tensors = {
            name.removeprefix(prefix): value.detach().cpu().clone().contiguous()
            for name, value in state_dict.items()
            if name.startswith(prefix)
        }
        try:
            if not tensors.keys() - {_LABELS, _SCORES}:
                raise ValueError("there are none")
            self._read(tensors)
        except (ValueError, LookupError, TypeError, ArithmeticError, MemoryError) as error:
            words = f"the head lacks {error}" if isinstance(error, KeyError) else str(error)
            error_msgs.append(f"arrays of an ensemble: {words}")

    def extra_repr(self) -> str:
        """Return the sizes shown when the module is printed."""
        return f"features={self.n_features}, labels={self.n_labels}, bytes={self.n_bytes}"

"""Moments of each label: prototypes, and the angles to them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from labelwise.annotations import row_blocks
from labelwise.errors import UserError
from labelwise.summaries.arrays import Scores, as_array, as_scores, refuse_codes, refuse_nan


class LabelMoments:
    """Gatherer of each label's positive count and feature sum.

    The prototype of label k is the mean feature of its positives,
    ``c_k = sum_{i: y_ik = 1} z_i / #{i: y_ik = 1}``
    (S2ML2-BBAM), of features as they are (not normalised). Every product and sum is in float64: float32
    features enter exactly, and a different split of the batches moves the result by rounding only (below
    1e-12 relative to the mean magnitude of the features).

    Attributes:
        counts: (K,) int64, positives seen of each label.
        sums: (K, D) float64, their features' sums.
    """

    def __init__(self, n_labels: int, n_features: int) -> None:
        self.counts = np.zeros(n_labels, np.int64)
        self.sums = np.zeros((n_labels, n_features))

    def update(self, features: ArrayLike | torch.Tensor, targets: ArrayLike | torch.Tensor) -> None:
        """Take in features (b, D) and targets (b, K).

        An entry counts only where its target is exactly 1.
        """
        z, y = as_array(features), as_array(targets)
        n_labels, n_features = self.sums.shape
        if z.ndim != 2 or z.shape[1] != n_features:
            raise UserError(f"features has shape {z.shape}: give (rows, {n_features}).")
        if y.shape != (len(z), n_labels):
            raise UserError(
                f"targets has shape {y.shape}: give ({len(z)}, {n_labels}), one column per label."
            )
        refuse_codes("targets", y)
        for rows in row_blocks(len(z), n_features):
            positive = y[rows] == 1
            # Positives are few: a sparse product reads only their rows of the features.
            matrix = sparse.csr_matrix(positive, dtype=np.float64)
            self.counts += np.count_nonzero(positive, axis=0)
            self.sums += matrix.T @ z[rows].astype(np.float64)

    def merge(self, other: LabelMoments) -> None:
        """Take in what another summary has gathered of other items."""
        if self.sums.shape != other.sums.shape:
            raise UserError(
                f"LabelMoments of shapes {self.sums.shape} and {other.sums.shape} cannot be merged."
            )
        self.counts += other.counts
        self.sums += other.sums

    def finalize(self) -> NDArray[np.float64]:
        """Return the prototypes (K, D) float64.

        A label without positives has a row of zeros.
        """
        return self.sums / np.maximum(self.counts, 1)[:, None]


@dataclass(frozen=True, eq=False, kw_only=True)
class AngleStatistics:
    """Angle distributions of each label's negatives and positives.

    They are what balances a binary angular margin.

    With ``v = (variance_negative + variance_positive) / 2`` and ``a = sqrt(v / variance)``, S2ML2-BBAM's
    transform is ``psi(theta) = a theta + (1 - a) mean``, each side with its own mean and variance: it keeps
    the mean and gives both sides the variance v. Equal variances make it the identity.

    Attributes:
        mean_negative: (K,), radians.
        mean_positive: (K,), radians.
        variance_negative: (K,), radians squared, above zero.
        variance_positive: (K,), radians squared, above zero.
        count_negative: (K,) int64, the entries behind them, or None where not known.
        count_positive: (K,) int64, the same of the positives.

    Floating tensors and arrays keep float32 or float64; everything else (lists, ints) becomes float64,
    narrower floats float32.
    """

    mean_negative: torch.Tensor
    mean_positive: torch.Tensor
    variance_negative: torch.Tensor
    variance_positive: torch.Tensor
    count_negative: torch.Tensor | None = None
    count_positive: torch.Tensor | None = None

    def __post_init__(self) -> None:
        shape = None
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            tensor = _tensor(value, whole=field.name.startswith("count"))
            shape = tensor.shape if shape is None else shape
            if tensor.ndim != 1 or tensor.shape != shape:
                raise UserError(f"{field.name} has shape {tuple(tensor.shape)}: give one number per label.")
            # A tracer cannot branch on values, and those of a fitted method were checked when it got them.
            checked = field.name.startswith("variance") and not torch.compiler.is_exporting()
            if checked and not bool((tensor > 0).all()):
                label = int((~(tensor > 0)).nonzero()[0])
                raise UserError(
                    f"{field.name} is {float(tensor[label])} for label {label}: give a variance above 0."
                )
            object.__setattr__(self, field.name, tensor)

    @classmethod
    def identity(cls, n_labels: int) -> AngleStatistics:
        """Return statistics with equal variances, for which the transform changes nothing."""
        right, one = (
            torch.full((n_labels,), np.pi / 2, dtype=torch.float64),
            torch.ones(n_labels, dtype=torch.float64),
        )
        return cls(mean_negative=right, mean_positive=right, variance_negative=one, variance_positive=one)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> AngleStatistics:
        """Return the statistics on another device or in another floating dtype.

        The counts stay int64.
        """
        moved: dict[str, torch.Tensor] = {}
        for name, tensor in self.tensors().items():
            moved[name] = tensor.to(device=device, dtype=None if name.startswith("count") else dtype)
        return replace(self, **moved)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors by name, as keywords of the constructor."""
        return {
            field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None
        }


class AngleMoments:
    """Gatherer of angle means and variances, for negatives and for positives.

    It holds count, mean and sum of squared deviations of each label's angles.

    Batches and other moments are joined by Chan, Golub and LeVeque's update in float64.
    """

    def __init__(self, n_labels: int) -> None:
        # Row 0 is of the negatives, row 1 of the positives: the target is the index.
        self.counts = np.zeros((2, n_labels), np.int64)
        self.means = np.zeros((2, n_labels))
        self.squares = np.zeros((2, n_labels))

    def update(self, angles: ArrayLike | torch.Tensor, targets: ArrayLike | torch.Tensor) -> None:
        """Take in angles (b, K) in radians and targets (b, K).

        A target is 1 for a positive and 0 for a negative; all other entries are left out.
        """
        values = as_scores("angles", angles, self.counts.shape[1])
        labels = as_array(targets)
        if labels.shape != values.shape:
            raise UserError(f"targets has shape {labels.shape}: give that of the angles, {values.shape}.")
        refuse_codes("targets", labels)
        for rows in row_blocks(*values.shape):
            for side in (0, 1):
                self._take_block(side, values[rows], labels[rows] == side, np.arange(rows.start, rows.stop))

    def merge(self, other: AngleMoments) -> None:
        """Take in what another summary has gathered of other entries."""
        if self.counts.shape != other.counts.shape:
            raise UserError("AngleMoments of different numbers of labels cannot be merged.")
        self._join(slice(None), other.counts, other.means, other.squares)

    def finalize(
        self,
        previous: AngleStatistics | None = None,
        *,
        momentum: float = 0.01,
        variance_floor: float = 1e-3,
        from_zero: bool = False,
    ) -> AngleStatistics:
        """Return the statistics, smoothed with the previous ones.

        They are ``(1 - momentum) new + momentum old``.

        The new variance is unbiased (n - 1) and taken around the smoothed mean, as released. A label with
        fewer than two positives or two negatives gets equal variances on both sides, so that the transform is
        the identity; a side without entries gets the previous mean, or a right angle.

        Args:
            previous: statistics of the refresh before, or None. Labels whose previous statistics rest on
                fewer than two positives or negatives take the new value whole.
            momentum: weight of the old value, in [0, 1).
            variance_floor: the least variance, above 0 (the released code has none).
            from_zero: the released form: the first refresh is smoothed with zeros, 1% too small at momentum
                .01.
        """
        if not 0 <= momentum < 1:
            raise UserError(f"momentum is {momentum}: give a weight of at least 0 and below 1.")
        if not variance_floor > 0:
            raise UserError(f"variance_floor is {variance_floor}: give a variance above 0.")
        old_means, old_variances, known = self._old(previous, from_zero)
        weight = np.where(known, momentum, 0.0)
        empty = self.counts == 0
        new = np.where(empty, np.where(old_means > 0, old_means, np.pi / 2), self.means)
        means = (1 - weight) * new + weight * old_means
        # Squared deviations from the smoothed mean: those from the new mean, and its shift.
        around = self.squares + self.counts * (self.means - means) ** 2
        variances = (1 - weight) * around / np.maximum(self.counts - 1, 1) + weight * old_variances
        variances = np.maximum(variances, variance_floor)
        # One entry has no variance: both sides then get the same one, which changes no angle.
        few = (self.counts < 2).any(axis=0)
        variances[:, few] = np.where(self.counts >= 2, variances, 0).max(axis=0)[few]
        variances = np.maximum(variances, variance_floor)
        return AngleStatistics(
            mean_negative=torch.from_numpy(means[0].copy()),
            mean_positive=torch.from_numpy(means[1].copy()),
            variance_negative=torch.from_numpy(variances[0].copy()),
            variance_positive=torch.from_numpy(variances[1].copy()),
            count_negative=torch.from_numpy(self.counts[0].copy()),
            count_positive=torch.from_numpy(self.counts[1].copy()),
        )

    def _old(
        self, previous: AngleStatistics | None, from_zero: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return old means and variances, and the labels to mix them in.

        They are (2, K) each, and (K,) bool.
        """
        n_labels = self.counts.shape[1]
        if previous is None:
            return np.zeros((2, n_labels)), np.zeros((2, n_labels)), np.full(n_labels, from_zero)
        if len(previous.mean_negative) != n_labels:
            raise UserError(f"previous has {len(previous.mean_negative)} labels, not {n_labels}.")
        known = np.ones(n_labels, np.bool_)
        for count in (previous.count_negative, previous.count_positive):
            if count is not None:
                known &= as_array(count) >= 2
        means = [as_array(previous.mean_negative), as_array(previous.mean_positive)]
        variances = [as_array(previous.variance_negative), as_array(previous.variance_positive)]
        return np.stack(means).astype(np.float64), np.stack(variances).astype(np.float64), known

    def _take_block(
        self, side: int, block: Scores, chosen: NDArray[np.bool_], row_numbers: NDArray[np.int64]
    ) -> None:
        counts = np.count_nonzero(chosen, axis=0)
        refuse_nan("angles", block, chosen, row_numbers)
        n_labels = len(counts)
        means: NDArray[np.float64]
        squares: NDArray[np.float64]
        if 8 * counts.sum() < chosen.size:
            # Few, as positives mostly are: gather them, rather than walk over everything.
            rows, labels = np.nonzero(chosen)
            values = block[rows, labels].astype(np.float64)
            means = np.bincount(labels, values, n_labels) / np.maximum(counts, 1)
            squares = np.asarray(np.bincount(labels, (values - means[labels]) ** 2, n_labels), np.float64)
        else:
            means = np.where(chosen, block, 0).sum(axis=0, dtype=np.float64) / np.maximum(counts, 1)
            residuals = np.where(chosen, block - means, 0)
            squares = np.einsum("bk,bk->k", residuals, residuals)
        self._join(side, counts, means, squares)

    def _join(
        self,
        side: int | slice,
        counts: NDArray[np.int64],
        means: NDArray[np.float64],
        squares: NDArray[np.float64],
    ) -> None:
        total = self.counts[side] + counts
        share = counts / np.maximum(total, 1)
        gap = means - self.means[side]
        self.squares[side] += squares + gap**2 * self.counts[side] * share
        self.means[side] += gap * share
        self.counts[side] = total


def _tensor(value: object, *, whole: bool) -> torch.Tensor:
    tensor = value.detach() if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
    if whole:
        return tensor.to(torch.int64)
    if tensor.dtype in (torch.float32, torch.float64):
        return tensor
    return tensor.to(torch.float32 if tensor.is_floating_point() else torch.float64)

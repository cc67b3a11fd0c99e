"""What a fitted classifier says of items: features, cosines and scores of every entry, and the groups of entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import normalize

from labelwise.annotations import as_matrix
from labelwise.errors import UserError

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier


class Said(NamedTuple):
    """A classifier's view of n items, on the CPU."""

    features: Tensor
    """(n, D) float32, what the head reads."""
    cosines: NDArray[np.float64] | None
    """(n, K) cosines between features and label weights; None for a head without one weight a label."""
    scores: NDArray[np.float64]
    """(n, K) the method's scores in [0, 1], before calibration."""


def said(model: MultiLabelClassifier, X: Any) -> Said:
    """Return what ``model`` says of X, in one pass over it.

    The cosines of a head that gives logits are those between features and label weights, its intercept left out.
    """
    fitted = model.fitted_
    features, raw, scores = [], [], []
    for _, outputs in fitted.outputs(model.read(X).X):
        with torch.inference_mode():
            features.append(outputs.features.float().cpu())
            raw.append(outputs.scores.double().cpu())
            scores.append(fitted.method.score(outputs).double().cpu())
    if not features:
        raise UserError("X has no items: give at least one")
    z = torch.cat(features)
    cosines: Tensor | None = None
    weight = getattr(fitted.network.head, "weight", None)
    if fitted.method.spec.head == "cosine":
        cosines = torch.cat(raw)
    elif isinstance(weight, Tensor) and weight.ndim == 2 and weight.shape[1] == z.shape[1]:
        cosines = (normalize(z) @ normalize(weight.detach().float().cpu()).T).double()
    return Said(z, None if cosines is None else cosines.clamp(-1, 1).numpy(), torch.cat(scores).numpy())


def entry_groups(
    shape: tuple[int, ...], Y: ArrayLike, Y_true: ArrayLike | None
) -> dict[str, NDArray[np.bool_]]:
    """Return the entries (n, K) by what they are and what training took them for.

    Groups: ``positives`` (given as relevant), ``false negatives`` (not given, yet relevant in ``Y_true``) and ``true
    negatives``. Without ``Y_true`` all that is not given is in ``negatives``. An entry whose truth is unknown is in
    no group.
    """
    given = as_matrix(Y)
    truth = None if Y_true is None else as_matrix(Y_true)
    for name, matrix in (("Y", given), ("Y_true", truth)):
        if matrix is not None and matrix.shape != shape:
            raise UserError(
                f"{name} has shape {matrix.shape}, the model's scores of X {shape}: give one row an item and one "
                "column a label"
            )
    positives = given == 1
    if truth is None:
        return {"positives": positives, "negatives": ~positives}
    return {
        "positives": positives,
        "false negatives": ~positives & (truth == 1),
        "true negatives": ~positives & (truth == 0),
    }

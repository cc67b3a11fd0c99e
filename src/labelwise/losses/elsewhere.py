"""Losses in the form that other training loops call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from labelwise.errors import UserError, shown


class ComputeLoss:
    """Loss of a batch as ``compute_loss_func`` of transformers' ``Trainer``.

    It is the sum over entries of ``loss(logits, labels)`` over the number of entries, unknown ones included. That
    number is the Trainer's own count of an update, so that batches whose gradients accumulate, and several devices,
    give what one large batch gives. Labels (B, K) are 1, 0 and -1 (or NaN) for unknown, or shares in [0, 1].

    Args:
        loss: A function of ``labelwise.losses`` of scores and labels that returns values (B, K).
        **options: Further arguments of the loss.
    """

    def __init__(self, loss: Callable[..., Tensor], **options: Any) -> None:
        if not callable(loss):
            raise UserError(
                f"loss={shown(loss)}: give a function of labelwise.losses, such as ignore_unknown"
            )
        self.loss, self.options = loss, options

    def __call__(
        self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Return the loss, a scalar.

        Args:
            outputs: What the model returned: a mapping or an object with ``logits`` (B, K).
            labels: (B, K) label states, whole numbers or floats.
            num_items_in_batch: Entries of all batches of the update; None: those of this one.
        """
        logits = outputs["logits"] if isinstance(outputs, Mapping) else outputs.logits
        values = self.loss(logits, states_of(labels), **self.options)
        if values.shape != logits.shape:
            raise UserError(
                f"the loss returns shape {tuple(values.shape)} for logits {tuple(logits.shape)}: give one that returns"
                " a value for each entry"
            )
        count = values.numel() if num_items_in_batch is None else num_items_in_batch
        return values.sum() / count


def states_of(labels: Tensor) -> Tensor:
    """Return labels with -1 for NaN: both are unknown.

    Loaders of other libraries make floats of states. Shares stay what they are, for ``soft_targets``.
    """
    return torch.nan_to_num(labels, nan=-1.0) if labels.is_floating_point() else labels

"""Go on from a fitted classifier when rows, labels or new labels were added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.options import FitOptions
from labelwise.classifier.reader import ItemReader
from labelwise.errors import UserError, listed
from labelwise.methods import Method
from labelwise.models import FeatureScaling, InputScaling, Network, Scaling, StartsFromRidge


@dataclass(frozen=True, eq=False)
class WarmStart:
    """A fitted network whose weights a new training starts from.

    Attributes:
        model: What was trained.
        label_names: The K labels of the new training.
        common: (old place, new place) of each label that both have.
    """

    model: FittedModel
    label_names: tuple[str, ...]
    common: tuple[tuple[int, int], ...]

    @classmethod
    def of(
        cls,
        model: FittedModel,
        earlier: tuple[FitOptions, ItemReader],
        now: tuple[FitOptions, ItemReader],
        method: type[Method],
        label_names: Sequence[str],
    ) -> Self:
        """Return the start from a fitted model, where it can be one.

        Args:
            model: The fitted model.
            earlier: The options and the reader of its fit.
            now: Those of the new fit.
            method: The new fit's method.
            label_names: The new fit's labels.

        Raises:
            UserError: For another backbone, another number of features, another part that is trained, another kind of
                head, and where the two have no label in common.
        """
        (old, old_reader), (new, reader) = earlier, now
        if not _same_weights(old_reader.embedder, reader.embedder):
            raise UserError(
                "warm_start: the frozen backbone of the model has other weights than this fit's: give those, or leave"
                " warm_start out"
            )
        for what, before, after in (
            ("backbone", old.backbone_name, new.backbone_name),
            ("tune", old_reader.tune, reader.tune),
            ("number of features", old_reader.n_features, reader.n_features),
            ("head", model.method.spec.head, method.spec.head),
        ):
            if before != after:
                raise UserError(
                    f"warm_start: the {what} of the model is {before!r}, of this fit {after!r}: give a model that was"
                    " trained alike, or leave warm_start out"
                )
        places = {name: place for place, name in enumerate(model.labels.label_names)}
        common = tuple((places[name], place) for place, name in enumerate(label_names) if name in places)
        if not common:
            raise UserError(
                f"warm_start: the model has none of the labels {listed(map(repr, label_names))}: leave warm_start out"
            )
        same = tuple(model.labels.label_names) == tuple(label_names)
        if not (same or isinstance(model.network.head, StartsFromRidge)):
            raise UserError(
                f"warm_start: the head of method {method.spec.id!r} goes on with the same labels alone, in the same"
                " order: leave warm_start out, or take another method"
            )
        return cls(model, tuple(label_names), common)

    @property
    def scaling(self) -> Scaling | None:
        """The scaling of features that the weights go with, None where there is none before the network."""
        return self.model.scaling

    @property
    def identity(self) -> tuple[Any, ...]:
        """What a run that starts so is a function of."""
        return self.model.network, self.model.labels.label_names

    def words(self, *, judged_without: bool) -> tuple[str, ...]:
        """Return sentences on what goes on, what starts anew, and what was judged."""
        new = [
            name for place, name in enumerate(self.label_names) if place not in {b for _, b in self.common}
        ]
        more = f"; {listed(new)} start anew" if new else ""
        words = (f"warm start: the weights of {len(self.common)} labels go on from the earlier model{more}",)
        if not judged_without:
            return words
        return (
            *words,
            "figures, thresholds and calibration are of rows that were held out of a training without the warm start,"
            " since the earlier model may have seen them",
        )

    def take_body(self, network: Network) -> InputScaling | None:
        """Give a new network all weights before the head.

        Returns:
            The scaling between backbone and head, which the closed form of new labels has to be solved in.
        """
        old = self.model.network
        _load(network.backbone, old.backbone)
        _load(network.neck, old.neck)
        if not isinstance(old.neck, FeatureScaling):
            return None
        return old.neck.scaling

    @torch.no_grad()
    def take_head(self, network: Network) -> None:
        """Give a network's head, once it has started, the weights of the labels in common."""
        old, new = self.model.network.head.state_dict(), network.head.state_dict()
        n_old = len(self.model.labels.label_names)
        before, after = ([pair[side] for pair in self.common] for side in (0, 1))
        if [*range(n_old)] == before == after == [*range(len(self.label_names))]:
            network.head.load_state_dict(old)
            return
        for name, values in new.items():
            if _per_label(old[name], n_old) and _per_label(values, len(self.label_names)):
                values[after] = old[name][before].to(values)
            else:
                values.copy_(old[name])


def _same_weights(old: nn.Module | None, new: nn.Module | None) -> bool:
    if old is None or new is None:
        return True
    one, other = old.state_dict(), new.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name].cpu(), other[name].cpu()) for name in one)


def _per_label(values: Tensor, n_labels: int) -> bool:
    return values.ndim > 0 and values.shape[0] == n_labels


def _load(new: nn.Module, old: nn.Module) -> None:
    """Copy the state of a module of the same make."""
    try:
        new.load_state_dict(old.state_dict())
    except RuntimeError:
        raise UserError(
            "warm_start: the model's network is made otherwise than this fit's: give a model that was trained alike, or"
            " leave warm_start out"
        ) from None

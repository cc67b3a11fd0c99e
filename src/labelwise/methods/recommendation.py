"""Recommendation of a method for given labels, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from labelwise.annotations import Summary
from labelwise.errors import UserError


@dataclass(frozen=True)
class Recommendation:
    """Recommended method, the reason, and alternatives.

    The alternatives are (id, reason) pairs: what else is worth trying.
    """

    method: str
    reason: str
    alternatives: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.method}: {self.reason}"]
        return "\n".join(lines + [f"  or {name}: {reason}" for name, reason in self.alternatives])


def check_positive(summary: Summary) -> None:
    """Refuse labels without a known positive: nothing can be learnt.

    Raises:
        UserError: In one line.
    """
    if summary.positives.any():
        return
    if summary.setting == "unlabelled":
        raise UserError(
            f"none of the {summary.n_items} items has a known label, so there is nothing to learn: label some items; if"
            " they are part of a split, labelwise.annotations.split gives each part its share of the labelled ones"
        )
    raise UserError("no entry is known to be relevant, so there is nothing to learn: label some items first")


def recommend(
    summary: Summary,
    tune: Literal["head", "all"] = "head",
    *,
    weighted: bool = False,
    entrywise: bool = False,
) -> Recommendation:
    """Return the method to begin with, for described labels.

    They are as ``describe`` found them.

    ``auto`` is the answer on fixed features in every setting: no published loss beats the tuned closed form there by
    more than it risks, and ``auto`` leaves that only where rows left out show a gain. The alternatives are what to
    compare it with. Where rows have weights (``weighted``) it is ``ridge``. With ``tune="all"`` it is a method that
    trains, by steps that move the whole network; where the loss has to take entries one by one (``entrywise``), as
    accumulated gradients, hints, weights of rows, a coherent loss and boosted scores ask, one that does.
    docs/choosing.md has the evidence and its limits.

    Raises:
        UserError: Where no positive is known, since nothing can be learnt then.
    """
    check_positive(summary)
    others = _ALTERNATIVES[summary.setting]
    if tune == "head" and weighted:
        return Recommendation("ridge", _WEIGHTS, others)
    if tune == "head":
        return Recommendation("auto", _STACK, (("ridge", _CLOSED_FORM), *others))
    one_by_one = entrywise or weighted
    method, reason = (_ENTRYWISE if one_by_one else _WHOLE_NETWORK)[summary.setting]
    return Recommendation(method, reason, tuple(pair for pair in others if pair[0] != method))


_STACK = (
    "closed forms and trees over all items, where rows left out show a gain; otherwise the tuned ridge alone"
)
_WEIGHTS = "one linear model, whose closed form takes the rows' weights; the parts of auto do not"
_CLOSED_FORM = "the reserve of auto: one linear model in seconds, and hard to beat on features"
_SPHERE = (
    "trains the whole network, which a closed form cannot, by a margin on the sphere: at 224 pixels ahead of "
    "'missing = no' with every seed here, if by little"
)
_SELF_PACED = (
    "trains the whole network, which a closed form cannot, entry by entry, and says nothing of unknown ones at first: "
    "published gains on large sets of pictures, none here"
)
_LABELLED_ROWS = (
    "trains the whole network, which a closed form cannot, on the labelled rows: methods that read the others too did "
    "not gain here"
)
_WHOLE_NETWORK = {
    "full": ("bce", "trains the whole network, which a closed form cannot, by the loss of complete labels"),
    "single_positive": ("hml", _SPHERE),
    "partial_positive": ("hml", _SPHERE),
    "partial": (
        "ignore_unknown",
        "trains the whole network, which a closed form cannot, on exactly what is known",
    ),
    "semi_supervised": ("hml", _LABELLED_ROWS),
}
# The balance of hml is a sum over the whole batch, which accumulate and all that changes single entries forbid.
_ENTRYWISE = _WHOLE_NETWORK | dict.fromkeys(
    ("single_positive", "partial_positive", "semi_supervised"), ("em_apl", _SELF_PACED)
)
_ALTERNATIVES: dict[str, tuple[tuple[str, str], ...]] = {
    "full": (("bam", "a margin helps rare labels"), ("bce", "the standard loss, with any backbone")),
    "single_positive": (
        ("hml", "a margin on the sphere keeps unknown entries from being pushed to zero"),
        ("em_apl", "says nothing of unknown entries at first, then takes the least likely for negative"),
    ),
    "partial_positive": (
        ("hml", "a margin on the sphere keeps unknown entries from being pushed to zero"),
        ("em_apl", "says nothing of unknown entries at first, then takes the least likely for negative"),
    ),
    "partial": (
        ("ignore_unknown", "uses exactly what is known"),
        ("bbam", "pseudo-labels the unknown entries at each label's share"),
    ),
    "semi_supervised": (
        ("bbam", "pseudo-labels the unlabelled items at each label's share and balances the angles"),
        ("cap", "pseudo-labels the unlabelled items at each label's share"),
        ("bam", "a margin, on the labelled items alone"),
    ),
}

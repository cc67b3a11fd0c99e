"""The option ``positive_boost``: who can have it, and the head that it makes."""

from __future__ import annotations

from torch import nn

from labelwise.classifier.options import FitOptions
from labelwise.errors import UserError
from labelwise.methods import Method
from labelwise.models import BackboneCapabilities, BoostedHead


def check_boost(options: FitOptions, method: type[Method]) -> None:
    """Refuse, before any work, a boost that no head of this fit could have."""
    spec, given = method.spec, f"positive_boost={options.positive_boost:g}"
    if options.tuning == "head" or options.kind == "text":
        raise UserError(
            f"{given}: it is for whole networks on pictures, whose feature maps a head sees: give a backbone of"
            " pictures and tune='all', or leave it out"
        )
    if spec.head != "linear" or spec.projection or method.head is not Method.head:
        raise UserError(
            f"{given}: method {spec.id!r} has a head of its own, which reads no feature maps: take a method with a"
            " linear head, such as 'an', 'gr' or 'll_r', or leave it out"
        )
    if options.head_start == "ridge":
        raise UserError(
            f"{given}: a head that starts from ridge reads pooled features, not maps: leave head_start='ridge' out"
        )
    if isinstance(options.backbone, nn.Module):
        _check_maps(options, options.backbone)


def boosted(backbone: nn.Module, labels: int, options: FitOptions) -> BoostedHead:
    """Return the head of ``labels`` outputs over the backbone's maps, or refuse a backbone without any."""
    _check_maps(options, backbone)
    assert options.positive_boost is not None
    return BoostedHead(int(backbone.n_features), labels, float(options.positive_boost))  # type: ignore[arg-type]


def _check_maps(options: FitOptions, backbone: nn.Module) -> None:
    if not BackboneCapabilities.of(backbone).gives_places:
        raise UserError(
            f"positive_boost={options.positive_boost:g}: backbone {options.backbone_name!r} gives no feature maps (a"
            " method 'places'): take another one, or leave it out"
        )

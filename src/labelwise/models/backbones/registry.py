"""Backbones by name, and their preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn

from labelwise.errors import UserError, listed, near
from labelwise.models.backbones.arrays import MLP, Features, SmallCNN, Wrapped
from labelwise.models.backbones.base import LAYERS, LAYERS_SUFFIX, BackboneCapabilities
from labelwise.models.backbones.images import (
    ImageBackbone,
    efficientnet_lite0,
    efficientnet_lite0_preprocessing,
)
from labelwise.models.backbones.preprocessing import ImagePreprocessing, Preprocessing, TextPreprocessing
from labelwise.models.backbones.texts import TextBackbone, minilm, minilm_preprocessing
from labelwise.models.backbones.weights import load_weights

_ARRAYS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {"features": Features, "mlp": MLP, "smallcnn": SmallCNN}
)
_PACKAGED: Mapping[str, tuple[Callable[..., nn.Module], Callable[..., Preprocessing]]] = MappingProxyType(
    {
        "efficientnet-lite0": (efficientnet_lite0, efficientnet_lite0_preprocessing),
        "minilm": (minilm, minilm_preprocessing),
    }
)

BACKBONES = (*_ARRAYS, *_PACKAGED, "timm/NAME", "hf/NAME")
"""The names of backbones: arrays of numbers, then pictures or texts with weights; NAME is one of that library."""
SOURCES = ("words", "columns")
"""Sources of features beside backbones: the words of texts, and a table's columns of numbers."""


def build_backbone(
    name: str | nn.Module,
    input_shape: Sequence[int],
    *,
    weights: str | Path | None = None,
    pretrained: bool = True,
    **options: Any,
) -> nn.Module:
    """Build a backbone for items of ``input_shape``.

    Args:
        name: One of ``BACKBONES``, or a module: taken as it is where it has ``n_features``, else wrapped. With
            ``:layers`` behind it, a pretrained network gives the states of several depths side by side: three of
            texts, two of pictures.
        input_shape: Of one item, without the batch dimension. Backbones with weights of their own ignore it.
        weights: A local file to read them from (.safetensors, .pt, .pth).
        pretrained: Whether a backbone gets the weights that come with its name.
        options: Of the backbone: ``hidden``, ``dropout``, ``norm`` (mlp); ``widths``, ``smallest``, ``dropout``
            (smallcnn); ``image_size`` (efficientnet-lite0); ``max_length`` (minilm, hf/); ``pooling``,
            ``local_files_only``, ``architecture`` (hf/).

    Returns:
        A module with ``n_features``.

    Raises:
        UserError: For a name, option or file that does not exist, a missing extra, or a shape it does not take.
    """
    if isinstance(name, nn.Module):
        if options:
            raise UserError(f"options {sorted(options)} go with a backbone's name; a module is already built")
        if weights is not None:
            load_weights(name, weights)
        return Wrapped(name, input_shape) if BackboneCapabilities.of(name).n_features is None else name
    name, options = _with_layers(name, options)
    try:
        if name in _ARRAYS:
            backbone = _ARRAYS[name](tuple(input_shape), **options)
        elif name in _PACKAGED:
            backbone = _PACKAGED[name][0](pretrained=pretrained and weights is None, **options)
        elif name.startswith("timm/"):
            from labelwise.models.backbones.timm import timm

            backbone = timm(_model_name(name), pretrained=pretrained and weights is None, **options)
        elif name.startswith("hf/"):
            from labelwise.models.backbones.hub import hf

            return hf(_model_name(name), pretrained=pretrained, weights=weights, **options)
        else:
            raise _unknown(name)
    except TypeError as error:
        raise UserError(f"backbone {name!r} does not take the options {options}: {error}") from error
    if weights is not None:
        # Files hold the names of the library's model, without our normalisation around it.
        inner = backbone.model if isinstance(backbone, ImageBackbone | TextBackbone) else backbone
        load_weights(inner, weights)
    return backbone


def preprocessing_of(name: str | nn.Module, **options: Any) -> Preprocessing | None:
    """Return a backbone's preprocessing, without reading weights; None for arrays.

    ``options`` are those of ``build_backbone``; of a module, its attribute ``preprocessing`` is returned.

    Raises:
        UserError: For a name that does not exist, or whose configuration cannot be had.
    """
    if isinstance(name, nn.Module):
        declared = BackboneCapabilities.of(name).preprocessing
        return declared if isinstance(declared, ImagePreprocessing | TextPreprocessing) else None
    name, options = _with_layers(name, options)
    if name in _ARRAYS:
        return None
    options = {key: value for key, value in options.items() if key not in ("weights", "pretrained")}
    try:
        if name in _PACKAGED:
            return _PACKAGED[name][1](**options)
        if name.startswith("timm/"):
            from labelwise.models.backbones.timm import timm_preprocessing

            return timm_preprocessing(_model_name(name), **options)
        if name.startswith("hf/"):
            from labelwise.models.backbones.hub import hf_preprocessing

            return hf_preprocessing(_model_name(name), **options)
    except TypeError as error:
        raise UserError(f"backbone {name!r} does not take the options {options}: {error}") from error
    raise _unknown(name)


def split_names(backbone: str) -> tuple[str, ...]:
    """Return the names in ``"minilm+words"``, one each.

    The folder in ``"hf/FOLDER"`` may have a + in its name.
    """
    names: list[str] = []
    for part in backbone.split("+"):
        named = part.removesuffix(LAYERS_SUFFIX)
        known = named in (*_ARRAYS, *_PACKAGED, *SOURCES) or part.startswith(("hf/", "timm/"))
        if names and not known and names[-1].startswith("hf/"):
            names[-1] += f"+{part}"
        else:
            names.append(part)
    return tuple(names)


def _with_layers(name: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a backbone's name without ``:layers``, and the option that this stands for."""
    if not name.endswith(LAYERS_SUFFIX):
        return name, options
    plain = name.removesuffix(LAYERS_SUFFIX)
    if plain in (*_ARRAYS, *SOURCES):
        raise UserError(
            f"backbone {name!r}: {LAYERS_SUFFIX} is for pretrained networks, as in"
            f" {listed(f'{one}{LAYERS_SUFFIX}' for one in _PACKAGED)}: leave it out"
        )
    return plain, {**options, "pooling": LAYERS}


def _unknown(name: str) -> UserError:
    named = near(name, (*_ARRAYS, *_PACKAGED, *SOURCES))
    return UserError(f"backbone {name!r} does not exist; {named} (or timm/NAME, hf/NAME)")


def _model_name(name: str) -> str:
    family, rest = name.split("/", 1)
    if not rest:
        raise UserError(f"backbone {name!r} lacks a name; give {family}/ and a model's name or folder")
    return rest

"""Backbones ``hf/NAME``: transformers' models, from the hub or a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from labelwise.errors import UserError, listed, near
from labelwise.models.backbones.base import LAYERS, as_places
from labelwise.models.backbones.images import ImageBackbone, no_depths
from labelwise.models.backbones.libraries import hub_errors, offline
from labelwise.models.backbones.preprocessing import (
    ImagePreprocessing,
    Preprocessing,
    TextPreprocessing,
    preprocessing_from_dict,
)
from labelwise.models.backbones.texts import TextBackbone, hub_tokenizer
from labelwise.models.backbones.weights import load_weights

_POOLINGS = ("auto", "pooler", "mean", LAYERS)
_CODE = ("auto_map", "custom_pipelines", "quantization_config", "use_kernels")
_RESAMPLING = {2: "bilinear", 3: "bicubic"}


class HubImages(ImageBackbone):
    """A transformers model of pictures: its ``pooler_output`` or a mean."""

    version: ClassVar[int] = 1

    def __init__(self, *arguments: Any, pooling: str, **keywords: Any) -> None:
        self.pooling = pooling
        super().__init__(*arguments, layers=pooling == LAYERS, **keywords)

    def read(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the last state, and pooled features where the model has them."""
        output = self.model(pixel_values=pixels)
        pooled = output.pooler_output.flatten(1) if self.pooling == "pooler" else None
        return output.last_hidden_state, pooled

    def depths(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state before the last layer or stage, and the last state."""
        output = self.model(pixel_values=pixels, output_hidden_states=True)
        states = getattr(output, "hidden_states", None)
        if not isinstance(states, tuple) or len(states) < 2:
            raise no_depths(self.model)
        return states[-2], output.last_hidden_state


def hf_preprocessing(
    name: str,
    *,
    local_files_only: bool = False,
    pooling: str = "auto",
    max_length: int | None = None,
    architecture: Mapping[str, Any] | None = None,
) -> Preprocessing:
    """Return the preprocessing of ``name``, without reading weights; see ``hf``."""
    if architecture is not None:
        return preprocessing_from_dict(architecture["preprocessing"])
    return _items_of(name, read_config(name, local_files_only), max_length, local_files_only)[0]


def hf(
    name: str,
    *,
    pretrained: bool = True,
    weights: str | Path | None = None,
    local_files_only: bool = False,
    pooling: str = "auto",
    max_length: int | None = None,
    architecture: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build transformers' AutoModel of ``name`` as a backbone.

    ``name`` is one on the hub or a local folder. ``pooling``: "pooler" takes the model's ``pooler_output``; "mean" the
    mean over the last states, padding left out; "layers" such means at three depths of texts, and before and after the
    last layer of pictures; "auto" the first for pictures where the checkpoint has the pooler's weights, else the
    second. ``architecture`` is an earlier backbone's attribute of that name: all that is needed to build it again
    without weights or a hub.
    """
    if pooling not in _POOLINGS:
        raise UserError(f"pooling {pooling!r} does not exist; {near(pooling, _POOLINGS)}")
    with hub_errors(name):
        # Here and not where they are used: a library that lacks a part of it is told as a missing extra.
        transformers: Any = import_module("transformers")
        auto_config, auto_model = transformers.AutoConfig, transformers.AutoModel
    missing: list[str] = []
    if architecture is not None:
        with offline(name):
            config, model = _rebuilt(auto_config, auto_model, architecture["config"])
        preprocessing = preprocessing_from_dict(architecture["preprocessing"])
        mean, std, pooling = architecture["mean"], architecture["std"], str(architecture["pooling"])
    else:
        config = read_config(name, local_files_only)
        preprocessing, mean, std = _items_of(name, config, max_length, local_files_only)
    if architecture is None:
        with hub_errors(name):
            if pretrained and weights is None:
                model, missing = load_pretrained(auto_model, name, config, local_files_only)
            else:
                model = auto_model.from_config(config, trust_remote_code=False)
    model = model.float()
    if hasattr(config, "vision_config") and hasattr(model, "vision_model"):
        model, tower = model.vision_model, "vision_model."
        missing = [key.removeprefix(tower) for key in missing if key.startswith(tower)]
    elif getattr(config, "is_encoder_decoder", False):
        model = model.get_encoder()
    if weights is not None:
        missing = load_weights(model, weights, optional=("pooler.",))
    unset = _zero_missing_pooler(model, missing, name)
    backbone: ImageBackbone | TextBackbone
    try:
        if isinstance(preprocessing, TextPreprocessing):
            pooling = "mean" if pooling == "auto" else pooling
            fill = getattr(config, "pad_token_id", None)
            backbone = TextBackbone(model, preprocessing, pooling=pooling, fill=0 if fill is None else fill)
        else:
            pooling, width = _choose_pooling(model, preprocessing, pooling, unset)
            backbone = HubImages(model, preprocessing, mean=mean, std=std, n_features=width, pooling=pooling)
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UserError(f"backbone 'hf/{name}' fails on one item of its own size: {error!s:.200}") from error
    if pooling in ("mean", LAYERS) and isinstance(getattr(model, "pooler", None), nn.Module):
        model.pooler.requires_grad_(False)
    record = {"config": config.to_dict(), "preprocessing": preprocessing.to_dict()}
    backbone.architecture = {**record, "mean": list(mean), "std": list(std), "pooling": pooling}
    return backbone


def _items_of(
    name: str, config: Any, max_length: int | None, local_files_only: bool
) -> tuple[Preprocessing, list[float], list[float]]:
    """Return a hub model's preprocessing, and the mean and std of pictures."""
    if item_kind(config, name) == "text":
        return text_preprocessing(name, config, max_length, local_files_only), [0.0] * 3, [1.0] * 3
    return image_preprocessing(name, local_files_only)


def load_pretrained(
    auto_model: Any, name: str, config: Any, local_files_only: bool
) -> tuple[nn.Module, list[str]]:
    """Load a model and its weights; return missing names too."""
    model, loading_info = auto_model.from_pretrained(
        name,
        config=config,
        local_files_only=local_files_only,
        output_loading_info=True,
        trust_remote_code=False,
    )
    return model, sorted(loading_info["missing_keys"])


def _rebuilt(auto_config: Any, auto_model: Any, record: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the configuration of a record and its model, of random weights.

    Of a model with two towers only that of pictures is built.
    """
    settings = plain_settings(record)
    config = auto_config.for_model(settings.pop("model_type"), **settings)
    if not hasattr(config, "vision_config"):
        return config, auto_model.from_config(config, trust_remote_code=False)
    # The other tower's weights are not stored: nothing is made for them.
    with torch.device("meta"):
        both: Any = auto_model.from_config(config, trust_remote_code=False)
    if hasattr(both, "vision_model"):
        return config, type(both.vision_model)(config.vision_config)
    return config, auto_model.from_config(config, trust_remote_code=False)


def _zero_missing_pooler(model: nn.Module, missing: Sequence[str], name: str) -> bool:
    """Zero a pooler that the checkpoint lacks; return whether it did.

    Raises:
        UserError: Where it lacks anything else.
    """
    parameters = dict(model.named_parameters())
    unset = [key for key in missing if key in parameters]
    if others := [key for key in unset if not key.startswith("pooler.")]:
        raise UserError(f"the weights of backbone 'hf/{name}' are not whole: they lack {listed(others, 3)}")
    with torch.no_grad():
        for key in unset:
            parameters[key].zero_()
    return bool(unset)


def _choose_pooling(
    model: nn.Module, preprocessing: ImagePreprocessing, pooling: str, unset: bool
) -> tuple[str, int]:
    """Choose the pooling and count the features, from one black picture; 0 where they are still to be counted."""
    if pooling == LAYERS:
        return LAYERS, 0
    training = model.training
    with torch.no_grad():
        output = model.eval()(pixel_values=torch.zeros(1, 3, *preprocessing.size))
    model.train(training)
    width = as_places(output.last_hidden_state).shape[2]
    pooled = getattr(output, "pooler_output", None)
    same = pooled is not None and pooled.flatten(1).shape[1] == width
    if pooling == "pooler" and not (same and not unset):
        raise UserError("pooling is 'pooler', but this model has no pooled output of its own; take 'mean'")
    return ("pooler" if pooling != "mean" and same and not unset else "mean"), int(width)


def plain_settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without entries that name code to run."""
    return {
        key: plain_settings(value) if isinstance(value, Mapping) else value
        for key, value in record.items()
        if key not in _CODE and not key.lstrip("_").startswith("attn_implementation")
    }


def read_config(name: str, local_files_only: bool) -> Any:
    """Return a hub model's configuration, without running its code."""
    with hub_errors(name):
        transformers: Any = import_module("transformers")
        return transformers.AutoConfig.from_pretrained(
            name, local_files_only=local_files_only, trust_remote_code=False
        )


def item_kind(config: Any, name: str) -> str:
    """Return whether a model reads an ``"image"`` or a ``"text"``."""
    if hasattr(config, "vision_config") or hasattr(config, "num_channels"):
        return "image"
    if hasattr(config, "vocab_size"):
        return "text"
    raise UserError(f"backbone 'hf/{name}' is of type {config.model_type}, neither of pictures nor of texts")


def text_preprocessing(
    name: str, config: Any, max_length: int | None, local_files_only: bool
) -> TextPreprocessing:
    """Return a hub model's tokenizer and the most tokens it reads."""
    tokenizer = hub_tokenizer(name, local_files_only=local_files_only)
    # RoBERTa's positions start behind its padding id
    offset = (getattr(config, "pad_token_id", 0) or 0) + 1 if "roberta" in config.model_type else 0
    positions = getattr(config, "max_position_embeddings", 0) or 0
    limits = [int(tokenizer.model_max_length)] + [int(positions) - offset] * (positions > 0)
    most = min(512, *limits)
    if max_length is not None and max_length > min(limits):
        raise UserError(
            f"max_length is {max_length}: backbone 'hf/{name}' reads at most {min(limits)} tokens"
        )
    pad_id = tokenizer.pad_token_id
    if pad_id is None or pad_id in tokenizer("")["input_ids"]:
        pad_id = -1
    return TextPreprocessing(f"hf/{name}", most if max_length is None else max_length, int(pad_id))


def image_preprocessing(
    name: str, local_files_only: bool
) -> tuple[ImagePreprocessing, list[float], list[float]]:
    """Return preprocessing, mean and std (in 0..255) of an image processor."""
    with hub_errors(name):
        transformers: Any = import_module("transformers")
        processor = transformers.AutoImageProcessor.from_pretrained(
            name, local_files_only=local_files_only, trust_remote_code=False
        )
    try:
        return _from_processor(processor)
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"backbone 'hf/{name}' has an image processor without a size, mean or deviation ({error});"
            " complete its preprocessor_config.json"
        ) from error


def _from_processor(processor: Any) -> tuple[ImagePreprocessing, list[float], list[float]]:
    size, crop = _sides(processor.size), None
    if getattr(processor, "do_center_crop", False):
        crop = _sides(processor.crop_size)
    elif getattr(processor, "crop_pct", None) and max(size) < 384:
        # ConvNeXt's rule: below 384 pixels the picture is resized to size / crop_pct and crop
        crop, size = size, (int(size[0] / processor.crop_pct), int(size[1] / processor.crop_pct))
    interpolation = _RESAMPLING.get(int(getattr(processor, "resample", 2) or 2), "bicubic")
    if crop is None:
        keeps_shape = _record(processor.size).get("shortest_edge") and not getattr(
            processor, "crop_pct", None
        )
        preprocessing = ImagePreprocessing(size, "crop" if keeps_shape else "squash", interpolation)
    else:
        preprocessing = ImagePreprocessing(crop, "crop", interpolation, short_side=max(*size, *crop))
    if not getattr(processor, "do_normalize", True):
        mean, std = [0.0] * 3, [1.0] * 3
    else:
        mean, std = list(processor.image_mean), list(processor.image_std)
    # the processor multiplies by its factor first: (x f - mean) / std = (x - mean / f) / (std / f)
    factor = float(processor.rescale_factor) if getattr(processor, "do_rescale", True) else 1.0
    return preprocessing, [m / factor for m in mean], [s / factor for s in std]


def _sides(size: Any) -> tuple[int, int]:
    """Return (H, W) of a number, both sides, or the shorter."""
    sides = _record(size)
    edge = sides.get("shortest_edge")
    return (int(edge), int(edge)) if edge else (int(sides["height"]), int(sides["width"]))


def _record(size: Any) -> dict[str, int]:
    if isinstance(size, int):
        return {"height": size, "width": size}
    return {key: int(value) for key, value in dict(size).items() if value is not None}

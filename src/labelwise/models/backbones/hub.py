"""``hf/NAME``: transformers' AutoModel of pictures or texts, by a name on the hub or a local folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from labelwise.errors import UserError, listed, near
from labelwise.models.backbones.base import as_places
from labelwise.models.backbones.hub_files import (
    alone,
    config_of,
    found,
    image_items,
    kind_of,
    plain_settings,
    text_items,
)
from labelwise.models.backbones.images import ImageBackbone
from labelwise.models.backbones.preprocessing import (
    ImagePreprocessing,
    Preprocessing,
    TextPreprocessing,
    preprocessing_from_dict,
)
from labelwise.models.backbones.texts import TextBackbone
from labelwise.models.backbones.weights import load_weights

_POOLINGS = ("auto", "pooler", "mean")


class HubImages(ImageBackbone):
    """A transformers model of pictures: its ``pooler_output``, or the mean over ``last_hidden_state``."""

    version: ClassVar[int] = 1

    def __init__(self, *arguments: Any, pooling: str, **keywords: Any) -> None:
        self.pooling = pooling
        super().__init__(*arguments, **keywords)

    def read(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the last state, a map or tokens, and the pooled features where the model has them."""
        output = self.model(pixel_values=pixels)
        pooled = output.pooler_output.flatten(1) if self.pooling == "pooler" else None
        return output.last_hidden_state, pooled


def hf_preprocessing(
    name: str,
    *,
    local_files_only: bool = False,
    pooling: str = "auto",
    max_length: int | None = None,
    architecture: Mapping[str, Any] | None = None,
) -> Preprocessing:
    """Return what the items of ``name`` look like, from its small files or ``architecture``; see ``hf``."""
    if architecture is not None:
        return preprocessing_from_dict(architecture["preprocessing"])
    config = config_of(name, local_files_only)
    if kind_of(config, name) == "text":
        return text_items(name, config, max_length, local_files_only)
    return image_items(name, local_files_only)[0]


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
    """Return transformers' AutoModel of ``name``, a name on the hub or a local folder, as a backbone.

    ``pooling``: "pooler" takes the model's ``pooler_output``; "mean" the mean over the last states, padding left out;
    "auto" the first for pictures where the checkpoint has the pooler's weights, else the second. ``architecture`` is
    an earlier backbone's attribute of that name: all that is needed to build it again without weights or a hub.
    """
    if pooling not in _POOLINGS:
        raise UserError(f"pooling {pooling!r} does not exist; {near(pooling, _POOLINGS)}")
    with found(name):
        transformers: Any = import_module("transformers")
        auto_config, auto_model = transformers.AutoConfig, transformers.AutoModel
    if architecture is not None:
        with alone(name):
            config, model = _rebuilt(auto_config, auto_model, architecture["config"])
        preprocessing = preprocessing_from_dict(architecture["preprocessing"])
        mean, std, pooling = architecture["mean"], architecture["std"], str(architecture["pooling"])
    else:
        config, mean, std = config_of(name, local_files_only), [0.0] * 3, [1.0] * 3
        if kind_of(config, name) == "image":
            preprocessing, mean, std = image_items(name, local_files_only)
        else:
            preprocessing = text_items(name, config, max_length, local_files_only)
    missing: list[str] = []
    if architecture is None:
        with found(name):
            if pretrained and weights is None:
                model, told = auto_model.from_pretrained(
                    name,
                    config=config,
                    local_files_only=local_files_only,
                    output_loading_info=True,
                    trust_remote_code=False,
                )
                missing = sorted(told["missing_keys"])
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
    unset = _clear(model, missing, name)
    backbone: ImageBackbone | TextBackbone
    try:
        if isinstance(preprocessing, TextPreprocessing):
            pooling = "mean" if pooling == "auto" else pooling
            fill = getattr(config, "pad_token_id", None)
            backbone = TextBackbone(model, preprocessing, pooling=pooling, fill=0 if fill is None else fill)
        else:
            pooling, n_features = _probe(model, preprocessing, pooling, unset)
            backbone = HubImages(
                model, preprocessing, mean=mean, std=std, n_features=n_features, pooling=pooling
            )
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UserError(f"backbone 'hf/{name}' fails on one item of its own size: {error!s:.200}") from error
    if pooling == "mean" and isinstance(getattr(model, "pooler", None), nn.Module):
        model.pooler.requires_grad_(False)
    record = {"config": config.to_dict(), "preprocessing": preprocessing.to_dict()}
    backbone.architecture = {**record, "mean": list(mean), "std": list(std), "pooling": pooling}
    return backbone


def _rebuilt(auto_config: Any, auto_model: Any, record: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the configuration of a record and its model, of random weights; of two towers that of pictures alone."""
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


def _clear(model: nn.Module, missing: Sequence[str], name: str) -> bool:
    """Set a pooler that the checkpoint lacks to zero and say so; UserError where it lacks anything else."""
    parameters = dict(model.named_parameters())
    unset = [key for key in missing if key in parameters]
    if others := [key for key in unset if not key.startswith("pooler.")]:
        raise UserError(f"the weights of backbone 'hf/{name}' are not whole: they lack {listed(others, 3)}")
    with torch.no_grad():
        for key in unset:
            parameters[key].zero_()
    return bool(unset)


def _probe(model: nn.Module, preprocessing: ImagePreprocessing, pooling: str, unset: bool) -> tuple[str, int]:
    """Return the pooling that "auto" stands for, and the number of features, from one black picture."""
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

"""The tower of texts of a model that reads pictures and texts, as CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from labelwise.errors import UserError
from labelwise.models.backbones.hub import load_pretrained, read_config
from labelwise.models.backbones.libraries import hub_errors
from labelwise.models.backbones.texts import hub_tokenizer

_BATCH = 64
_MOST_TOKENS = 256


class TextTower:
    """Encoder of texts into the space that a model's pictures are projected to.

    Attributes:
        projection: (d, D) float32, from the features that backbone ``hf/NAME`` gives of a picture to that space; None
            where they are in it.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, length: int, projection: Any) -> None:
        self._model, self._tokenizer, self._length = model, tokenizer, length
        self.projection: npt.NDArray[np.float32] | None = projection

    @classmethod
    def of(cls, name: str, *, local_files_only: bool = False) -> TextTower | None:
        """Return the tower of transformers' model ``name``, on the hub or in a local folder.

        None for a model that has none, or whose pictures reach the space of texts otherwise than by one matrix.

        Raises:
            UserError: For one that cannot be loaded.
        """
        config = read_config(name, local_files_only)
        if not (hasattr(config, "vision_config") and hasattr(config, "text_config")):
            return None
        with hub_errors(name):
            transformers: Any = import_module("transformers")
            model, missing = load_pretrained(transformers.AutoModel, name, config, local_files_only)
        bridge = getattr(model, "visual_projection", None)
        known = hasattr(model, "vision_model") and hasattr(model, "get_text_features")
        lacks = any(key.startswith(("text_", "visual_")) for key in missing)
        if not known or lacks or not isinstance(bridge, nn.Linear | None):
            return None
        projection = None if bridge is None else bridge.weight.detach().float().numpy().copy()
        tokenizer = hub_tokenizer(name, local_files_only=local_files_only)
        # Without files transformers makes a tokenizer of a few tokens, for which every text is the same.
        if len(tokenizer) < config.text_config.vocab_size / 2:
            raise UserError(f"backbone 'hf/{name}' lacks its tokenizer's files: download the model whole")
        places = getattr(config.text_config, "max_position_embeddings", None) or _MOST_TOKENS
        length = min(int(tokenizer.model_max_length), int(places), _MOST_TOKENS)
        tower = cls(model.float().eval(), tokenizer, length, projection)
        width = (config.vision_config.hidden_size if projection is None else len(projection),)
        return tower if tower.encode(["a"]).shape[1:] == width else None

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the texts' vectors (n, d) float32, cut at the tower's length."""
        model: Any = self._model
        out = []
        for start in range(0, len(texts), _BATCH):
            part = [text.encode("utf-8", "replace").decode() for text in texts[start : start + _BATCH]]
            # All are padded to one length: models without a mask were trained so, and others do not see it.
            tokens = self._tokenizer(
                part, padding="max_length", truncation=True, max_length=self._length, return_tensors="pt"
            )
            tokens.pop("token_type_ids", None)
            with torch.no_grad():
                found = model.get_text_features(**tokens)
            out.append(getattr(found, "pooler_output", found).float().numpy())
        return np.concatenate(out) if out else np.zeros((0, 0), np.float32)

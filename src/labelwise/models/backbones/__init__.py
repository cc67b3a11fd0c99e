"""Backbones, from a batch of items to features, and their preprocessing."""

from labelwise.models.backbones.arrays import MLP, Features, SmallCNN
from labelwise.models.backbones.base import LAYERS_SUFFIX, BackboneCapabilities, masked_mean
from labelwise.models.backbones.images import ImageBackbone
from labelwise.models.backbones.preprocessing import (
    INTERPOLATIONS,
    RESIZES,
    ImagePreprocessing,
    Preprocessing,
    TextPreprocessing,
    preprocessing_from_dict,
)
from labelwise.models.backbones.registry import (
    BACKBONES,
    SOURCES,
    build_backbone,
    preprocessing_of,
    split_names,
)
from labelwise.models.backbones.texts import TextBackbone, Tokenizer, build_tokenizer
from labelwise.models.backbones.towers import TextTower
from labelwise.models.backbones.weights import Allowance, load_weights, read_weights
from labelwise.models.backbones.words import Words

__all__ = [
    "BACKBONES",
    "INTERPOLATIONS",
    "LAYERS_SUFFIX",
    "MLP",
    "RESIZES",
    "SOURCES",
    "Allowance",
    "BackboneCapabilities",
    "Features",
    "ImageBackbone",
    "ImagePreprocessing",
    "Preprocessing",
    "SmallCNN",
    "TextBackbone",
    "TextPreprocessing",
    "TextTower",
    "Tokenizer",
    "Words",
    "build_backbone",
    "build_tokenizer",
    "load_weights",
    "masked_mean",
    "preprocessing_from_dict",
    "preprocessing_of",
    "read_weights",
    "split_names",
]

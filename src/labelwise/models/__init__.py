"""Backbones, heads, input scaling and the closed-form ridge solver."""

from labelwise.models.backbones.allocation import Allowance
from labelwise.models.backbones.arrays import MLP, Features, SmallCNN
from labelwise.models.backbones.base import BackboneCapabilities, masked_mean
from labelwise.models.backbones.images import ImageBackbone
from labelwise.models.backbones.preprocessing import (
    INTERPOLATIONS,
    RESIZES,
    ImagePreprocessing,
    Preprocessing,
    TextPreprocessing,
    preprocessing_from_dict,
)
from labelwise.models.backbones.registry import BACKBONES, build_backbone, preprocessing_of
from labelwise.models.backbones.texts import TextBackbone
from labelwise.models.backbones.tokenizer import Tokenizer, build_tokenizer
from labelwise.models.backbones.weights import load_weights, read_weights
from labelwise.models.dual_relation import DualRelation
from labelwise.models.heads import (
    CosineHead,
    FeatureScaling,
    LinearHead,
    Projection,
    ReadsMaps,
    StartsFromRidge,
    scores_of_start,
    start_from_ridge,
)
from labelwise.models.label_queries import LabelQueries
from labelwise.models.network import Network, Outputs
from labelwise.models.ridge.selection import LAMBDA_GRID
from labelwise.models.ridge.solver import RidgeSolution, logits, probabilities, solve_ridge
from labelwise.models.scaling import SCALINGS, InputScaling

__all__ = [
    "BACKBONES",
    "INTERPOLATIONS",
    "LAMBDA_GRID",
    "MLP",
    "RESIZES",
    "SCALINGS",
    "Allowance",
    "BackboneCapabilities",
    "CosineHead",
    "DualRelation",
    "FeatureScaling",
    "Features",
    "ImageBackbone",
    "ImagePreprocessing",
    "InputScaling",
    "LabelQueries",
    "LinearHead",
    "Network",
    "Outputs",
    "Preprocessing",
    "Projection",
    "ReadsMaps",
    "RidgeSolution",
    "SmallCNN",
    "StartsFromRidge",
    "TextBackbone",
    "TextPreprocessing",
    "Tokenizer",
    "build_backbone",
    "build_tokenizer",
    "load_weights",
    "logits",
    "masked_mean",
    "preprocessing_from_dict",
    "preprocessing_of",
    "probabilities",
    "read_weights",
    "scores_of_start",
    "solve_ridge",
    "start_from_ridge",
]

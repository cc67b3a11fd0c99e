"""Backbones, heads, input scaling and the closed-form ridge solver."""

from labelwise.models.backbones import BACKBONES, MLP, Features, Network, Outputs, SmallCNN, build_backbone
from labelwise.models.dual_relation import DualRelation
from labelwise.models.heads import CosineHead, LinearHead, Projection, start_from_ridge
from labelwise.models.label_queries import LabelQueries
from labelwise.models.ridge import LAMBDA_GRID, RidgeSolution, probabilities, solve_ridge
from labelwise.models.scaling import SCALINGS, InputScaling

__all__ = [
    "BACKBONES",
    "LAMBDA_GRID",
    "MLP",
    "SCALINGS",
    "CosineHead",
    "DualRelation",
    "Features",
    "InputScaling",
    "LabelQueries",
    "LinearHead",
    "Network",
    "Outputs",
    "Projection",
    "RidgeSolution",
    "SmallCNN",
    "build_backbone",
    "probabilities",
    "solve_ridge",
    "start_from_ridge",
]

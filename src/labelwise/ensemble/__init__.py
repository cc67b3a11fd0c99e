"""Parts of the ensemble `auto`: each a small fit on features, usable alone.

Views of a feature matrix and a graph of neighbours describe rows without reading labels; ridge members and students
are fitted to known entries, with exact leave-one-out scores; a stack combines them, and a gate decides by rows left out
how much of it each label gets. ``Ensemble`` is the recipe that puts them together.
"""

from labelwise.ensemble.compression import Compression
from labelwise.ensemble.explanation import Explanation, Gain, Gate, Member
from labelwise.ensemble.gate import Opening, open_gate
from labelwise.ensemble.graph import Graph, Neighbours, neighbours
from labelwise.ensemble.head import EnsembleHead, RowScorer
from labelwise.ensemble.kernels import Kernel, KernelFeatures
from labelwise.ensemble.known import KnownEntries
from labelwise.ensemble.left_out import leave_one_out_r2, left_out_scores
from labelwise.ensemble.members import GRID, RidgeMember
from labelwise.ensemble.names import LabelVectors, NameScores
from labelwise.ensemble.pool import FeatureMap, MemberSpec, NewRows, Pool
from labelwise.ensemble.recipe import Ensemble
from labelwise.ensemble.small import SmallNetwork, fit_small
from labelwise.ensemble.soft_labels import SoftLabels
from labelwise.ensemble.stack import Combination, stack
from labelwise.ensemble.students import Teacher, TeacherPart, fit_student, pooled_weights
from labelwise.ensemble.trees import Trees
from labelwise.ensemble.views import VIEWS, Views

__all__ = [
    "GRID",
    "VIEWS",
    "Combination",
    "Compression",
    "Ensemble",
    "EnsembleHead",
    "Explanation",
    "FeatureMap",
    "Gain",
    "Gate",
    "Graph",
    "Kernel",
    "KernelFeatures",
    "KnownEntries",
    "LabelVectors",
    "Member",
    "MemberSpec",
    "NameScores",
    "Neighbours",
    "NewRows",
    "Opening",
    "Pool",
    "RidgeMember",
    "RowScorer",
    "SmallNetwork",
    "SoftLabels",
    "Teacher",
    "TeacherPart",
    "Trees",
    "Views",
    "fit_small",
    "fit_student",
    "leave_one_out_r2",
    "left_out_scores",
    "neighbours",
    "open_gate",
    "pooled_weights",
    "stack",
]

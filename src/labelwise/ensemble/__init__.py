"""Parts of the ensemble `auto`: each a small fit on features, usable alone.

Views of a feature matrix and a graph of neighbours describe rows without reading labels; ridge members and students
are fitted to known entries, with exact leave-one-out scores.
"""

from labelwise.ensemble.compression import Compression
from labelwise.ensemble.explanation import Explanation, Gain, Gate, Member
from labelwise.ensemble.graph import Graph, Neighbours, neighbours
from labelwise.ensemble.head import EnsembleHead, RowScorer
from labelwise.ensemble.kernels import Kernel, KernelFeatures
from labelwise.ensemble.known import KnownEntries
from labelwise.ensemble.left_out import leave_one_out_r2, left_out_scores
from labelwise.ensemble.members import GRID, RidgeMember
from labelwise.ensemble.names import LabelVectors, NameScores
from labelwise.ensemble.pool import FeatureMap, MemberSpec, NewRows, Pool
from labelwise.ensemble.students import Teacher, TeacherPart, fit_student, pooled_weights
from labelwise.ensemble.trees import Trees
from labelwise.ensemble.views import VIEWS, Views

__all__ = [
    "GRID",
    "VIEWS",
    "Compression",
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
    "Pool",
    "RidgeMember",
    "RowScorer",
    "Teacher",
    "TeacherPart",
    "Trees",
    "Views",
    "fit_student",
    "leave_one_out_r2",
    "left_out_scores",
    "neighbours",
    "pooled_weights",
]

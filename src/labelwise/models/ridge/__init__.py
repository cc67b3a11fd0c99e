"""The closed-form ridge learner, tuned by exact leave-one-out scores."""

from labelwise.models.ridge.folds import FoldedRidge
from labelwise.models.ridge.fragments import FragmentTree
from labelwise.models.ridge.grouped import folds_of_groups, joined_groups
from labelwise.models.ridge.moments import LabelGroups, Moments, RidgeMoments
from labelwise.models.ridge.passes import RowStream
from labelwise.models.ridge.rows import ridge_outputs
from labelwise.models.ridge.solver import RidgeSolution, logits, probabilities, solve_ridge
from labelwise.models.ridge.steady import needs_steadying, solve_steady_ridge
from labelwise.models.ridge.streaming import StreamedRidge, judged_rows, solve_stream
from labelwise.models.ridge.traced import traced_logits
from labelwise.models.ridge.tuning import LAMBDA_GRID

__all__ = [
    "LAMBDA_GRID",
    "FoldedRidge",
    "FragmentTree",
    "LabelGroups",
    "Moments",
    "RidgeMoments",
    "RidgeSolution",
    "RowStream",
    "StreamedRidge",
    "folds_of_groups",
    "joined_groups",
    "judged_rows",
    "logits",
    "needs_steadying",
    "probabilities",
    "ridge_outputs",
    "solve_ridge",
    "solve_steady_ridge",
    "solve_stream",
    "traced_logits",
]

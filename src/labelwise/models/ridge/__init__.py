"""The closed-form ridge learner: solutions and leave-one-out scores of all labels and lambdas."""

from labelwise.models.ridge.solver import RidgeSolution, logits, probabilities, solve_ridge
from labelwise.models.ridge.tuning import LAMBDA_GRID

__all__ = ["LAMBDA_GRID", "RidgeSolution", "logits", "probabilities", "solve_ridge"]

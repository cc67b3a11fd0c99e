"""The closed-form ridge learner, tuned by exact leave-one-out scores."""

from labelwise.models.ridge.solver import RidgeSolution, logits, probabilities, solve_ridge
from labelwise.models.ridge.tuning import LAMBDA_GRID

__all__ = ["LAMBDA_GRID", "RidgeSolution", "logits", "probabilities", "solve_ridge"]

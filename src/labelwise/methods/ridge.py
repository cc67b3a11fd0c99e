"""Ridge: the closed form that heads on fixed features start from."""

from __future__ import annotations

import torch
from torch import Tensor

from labelwise.methods.base import Method, Pool, Stage
from labelwise.methods.spec import SETTINGS, Departure, MethodSpec
from labelwise.models import Outputs, logits, probabilities, start_from_ridge, traced_logits

# A sigmoid has slope 1/4 at 0: with 4, a score near one half is the regression's output.
_SLOPE = 4.0


class Ridge(Method):
    """Linear ridge regression on the known entries.

    lambda and input scaling are chosen by exact leave-one-out.

    Where no negative is known, unknown entries count as absent.
    """

    spec = MethodSpec(
        id="ridge",
        title="Ridge regression, closed form",
        paper="Hoerl and Kennard, 1970; leave-one-out after Allen, 1974",
        assumption="labels are near linear in the features",
        settings=frozenset(SETTINGS),
        passes=0,
        weighs_rows=True,
        departures=(
            Departure(
                "The solutions of the few best lambdas are averaged; ridge regression has one lambda.",
                "A mean of linear models is one linear model, and hangs less on which lambda happens "
                "to come first.",
            ),
            Departure(
                "lambda and the scaling of features are chosen by the mean average precision of "
                "leave-one-out outputs; Allen's criterion is their squared error.",
                "Labels are ranked.",
            ),
        ),
    )

    def plan(self) -> list[Stage]:
        """A stage of zero epochs."""
        return [self.stage("closed form", 0)]

    def fit(self, pool: Pool) -> None:
        """Set the head to the solution on the pool's features."""
        start_from_ridge(pool.network.head, pool.ridge(), slope=_SLOPE)  # type: ignore[arg-type]

    def logits(self, outputs: Outputs) -> Tensor:
        """Return the logits of the regression's squeezed output.

        It is squeezed into (0, 1) without changing its order.
        """
        raw = outputs.scores.double() / _SLOPE + 0.5
        if torch.compiler.is_exporting():
            return traced_logits(raw)
        return torch.from_numpy(logits(raw.cpu().numpy())).to(outputs.scores.device)

    def score(self, outputs: Outputs) -> Tensor:
        """Return the regression's output, squeezed into (0, 1) without changing its order."""
        raw = outputs.scores.double() / _SLOPE + 0.5
        return torch.from_numpy(probabilities(raw.cpu().numpy())).to(outputs.scores.device)

"""Which parts of a network train: the others stay in evaluation mode."""

from __future__ import annotations

from torch import nn


class Modes:
    """The parts of a network, each with whether it trains; a part without parameters does."""

    def __init__(self, network: nn.Module) -> None:
        self._parts = [(part, _trains(part)) for part in network.children()]

    def set(self, forward_network: nn.Module) -> None:
        """Set the mode of every part of the network, given as it is called: wrapped, or itself."""
        forward_network.train()
        for part, trains in self._parts:
            if not trains:
                part.eval()

    def keep(self, forward_network: nn.Module) -> None:
        """Set the modes again where a pass in evaluation mode has changed them."""
        if not forward_network.training or any(part.training != trains for part, trains in self._parts):
            self.set(forward_network)


def _trains(part: nn.Module) -> bool:
    parameters = list(part.parameters())
    return not parameters or any(parameter.requires_grad for parameter in parameters)

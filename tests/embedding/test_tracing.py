"""Programs of networks: equal to the network for texts of every shape, or none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from labelwise.embedding import Resident, embed
from labelwise.embedding.tracing import traced
from tests.embedding.stand_ins import Words

TEXT = torch.tensor([[1, 5, 3, 7, 2, 9, 4]])


class Reads(nn.Module):
    """The masked mean of embeddings, which may look at its batch in Python."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.words, self.out = how, nn.Embedding(30, 8), nn.Linear(8, 8)

    def forward(self, batch):
        mask = (batch != 0).unsqueeze(2)
        states = self.out(self.words(batch)) * mask
        if self.how == "raises":
            batch.tolist()
            raise ValueError("cannot be traced")
        count = batch.shape[1] if self.how == "padding counts" else mask.sum(1)
        if self.how == "a number of the first text":
            return states.sum(1) / int(count[0, 0])
        return states.sum(1) / count


@pytest.mark.parametrize("half", [False, True])
def test_a_program_gives_the_same_to_the_bit(half):
    torch.manual_seed(0)
    module = Reads("mean").eval()
    program = traced(module, TEXT, 0, half=half)
    assert program is not None
    for shape in ((1, 1), (5, 3), (2, 40)):
        batch = torch.randint(1, 30, shape)
        batch[0, 1:] = 0
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            assert torch.equal(program(batch), module(batch))
    threads = torch.get_num_threads()
    with torch.autocast("cpu", torch.bfloat16):
        program(TEXT)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("how", ["raises", "a number of the first text"])
def test_a_network_that_decides_in_python_has_no_program(how):
    assert traced(Reads(how).eval(), TEXT, 0, half=False) is None


def test_what_a_program_cannot_compute_is_left_to_the_network(stand_ins, monkeypatch):
    def fails(batch):
        raise RuntimeError("a shape")

    ready, source = Resident(stand_ins.bag, "text", device="cpu"), Words(20)
    before = embed(ready, source).features
    monkeypatch.setattr(ready, "_program", fails)
    after = embed(ready, source).features
    assert abs(before - after).max() < 1e-5

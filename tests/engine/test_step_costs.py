"""What spares a step its overhead changes no number: the plain Adam, the modes of parts, imports of Fabric."""

import sys

import pytest
import torch

from labelwise.engine.optimisers import build_optimiser
from labelwise.engine.settings import _version_alone
from labelwise.methods import Optimiser


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(("name", "theirs"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_the_plain_adam_is_torchs_to_the_bit(name, theirs, decay):
    random = torch.Generator().manual_seed(0)
    start = {"w": torch.randn(20, 33, generator=random), "scalar": torch.tensor(3.0)}
    ours, others = ({k: torch.nn.Parameter(v.clone()) for k, v in start.items()} for _ in range(2))
    plain = build_optimiser(Optimiser(0.01, name=name, weight_decay=decay), ours)
    reference = theirs(
        [
            {"params": [others["w"]], "weight_decay": decay},
            {"params": [others["scalar"]], "weight_decay": 0.0},
        ],
        lr=0.01,
    )
    schedules = [torch.optim.lr_scheduler.OneCycleLR(o, 0.01, total_steps=30) for o in (plain, reference)]
    for step in range(30):
        for key in start:
            grad = torch.randn(start[key].shape, generator=random)
            ours[key].grad, others[key].grad = (None, None) if step == 4 else (grad, grad.clone())
        for optimiser, schedule in zip((plain, reference), schedules, strict=True):
            optimiser.step()
            schedule.step()
    assert all(torch.equal(ours[key], others[key]) for key in start)
    plain.load_state_dict(reference.state_dict())
    assert plain.state[ours["w"]]["step"].item() == 29


def test_fabric_sees_a_packages_version_and_does_not_import_it(monkeypatch, tmp_path):
    (tmp_path / "heavy_package.py").write_text("raise AssertionError('imported')\n")
    (tmp_path / "heavy_package-1.2.dist-info").mkdir()
    (tmp_path / "heavy_package-1.2.dist-info" / "METADATA").write_text("Name: heavy_package\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(tmp_path)
    with _version_alone("heavy_package"):
        import heavy_package

        assert heavy_package.__version__ == "1.2"
    assert "heavy_package" not in sys.modules
    with _version_alone("no_such_package"):
        assert "no_such_package" not in sys.modules

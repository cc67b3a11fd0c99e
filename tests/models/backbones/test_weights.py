"""Weights files: what is read, what is passed over, and what is refused."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from labelwise.errors import UserError
from labelwise.models import Allowance, build_backbone, load_weights, read_weights
from tests.refusals import refusal


def net():
    return nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.BatchNorm1d(3)})


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin"])
@pytest.mark.parametrize("prefix", ["", "module.", "network.backbone."])
def test_every_kind_is_read_and_prefixes_are_taken_off(tmp_path, suffix, prefix):
    source, target = net(), net()
    stored = {prefix + name: value for name, value in source.state_dict().items()}
    stored = {name: value for name, value in stored.items() if "num_batches_tracked" not in name}
    stored["classifier.weight"] = torch.ones(2)
    path = tmp_path / f"w{suffix}"
    if suffix == ".safetensors":
        save_file(stored, path)
    else:
        torch.save({"model_state_dict": stored, "epoch": 3}, path)
    assert load_weights(target, path) == []
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in source.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "b.bias"}, r"lacks b\.bias$"),
        (lambda s: {**s, "b.other": torch.ones(1)}, r"has beside b\.other$"),
        (lambda s: {**s, "a.weight": torch.ones(4, 2)}, r"shapes a\.weight \(4, 2\) for \(3, 2\)"),
        (lambda s: {"x.y": torch.ones(1)}, "and 3 more"),
    ],
)
def test_other_keys_are_named_and_nothing_is_loaded(tmp_path, change, words):
    target = net()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    torch.save(change(net().state_dict()), tmp_path / "w.pt")
    with pytest.raises(UserError, match=words):
        load_weights(target, tmp_path / "w.pt")
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


def test_a_part_may_be_optional(tmp_path):
    torch.save({k: v for k, v in net().state_dict().items() if k.startswith("a")}, tmp_path / "w.pt")
    absent = load_weights(net(), tmp_path / "w.pt", optional=("b.",))
    assert absent == ["b.weight", "b.bias", "b.running_mean", "b.running_var"]


class Trap:
    def __reduce__(self):
        return print, ("executed",)


def test_files_that_are_no_tensors_are_refused_and_never_executed(tmp_path, capsys):
    (tmp_path / "trap.pt").write_bytes(pickle.dumps({"a": Trap()}, protocol=2))
    torch.save({"a": Trap()}, tmp_path / "trap.pth")
    torch.save([torch.ones(1)], tmp_path / "list.pt")
    torch.save({"a": 1.0}, tmp_path / "number.pt")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0")
    (tmp_path / "w.h5").write_bytes(b"")
    for name, words in {
        "trap.pt": "tensors only",
        "trap.pth": r"tensors only: .* save the model's state_dict\(\)$",
        "list.pt": "no table of tensors",
        "number.pt": "no table of tensors",
        "cut.safetensors": "tensors only",
        "w.h5": "neither",
        "none.pt": "does not exist",
    }.items():
        with refusal(words):
            read_weights(tmp_path / name)
    assert "executed" not in capsys.readouterr().out


def test_array_backbones_and_modules_read_a_file_too(tmp_path):
    mlp = build_backbone("mlp", (4,), hidden=(3,))
    torch.save(mlp.state_dict(), tmp_path / "w.pt")
    again = build_backbone("mlp", (4,), hidden=(3,), weights=tmp_path / "w.pt")
    torch.testing.assert_close(again(torch.ones(2, 4)), mlp(torch.ones(2, 4)))
    module = build_backbone("mlp", (4,), hidden=(3,))
    assert build_backbone(module, (4,), weights=tmp_path / "w.pt") is module
    torch.testing.assert_close(module(torch.ones(2, 4)), mlp(torch.ones(2, 4)))
    with pytest.raises(UserError, match="has no weights"):
        build_backbone("features", (4,), weights=tmp_path / "w.pt")


def test_a_bounded_build_imports_no_compiler_of_torch():
    """A model is loaded by every command that predicts."""
    assert not hasattr(Allowance.__torch_dispatch__, "__wrapped__")

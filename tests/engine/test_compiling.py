"""Compiled steps: the same training, checkpoints and models as without, and one line where nothing can be compiled.

torch's compiler takes up to a minute; but for one test its back end is replaced by one that runs the traced operations
as they are, which compiles nothing and is equal to the bit.
"""

from __future__ import annotations

import re
import sysconfig

import pytest
import torch
from torch import nn

from labelwise import MultiLabelClassifier, engine
from labelwise.engine import checkpoint, compiling
from labelwise.errors import UserError
from tests.engine import cases

COMPILE = {"settings": {"compile": True}}
METHODS = {
    **{"an": "head", "role": "head", "mime": "head"},
    **{"cap": "all", "vpu": "all", "softmatch": "all", "flatmatch": "all", "drml": "all"},
}
"""Item state, averaged weights, one view and several, passes without gradients, two gradients, several optimisers."""


@pytest.fixture
def graphs(monkeypatch):
    """Run traced operations as they are; the list has one entry a compilation."""
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(compiling, "_BACKEND", backend)
    return compiled


@pytest.mark.parametrize(("method", "tune"), METHODS.items())
def test_compiled_steps_train_the_same_to_the_bit(graphs, method, tune):
    options = {"make_options": {"tune": tune, "epochs": 3}}
    plain, state = cases.run(method, **options)
    assert not graphs
    compiled, compiled_state = cases.run(method, **options, **COMPILE)
    assert graphs
    cases.assert_same(plain, compiled)
    cases.assert_same_items(state, compiled_state)


@pytest.mark.parametrize(("method", "forms"), [("an", 1), ("softmatch", 2)])
def test_batches_of_every_size_take_one_form(graphs, method, forms):
    """60 rows in batches of 16, the last of them 12; with and without gradients where both are needed."""
    cases.run(method, make_options={"tune": "all", "epochs": 3}, **COMPILE)
    assert len(graphs) == forms


def test_the_same_fit_twice_compiles_the_same(graphs):
    """torch remembers for the process which sizes it saw: the first fit must not differ from later ones."""
    for _ in range(2):
        cases.run("an", make_options={"epochs": 1}, **COMPILE)
    first, second = (graph.code for graph in graphs)
    assert first == second


@pytest.mark.parametrize("settings", [{"precision": "bf16"}, {"accumulate": 3}])
def test_mixed_precision_and_accumulated_gradients_go_with_it(graphs, settings):
    options = {"make_options": {"tune": "all", "epochs": 2}}
    plain, _ = cases.run("an", settings=settings, **options)
    compiled, _ = cases.run("an", settings={**settings, "compile": True}, **options)
    assert graphs
    cases.assert_same(plain, compiled)


@pytest.mark.parametrize("first", [True, False])
def test_a_run_goes_on_with_or_without_it(graphs, tmp_path, first):
    options = {"make_options": {"tune": "all", "epochs": 3}}
    whole, _ = cases.run("role", **options)
    with pytest.raises(cases.Stop):
        cases.run(
            "role", tmp_path, settings={"compile": first}, on_step=cases.stop_at(6, save_at=5), **options
        )
    again, _ = cases.run("role", tmp_path, settings={"compile": not first}, **options)
    assert graphs
    cases.assert_same(whole, again)


def test_checkpoints_name_parameters_as_without(graphs, tmp_path):
    for name, compiles in (("plain", False), ("compiled", True)):
        options = {"settings": {"compile": compiles, "precision": "bf16"}, "make_options": {"tune": "all"}}
        cases.run("an", tmp_path / name, **options)
    plain, compiled = (checkpoint.latest(tmp_path / name) for name in ("plain", "compiled"))
    assert plain.tensors.keys() == compiled.tensors.keys()
    assert all(torch.equal(value, compiled.tensors[name]) for name, value in plain.tensors.items())


class Normed(nn.Module):
    """A backbone that cannot take a batch of one item, and numbers it may refuse."""

    n_features = 4

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(cases.D, 4), nn.BatchNorm1d(4)

    def forward(self, batch):
        return self.norm(self.linear(batch))


class Fussy(Normed):
    def forward(self, batch):
        if batch.shape[0] != 16:
            raise ValueError("sixteen rows, please")
        return super().forward(batch)


@pytest.mark.parametrize("compiles", [False, True])
def test_what_a_network_raises_is_told_as_without_it(graphs, compiles):
    """Batches of 8 have a last one of 4, which the engine does not mend: the network's own words say what is wrong."""
    with pytest.raises(ValueError, match="sixteen rows, please"):
        cases.run(
            "an",
            settings={"compile": compiles},
            make_options={"tune": "all", "net": Fussy, "batch": 8, "epochs": 1},
        )


def test_what_cannot_be_compiled_is_refused_in_one_line(monkeypatch):
    def backend(graph, inputs):
        raise RuntimeError("no such kernel\nand much more")

    monkeypatch.setattr(compiling, "_BACKEND", backend)
    with pytest.raises(
        UserError, match=r"cannot compile Normed with LinearHead .*: leave compile out"
    ) as told:
        cases.run("an", make_options={"tune": "all", "net": Normed}, **COMPILE)
    assert "\n" not in str(told.value)


def test_more_forms_than_are_allowed_are_refused_and_not_run_uncompiled(graphs, monkeypatch):
    monkeypatch.setattr(compiling, "_MOST", 1)
    with pytest.raises(UserError, match="cannot compile MLP with LinearHead"):
        cases.run("softmatch", make_options={"tune": "all"}, **COMPILE)


@pytest.mark.parametrize(
    ("device", "words"),
    [("cpu", "needs a C\\+\\+ compiler, and there is no 'nowhere-c\\+\\+'"), ("mps", "not for device='mps'")],
)
def test_a_machine_that_cannot_compile_is_refused(monkeypatch, device, words):
    monkeypatch.setenv("CXX", "nowhere-c++")
    with pytest.raises(UserError, match=words):
        engine.check_compiler(device)


def test_missing_headers_and_triton_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(compiling.shutil, "which", lambda name: name)
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    with pytest.raises(UserError, match=r"there is no Python\.h here"):
        engine.check_compiler("cpu")
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install triton"):
        engine.check_compiler("cuda:0")


@pytest.mark.parametrize("method", ["ridge", "auto"])
def test_a_closed_form_has_no_step_to_compile(method):
    with pytest.raises(UserError, match=f"compile: method '{method}' is solved in closed form"):
        cases.run(method, **COMPILE)


def test_a_model_tells_nothing_of_it(graphs, tmp_path):
    X, Y = cases.items()
    for name, compiles in (("plain", False), ("compiled", True)):
        model = MultiLabelClassifier("an", "mlp", epochs=1, device="cpu", validation=None, compile=compiles)
        model.fit(X, Y).save(tmp_path / name)
    assert graphs
    clock = rb'"(seconds|items_per_second|sha256)": [^,\n]+'
    plain, compiled = (
        {path.name: re.sub(clock, b"", path.read_bytes()) for path in (tmp_path / name).iterdir()}
        for name in ("plain", "compiled")
    )
    assert plain == compiled


def test_torchs_own_compiler_gives_equal_results():
    """Dropout included, which draws as it does without; to rounding, which steps of AdamW may enlarge."""
    try:
        engine.check_compiler("cpu")
    except UserError as error:
        pytest.skip(str(error))
    options = {"make_options": {"tune": "all", "epochs": 2}}
    plain, _ = cases.run("an", **options)
    compiled, _ = cases.run("an", **options, **COMPILE)
    for name, value in plain.network.state_dict().items():
        torch.testing.assert_close(compiled.network.state_dict()[name], value, atol=1e-5, rtol=1e-4)
    want = [record["loss"] for record in plain.history]
    assert [record["loss"] for record in compiled.history] == pytest.approx(want, abs=1e-6)

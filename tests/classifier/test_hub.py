"""Models go to a hub and come back, by the hub's own client over HTTP on loopback, and from folders without it."""

from __future__ import annotations

import builtins
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from labelwise import MultiLabelClassifier
from labelwise.errors import UserError
from tests.classifier.fake_hub import FakeHub

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 6)).astype(np.float32)
Y = (X @ RANDOM.normal(size=(6, 3)) > 0).astype(np.int8)
NAME = "owner/tags"


@pytest.fixture(scope="module")
def model():
    return MultiLabelClassifier("ridge").fit(X, Y, label_names=["a", "b", "c"])


@pytest.fixture
def hub(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants")
    served = FakeHub()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", served.url)
    template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    yield served
    served.close()


def test_a_model_goes_to_a_hub_and_comes_back(model, hub, tmp_path):
    address = model.push_to_hub(NAME, license="mit", private=True, token="secret")
    assert address == f"{hub.url}/{NAME}/commit/{hub.commit(NAME)}"
    assert hub.private[NAME] is True
    changes = ("/api/models", "/api/repos")
    assert {token for _, path, token in hub.asked if path.startswith(changes)} == {"Bearer secret"}
    files = hub.files[NAME]
    assert set(files) == {"README.md", "Dockerfile", "model/model.json", "model/weights.safetensors"}
    assert b'license: "mit"' in files["README.md"]
    assert f'from_pretrained("{NAME}")'.encode() in files["README.md"]
    assert b'CMD ["labelwise", "serve", "/app/tags", "--host", "0.0.0.0"' in files["Dockerfile"]
    hub.asked.clear()
    again = MultiLabelClassifier.from_pretrained(NAME, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    # Weights and record alone were fetched, and the second time nothing.
    fetched = {
        path.rpartition("/")[2] for method, path, _ in hub.asked if method == "GET" and "resolve" in path
    }
    assert fetched == {"model.json", "weights.safetensors"}
    hub.asked.clear()
    offline = MultiLabelClassifier.from_pretrained(NAME, cache_dir=tmp_path / "cache", local_files_only=True)
    assert hub.asked == []
    np.testing.assert_array_equal(offline.predict(X), model.predict(X))


def test_what_a_hub_cannot_give_is_said_in_one_line(model, hub, tmp_path):
    for options in ({}, {"local_files_only": True}):
        with pytest.raises(UserError, match="owner/none: the hub cannot be used") as caught:
            MultiLabelClassifier.from_pretrained("owner/none", cache_dir=tmp_path / "cache", **options)
        assert "\n" not in str(caught.value)
    model.push_to_hub(NAME, token="secret")
    weights = hub.files[NAME]["model/weights.safetensors"]
    hub.files[NAME]["model/weights.safetensors"] = weights[:-1] + b"\0"
    with pytest.raises(
        UserError, match=r"owner/tags: model/weights\.safetensors does not match its checksum"
    ):
        MultiLabelClassifier.from_pretrained(NAME, cache_dir=tmp_path / "changed")
    del hub.files[NAME]["model/weights.safetensors"]
    with pytest.raises(UserError, match=r"owner/tags: weights\.safetensors is missing"):
        MultiLabelClassifier.from_pretrained(NAME, cache_dir=tmp_path / "part")
    del hub.files[NAME]["model/model.json"]
    with pytest.raises(UserError, match="owner/tags holds no model of labelwise"):
        MultiLabelClassifier.from_pretrained(NAME, cache_dir=tmp_path / "nothing")


def test_a_link_out_of_the_cache_is_not_followed(model, hub, tmp_path):
    model.push_to_hub(NAME, token="secret")
    cache = tmp_path / "cache"
    MultiLabelClassifier.from_pretrained(NAME, cache_dir=cache)
    (place,) = cache.rglob("model.json")
    outside = tmp_path / "model.json"
    shutil.copyfile(place, outside)
    place.unlink()
    place.symlink_to(outside)
    with pytest.raises(UserError, match=r"model\.json is a link out of the cache"):
        MultiLabelClassifier.from_pretrained(NAME, cache_dir=cache, local_files_only=True)


def test_folders_need_no_client(model, monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *rest, **options):
        if name.partition(".")[0] == "huggingface_hub":
            raise ImportError("No module named 'huggingface_hub'")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    folder = model.save_pretrained(tmp_path / "sent", license="mit")
    assert sorted(p.name for p in folder.iterdir()) == ["Dockerfile", "README.md", "model"]
    assert not any(path.stat().st_mode & stat.S_IXUSR for path in folder.rglob("*") if path.is_file())
    for place in (folder, str(folder / "model")):
        again = MultiLabelClassifier.from_pretrained(place)
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    with pytest.raises(UserError, match=r"repositories need an extra: .*\[hub\]"):
        MultiLabelClassifier.from_pretrained(NAME)
    with pytest.raises(UserError, match="is not empty"):
        model.save_pretrained(folder)


def test_what_is_no_model_is_refused_in_one_line(model, tmp_path):
    with pytest.raises(UserError, match="is neither a folder nor a repository"):
        MultiLabelClassifier.from_pretrained("../elsewhere")
    with pytest.raises(UserError, match="holds no model of labelwise"):
        MultiLabelClassifier.from_pretrained(tmp_path)
    with pytest.raises(UserError, match="give a folder"):
        MultiLabelClassifier.from_pretrained(3)
    with pytest.raises(UserError, match="is neither a folder nor a repository"):
        model.push_to_hub("a/b/c")
    with pytest.raises(UserError, match="give the name of a licence"):
        model.save_pretrained(tmp_path / "sent", license=" ")
    with pytest.raises(UserError, match="call fit"):
        MultiLabelClassifier().save_pretrained(Path(tmp_path, "sent"))
    assert not list(tmp_path.iterdir())

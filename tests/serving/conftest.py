"""Models of every kind of item, and servers of them in this process."""

from __future__ import annotations

import contextlib
import threading
import time

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
pytest.importorskip("python_multipart")
pytest.importorskip("httptools")
pytest.importorskip("httpx")

from labelwise.http import Address
from labelwise.serving import Limits, Service, create_app, open_models, serve

LABELS = ("cat", "dog", "sea")


@pytest.fixture(scope="session")
def features_run(tmp_path_factory):
    """A run on six named features and three labels."""
    from labelwise.runs import RunConfig, train

    folder = tmp_path_factory.mktemp("features")
    random = np.random.default_rng(0)
    X = random.normal(size=(100, 6))
    Y = (X @ random.normal(size=(6, 3)) > 0).astype(int)
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(6)])
    for k, name in enumerate(LABELS):
        frame[name] = Y[:, k]
    frame.to_csv(folder / "table.csv", index=False)
    train(
        RunConfig.build({"table": str(folder / "table.csv"), "method": "ridge", "device": "cpu"}),
        folder / "run",
    )
    return folder / "run"


@pytest.fixture(scope="session")
def features(features_run):
    """Its model, opened."""
    return open_models([f"birds={features_run}"])[0]


@contextlib.contextmanager
def asked(*models, token=None, hosts=(), label_studio=None, label_studio_token=None, **limits):
    """A client of an application in this process."""
    from starlette.testclient import TestClient

    service = Service(models, Limits(**limits), label_studio, label_studio_token)
    try:
        with TestClient(
            create_app(service, token=token, hosts=hosts),
            base_url="http://127.0.0.1",
            raise_server_exceptions=False,
        ) as client:
            client.service = service
            yield client
    finally:
        service.stop()


@pytest.fixture(scope="session")
def client(features):
    with asked(features, items=8, queue=64) as one:
        yield one


class Running:
    """A server in a thread of this process, on a free port."""

    def __init__(self, runs, **options) -> None:
        self.started = threading.Event()
        self.address: Address | None = None
        self.server = None
        self.thread = threading.Thread(target=self._run, args=(runs, options), daemon=True)
        self.thread.start()
        assert self.started.wait(60)

    def _run(self, runs, options) -> None:
        def show(address, service) -> None:
            self.address, self.service = address, service
            self.started.set()

        serve(runs, port=0, on_start=show, on_server=self._keep, **options)

    def _keep(self, server) -> None:
        self.server = server

    def stop(self) -> None:
        while self.server is None:
            time.sleep(0.01)
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()


@pytest.fixture(scope="session")
def words_run(tmp_path_factory):
    """A run on texts by their words alone, and its model's texts."""
    from labelwise.runs import RunConfig, train

    folder = tmp_path_factory.mktemp("words")
    random = np.random.default_rng(0)
    about = random.random((80, 3)) < 0.5
    frame = pd.DataFrame(
        {"text": [" ".join(n for n, there in zip(LABELS, row, strict=True) if there) for row in about]}
    )
    frame["text"] = "I saw a " + frame["text"]
    for k, name in enumerate(LABELS):
        frame[name] = about[:, k].astype(int)
    frame.to_csv(folder / "table.csv", index=False)
    train(
        RunConfig.build(
            {"table": str(folder / "table.csv"), "method": "ridge", "backbone": "words", "device": "cpu"}
        ),
        folder / "run",
    )
    return folder / "run"


@pytest.fixture(scope="session")
def words(words_run):
    return open_models([f"sights={words_run}"])[0]


@pytest.fixture(scope="session")
def texts_client(words):
    with asked(words, items=8, queue=64, characters=1000) as one:
        yield one


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A model of pictures with a network of its own, saved and opened, and twelve files."""
    import io

    from PIL import Image

    from labelwise import MultiLabelClassifier

    pytest.importorskip("efficientnet_lite_pytorch")
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    files = []
    for i in range(12):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 255, (40 + i, 60, 3), np.uint8)).save(file, format="PNG")
        files.append(file.getvalue())
    Y = np.tile([[1, 0, 1], [0, 1, 0]], (6, 1))
    model = MultiLabelClassifier("ridge", "efficientnet-lite0", image_size=64, device="cpu", cache=False)
    model.fit(files, Y, label_names=list(LABELS)).save(folder / "model")
    return open_models([f"photos={folder}"])[0], files, model, folder

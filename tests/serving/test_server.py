"""The server itself: batches across requests, slow and rude clients, tokens, names, and how it stops."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from labelwise.errors import UserError
from labelwise.http import listen
from labelwise.serving import Limits, open_models, serve
from labelwise.serving.batching import Batcher
from tests.serving.conftest import LABELS, Running, asked
from tests.timing import least_seconds, wait_until

ROW = [0.3, -1.2, 0.7, 0.1, 2.0, -0.4]


@pytest.fixture(scope="module")
def patient(features_run):
    """A server that may take its time over many requests at once."""
    one = Running([features_run], limits=Limits(timeout=60.0, body=100_000, gather=0.02))
    yield one
    one.stop()


@pytest.fixture(scope="module")
def running(features_run):
    one = Running([features_run], limits=Limits(timeout=1.0, body=100_000, gather=0.02))
    yield one
    one.stop()


def post(port, body, path="/predict", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_requests_at_once_share_passes_and_none_is_lost_or_mixed_up(patient, features):
    rows = np.random.default_rng(1).normal(size=(200, 6)).astype(np.float32)
    with ThreadPoolExecutor(40) as pool:
        said = list(pool.map(lambda row: post(patient.address.port, {"features": row.tolist()}), rows))
    assert {status for status, _ in said} == {200}
    scores = [[one["predictions"][0]["scores"][name] for name in LABELS] for _, one in said]
    np.testing.assert_allclose(scores, features.classifier.predict_proba(rows), atol=1e-6)
    text = patient.service.counts.text().decode()
    [passes] = [line for line in text.splitlines() if line.startswith("labelwise_batch_items_count")]
    assert float(passes.split()[1]) < 150


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /predict HT",
        b"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{",
    ],
    ids=["silent", "half a head", "half a body"],
)
def test_a_slow_client_is_cut_and_the_others_are_served(running, sent):
    def cut():
        with socket.create_connection(("127.0.0.1", running.address.port), timeout=30) as slow:
            slow.sendall(sent)
            wait_until(lambda: post(running.address.port, {"features": ROW})[0] == 200)
            received = b"".join(iter(lambda: slow.recv(4096), b""))
            assert received == b"" or (b"408" in received and b"did not arrive within 1 s" in received)

    assert least_seconds(cut, below=6, clock=time.monotonic) < 6


def test_a_client_that_sends_a_byte_now_and_then_is_cut_too(running):
    def cut():
        with socket.create_connection(("127.0.0.1", running.address.port), timeout=30) as slow:
            began = time.monotonic()
            with pytest.raises(OSError):  # noqa: PT012
                while time.monotonic() - began < 30:
                    slow.sendall(b"G")
                    time.sleep(0.1)

    assert least_seconds(cut, below=6, clock=time.monotonic) < 6


def test_a_huge_body_is_refused_told_or_not(running):
    port = running.address.port
    head = b"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for sent in (
        head + b"content-length: 99999999999\r\n\r\n",
        head + b"transfer-encoding: chunked\r\n\r\n" + chunk * 3,
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as rude:
            rude.sendall(sent)
            assert b"413" in rude.recv(1000)
    wait_until(lambda: post(port, {"features": ROW})[0] == 200)


def test_a_full_queue_and_a_late_answer_are_said_and_the_server_goes_on(features):
    class Slow:
        def __init__(self, model) -> None:
            self.model, self.wait = model, threading.Event()

        def __call__(self, items):
            self.wait.wait(5)
            return type(self.model).logits(self.model, items)

    with asked(features, items=4, queue=4, batch_size=2, timeout=0.5, gather=0.0) as client:
        batcher = client.service.first.batcher
        slow = batcher._score = Slow(features)
        with ThreadPoolExecutor(8) as pool:
            body = {"items": [{"features": ROW}] * 3}
            said = list(pool.map(lambda _: client.post("/predict", json=body), range(8)))
        assert {one.status_code for one in said} == {503}
        assert {one.headers["retry-after"] for one in said} == {"1"}
        words = " ".join(one.json()["error"] for one in said)
        assert "wait already" in words
        assert "no answer within 0.5 s" in words
        slow.wait.set()
        # Half a second is little on a busy machine: once one answer is in time, the server goes on.
        wait_until(lambda: client.post("/predict", json=body).status_code == 200)
        wait_until(lambda: batcher.waiting == 0)


def test_an_item_that_the_model_fails_on_fails_its_own_request_alone(features):
    with asked(features, gather=0.05) as client:
        batcher = client.service.first.batcher
        score = batcher._score

        def picky(items):
            if any(item[0] == 7 for item in items):
                raise UserError("sevens cannot be scored")
            if any(item[0] == 8 for item in items):
                raise RuntimeError("a fault")
            return score(items)

        batcher._score = picky
        rows = [[first, *ROW[1:]] for first in (1, 7, 2, 8, 3)]
        with ThreadPoolExecutor(5) as pool:
            said = list(pool.map(lambda row: client.post("/predict", json={"features": row}), rows))
        assert [one.status_code for one in said] == [200, 422, 200, 500, 200]
        assert said[1].json() == {"error": "sevens cannot be scored"}
        assert said[3].json() == {"error": "unexpected RuntimeError"}


def test_a_second_pass_begins_while_the_first_computes():
    first, second = threading.Event(), threading.Event()

    def score(items):
        (first if items == ["first"] else second).set()
        assert second.wait(10)
        return np.zeros((len(items), 1))

    async def ask():
        one = asyncio.ensure_future(batcher.score(["first"], time.monotonic() + 10))
        await asyncio.to_thread(first.wait, 10)
        return await asyncio.gather(one, batcher.score(["second"], time.monotonic() + 10))

    batcher = Batcher(score, Limits(gather=0.0), passes=2)
    try:
        assert [len(one) for one in asyncio.run(ask())] == [1, 1]
    finally:
        batcher.stop()


def test_several_models_each_under_its_name(features, words):
    with asked(features, words) as client:
        assert client.get("/models").json() == {"models": ["birds", "sights"]}
        assert client.post("/models/sights/predict", json={"text": "a cat"}).json()["model"] == "sights"
        assert client.post("/models/birds/predict", json={"features": ROW}).json()["model"] == "birds"
        assert client.post("/predict", json={"features": ROW}).json()["model"] == "birds"
        assert client.get("/models/nobody/labels").status_code == 404


def test_a_token_is_asked_for_as_bearer_password_address_or_cookie(features):
    with asked(features, token="secret-token") as client:
        body = {"json": {"features": ROW}}
        assert client.post("/predict", **body).status_code == 401
        assert client.get("/labels").status_code == 401
        assert client.get("/health").status_code == 200
        basic = base64.b64encode(b"label-studio:secret-token").decode()
        for value in ("Bearer secret-token", f"Basic {basic}"):
            assert client.post("/predict", headers={"authorization": value}, **body).status_code == 200
        for value in ("Bearer wrong", "Basic !", f"Basic {basic[:-4]}"):
            assert client.post("/predict", headers={"authorization": value}, **body).status_code == 401
        assert client.get("/?token=secret-token").status_code == 200
        assert client.post("/predict", **body).status_code == 200


def test_other_sites_and_names_are_kept_out(features):
    with asked(features, hosts=("127.0.0.1",)) as client:
        assert (
            client.post("/predict", json={"features": ROW}, headers={"host": "evil.test"}).status_code == 403
        )
        said = client.post("/predict", json={"features": ROW}, headers={"origin": "http://evil.test"})
        assert said.status_code == 403
        own = client.post("/predict", json={"features": ROW}, headers={"origin": "http://127.0.0.1"})
        assert own.status_code == 200


def test_runs_without_a_model_names_and_ports_are_refused_in_one_line(features_run, tmp_path):
    for runs, words in (
        ([], "no run"),
        ([tmp_path], "holds neither a run nor a model"),
        ([features_run, features_run], "two models are called 'run'"),
        ([f"a/b={features_run}"], "'a/b' is no name"),
    ):
        with pytest.raises(UserError, match=words):
            open_models(runs)
    with pytest.raises(UserError, match="less than the 256 items"):
        Limits(queue=10)
    with listen("127.0.0.1", 0) as other, pytest.raises(UserError, match="cannot be had"):
        serve([features_run], port=other.getsockname()[1])
    with pytest.raises(UserError, match="at least 8 characters"):
        serve([features_run], token="short")


def test_a_model_directory_is_served_as_its_run_is(features_run, features):
    for path in (features_run / "model",):
        model = open_models([path])[0]
        assert (model.name, model.kind, model.labels) == ("run", "features", features.labels)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process at once there")
def test_sigterm_answers_what_is_there_and_ends_with_0(features_run):
    program = "from labelwise.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", str(features_run), "--json", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = ""
    while not lines.endswith("}\n"):
        lines += process.stdout.readline()
    port = json.loads(lines)["port"]
    body = json.dumps({"features": ROW}).encode()
    head = f"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(f"{head}\r\n\r\n".encode() + body[:5])
        # On a busy machine the server takes a while to read what has come.
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        client.sendall(body[5:])
        assert b"200 OK" in client.recv(2000)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")

"""The routes of Label Studio's backend."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from labelwise.data import TableOptions
from labelwise.exchange import label_studio
from labelwise.exchange.source import Source
from tests.serving.conftest import LABELS, asked

CONFIG = """<View>
  <Text name="body" value="$message"/>
  <Choices name="mood" toName="body"><Choice value="good"/></Choices>
  <Choices name="sights" toName="body" choice="multiple">
    <View><Choice value="cat"/><Choice value="Dog" alias="dog"/></View><Choice value="boat"/>
  </Choices>
</View>"""


@pytest.mark.parametrize("path", ["/predict", "/models/sights/predict", "/label-studio/predict"])
def test_tasks_get_choices_and_a_score_for_each_label(texts_client, words, path):
    texts = ["a cat", "a dog and the sea"]
    tasks = [{"id": i, "data": {"message": text}, "annotations": []} for i, text in enumerate(texts)]
    body = {"tasks": tasks, "label_config": CONFIG, "project": "1.2", "params": {"context": None}}
    said = texts_client.post(path, json=body).json()["results"]
    probabilities = words.classifier.predict_proba(texts)
    for one, row, names in zip(said, probabilities, words.classifier.predict_names(texts), strict=True):
        result = one["result"][0]
        assert (result["from_name"], result["to_name"], result["type"]) == ("sights", "body", "choices")
        assert result["value"]["choices"] == [name for name in names if name != "sea"]
        known = row[: len(LABELS) - 1]
        np.testing.assert_allclose(
            [result["meta"]["scores"][name] for name in ("cat", "dog")], known, atol=1e-5
        )
        assert one["score"] == pytest.approx(np.maximum(known, 1 - known).mean(), abs=1e-5)
        assert one["model_version"] == "sights"


def test_predictions_are_read_back_with_their_scores(texts_client, tmp_path):
    tasks = [{"id": 1, "data": {"text": "a cat"}}]
    said = texts_client.post("/predict", json={"tasks": tasks}).json()["results"]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([{**tasks[0], "annotations": [], "predictions": said}]))
    items = label_studio.read(Source(path), TableOptions())
    scores = dict(zip(items.label_names, items.scores[0], strict=True))
    assert scores == pytest.approx(said[0]["result"][0]["meta"]["scores"])


@pytest.mark.parametrize(
    ("tasks", "config", "message"),
    [
        ([{"data": {"text": "a"}}], CONFIG, "tasks.0.data.message"),
        ([{"data": {"message": 3}}], CONFIG, "tasks.0.data.message"),
        ([{"data": {"message": "a"}}], "<View>", "label_config is not XML"),
        ([{"data": {"message": "a"}}], "<!DOCTYPE a><View/>", "document type"),
        (
            [{"data": {"message": "a"}}],
            '<View><Image name="i" value="$message"/></View>',
            "no <Choices> about <Text>",
        ),
        ([{"text": "a"}], None, "tasks.0.data: Field required"),
        ([], None, "at least 1 item"),
    ],
)
def test_what_cannot_be_predicted_is_refused_in_one_line(texts_client, tasks, config, message):
    for path in ("/predict", "/label-studio/predict"):
        said = texts_client.post(path, json={"tasks": tasks, "label_config": config})
        assert said.status_code == (422 if "0.data: F" in message or not tasks else 409)
        assert message in said.json()["error"]


def test_setup_says_which_labels_have_no_choice(texts_client, client):
    body = {"project": "1.2", "schema": CONFIG, "hostname": "http://127.0.0.1:8080", "access_token": "x"}
    for path in ("/setup", "/label-studio/setup"):
        assert texts_client.post(path, json=body).json() == {
            "model_version": "sights",
            "control": "sights",
            "labels_without_choice": ["sea"],
        }
    assert texts_client.post("/setup", json={"schema": "<View/>"}).status_code == 409
    assert "reads features" in client.post("/setup", json=body).json()["error"]


def test_webhook_and_health(texts_client):
    said = texts_client.post("/webhook", json={"action": "ANNOTATION_CREATED", "project": {"id": 1}}).json()
    assert said == {"status": "ok", "result": {"action": "ANNOTATION_CREATED", "trained": False}}
    assert texts_client.get("/label-studio/health").json() == {"status": "UP", "model_class": "labelwise"}


@pytest.fixture
def studio(pictures):
    """A stand-in for Label Studio that serves a picture to who brings the token."""
    asked_for = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked_for.append((self.path, self.headers.get("authorization")))
            if self.path == "/away":
                self.send_response(302)
                self.send_header("location", "http://127.0.0.1:1/")
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(pictures[1][0] if self.path != "/large" else b"x" * 300_001)

        def log_message(self, *_) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked_for
    server.shutdown()
    server.server_close()


def test_pictures_are_fetched_from_the_named_label_studio_alone(studio, pictures):
    url, asked_for = studio
    model, files, *_ = pictures
    inline = {"data": {"image": f"data:image/png;base64,{base64.b64encode(files[0]).decode()}"}}
    with asked(model, label_studio=url, label_studio_token="secret", body=300_000) as client:
        tasks = [{"data": {"image": "/data/upload/1/a.png"}}, {"data": {"image": f"{url}/b.png"}}, inline]
        results = client.post("/predict", json={"tasks": tasks}).json()["results"]
        assert results[0] == results[1] == results[2]
        assert asked_for == [("/data/upload/1/a.png", "Token secret"), ("/b.png", "Token secret")]
        for address, words in (
            ("http://127.0.0.1:1/a.png", "not at --label-studio"),
            ("//127.0.0.1:1/a.png", "not at --label-studio"),
            ("/away", "answers 302"),
            ("/large", "more than 300,000 bytes"),
            ("file:///etc/passwd", "base64"),
        ):
            said = client.post("/predict", json={"tasks": [{"data": {"image": address}}]})
            assert said.status_code in (413, 422)
            assert words in said.json()["error"]
    with asked(model) as client:
        said = client.post("/predict", json={"tasks": [{"data": {"image": "/data/a.png"}}]})
        assert "start the server with --label-studio" in said.json()["error"]

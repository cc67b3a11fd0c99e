"""Predictions over HTTP: the same as the classifier's, for every form of an item, and refusals of one line."""

from __future__ import annotations

import numpy as np
import pytest

ROW = [0.3, -1.2, 0.7, 0.1, 2.0, -0.4]


def test_scores_and_labels_are_those_of_the_classifier(client, features):
    rows = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    body = {"items": [{"features": row.tolist()} for row in rows]}
    said = client.post("/predict", json=body).json()
    model = features.classifier
    scores = [[one["scores"][name] for name in features.labels] for one in said["predictions"]]
    np.testing.assert_allclose(scores, model.predict_proba(rows), atol=1e-6)
    assert [one["labels"] for one in said["predictions"]] == model.predict_names(rows)
    assert (said["model"], said["calibrated"], said["rule"]) == ("birds", True, "learnt_thresholds")


def test_features_by_name_in_any_order_are_the_same_item(client):
    by_name = dict(reversed([(f"f{i}", value) for i, value in enumerate(ROW)]))
    one = client.post("/predict", json={"features": ROW}).json()
    assert client.post("/predict", json={"features": by_name}).json() == one
    assert len(one["predictions"]) == 1


def test_top_gives_the_highest_scores_in_their_order(client):
    every = client.post("/predict", json={"features": ROW}).json()["predictions"][0]
    top = client.post("/predict?top=2", json={"features": ROW}).json()["predictions"][0]
    assert list(top["scores"]) == sorted(every["scores"], key=every["scores"].get, reverse=True)[:2]
    assert top["labels"] == every["labels"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "the body is not JSON"),
        (b"", 400, "the body is not JSON"),
        (b'{"features": [NaN, 1, 1, 1, 1, 1]}', 422, "features.0: Input should be a finite number"),
        (b'{"features": [1e999, 1, 1, 1, 1, 1]}', 422, "features.0"),
        (b'{"features": [1, 1, 1, 1, 1]}', 422, "at least 6 items"),
        (b'{"features": ["1", 1, 1, 1, 1, 1]}', 422, "features.0: Input should be a valid number"),
        (
            b'{"features": {"f0": 1, "f9": 2, "f2": 1, "f3": 1, "f4": 1, "f5": 1}}',
            422,
            "lacks 'f1' and has 'f9'",
        ),
        (b'{"text": "a bird"}', 422, "features: Field required"),
        (b'{"items": []}', 422, "items: List should have at least 1 item"),
        (b"[]", 422, "Input should be an object"),
        (b'{"features": ' + b"[" * 5000, 400, "the body is not JSON"),
        (
            b'{"items": [' + b",".join([b'{"features": [1, 1, 1, 1, 1, 1]}'] * 9) + b"]}",
            413,
            "at most 8 items",
        ),
    ],
)
def test_what_is_no_item_is_refused_in_one_line(client, body, status, words):
    said = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert said.status_code == status, said.text
    assert words in said.json()["error"]
    assert "\n" not in said.json()["error"]


def test_unknown_routes_models_methods_and_kinds_of_body(client):
    assert client.get("/nowhere").status_code == 404
    unknown = client.post("/models/bird/predict", json={})
    assert (unknown.status_code, unknown.json()["error"]) == (
        404,
        "there is no model 'bird'; did you mean 'birds'?",
    )
    assert client.get("/predict").headers["allow"] == "POST"
    text = client.post("/predict", content=b"f0=1", headers={"content-type": "text/plain"})
    assert (text.status_code, text.json()["error"]) == (
        415,
        "the content type is text/plain: send application/json",
    )


def test_labels_health_models_and_metrics(client):
    assert client.get("/labels").json() == {
        "model": "birds",
        "calibrated": True,
        "rule": "learnt_thresholds",
        "labels": ["cat", "dog", "sea"],
        "kind": "features",
        "features": ["f0", "f1", "f2", "f3", "f4", "f5"],
        "n_features": 6,
    }
    assert client.get("/models/birds/labels").json() == client.get("/labels").json()
    assert client.get("/models").json() == {"models": ["birds"]}
    assert client.get("/health").json()["status"] == "UP"
    assert client.get("/health/ready").status_code == 200
    client.post("/predict", json={"features": ROW})
    text = client.get("/metrics").text
    assert 'labelwise_requests_total{route="/predict",status="200"}' in text
    assert 'labelwise_batch_items_count{model="birds"}' in text
    assert 'labelwise_queue_items{model="birds"} 0.0' in text

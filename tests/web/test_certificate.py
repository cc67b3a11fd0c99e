"""The page's certificate is that of ``labelwise complete``, and follows the answers."""

from __future__ import annotations

import time

import pandas as pd
import pytest
from starlette.testclient import TestClient

from labelwise.completion import Answer
from labelwise.runs import complete
from labelwise.runs.reviewing import open_for_review
from labelwise.web import Request, Review, ReviewStore, create_app
from labelwise.web.certifying import Certifier


@pytest.fixture
def review(digits_run):
    data = open_for_review(digits_run)
    made = Review(data, ReviewStore.of_run(digits_run / "answers.sqlite", data.items, data.identity))
    yield made
    made.store.close()


def renewed(review, before):
    end = time.monotonic() + 60
    while review.certificate is before:
        assert time.monotonic() < end
        time.sleep(0.05)
    return review.certificate


def test_it_asks_follows_and_agrees_with_the_command(review, digits, digits_run):
    truth = pd.read_csv(digits / "truth.csv").set_index("item")
    certifier = Certifier(review)
    certifier.start()
    try:
        first = renewed(review, None)
        client = TestClient(create_app(review, certifier=certifier), base_url="http://127.0.0.1")
        asked = client.get("/api/certify", params={"asker": "ann", "size": 12}).json()["entries"]
        # Two people at work get different cards; the pilot's first part has twenty.
        other = client.get("/api/certify", params={"asker": "ben"}).json()["entries"]
        first_eight = {(one["item"], one["label"]) for one in other[:8]}
        assert not {(one["item"], one["label"]) for one in asked} & first_eight
        asked += other[:8]
        assert len({(one["item"], one["label"]) for one in asked}) == 20
        answers = [
            Request(
                f"answer-{i:03}", Answer(one["item"], one["label"], int(truth.loc[one["item"], one["label"]]))
            )
            for i, one in enumerate(asked)
        ]
        review.answer(answers)
        # Answered ones go at once, and what is asked next waits until they are counted.
        again = client.get("/api/certify").json()
        assert again["entries"] == []
        assert again["making"]
        second = renewed(review, first)
        assert second["confirmed"] + second["refused"] == 20
        said = complete(digits_run).completion.certificate.to_dict()
        assert {name: second[name] for name in said} == said
        assert second["more_filled"] >= second["filled"]
        assert first["pilot_left"] - second["pilot_left"] == 20
        assert len(client.get("/api/certify").json()["entries"]) == 20
        assert review.progress()["certificate"] == second
    finally:
        certifier.stop()


def test_without_one_the_page_says_so(review):
    client = TestClient(create_app(review), base_url="http://127.0.0.1")
    assert client.get("/api/certify").status_code == 422
    assert client.get("/api/progress").json()["certificate"] is None

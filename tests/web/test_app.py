"""The page's requests: who may ask, what is served, what is refused."""

from __future__ import annotations

import re
import sqlite3
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from labelwise.completion import Answers
from labelwise.web import create_app
from tests.web.conftest import make_data, open_review


def body(item="item 1", label="cat", answer=1, name="answer-00001"):
    return {"reviewer": "ann", "answers": [{"id": name, "item": item, "label": label, "answer": answer}]}


def test_an_answer_is_in_the_file_when_the_page_hears_of_it(page, tmp_path):
    said = page.post("/api/answers", json=body()).json()
    assert said["stored"] == ["answer-00001"]
    assert said["progress"]["yes"] == 1
    with sqlite3.connect(f"file:{tmp_path / 'answers.sqlite'}?mode=ro", uri=True) as other:
        assert other.execute("SELECT item, label, answer, reviewer, source FROM answers").fetchall() == [
            ("item 1", "cat", 1, "ann", "review")
        ]


def test_undo_label_learn_and_items(page):
    page.post("/api/answers", json=body())
    undone = page.post(
        "/api/undo", json={"id": "undo-00001", "reviewer": "ann", "answers": ["answer-00001"]}
    ).json()
    assert undone["undone"][0]["answer"] is None
    assert page.post("/api/labels", json={"name": "boat"}).json()["labels"][-1]["name"] == "boat"
    card = page.get("/api/item/3").json()
    assert [one["label"] for one in card["labels"]][-1] == "boat"
    assert page.get("/api/items", params={"size": 3}).json()["items"][0]["labels"]
    assert page.get("/api/learn").json() == {"state": "off"}
    assert page.post("/api/learn", json={}).status_code == 422


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"item": "item 99999"}, "no item 'item 99999'"),
        ({"label": "cot"}, "did you mean 'cat'"),
        ({"answer": 2}, "answer"),
        ({"name": "short"}, "id"),
        ({"name": "x'; DROP TABLE answers; --"}, "id"),
    ],
)
def test_what_is_no_answer_is_refused_in_one_line(page, review, changes, words):
    said = page.post("/api/answers", json=body(**changes))
    assert said.status_code == 422
    assert words in said.json()["error"]
    assert "\n" not in said.json()["error"]
    assert not len(review.store.answers())


def test_one_wrong_answer_of_several_stores_none(page, review):
    both = body()
    both["answers"].append({"id": "answer-00002", "item": "nobody", "label": "cat", "answer": 1})
    assert page.post("/api/answers", json=both).status_code == 422
    assert not len(review.store.answers())


def test_a_full_disk_is_said_and_nothing_else_lost(page, review):
    page.post("/api/answers", json=body())
    connection = review.store._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages}")
    long = "x" * 60
    failed = None
    for number in range(2000):
        said = page.post(
            "/api/answers", json={**body(item=f"item {number % 60}", name=f"{long}{number:04}"[-64:])}
        )
        if said.status_code != 200:
            failed = number, said
            break
    assert failed is not None
    number, said = failed
    assert said.status_code == 507
    assert "full" in said.json()["error"]
    assert "free some space" in said.json()["error"]
    before = len(review.store.answers())
    assert before == 1 + number
    connection.execute("PRAGMA max_page_count=1000000")
    again = body(item=f"item {number % 60}", name=f"{long}{number:04}"[-64:])
    assert page.post("/api/answers", json=again).status_code == 200
    assert len(review.store.answers()) == before + 1


def test_another_site_cannot_answer(page):
    bare = {"x-labelwise": ""}
    assert page.post("/api/answers", json=body(), headers=bare).status_code == 403
    assert (
        page.post("/api/answers", json=body(), headers={"origin": "http://evil.example"}).status_code == 403
    )
    assert page.post("/api/answers", json=body(), headers={"origin": "http://127.0.0.1"}).status_code == 200


def test_another_name_does_not_lead_here(review):
    from starlette.testclient import TestClient

    client = TestClient(
        create_app(review, hosts=("127.0.0.1", "localhost")), base_url="http://evil.example:8765"
    )
    assert client.get("/api/run").status_code == 403
    assert client.get("/api/run", headers={"host": "localhost:8765"}).status_code == 200


def test_a_token_is_asked_for_everywhere_and_becomes_a_cookie(review):
    from starlette.testclient import TestClient

    app = create_app(review, token="a-long-secret")
    client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
    for path in (
        "/",
        "/api/run",
        "/static/main.js",
        "/api/picture/0",
        "/?token=wrong",
        "/api/export/answers",
    ):
        assert client.get(path).status_code == 401, path
    assert client.post("/api/answers?token=a-long-secret", json=body()).status_code == 401
    entered = client.get("/?token=a-long-secret&x=1")
    assert entered.status_code == 303
    assert entered.headers["location"] == "/?x=1"
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert client.get("/api/run").status_code == 200
    other = TestClient(app, base_url="http://127.0.0.1")
    assert other.get("/api/run", headers={"authorization": "Bearer a-long-secret"}).status_code == 200


def test_every_reply_has_its_policy_and_the_files_hold_nothing_inline(page):
    for path in ("/", "/static/review.css", "/api/run", "/nowhere", "/api/entries?label=x"):
        headers = page.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
    text = page.get("/").text
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>|\son\w+=|\sstyle=|<style", text)
    for entry in (files("labelwise.web") / "static").iterdir():
        content = entry.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", content), (
            entry.name
        )
        addresses = set(re.findall(r"https?://[^\s\"')]+", content))
        assert addresses <= {"http://www.w3.org/2000/svg"}, entry.name


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2Fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/../../etc/passwd",
        "/api/picture/../../etc/passwd",
        "/api/picture/0",
        "/api/picture/-1",
    ],
)
def test_no_file_outside_is_served(page, path):
    said = page.get(path)
    assert said.status_code in (404, 405, 422)
    assert "root:" not in said.text


def test_pictures_small_large_and_unreadable(tmp_path):
    from starlette.testclient import TestClient

    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "small.png")
    Image.fromarray(np.zeros((900, 1200, 3), np.uint8)).save(tmp_path / "large.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    names = ["small.png", "large.png", "broken.png", "missing.png"]
    data = make_data(tmp_path, 4, kind="image", contents=[str(tmp_path / name) for name in names])
    data.unreadable[2] = "is damaged"
    review = open_review(tmp_path, data)
    client = TestClient(create_app(review), base_url="http://127.0.0.1")
    small, large = client.get("/api/picture/0"), client.get("/api/picture/1?side=320")
    assert small.headers["content-type"] == "image/png"
    assert large.headers["content-type"] == "image/jpeg"
    assert len(large.content) < 20_000
    for row in (2, 3):
        said = client.get(f"/api/picture/{row}")
        assert said.status_code == 404
        assert said.json()["error"].startswith("the picture ")
    assert client.get("/api/item/2").json()["unreadable"] == "is damaged"
    client.headers["x-labelwise"] = client.get("/api/run").json()["proof"]
    assert client.post("/api/answers", json=body(item="item 2")).status_code == 200
    review.store.close()


def test_answers_go_out_and_come_back(page, review, tmp_path):
    page.post("/api/answers", json=body())
    page.post("/api/answers", json=body(item="item 2", answer=0, name="answer-00002"))
    out = page.get("/api/export/answers")
    assert "attachment" in out.headers["content-disposition"]
    (tmp_path / "copy.csv").write_bytes(out.content)
    assert Answers.read(tmp_path / "copy.csv") == review.store.answers()
    same = page.post("/api/import", content=out.content)
    assert same.json()["new"] == 0
    more = b"item,label,answer,reviewer\nitem 5,dog,1,ben\nitem 6,dog,no,ben\n"
    assert page.post("/api/import", content=more).json()["new"] == 2
    assert review.progress()["yes"] == 2
    assert page.post("/api/import", content=more).json()["new"] == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"item,label,answer\nitem 1,cat,1\nelse,cat,1\n", "1 items (else)"),
        (b"item,label,answer\nitem 1,cow,1\n", "1 labels (cow)"),
        (b"a,b\n1,2\n", "no column 'item'"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"item,label,answer\nitem 1,cat,maybe\n", "maybe"),
    ],
)
def test_a_file_that_is_none_of_this_run_brings_nothing_in(page, review, content, words):
    said = page.post("/api/import", content=content)
    assert said.status_code == 422
    assert words in said.json()["error"]
    assert not len(review.store.answers())

"""The description of the routes: whole, with examples that are answered, and nothing that a fuzzer finds against it."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from labelwise.serving import Limits, Service, create_app
from tests.serving.conftest import asked

EXAMPLES = int(os.environ.get("LABELWISE_FUZZ_EXAMPLES", "3"))


@pytest.fixture(scope="module")
def every(features, words, pictures):
    with asked(features, words, pictures[0], items=8, queue=64) as client:
        yield client


def test_every_example_is_answered_as_described(every):
    paths = every.get("/openapi.json").json()["paths"]
    assert {"/predict", "/models/photos/predict", "/labels", "/health", "/setup", "/webhook"} <= set(paths)
    for path, methods in paths.items():
        for method, route in methods.items():
            if method == "get":
                assert every.get(path).status_code == 200
                continue
            content = route["requestBody"]["content"]["application/json"]
            examples = [one["value"] for one in content.get("examples", {}).values()] or [content["example"]]
            for example in examples:
                said = every.post(path, json=example)
                # The first model reads features, which no task of Label Studio holds.
                about_tasks = "tasks" in example or "schema" in example
                assert said.status_code == (409 if about_tasks else 200), (path, said.text)


def test_the_pages_load_nothing_from_elsewhere(every):
    for path in ("/", "/docs", "/static/try.js", "/static/docs.js", "/static/dom.js", "/static/serve.css"):
        answer = every.get(path)
        assert answer.status_code == 200
        assert "//" not in answer.text.replace("// ", "").replace("http://www.w3.org", "")
    assert "default-src 'none'" in every.get("/docs").headers["content-security-policy"]


def test_schemathesis_finds_nothing(features, words, pictures):
    schemathesis = pytest.importorskip("schemathesis")
    coded = [base64.b64encode(file).decode() for file in pictures[1][:2]]
    urls = [f"data:image/png;base64,{one}" for one in coded]
    schemathesis.openapi.format("picture", st.sampled_from(coded + urls))
    service = Service([features, words, pictures[0]], Limits(items=8, queue=64, body=200_000))
    try:
        # Too many items are too large a request, and not only one that is wrong.
        refusing = {"negative_data_rejection": {"expected-statuses": ["4xx"]}}
        config = schemathesis.Config.from_dict({"checks": refusing})
        description = schemathesis.openapi.from_asgi("/openapi.json", create_app(service), config=config)
        for found in description.get_all_operations():
            operation = found.ok()
            for mode in schemathesis.GenerationMode:

                @settings(
                    max_examples=EXAMPLES,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    database=None,
                )
                @given(case=operation.as_strategy(generation_mode=mode))
                def check(case):
                    case.call_and_validate()

                try:
                    check()
                except Unsatisfiable:
                    # Of a route that takes nothing, nothing can be wrong.
                    continue
    finally:
        service.stop()

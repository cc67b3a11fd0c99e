"""Labels' names as sentences, and their vectors beside a loop over the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelwise.embedding import TEMPLATES, label_vectors, spoken
from tests.refusals import refusal


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("heart_disease", "heart disease"),
        ("HeartDisease", "heart disease"),
        ("sci-fi", "sci-fi"),
        ("USAirways", "US airways"),
        ("TV monitor", "TV monitor"),
        ("pottedPlant_2", "potted plant 2"),
        ("__x  y__", "x y"),
        ("Ärger", "ärger"),
        ("C++", "C++"),
        ("_", "_"),
        ("", ""),
    ],
)
def test_names_become_words(name, words):
    assert spoken(name) == words


@given(st.text())
def test_any_name_has_words_which_stay_as_they_are(name):
    words = spoken(name)
    assert spoken(words) == words
    assert bool(words) == bool(name)


def encode(sentences):
    """Return vectors that depend on each sentence alone."""
    rng = [np.random.default_rng(list(sentence.encode())) for sentence in sentences]
    return np.array([one.normal(size=4) for one in rng], np.float32)


def by_hand(texts, kind):
    total = np.zeros(4)
    for text in texts:
        for template in TEMPLATES[kind]:
            vector = encode([template.replace("{}", text)])[0].astype(float)
            total += vector / np.sqrt(sum(value**2 for value in vector))
    return total / np.sqrt(sum(value**2 for value in total))


@pytest.mark.parametrize("kind", ["text", "image"])
def test_vectors_are_the_mean_over_texts_and_templates(kind):
    given = {"joy_ride": "a fast drive.", "anger": ["anger", "a feeling {of} displeasure"]}
    found = label_vectors(["anger", "MuchJoy", "joy_ride"], encode, kind=kind, label_texts=given)
    expected = [
        by_hand(["anger", "a feeling {of} displeasure"], kind),
        by_hand(["much joy"], kind),
        by_hand(["a fast drive"], kind),
    ]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"angre": "x"}, "did you mean 'anger'"),
        ({"anger": 3}, "give a text"),
        ({"anger": []}, "give a text"),
        ({"anger": ["x", " "]}, "give a text"),
        ({"anger": b"bytes"}, "give a text"),
        (["anger"], "give a dict"),
        ({3: "x"}, "names no label 3"),
    ],
)
def test_texts_of_no_label_or_none_are_refused(given, words):
    with refusal(words):
        label_vectors(["anger", "joy"], encode, kind="text", label_texts=given)

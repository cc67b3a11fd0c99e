"""The tower of texts of tiny models with two towers: vectors, the way to them from pictures, what has none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelwise.models import TextTower, build_backbone
from tests.models.backbones.hub_cases import WORDS, bert, image_folder, text_folder, transformers, vit
from tests.refusals import refusal

SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
TEXTS = ["a b c", "d", "", "a b c d e f g h " * 10]


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers()


def two_towers(folder, kind="CLIP", **vision):
    """Save a model of both kinds of items with a tokenizer and an image processor; return it."""
    library = transformers()
    text = {**SIZES, "vocab_size": len(WORDS), "max_position_embeddings": 12, "projection_size": 8}
    # The tokenizer's [SEP] ends a text, whose state CLIP pools.
    text |= {"eos_token_id": 3, "bos_token_id": 2, "pad_token_id": 0}
    config = getattr(library, f"{kind}Config")(
        text_config=text,
        vision_config={**SIZES, "image_size": 32, "patch_size": 16, **vision},
        **({"projection_dim": 5} if kind == "CLIP" else {}),
    )
    text_folder(folder, config)
    return image_folder(folder, config)


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_vectors_lie_where_the_models_own_features_do(tmp_path, kind):
    model = two_towers(tmp_path, kind)
    tower = TextTower.of(str(tmp_path), local_files_only=True)
    pixels = torch.randint(0, 256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    backbone = build_backbone(f"hf/{tmp_path}", (), local_files_only=True).eval()
    mean, std = torch.tensor([0.5, 0.25, 0.5]), torch.tensor([0.5, 0.5, 0.25])
    normalised = (pixels / 255 - mean[:, None, None]) / std[:, None, None]
    tokenizer = transformers().AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    with torch.no_grad():
        features = backbone(pixels.to(torch.uint8)).numpy()
        images = model.get_image_features(pixel_values=normalised)
        # One at a time, cut by hand: what pads a batch says nothing.
        expected = []
        for text in TEXTS:
            length = {"padding": "max_length"} if kind == "Siglip" else {}
            ids = tokenizer(text, truncation=True, max_length=12, return_tensors="pt", **length)
            out = model.get_text_features(ids["input_ids"], attention_mask=ids["attention_mask"])
            expected.append(getattr(out, "pooler_output", out)[0].numpy())
    images = getattr(images, "pooler_output", images).numpy()
    projected = features if tower.projection is None else features @ tower.projection.T
    assert (tower.projection is None) == (kind == "Siglip")
    np.testing.assert_allclose(projected, images, atol=1e-5)
    np.testing.assert_allclose(tower.encode(TEXTS), expected, atol=1e-5)
    assert not np.allclose(expected[0], expected[1], atol=1e-3)
    np.testing.assert_array_equal(tower.encode(["\ud800 a"]), tower.encode(["? a"]))


def test_a_model_of_one_kind_of_items_has_no_tower(tmp_path):
    text_folder(tmp_path / "texts", bert())
    image_folder(tmp_path / "pictures", vit())
    assert TextTower.of(str(tmp_path / "texts"), local_files_only=True) is None
    assert TextTower.of(str(tmp_path / "pictures"), local_files_only=True) is None


def test_a_checkpoint_without_that_towers_weights_has_none(tmp_path):
    """transformers would draw them at random, and call it a model."""
    from safetensors.torch import load_file, save_file

    two_towers(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("text_model.encoder")}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert TextTower.of(str(tmp_path), local_files_only=True) is None


def test_towers_of_different_widths_without_a_projection_have_no_space_in_common(tmp_path):
    two_towers(tmp_path, "Siglip", hidden_size=16)
    assert TextTower.of(str(tmp_path), local_files_only=True) is None


def test_a_model_that_is_not_there_is_one_line(tmp_path):
    with refusal("cannot be loaded"):
        TextTower.of("no/such-model", local_files_only=True)

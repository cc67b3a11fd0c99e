"""Tiny models of random weights, saved as a hub would hold them."""

from __future__ import annotations

import json
from functools import cache

import pytest
import torch

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]


def transformers():
    return pytest.importorskip("transformers", reason="needs the extra text")


def image_folder(folder, config, *, processor=None, cls="AutoModel"):
    torch.manual_seed(0)
    library = transformers()
    model = (
        getattr(library, cls).from_config(config) if cls.startswith("Auto") else getattr(library, cls)(config)
    )
    model.save_pretrained(folder)
    record = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": 32, "width": 32},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.25, 0.5],
        "image_std": [0.5, 0.5, 0.25],
        **(processor or {}),
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(record))
    return model.eval()


def resnet(**options):
    return transformers().ResNetConfig(
        **{"embedding_size": 4, "hidden_sizes": [4, 6], "depths": [1, 1], "layer_type": "basic", **options}
    )


def vit(**options):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return transformers().ViTConfig(**{**sizes, "image_size": 32, "patch_size": 16, **options})


def bert(**options):
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    return transformers().BertConfig(
        **{**sizes, "vocab_size": len(WORDS), "max_position_embeddings": 20, "pad_token_id": 0, **options}
    )


@cache
def _backend():
    tokenizers = pytest.importorskip("tokenizers", reason="needs the extra text")
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def text_folder(folder, config, *, pad_token="[PAD]", cls="AutoModel"):
    torch.manual_seed(0)
    library = transformers()
    model = getattr(library, cls).from_config(config)
    model.save_pretrained(folder)
    library.PreTrainedTokenizerFast(
        tokenizer_object=_backend(), pad_token=pad_token, unk_token="[UNK]", model_max_length=16
    ).save_pretrained(folder)
    return model.eval()

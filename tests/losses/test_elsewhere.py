"""Losses in other libraries' training loops: transformers' Trainer, and Lightning."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from labelwise import losses
from labelwise.errors import UserError

EXAMPLES = Path(__file__).parents[2] / "examples"
LOGITS = torch.tensor([[0.3, -1.2, 2.0], [0.0, 0.7, -0.4]], dtype=torch.float64)
STATES = torch.tensor([[1, 0, -1], [-1, 1, 0]])


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def total(missing):
    value = 0.0
    for i in range(2):
        for k in range(3):
            p, state = 1 / (1 + math.exp(-float(LOGITS[i, k]))), int(STATES[i, k])
            if state == 1:
                value -= math.log(p)
            elif state == 0 or missing:
                value -= math.log(1 - p)
    return value


@pytest.mark.parametrize(
    ("loss", "missing"), [(losses.assume_negative, True), (losses.ignore_unknown, False)]
)
@pytest.mark.parametrize("shape", ["object", "mapping"])
@pytest.mark.parametrize("labels", ["int64", "NaN", "-1.0"])
def test_it_is_the_sum_over_the_entries_of_the_update(loss, missing, shape, labels):
    outputs = SimpleNamespace(logits=LOGITS) if shape == "object" else {"logits": LOGITS}
    given = {
        "int64": STATES,
        "NaN": STATES.double().masked_fill(STATES == -1, math.nan),
        "-1.0": STATES.float(),
    }[labels]
    compute = losses.ComputeLoss(loss)
    assert float(compute(outputs, given)) == pytest.approx(total(missing) / 6)
    assert float(compute(outputs, given, num_items_in_batch=torch.tensor(24))) == pytest.approx(
        total(missing) / 24
    )


def test_a_soft_label_is_not_rounded():
    """A share of .5 that becomes 0 says "no" of what nobody was sure of."""
    soft = torch.tensor([[1.0, 0.5, math.nan], [math.nan, 0.25, 0.0]])
    found = losses.ComputeLoss(losses.soft_targets)({"logits": LOGITS}, soft)
    value = 0.0
    for x, t in zip(LOGITS.flatten().tolist(), soft.flatten().tolist(), strict=True):
        p, t = 1 / (1 + math.exp(-x)), 0.0 if math.isnan(t) else t
        value -= t * math.log(p) + (1 - t) * math.log(1 - p)
    assert float(found) == pytest.approx(value / 6)
    with pytest.raises(UserError, match=r"hold 1\.5 at \[0, 1\]"):
        losses.ComputeLoss(losses.assume_negative)({"logits": LOGITS}, soft.masked_fill(soft == 0.5, 1.5))


def test_options_go_to_the_loss_and_what_does_not_fit_is_refused():
    outputs = SimpleNamespace(logits=LOGITS)
    flat = losses.ComputeLoss(losses.focal, gamma=0.0)
    assert float(flat(outputs, STATES)) == pytest.approx(
        float(losses.reduce(losses.focal(LOGITS, STATES, gamma=0.0)))
    )
    with pytest.raises(UserError, match="give a function"):
        losses.ComputeLoss("bce")
    with pytest.raises(UserError, match="a value for each entry"):
        losses.ComputeLoss(lambda logits, labels: logits.sum())(outputs, STATES)


@pytest.mark.slow
def test_the_trainer_gives_what_one_large_batch_gives_where_gradients_accumulate(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    module = example("trainer")
    tokens, truth = module.texts(8, np.random.default_rng(0))
    states = np.where(np.random.default_rng(1).random(truth.shape) < 0.6, truth, -1)
    rows = module.items(tokens, states)

    def weights(size, accumulate):
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=module.WORDS, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
            intermediate_size=8, max_position_embeddings=module.LENGTH, num_labels=module.K,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        model = transformers.BertForSequenceClassification(config)
        arguments = transformers.TrainingArguments(
            str(tmp_path), max_steps=2, per_device_train_batch_size=size, optim="sgd", max_grad_norm=0.0,
            gradient_accumulation_steps=accumulate, learning_rate=0.5, use_cpu=True, report_to=[],
            save_strategy="no", disable_tqdm=True, logging_strategy="no", lr_scheduler_type="constant",
        )  # fmt: skip
        compute = losses.ComputeLoss(losses.assume_negative)
        transformers.Trainer(model, arguments, train_dataset=rows, compute_loss_func=compute).train()
        return model.classifier.weight.detach()

    torch.testing.assert_close(weights(8, 1), weights(2, 4), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_example_of_a_trainer_shows_what_the_loss_is_for(tmp_path, capsys):
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    example("trainer").main(str(tmp_path))
    reached = dict(
        line.split() for line in capsys.readouterr().out.splitlines() if line[:3] in ("ass", "ign")
    )
    assert float(reached["ignore_unknown"]) > float(reached["assume_negative"]) > 0.4


@pytest.mark.slow
def test_the_example_of_a_lightning_module_learns(capsys, tmp_path, monkeypatch):
    pytest.importorskip("pytorch_lightning")
    monkeypatch.chdir(tmp_path)
    trainer = example("lightning_module").main(epochs=4)
    assert float(trainer.callback_metrics["val_map"]) > 0.85
    assert "validation mAP" in capsys.readouterr().out

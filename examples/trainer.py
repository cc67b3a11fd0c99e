"""transformers' own Trainer with a loss of labelwise, on texts of which some labels are unknown.

A BERT of two small layers with random weights learns which words stand in a sentence; of every training text four of
ten labels are unknown (-1). Prints the mAP on new texts under two losses, with gradients of two batches a step.
"""

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from labelwise import losses, metrics, simulate

K, LENGTH, WORDS = 4, 8, 40


def texts(count, rng):
    """Return token ids (count, LENGTH) and labels (count, K): whether word k stands in the text."""
    tokens = rng.integers(K, WORDS, (count, LENGTH))
    truth = (rng.random((count, K)) < 0.4).astype(np.int8)
    for k in range(K):
        tokens[truth[:, k] == 1, k] = k
    return rng.permuted(tokens, axis=1), truth


def items(tokens, labels):
    """Return what the Trainer's own collator takes."""
    return [
        {"input_ids": row.tolist(), "labels": states.tolist()}
        for row, states in zip(tokens, labels, strict=True)
    ]


def train(loss, rows, folder):
    """Return a small BERT, trained by the Trainer with this loss."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=WORDS, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=LENGTH, num_labels=K, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    arguments = TrainingArguments(
        folder, num_train_epochs=6, per_device_train_batch_size=16, gradient_accumulation_steps=2,
        learning_rate=5e-3, use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    Trainer(model, arguments, train_dataset=rows, compute_loss_func=losses.ComputeLoss(loss)).train()
    return model.eval()


def main(folder="trainer-example"):
    """Train under two losses, and print what each reaches."""
    rng = np.random.default_rng(0)
    tokens, truth = texts(400, rng)
    new_tokens, new_truth = texts(300, rng)
    rows = items(tokens, simulate.partial(truth, known_fraction=0.6, seed=0))
    print("loss             test mAP")
    for loss in (losses.assume_negative, losses.ignore_unknown):
        model = train(loss, rows, folder)
        with torch.no_grad():
            logits = model(input_ids=torch.from_numpy(new_tokens)).logits
        print(f"{loss.__name__:16} {metrics.mean_average_precision(new_truth, logits.numpy()):.2f}")


if __name__ == "__main__":
    main()

"""A LightningModule with a loss of labelwise, judged by its metrics after every epoch.

Of every training row four of ten labels are unknown (-1). Prints the validation mAP, which the known entries of rows
held out give.
"""

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from labelwise import losses, metrics, simulate


class MultiLabelModule(pl.LightningModule):
    """Any network that ends in K logits, with labels of three states."""

    def __init__(self, network, loss=losses.ignore_unknown, learning_rate=1e-2):
        super().__init__()
        self.network, self.loss, self.learning_rate = network, loss, learning_rate
        self.seen = []

    def training_step(self, batch, number):
        x, states = batch
        known = (states >= 0).float()
        # The mean over known entries; "mean" would be that over all.
        return losses.reduce(self.loss(self.network(x), states), known, how="weighted")

    def validation_step(self, batch, number):
        x, states = batch
        self.seen.append((states.cpu(), self.network(x).cpu()))

    def on_validation_epoch_end(self):
        states, logits = (torch.cat(parts).numpy() for parts in zip(*self.seen, strict=True))
        self.seen = []
        # A mean of batches' mAP is not the mAP: it is taken of all rows at once, on known entries alone.
        self.log("val_map", metrics.ranking_score(states, logits, warn=False))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), self.learning_rate)


def main(epochs=8):
    """Train on half of the rows, and print the mAP on the others."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 10)).astype(np.float32)
    truth = (x @ rng.standard_normal((10, 4)) + 0.5 * rng.standard_normal((600, 4)) > 0.5).astype(np.int8)
    states = torch.from_numpy(simulate.partial(truth, known_fraction=0.6, seed=0))
    rows = TensorDataset(torch.from_numpy(x), states)
    train, held_out = torch.utils.data.random_split(rows, [400, 200], torch.Generator().manual_seed(0))
    pl.seed_everything(0, verbose=False)
    module = MultiLabelModule(nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4)))
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(train, 32, shuffle=True), DataLoader(held_out, 100))
    print(f"validation mAP {float(trainer.callback_metrics['val_map']):.2f}")
    return trainer


if __name__ == "__main__":
    main()

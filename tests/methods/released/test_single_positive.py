"""Traps of the methods of single and partial positives: rows without positives, the oracle, one label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import labelwise as lw
from labelwise import methods
from labelwise.errors import UserError
from tests.methods.single_positive_cases import LABELS, LOGITS, TRUTH, batch, build, world

MINE = [
    "wan",
    "label_smoothing",
    "negative_label_smoothing",
    "l1r",
    "l2r",
    "entropy_minimization",
    "focal",
    "asl",
    "hill",
    "splc",
    "gr",
    "pairwise",
    "vpu",
    "epr",
    "role",
    "role_linear_init",
    "label_smoothing_linear_init",
    "ll_r",
    "ll_ct",
    "ll_cp",
    "bce_single_positive_all_negatives",
]


class TestTraps:
    @pytest.mark.parametrize("method", MINE)
    def test_rows_without_positives_are_rows_like_any_other(self, method):
        """NUS-WIDE: 22% of the rows have no label; where no negative is known they teach, and nothing breaks."""
        random = np.random.default_rng(1)
        Y = np.full((90, 3), -1, np.int8)
        Y[np.arange(70), random.integers(0, 3, 70)] = 1
        made = build(method, Y, "single_positive", truth=np.maximum(Y, 0))
        (group,) = made.plan()[0].mixture
        assert len(made.problem.groups[group]) == 90
        empty = batch(
            np.zeros((20, 3)), Y[70:], grad=True, index=np.arange(70, 90), state=self.state(made, 20)
        )
        loss = made.loss(empty)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(empty.scores.grad).all()

    @staticmethod
    def state(method, rows):
        """The rows of the item state that a loss reads, zeros."""
        return {
            name: np.zeros((rows, 3) if slot.per == "entry" else rows, slot.dtype)
            for name, slot in method.slots().items()
        }

    def test_the_oracle_has_negatives_and_spares_unknown_positives(self):
        made = batch(LOGITS, grad=True)
        build("bce_single_positive_all_negatives").loss(made).backward()
        gradient = made.scores.grad.numpy()
        hidden = (LABELS == -1) & (TRUTH == 1)
        assert hidden.any()
        assert (gradient[hidden] == 0).all()
        assert (gradient[TRUTH == 0] > 0).all()

    def test_the_oracle_reads_the_rows_of_its_batch(self):
        index = np.array([4, 0, 2])
        made = batch(LOGITS[index], LABELS[index], index=index, grad=True)
        build("bce_single_positive_all_negatives").loss(made).backward()
        hidden = ((LABELS == -1) & (TRUTH == 1))[index]
        np.testing.assert_array_equal(made.scores.grad.numpy() == 0, hidden)

    def test_nothing_but_the_oracle_reads_the_true_labels(self):
        folder = Path(methods.__file__).parent
        readers = {
            p.stem for p in folder.glob("*.py") if "truth(" in p.read_text() or "true_labels" in p.read_text()
        }
        # bbam reads them for the published protocol's options alone: see released/test_bbam.py.
        assert readers == {"base", "problem", "spec", "bce_single_positive_all_negatives", "bbam"}
        (X, Y, truth), _ = world(0, n=60, test=2)
        options = {"validation": None, "device": "cpu", "epochs": 2}
        fits = [
            lw.MultiLabelClassifier("wan", **options).fit(X, Y, true_labels=given).decision_scores(X)
            for given in (None, truth)
        ]
        np.testing.assert_array_equal(*fits)

    def test_an_oracle_without_the_truth_is_refused_before_any_work(self):
        method = build("bce_single_positive_all_negatives", truth=None)
        with pytest.raises(UserError, match="true_labels"):
            method.start_labels()

    def test_one_label_has_no_weaker_negative(self):
        labels = np.array([[1], [-1], [-1]], np.int8)
        method = build("wan", labels, "single_positive")
        plain = build("an", labels, "single_positive")
        scores = LOGITS[:3, :1]
        assert float(method.loss(batch(scores, labels))) == float(plain.loss(batch(scores, labels)))

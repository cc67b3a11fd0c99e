"""Scores and logits of all methods agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelwise import methods
from labelwise.models import Outputs
from tests.methods.formulas.cases import COSINES, LOGITS, build, sigmoid


class TestScores:
    @pytest.mark.parametrize("name", ["an", "em", "em_apl", "cap", "ignore_unknown"])
    def test_logits_are_squeezed(self, name):
        found = build(name).score(Outputs(None, torch.from_numpy(LOGITS))).numpy()
        np.testing.assert_allclose(found, np.vectorize(sigmoid)(LOGITS), rtol=1e-6)

    @pytest.mark.parametrize("name", sorted(methods.names()))
    def test_scores_are_the_sigmoid_of_the_logits(self, name):
        cosine = methods.get(name).spec.head == "cosine"
        method = build(name)
        outputs = Outputs(None, torch.from_numpy((COSINES if cosine else LOGITS).astype(np.float32)))
        logits = method.logits(outputs).detach().double()
        torch.testing.assert_close(
            torch.sigmoid(logits), method.score(outputs).detach().double(), atol=1e-6, rtol=0
        )

    def test_logits_are_not_tied_where_scores_are(self):
        far = torch.tensor([[20.0, 25.0, 30.0], [31.0, 38.0, 40.0]])
        for name, outputs in (("an", far), ("ridge", far)):
            method = build(name)
            assert (method.score(Outputs(None, outputs)).float() == 1).all()
            assert method.logits(Outputs(None, outputs)).flatten().diff().min() > 0.5

    def test_a_method_that_overrides_its_score_alone_has_the_logits_of_that(self):
        class Half(methods.get("an")):
            def score(self, outputs):
                return torch.sigmoid(outputs.scores) / 2

        method = Half(build("an").problem)
        logits = method.logits(Outputs(None, torch.from_numpy(LOGITS)))
        torch.testing.assert_close(torch.sigmoid(logits), torch.sigmoid(torch.from_numpy(LOGITS)) / 2)

"""Draws that nest, and estimates that cover."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labelwise as lw
from labelwise.completion import Answer, Answers
from labelwise.completion.draw import Strata
from labelwise.completion.exact import hypergeometric_bounds
from tests.refusals import refused


def table(n=400, k=4, seed=0, hidden=0.6):
    random = np.random.default_rng(seed)
    logits = random.normal(-1.5, 2, size=(n, k))
    truth = (random.random((n, k)) < 1 / (1 + np.exp(-logits))).astype(np.int8)
    Y = np.where(random.random((n, k)) < hidden, -1, truth).astype(np.int8)
    return 1 / (1 + np.exp(-(logits + 0.5))), Y, truth


def answers_of(frame, truth):
    return Answers(
        tuple(
            Answer(item, label, int(truth[row, column]), source="audit", time="2026-01-01T00:00:00+00:00")
            for item, label, row, column in frame[["item", "label", "row", "column"]].itertuples(index=False)
        )
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    size=st.integers(1, 60),
    more=st.integers(0, 80),
    by=st.sampled_from(["score", "label"]),
)
def test_a_larger_draw_holds_each_smaller_one(seed, size, more, by):
    scores, Y, _ = table(n=40, seed=seed % 7)
    first = lw.audit.draw(scores, Y, size, seed, by=by)
    second = lw.audit.draw(scores, Y, size + more, seed, by=by)
    pairs = set(zip(first["row"], first["column"], strict=True))
    assert len(pairs) == len(first) == min(size, int((Y == -1).sum()))
    assert pairs <= set(zip(second["row"], second["column"], strict=True))
    assert all(Y[row, column] == -1 for row, column in pairs)
    assert ((first["probability"] > 0) & (first["probability"] <= 1)).all()


def test_probabilities_are_those_of_the_strata():
    scores, Y, _ = table()
    frame = lw.audit.draw(scores, Y, 90, 0)
    strata = Strata.of(scores, Y)
    edges_seen = frame.groupby("stratum").size()
    for h, count in edges_seen.items():
        expected = count / strata.sizes[h]
        np.testing.assert_allclose(frame.loc[frame["stratum"] == h, "probability"], expected)
    # A slow loop: a stratum is a part of the rule and an interval of scores.
    for row, column, h in frame[["row", "column", "stratum"]].itertuples(index=False):
        on = scores[row, column] >= 0.5
        edges = strata.above[0] if on else strata.below[0]
        assert h == (0 if on else 2) + sum(scores[row, column] < edge for edge in edges)
    # Each entry is drawn with its probability, over seeds.
    hits = np.zeros(Y.shape)
    for seed in range(200):
        one = lw.audit.draw(scores[:30], Y[:30], 20, seed)
        hits[one["row"], one["column"]] += 1
    again = lw.audit.draw(scores[:30], Y[:30], 20, 0)
    for h in again["stratum"].unique():
        chosen = Strata.of(scores[:30], Y[:30]).at(slice(0, 30))
        rate = hits[:30].reshape(-1)[chosen[1][chosen[0] == h]] / 200
        p = float(again.loc[again["stratum"] == h, "probability"].iloc[0])
        assert rate.mean() == pytest.approx(p)
        assert np.abs(rate - p).max() < 5 * np.sqrt(p * (1 - p) / 200) + 1e-9


def test_every_answer_gives_the_truth():
    scores, Y, truth = table(n=60)
    frame = lw.audit.draw(scores, Y, 10_000)
    result = lw.audit.estimate(scores, Y, answers_of(frame, truth))
    rule = scores >= 0.5
    expected = {
        "cardinality": truth.sum() / 60,
        "missing": ((truth == 1) & (Y == -1)).sum(),
        "missing_rate": ((truth == 1) & (Y == -1)).sum() / truth.sum(),
        "precision": (rule & (truth == 1)).sum() / rule.sum(),
        "recall": (rule & (truth == 1)).sum() / truth.sum(),
    }
    for name, value in expected.items():
        assert getattr(result, name) == pytest.approx((value, value, value)), name
    np.testing.assert_allclose(result.prior, truth.mean(axis=0))
    assert result.n_unused == 0


def test_one_stratum_is_the_exact_interval():
    scores, Y, truth = table(n=80, k=1)
    scores[:] = 0.2
    frame = lw.audit.draw(scores, Y, 12)
    values = truth[frame["row"], frame["column"]]
    result = lw.audit.estimate(scores, Y, answers_of(frame, truth))
    N = int((Y == -1).sum())
    assert result.missing[1:] == hypergeometric_bounds(int(values.sum()), 12, N)
    assert result.missing.value == pytest.approx(N * values.mean())


@pytest.mark.parametrize("by", ["score", "label"])
def test_intervals_cover(by):
    """95% intervals of 200 draws, over the whole table and of each label."""
    scores, Y, truth = table(n=500, k=3)
    rule = scores >= 0.5
    expected = {
        "cardinality": truth.sum() / 500,
        "precision": (rule & (truth == 1)).sum() / rule.sum(),
        "recall": (rule & (truth == 1)).sum() / truth.sum(),
        "missing_rate": ((truth == 1) & (Y == -1)).sum() / truth.sum(),
    }
    inside = dict.fromkeys([*expected, "prevalence"], 0.0)
    rounds = 60
    for seed in range(rounds):
        frame = lw.audit.draw(scores, Y, 120, seed, by=by)
        result = lw.audit.estimate(scores, Y, answers_of(frame, truth), seed=seed, by=by)
        for name, value in expected.items():
            bounds = getattr(result, name)
            inside[name] += bounds.lower - 1e-12 <= value <= bounds.upper + 1e-12
        inside["prevalence"] += np.mean(
            [
                b.lower <= share <= b.upper
                for b, share in zip(result.prevalence, truth.mean(axis=0), strict=True)
            ]
        )
    # 94% less two standard errors of sixty rounds.
    assert min(inside.values()) / rounds >= 0.94 - 2 * np.sqrt(0.95 * 0.05 / rounds), inside


def test_strata_without_an_answer_add_their_whole_range():
    scores, Y, truth = table(n=60, k=2)
    frame = lw.audit.draw(scores, Y, 12)
    for_one = frame[frame["stratum"] == frame["stratum"].iloc[0]]
    result = lw.audit.estimate(scores, Y, answers_of(for_one, truth))
    inside = [row for row in result.reliability if row["answers"]]
    others = sum(row["entries"] for row in result.reliability if not row["answers"])
    (only,) = inside
    assert result.missing.lower == pytest.approx(only["lower"] * only["entries"])
    assert result.missing.upper == pytest.approx(only["upper"] * only["entries"] + others)


def test_answers_from_elsewhere_do_not_bias():
    scores, Y, truth = table()
    frame = lw.audit.draw(scores, Y, 100)
    answers = answers_of(frame, truth)
    best = np.argwhere((Y == -1) & (scores > 0.9))[:50]
    chosen = Answers(
        tuple(
            Answer(str(row), f"label_{k}", int(truth[row, k]), time="2026-01-02T00:00:00+00:00")
            for row, k in best
        )
    )
    alone, both = (lw.audit.estimate(scores, Y, given) for given in (answers, answers.merge(chosen)))
    assert both.n_answers >= alone.n_answers
    assert both.missing.lower <= alone.missing.upper
    one = lw.audit.estimate(scores, Y, chosen)
    assert one.n_answers + one.n_unused == len(chosen)


def test_skipped_entries_widen():
    scores, Y, truth = table()
    frame = lw.audit.draw(scores, Y, 100)
    skipped = truth.copy()
    skipped[frame["row"][:10], frame["column"][:10]] = -1
    full, less = (lw.audit.estimate(scores, Y, answers_of(frame, values)) for values in (truth, skipped))
    assert less.missing.lower <= full.missing.lower
    assert less.missing.upper >= full.missing.upper
    assert any("skipped" in note for note in less.notes)


def test_estimates_become_settings():
    scores, Y, truth = table()
    frame = lw.audit.draw(scores, Y, 150, label_names=list("abcd"))
    assert lw.audit.estimate(scores, Y, answers_of(frame, truth)).n_answers == 0
    result = lw.audit.estimate(scores, Y, answers_of(frame, truth), label_names=list("abcd"))
    assert result.n_answers == 150
    prior = result.settings()["prior"]
    X = np.random.default_rng(0).normal(size=(400, 3))
    model = lw.MultiLabelClassifier("ridge", prior=prior).fit(X, pd.DataFrame(Y, columns=list("abcd")))
    np.testing.assert_allclose(model.prior_, result.prior)
    assert result.rule().to_dict()
    # The scores' logits are half too high.
    offset, slope = result.calibration.offset[0], result.calibration.slope[0]
    assert -1.5 < offset < 0.7
    assert 0.4 < slope < 2


def test_what_cannot_be_audited_is_refused():
    scores, Y, _ = table()
    refused(lambda: lw.audit.draw(scores[:5], Y, 3), "shape")
    refused(lambda: lw.audit.draw(scores * 3, Y, 3), "row")
    refused(lambda: lw.audit.draw(scores, Y, 0), "size")
    refused(lambda: lw.audit.draw(scores, Y, 5, by="place"), "label")
    refused(lambda: lw.audit.draw(scores, Y, 5, items=["a"] * len(Y)), "different ids")
    refused(lambda: lw.audit.estimate(scores, Y, None, confidence=2), "confidence")

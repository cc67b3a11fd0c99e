"""Landmarks: which rows, what is said of them, and that all rows are scored."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from labelwise.annotations import simulate
from labelwise.ensemble import Ensemble, landmarks
from labelwise.ensemble.landmarks import Landmarks, bytes_of_fit
from labelwise.ensemble.pool import Pool
from labelwise.ensemble.recipe import EnsembleFit, folds_of
from labelwise.errors import Notice
from labelwise.metrics import average_precision
from labelwise.models import FoldedRidge, compute, logits, solve_ridge
from tests.ensemble.test_graph import ExactIndex, approximate
from tests.ensemble.test_recipe import clusters, few


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(landmarks, "MOST_ROWS", 200)
    monkeypatch.setattr(landmarks, "_LANDMARKS", 200)
    monkeypatch.setattr(landmarks, "_FITTED", 60)
    monkeypatch.setattr(landmarks, "_FEWEST", 50)
    monkeypatch.setattr(landmarks, "faiss_library", lambda: None)
    monkeypatch.setattr(landmarks, "free_memory", lambda: 10**12)


def test_few_rows_are_all_fitted():
    labels = np.zeros((200, 3), np.int8)
    assert Landmarks.of(labels, 10) is None
    assert Landmarks.of(np.zeros((201, 3), np.int8), 10) is not None


def test_known_rows_come_first_and_up_to_a_number():
    labels = np.full((1000, 3), -1, np.int8)
    labels[::50] = 1
    chosen = Landmarks.of(labels, 10, seed=3)
    assert len(chosen.rows) == len(np.unique(chosen.rows)) == 200
    assert (np.diff(chosen.rows) > 0).all()
    assert set(range(0, 1000, 50)) == set(chosen.rows[chosen.fitted])
    assert (chosen.labels(labels)[chosen.fitted] == 1).all()
    assert (Landmarks.of(labels, 10, seed=3).rows == chosen.rows).all()
    assert (Landmarks.of(labels, 10, seed=4).rows != chosen.rows).any()
    every = Landmarks.of(np.ones((1000, 3), np.int8), 10)
    assert (len(every.rows), every.fitted.sum()) == (200, 60)
    assert (every.labels(np.ones((1000, 3), np.int8))[~every.fitted] == -1).all()
    assert "1000 rows" in every.words
    assert "200 keyed rows" in every.words
    assert "60 of them" in every.words


def test_memory_that_would_not_suffice_takes_fewer_rows_and_says_so(monkeypatch):
    labels = np.ones((200, 3), np.int8)
    need = bytes_of_fit(100, 60, 10, 3) / 0.8
    monkeypatch.setattr(landmarks, "free_memory", lambda: int(need))
    chosen = Landmarks.of(labels, 10)
    assert len(chosen.rows) == 100
    assert "GB of free memory do not hold an ensemble of 200 rows" in chosen.words
    assert "\n" not in chosen.words
    monkeypatch.setattr(landmarks, "free_memory", lambda: 0)
    assert len(Landmarks.of(labels, 10).rows) == 50
    monkeypatch.setattr(landmarks, "free_memory", lambda: None)
    assert Landmarks.of(labels, 10) is None


def test_faiss_allows_more_rows(monkeypatch):
    labels = np.full((1000, 3), -1, np.int8)
    labels[:50] = 0
    assert Landmarks.of(labels, 10) is not None
    monkeypatch.setattr(landmarks, "faiss_library", object)
    assert len(Landmarks.of(labels, 10).rows) == 200  # exact search still
    monkeypatch.setattr(landmarks, "EXACT_POOL", 999)
    assert Landmarks.of(labels, 10) is None
    chosen = Landmarks.of(np.zeros((1000, 3), np.int8), 10)
    assert (len(chosen.rows), chosen.fitted.sum()) == (1000, 60)
    assert "1000 of 1000 rows have known entries" in chosen.words
    monkeypatch.setattr(landmarks, "MOST_WITH_FAISS", 500)
    assert len(Landmarks.of(labels, 10).rows) == 200


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_all_rows_are_scored_and_ridge_by_rows_it_has_not_seen(kind):
    X, Y = clusters(n=500)
    labels = simulate.single_positive(Y, seed=0)
    X = sp.csr_array(X) if kind == "sparse" else X
    solution = solve_ridge(X, labels)
    with pytest.warns(Notice, match="200 keyed rows") as caught:
        ensemble = Ensemble.fit(X, labels, solution)
    assert len(caught) == 1
    assert str(caught[0].message) in ensemble.explanation["notes"]
    assert ensemble.left_out.shape == Y.shape
    assert np.isfinite(ensemble.left_out).all()
    assert ensemble.scores(X).shape == Y.shape
    chosen = Landmarks.of(labels, 24)
    rest = np.setdiff1d(np.arange(500), chosen.rows)
    own, left_out = ensemble.scores(X[rest]), ensemble.left_out[rest]
    # an ensemble of landmarks alone has not seen the others: what differs is the ridge, by its leave-one-out scores
    moved = np.abs(solution.loo_scores[rest] - solution.predict(X[rest])).max()
    assert moved > 0
    assert (np.abs(left_out - own).max() > 0) == bool((ensemble.scorer.weight != 0).any())
    ap = [
        float(np.nanmean(average_precision(Y, s.astype(float))))
        for s in (ensemble.left_out, logits(solution.loo_scores))
    ]
    assert ap[0] > ap[1] - 0.05


def test_with_the_gate_shut_they_are_the_leave_one_out_scores_of_all_rows():
    X, Y = clusters(n=500)
    labels = np.full_like(Y, -1)
    labels[:8] = Y[:8]
    labels[0] = 1
    solution = solve_ridge(X, labels)
    with pytest.warns(Notice):
        ensemble = Ensemble.fit(X, labels, solution)
    np.testing.assert_allclose(ensemble.left_out, logits(solution.loo_scores), atol=1e-4)


def test_no_fold_refits_a_ridge_of_other_rows(monkeypatch):
    X, Y = clusters(n=500)
    labels = few(Y, 0.9)
    solution = solve_ridge(X, labels)
    monkeypatch.setattr("labelwise.ensemble.recipe._MOST_TUNED", 0)
    monkeypatch.setattr(FoldedRidge, "outputs", None)
    with pytest.warns(Notice):
        Ensemble.fit(X, labels, solution)
    monkeypatch.setattr(landmarks, "MOST_ROWS", 1000)
    monkeypatch.setattr(FoldedRidge, "MOST", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = EnsembleFit(X, labels, solution)
        (simple, *_), *_ = fit.evidence()
    assert (simple == fit.simple).all()  # its leave-one-out scores, in every fold


def test_a_fold_of_masked_labels_reads_roots_of_wide_rows(monkeypatch):
    monkeypatch.setattr(landmarks, "MOST_ROWS", 1000)
    monkeypatch.setattr("labelwise.ensemble.recipe._MOST_TUNED", 0)
    X, Y = clusters(n=60, D=100)
    labels = np.where(np.random.default_rng(0).random(Y.shape) < 0.4, np.int8(-1), Y)
    labels[:, 0] = Y[:, 0]
    solution = solve_ridge(X, labels)
    fit = EnsembleFit(X, labels, solution)
    (simple, *_), *_ = fit.evidence()
    assert fit._folded.roots.shape[0] == len(fit.known)
    out = np.isfinite(simple).all(axis=1)
    assert out.all()
    # a label that is known everywhere is refitted as if no mask were there
    Z, y = solution.scaling.transform(X[fit.known.rows]).astype(float), fit.known.targets[:, 0].astype(float)
    fold = folds_of(fit.known, 0) == 0
    A = np.column_stack([Z[~fold], np.ones((~fold).sum())])
    penalty = np.diag([solution.lambda_] * Z.shape[1] + [0])
    w = np.linalg.solve(A.T @ A + penalty, A.T @ y[~fold])
    expected = np.column_stack([Z[fold], np.ones(fold.sum())]) @ w - y[~fold].mean()
    np.testing.assert_allclose(simple[fold, 0], expected, atol=2e-3)


def test_neighbours_by_faiss_tell_their_recall(monkeypatch):
    approximate(monkeypatch, ExactIndex())
    X, _ = clusters(n=300)
    told = (
        "neighbours among 300 rows come from faiss; of those of 300 rows it finds 100.0% by p and 100.0% by w"
    )
    assert Pool.fit(X).words == [told]
    approximate(monkeypatch, None)
    assert Pool.fit(X).words == []


def test_free_memory_counts_the_group_s_limit(monkeypatch, tmp_path):
    files = {
        "proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 4000 kB\n",
        "sys/fs/cgroup/memory.max": "3000000\n",
        "sys/fs/cgroup/memory.current": "2500000\n",
        "sys/fs/cgroup/memory.stat": "anon 7\ninactive_file 100000\n",
    }
    monkeypatch.setattr(compute, "Path", lambda path: tmp_path / path.strip("/"))
    assert compute.free_memory() is None
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if name == "proc/meminfo":
            assert compute.free_memory() == 4000 << 10
    assert compute.free_memory() == 600_000
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert compute.free_memory() == 4000 << 10

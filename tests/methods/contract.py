"""What every method of the registry must do, as checks over (method, setting)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.sparse as sp
import torch
from scipy.stats import spearmanr
from sklearn.base import clone
from torch import nn

import labelwise as lw
from labelwise.annotations import describe
from labelwise.methods import SETTINGS, Budget, Problem, fitting, get
from tests.refusals import refused

N, D, K = 96, 8, 4
PRIOR = np.array([0.3, 0.25, 0.2, 0.35])


def items(n=N, seed=0):
    """Features (n, D) and full labels (n, K) that a linear model nearly explains."""
    random = np.random.default_rng(seed)
    weight = np.random.default_rng(99).standard_normal((K, D))
    X = random.standard_normal((n, D)).astype(np.float32)
    raw = X @ weight.T + 0.5 * random.standard_normal((n, K))
    cuts = [np.quantile(raw[:, k], 1 - PRIOR[k]) for k in range(K)]
    return X, (raw > cuts).astype(np.int8)


def hide(Y, setting, seed=0):
    """Hide entries of full labels so that the matrix has the setting."""
    random = np.random.default_rng(seed)
    if setting == "full":
        return Y
    if setting == "semi_supervised":
        return np.where(np.arange(len(Y))[:, None] < len(Y) // 3, Y, np.int8(-1))
    if setting == "partial":
        return np.where(random.random(Y.shape) < 0.5, Y, np.int8(-1))
    if setting == "partial_positive":
        return np.where((Y == 1) & (random.random(Y.shape) < 0.8), Y, np.int8(-1))
    return single_positive(Y, random)


def single_positive(Y, random):
    seen = np.full_like(Y, -1)
    for row in np.flatnonzero(Y.any(1)):
        seen[row, random.choice(np.flatnonzero(Y[row]))] = 1
    return seen


def problem(setting):
    X, full = items()
    Y = hide(full, setting)
    assert describe(Y).setting == setting
    return X, Y, full


def model(method, setting="full", **changes):
    options = {"epochs": 3, "batch_size": 16, "validation": None, "device": "cpu", "random_state": 3}
    if "prior" in get(method).spec.needs:
        options["prior"] = PRIOR
    return lw.MultiLabelClassifier(method, **{**options, **changes})


def truth(method, full):
    """The true labels as an argument of ``fit``, for an oracle alone."""
    return {"true_labels": full} if "true_labels" in get(method).spec.needs else {}


@lru_cache(maxsize=2)
def plain(method, setting):
    """The method fitted to the setting's items: what one check needs and none changes, fitted once for them all."""
    X, Y, full = problem(setting)
    return model(method).fit(X, Y, **truth(method, full))


def same(one, other):
    """Assert that two networks with their methods are equal to the bit."""
    for a, b in ((one.network_, other.network_), (one.trained_method_, other.trained_method_)):
        left, right = a.state_dict(), b.state_dict()
        assert left.keys() == right.keys()
        for name, value in left.items():
            assert torch.equal(value, right[name]), name


def check_predicts_scores_between_zero_and_one(method, setting, folder):
    X, _, full = problem(setting)
    fitted = plain(method, setting)
    scores, sets = fitted.predict_proba(X), fitted.predict(X)
    assert scores.shape == sets.shape == full.shape
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    assert set(np.unique(sets)) <= {0, 1}
    assert fitted.score(X, full) > PRIOR.mean() + 0.1
    assert all(np.isfinite(record["loss"]) for record in fitted.history_)


def check_a_clone_fits_to_the_same_bit_and_the_caller_keeps_its_random_state_and_arguments(
    method, setting, folder
):
    X, Y, full = problem(setting)
    first = plain(method, setting)
    torch.manual_seed(12345)
    np.random.seed(6)  # noqa: NPY002 - the point is that no global generator matters
    before, X_was, Y_was = torch.get_rng_state(), X.copy(), Y.copy()
    second = clone(first)
    parameters = repr(first.get_params())
    assert repr(second.get_params()) == parameters
    assert not hasattr(second, "network_")
    second.fit(X, Y, **truth(method, full))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(X, X_was)
    np.testing.assert_array_equal(Y, Y_was)
    assert repr(second.get_params()) == parameters
    same(first, second)
    np.testing.assert_array_equal(first.decision_scores(X), second.decision_scores(X))
    assert [r["loss"] for r in first.history_] == [r["loss"] for r in second.history_]


def check_saves_and_loads(method, setting, folder):
    X, fitted = problem(setting)[0], plain(method, setting)
    fitted.save(folder / "model")
    loaded = lw.load(folder / "model")
    same(fitted, loaded)
    np.testing.assert_array_equal(fitted.predict_proba(X), loaded.predict_proba(X))
    np.testing.assert_array_equal(fitted.predict(X), loaded.predict(X))
    assert loaded.method_ == method
    assert loaded.hyperparameters_ == fitted.hyperparameters_
    assert loaded.label_names_ == fitted.label_names_


def check_loss_falls_from_a_random_start(method, setting, folder):
    X, Y, full = problem(setting)
    fitted = model(method, tune="all", epochs=14, learning_rate=0.03).fit(X, Y, **truth(method, full))
    if get(method).spec.passes == 0:
        assert fitted.history_ == []
        return
    course = [record["loss"] for record in fitted.history_ if record["stage"] == fitted.history_[0]["stage"]]
    assert len(course) > 2
    assert min(course[1:]) < course[0]


class Backbone(nn.Module):
    """A network of one's own, with batch norm, that somebody might have trained."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(11)
            self.body = nn.Sequential(nn.Linear(D, 12), nn.BatchNorm1d(12), nn.Tanh())
        self.body[1].running_mean += 0.3
        self.body[1].running_var += 0.5
        self.n_features = 12

    def forward(self, x):
        return self.body(x)


def check_a_whole_network_starts_at_the_closed_form_on_its_features(method, setting, folder):
    X, Y, full = problem(setting)
    closed = get(method).spec.can_start_from_ridge("all")
    options = {
        "backbone": Backbone(),
        "tune": "all",
        "head_start": "ridge" if closed else None,
        "epochs": 2,
        "learning_rate": 1e-9,
    }
    fitted = model(method, **options).fit(X, Y, **truth(method, full))
    if not closed:
        assert fitted.solution_ is None
        return
    network, Z = fitted.network_.eval(), torch.from_numpy(fitted.scaling_.transform(X))
    with torch.no_grad():
        features, scores = network.backbone(Z).numpy(), network(Z).scores.numpy()
    raw = fitted.solution_.predict(features)
    for k in range(K):
        assert spearmanr(raw[:, k], scores[:, k]).statistic > 0.9999
    for name, value in Backbone().state_dict().items():
        torch.testing.assert_close(network.backbone.state_dict()[name], value, atol=1e-6, rtol=0)
    fitted.save(folder / "model")
    loaded = lw.load(folder / "model", backbone=Backbone())
    same(fitted, loaded)
    np.testing.assert_array_equal(fitted.predict_proba(X), loaded.predict_proba(X))


def check_a_backbone_has_its_own_rate(method, setting, folder):
    _, Y, full = problem(setting)
    budget = Budget(6, 16, 1e-3, backbone_rate=0.07)
    seen = Problem(Y, setting, PRIOR, "all", 0, budget, full)
    for stage in get(method)(seen).plan():
        for optimiser in stage.optimisers.values():
            assert optimiser.rates["backbone"] == 0.07


def check_a_label_without_positives(method, setting, folder):
    X, Y, full = problem(setting)
    Y = Y.copy()
    Y[:, 2] = np.where(Y[:, 2] == 1, -1 if "positive" in setting else 0, Y[:, 2])
    fitted = model(method).fit(X, Y, **truth(method, full))
    assert np.isfinite(fitted.predict_proba(X)).all()
    assert any("label_2" in note or "'2'" in note or " 2" in note for note in fitted.notes_)
    fitted.save(folder / "model")
    lw.load(folder / "model")


def check_rows_without_labels(method, setting, folder):
    X, Y, full = problem(setting)
    Y = Y.copy()
    Y[::7] = -1
    now = describe(Y).setting
    if now in get(method).spec.settings:
        assert np.isfinite(model(method).fit(X, Y, **truth(method, full)).predict_proba(X)).all()


def check_one_label(method, setting, folder):
    X, Y, full = problem(setting)
    Y, full = Y[:, :1], full[:, :1]
    options = {"prior": PRIOR[:1]} if "prior" in get(method).spec.needs else {}
    now = describe(Y).setting
    if now in get(method).spec.settings:
        assert model(method, **options).fit(X, Y, **truth(method, full)).predict_proba(X).shape == (N, 1)


def check_one_item_a_batch(method, setting, folder):
    X, Y, full = (rows[::3] for rows in problem(setting))
    assert describe(Y).setting == setting
    fitted = model(method, batch_size=1, epochs=2).fit(X, Y, **truth(method, full))
    assert np.isfinite(fitted.predict_proba(X)).all()


def check_bfloat16(method, setting, folder):
    X, Y, full = problem(setting)
    half, whole = model(method, precision="bf16").fit(X, Y, **truth(method, full)), plain(method, setting)
    np.testing.assert_allclose(half.decision_scores(X), whole.decision_scores(X), atol=0.05)


def check_a_known_negative(method, setting, folder):
    X, Y, full = problem(setting)
    Y = Y.copy()
    row, label = np.argwhere((full == 0) & (Y != 1))[5]
    Y[row, label] = 0
    now = describe(Y).setting
    if now in get(method).spec.settings:
        assert np.isfinite(model(method).fit(X, Y, **truth(method, full)).predict_proba(X)).all()


def check_sparse_equals_dense(method, setting, folder):
    X, Y, full = problem(setting)
    X = np.where(np.abs(X) < 0.5, 0, X)
    dense, sparse = (
        model(method).fit(X, Y, **truth(method, full)),
        model(method).fit(sp.csr_matrix(X), Y, **truth(method, full)),
    )
    np.testing.assert_allclose(dense.decision_scores(X), sparse.decision_scores(sp.coo_array(X)), atol=2e-4)


def check_label_weights_count(method, setting, folder):
    """Heavier positives move their label's scores, on a head of its own too; weights of 1 change nothing."""
    X, Y, full = problem(setting)
    if not get(method).spec.passes:
        # It need not follow heavier ones: that a fit takes them is said once, in the method's first setting.
        ones = model(method, label_weights=np.ones(K)).fit(X, Y, **truth(method, full))
        np.testing.assert_allclose(
            plain(method, setting).decision_scores(X), ones.decision_scores(X), atol=1e-6
        )
        if setting == next(s for s in SETTINGS if s in get(method).spec.settings):
            heavy = model(method, label_weights=[50.0, 1, 1, 1]).fit(X, Y, **truth(method, full))
            assert np.isfinite(heavy.decision_scores(X)).all()
        return
    options = {"learning_rate": 0.01, "epochs": 2}
    without, ones, heavy = (
        model(method, label_weights=given, **options).fit(X, Y, **truth(method, full)).decision_scores(X)
        for given in (None, np.ones(K), [50.0, 1, 1, 1])
    )
    np.testing.assert_allclose(without, ones, atol=1e-6)
    assert np.abs(heavy - without)[:, 0].max() > 1e-4


CHECKS = {name.removeprefix("check_"): f for name, f in list(globals().items()) if name.startswith("check_")}


def check_settings_outside(method):
    spec = get(method).spec
    for setting in SETTINGS:
        if setting not in spec.settings:
            X, Y, _ = problem(setting)
            others = fitting(setting)
            assert method not in others
            refused(lambda X=X, Y=Y: model(method).fit(X, Y), method, *others)


def check_hyperparameters(method):
    spec = get(method).spec
    assert spec.resolve(None) == spec.resolve(
        {k: v for k, v in spec.resolve(None).items() if v is not None}
    ), "a default is outside its own range"
    refused(lambda: spec.resolve({"colour": 1}), method, "colour", *list(spec.hyperparameters)[:5])
    for name, h in spec.hyperparameters.items():
        default = h.default
        bad = ["nonsense"] if not (isinstance(default, str) and not h.choices) else []
        bad += [h.low - 1] if h.low is not None else []
        bad += [h.high * 2 + 1, float("nan")] if h.high is not None else []
        bad += [default + 0.5] if type(default) is int else []
        for value in bad:
            words = [method, name, default, *h.choices, *(f"{b:g}" for b in (h.low, h.high) if b is not None)]
            refused(lambda v=value, n=name: spec.resolve({n: v}), *words)


def check_prior_is_asked_for(method):
    if "prior" not in get(method).spec.needs:
        return
    X, Y, _ = problem("single_positive")
    if "single_positive" in get(method).spec.settings:
        refused(lambda: model(method, prior=None).fit(X, Y), "prior", method)


def check_true_labels_are_asked_for(method):
    if "true_labels" not in get(method).spec.needs:
        return
    X, Y, full = problem("single_positive")
    refused(lambda: model(method).fit(X, Y), "true_labels", method)
    refused(lambda: model(method, tune="all").fit(X, Y), "true_labels", method)
    refused(lambda: model(method).fit(X, Y, true_labels=full[:5]), "true_labels", method, "(5, 4)")

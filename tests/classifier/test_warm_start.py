"""Training that goes on from an earlier model."""

import numpy as np
import pytest
import torch

import labelwise as lw
from tests.refusals import refused

NAMES = ["a", "b", "c", "d"]


def problem(n=80, k=3, seed=0, d=6):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, d)).astype(np.float32)
    Y = (X @ random.normal(size=(d, k)) + 0.3 * random.normal(size=(n, k)) > 0).astype(np.int8)
    return X, Y


def model_of(method="bce", **options):
    return lw.MultiLabelClassifier(
        method, **{"validation": None, "epochs": 3, "learning_rate": 1e-3, **options}
    )


def still(**options):
    """Return a classifier whose training moves nothing worth the name."""
    return model_of(epochs=1, learning_rate=1e-12, **options)


@pytest.mark.parametrize(
    "options", [{}, {"backbone": "mlp"}, {"backbone": "mlp", "head_start": "ridge"}, {"head_start": "random"}]
)
def test_a_training_that_does_not_move_gives_the_earlier_model(options):
    X, Y = problem()
    first = model_of(**options).fit(X[:50], Y[:50], label_names=NAMES[:3])
    again = still(**options).fit(X, Y, label_names=NAMES[:3], warm_start=first)
    np.testing.assert_allclose(again.decision_scores(X), first.decision_scores(X), atol=1e-5)
    cold = still(**options).fit(X, Y, label_names=NAMES[:3])
    assert np.abs(cold.decision_scores(X) - first.decision_scores(X)).max() > 1e-3


@pytest.mark.parametrize("options", [{}, {"backbone": "mlp", "head_start": "ridge"}])
def test_labels_go_on_by_name_and_new_ones_start_from_ridge(options):
    X, Y = problem(k=4)
    first = model_of(**options).fit(X, Y[:, :3], label_names=NAMES[:3])
    order = [3, 2, 0, 1]
    names = [NAMES[k] for k in order]
    again = still(**options).fit(X, Y[:, order], label_names=names, warm_start=first)
    scores = again.decision_scores(X)
    for place, k in enumerate(order):
        if k < 3:
            np.testing.assert_allclose(scores[:, place], first.decision_scores(X)[:, k], atol=1e-5)
    new = scores[:, 0]
    assert new[Y[:, 3] == 1].mean() > new[Y[:, 3] == 0].mean() + 0.1
    assert any(
        "the weights of 3 labels go on from the earlier model; d start anew" in note for note in again.notes_
    )


def test_the_earlier_model_stays_as_it_was_and_a_loaded_one_does_as_well(tmp_path):
    X, Y = problem()
    first = model_of().fit(X, Y)
    before = {name: value.clone() for name, value in first.network_.state_dict().items()}
    first.save(tmp_path / "model")
    again = model_of().fit(X, Y, warm_start=first)
    assert all(torch.equal(value, before[name]) for name, value in first.network_.state_dict().items())
    loaded = model_of().fit(X, Y, warm_start=lw.load(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.decision_scores(X), again.decision_scores(X))


def test_a_run_that_began_warm_resumes_to_the_bit_and_no_other_goes_on_with_it(tmp_path):
    X, Y = problem()
    first = model_of().fit(X[:40], Y[:40])
    whole = model_of().fit(X, Y, warm_start=first)

    def stop(_, epoch):
        if epoch == 2:
            raise KeyboardInterrupt

    directory = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        model_of(directory=directory).fit(X, Y, warm_start=first, on_epoch=stop)
    resumed = model_of(directory=directory).fit(X, Y, warm_start=first)
    np.testing.assert_array_equal(resumed.decision_scores(X), whole.decision_scores(X))


def test_what_was_held_out_is_judged_without_the_earlier_model():
    X, Y = problem()
    first = model_of().fit(X, Y)
    again = model_of(validation=0.3).fit(X, Y, warm_start=first)
    cold = model_of(validation=0.3).fit(X, Y)
    np.testing.assert_array_equal(again.held_out_[1], cold.held_out_[1])
    assert any("without the warm start" in note for note in again.notes_)


@pytest.mark.parametrize("method", ["ridge", "auto"])
def test_closed_forms_are_solved_anew_and_say_so(method):
    X, Y = problem()
    first = model_of("bce").fit(X, Y)
    options = {"validation": None, "epochs": None, "learning_rate": None}
    again = model_of(method, **options).fit(X, Y, warm_start=first)
    cold = model_of(method, **options).fit(X, Y)
    np.testing.assert_array_equal(again.decision_scores(X), cold.decision_scores(X))
    assert any("not used: warm_start, since" in note for note in again.notes_)


def test_what_does_not_fit_is_refused_in_one_line():
    X, Y = problem()
    first = model_of().fit(X, Y, label_names=NAMES[:3])
    narrow = X[:, :4]
    refused(
        lambda: model_of().fit(narrow, Y, warm_start=first),
        "number of features of the model is 6, of this fit 4",
    )
    refused(
        lambda: model_of(backbone="mlp").fit(X, Y, warm_start=first),
        "the backbone of the model is 'features'",
    )
    refused(lambda: model_of("bam").fit(X, Y, warm_start=first), "the head of the model is 'linear'")
    refused(
        lambda: model_of().fit(X, Y, label_names=["x", "y", "z"], warm_start=first),
        "none of the labels 'x', 'y'",
    )
    refused(lambda: model_of().fit(X, Y, warm_start="model"), "give a fitted MultiLabelClassifier")
    refused(lambda: model_of().fit(X, Y, warm_start=model_of()), "warm_start is not fitted")
    drml = model_of("drml").fit(X, Y, label_names=NAMES[:3])
    call = model_of("drml")
    refused(
        lambda: call.fit(X, Y[:, :2], label_names=NAMES[:2], warm_start=drml), "with the same labels alone"
    )

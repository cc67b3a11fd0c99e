"""``fit(callbacks=[...])``: who is called, when, with what, and what an error in one does."""

from __future__ import annotations

import numpy as np
import pytest

from labelwise import MultiLabelClassifier, engine
from labelwise.classifier import Callback
from labelwise.classifier.callbacks import Callbacks
from labelwise.errors import UserError

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((90, 4)).astype(np.float32)
Y = (X[:, :3] > 0).astype(np.int8)


class Notes:
    """Keeps what it is told; no subclass of ``Callback``."""

    def __init__(self):
        self.told = []

    def on_fit_start(self, fit):
        self.told.append(("start", fit))

    def on_step(self, step):
        self.told.append(("step", step))

    def on_epoch(self, epoch):
        self.told.append(("epoch", epoch))

    def on_fit_end(self, fit):
        self.told.append(("end", fit))

    def on_fit_error(self, error):
        self.told.append(("error", error))

    def of(self, kind):
        return [view for name, view in self.told if name == kind]


def fit(*callbacks, method="bce", **options):
    options = {"epochs": 2, "batch_size": 20, "device": "cpu", **options}
    return MultiLabelClassifier(method, **options).fit(X, Y, callbacks=list(callbacks))


def test_every_hook_in_order_with_the_figures_of_the_history():
    notes = Notes()
    model = fit(notes, learning_rate=0.01)
    (start,), (end,) = notes.of("start"), notes.of("end")
    assert (start.method, start.n_items, start.setting) == ("bce", 90, "full")
    assert start.label_names == model.label_names_
    assert start.options["learning_rate"] == 0.01
    assert notes.told[0][0] == "start"
    assert notes.told[-1] == ("end", end)
    assert dict(end.figures) == dict(model.validation_)
    assert end.rule == model.rule_.name
    epochs = notes.of("epoch")
    assert [(one.part, one.epoch) for one in epochs] == [
        (part, n) for part in ("selection", "final") for n in (1, 2)
    ]
    assert [dict(one.record) for one in epochs[2:]] == model.history_
    steps = [one for one in notes.of("step") if one.part == "final"]
    assert [one.step for one in steps] == list(range(1, 11))
    assert {one.steps for one in steps} == {10}
    for n, record in enumerate(model.history_):
        of_epoch = steps[5 * n : 5 * n + 5]
        mean = sum(one.loss * one.items for one in of_epoch) / sum(one.items for one in of_epoch)
        assert mean == pytest.approx(record["loss"])
    assert not notes.of("error")


def test_views_cannot_be_written():
    notes = Notes()
    fit(notes)
    with pytest.raises(AttributeError):
        notes.of("step")[0].loss = 0.0
    for change in (notes.of("epoch")[0].record, notes.of("end")[0].figures, notes.of("start")[0].options):
        with pytest.raises(TypeError):
            change["loss"] = 0.0


def test_folds_are_numbered_and_a_closed_form_has_no_epochs():
    few = Notes()
    MultiLabelClassifier("bce", epochs=1, device="cpu").fit(X[:30], Y[:30], callbacks=[few])
    assert [one.part for one in few.of("epoch")] == [*(f"selection-{n}" for n in range(1, 6)), "final"]
    closed = Notes()
    fit(closed, method="ridge", epochs=None, batch_size=None)
    assert [name for name, _ in closed.told] == ["start", "end"]


def test_callbacks_change_no_bit():
    np.testing.assert_array_equal(fit(Notes()).decision_function(X), fit().decision_function(X))


def test_a_hook_that_nobody_has_costs_nothing_a_step():
    class Epochs(Callback):
        def on_epoch(self, epoch):
            pass

    bar = engine.Silent()
    assert Callbacks([Epochs()]).beside(bar, "final") is bar
    assert Callbacks(None).beside(None, "final") is None
    assert Callbacks([Notes()]).beside(None, "final") is not None


@pytest.mark.parametrize(
    ("hook", "where"),
    [
        ("on_fit_start", r"on_fit_start \("),
        ("on_step", r"on_step of step 1, stage 'train' \(selection\) \("),
        ("on_epoch", r"on_epoch of epoch 1 \(selection\) \("),
        ("on_fit_end", r"on_fit_end, and the classifier is fitted \("),
    ],
)
def test_an_error_is_named_with_callback_and_place(hook, where):
    class Broken:
        pass

    def broken(self, view):
        raise KeyError("no such thing")

    setattr(Broken, hook, broken)
    notes, model = Notes(), MultiLabelClassifier("bce", epochs=1, device="cpu")
    with pytest.raises(
        UserError, match=rf"callback Broken failed in {where}KeyError: .*no such thing"
    ) as error:
        model.fit(X, Y, callbacks=[notes, Broken()])
    assert isinstance(error.value.__cause__, KeyError)
    assert hasattr(model, "fitted_") == (hook == "on_fit_end")
    assert bool(notes.of("error")) == (hook in ("on_step", "on_epoch"))


@pytest.mark.parametrize("given", [Notes, "tensorboard", [Notes], ["csv"], [object()], Notes()])
def test_what_is_no_callback_is_refused(given):
    with pytest.raises(UserError, match="callback"):
        MultiLabelClassifier("ridge").fit(X, Y, callbacks=given)

"""Callbacks of a fit: what they are told, and how an error in one is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from labelwise._processes import is_first_process
from labelwise.engine import Progress, Silent
from labelwise.errors import UserError, listed, shown

HOOKS = ("on_fit_start", "on_step", "on_epoch", "on_fit_end", "on_fit_error")


@dataclass(frozen=True)
class FitStart:
    """What is about to be trained.

    Attributes:
        method: The method's id.
        hyperparameters: Its hyper-parameters, as they were given.
        options: The classifier's options that are no defaults.
        label_names: The K names.
        n_items: Items to learn from.
        setting: What the labels are, as ``labelwise.describe`` says.
    """

    method: str
    hyperparameters: Mapping[str, Any]
    options: Mapping[str, Any]
    label_names: tuple[str, ...]
    n_items: int
    setting: str


@dataclass(frozen=True)
class StepView:
    """A step that was taken.

    Attributes:
        part: Run of the fit: ``"final"``, or ``"selection"`` (with a number, in folds) on fewer rows.
        stage: Name of the stage.
        step: Its number in the stage, from 1.
        steps: The stage's steps.
        items: Items of the batch.
        loss: Its loss.
    """

    part: str
    stage: str
    step: int
    steps: int
    items: int
    loss: float


@dataclass(frozen=True)
class EpochView:
    """An epoch that is over.

    Attributes:
        part: As ``StepView.part``.
        epoch: Its number over all stages of the part, from 1.
        record: What ``history_`` holds of it: stage, loss, learning rate, items a second, seconds, validation score.
    """

    part: str
    epoch: int
    record: Mapping[str, Any]


@dataclass(frozen=True)
class FitEnd:
    """What came of a fit.

    Attributes:
        figures: The validation figures by name, None without.
        rule: Name of the decision rule.
        notes: Sentences on what was assumed.
        seconds: Wall time.
        best_epoch: The epoch that was taken, where the run chose one.
    """

    figures: Mapping[str, float] | None
    rule: str
    notes: tuple[str, ...]
    seconds: float
    best_epoch: int | None


class Callback:
    """Is told how a fit goes, and changes nothing in it.

    Override what is of interest; any object with some of these methods will do. In a run of several processes the first
    one calls. An error ends the fit, and is reported by the callback's name.
    """

    def on_fit_start(self, fit: FitStart) -> None:
        """Called once, when labels and items are read, before any training."""

    def on_step(self, step: StepView) -> None:
        """Called after a step; on an accelerator up to 64 steps later, so that it need not wait for the loss."""

    def on_epoch(self, epoch: EpochView) -> None:
        """Called after every epoch of every part of the fit; a closed form has none."""

    def on_fit_end(self, fit: FitEnd) -> None:
        """Called once, when the classifier is fitted."""

    def on_fit_error(self, error: BaseException) -> None:
        """Called in the place of ``on_fit_end`` where the fit was refused or stopped."""


class Callbacks:
    """The callbacks of one fit, each hook with those that have it."""

    def __init__(self, given: Sequence[Any] | None) -> None:
        given = _checked(given) if is_first_process() else []
        self._of = {hook: [one for one in given if _overrides(one, hook)] for hook in HOOKS}

    def tell(self, hook: str, view: Any, where: str = "") -> None:
        """Call a hook of all, in order.

        Raises:
            UserError: Naming the callback, the hook and the place, for an exception in one.
        """
        for callback in self._of[hook]:
            try:
                getattr(callback, hook)(view)
            except Exception as error:
                words = " ".join(str(error).split())
                raise UserError(
                    f"callback {type(callback).__name__} failed in {hook}{where} ({type(error).__name__}:"
                    f" {words:.300}): mend it, or leave it out"
                ) from error

    @contextmanager
    def fit(self, start: FitStart) -> Iterator[None]:
        """Tell of the start, and of an error inside."""
        self.tell("on_fit_start", start)
        try:
            yield
        except BaseException as error:
            self.tell("on_fit_error", error)
            raise

    def epoch(self, part: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Tell of the last epoch of a history."""
        if self._of["on_epoch"]:
            number = len(records)
            view = EpochView(part, number, MappingProxyType(dict(records[-1])))
            self.tell("on_epoch", view, f" of epoch {number} ({part})")

    def beside(self, bar: Progress | None, part: str) -> Progress | None:
        """Return what a run reports its steps to: the bar alone, where no callback asks for steps."""
        return _Steps(self, bar or Silent(), part) if self._of["on_step"] else bar


class _Steps:
    """Progress of a run that callbacks are told of."""

    def __init__(self, callbacks: Callbacks, bar: Progress, part: str) -> None:
        self._callbacks, self._bar, self._part = callbacks, bar, part
        self._stage, self._step, self._steps = "", 0, 0

    def stage(self, name: str, steps: int, done: int) -> None:
        self._stage, self._steps, self._step = name, steps, done
        self._bar.stage(name, steps, done)

    def step(self, items: int, loss: float) -> None:
        self._step += 1
        self._bar.step(items, loss)
        view = StepView(self._part, self._stage, self._step, self._steps, items, loss)
        self._callbacks.tell("on_step", view, f" of step {self._step}, stage {self._stage!r} ({self._part})")

    def epoch(self, record: dict[str, float | int | str]) -> None:
        self._bar.epoch(record)


def _checked(given: Sequence[Any] | None) -> list[Any]:
    """Return the callbacks, or refuse what is none."""
    if given is None:
        return []
    if not isinstance(given, list | tuple):
        raise UserError(f"callbacks={shown(given)}: give a list of callbacks")
    for one in given:
        if isinstance(one, type) or not any(callable(getattr(one, hook, None)) for hook in HOOKS):
            raise UserError(f"callbacks: {shown(one)} is none; give an object with one of {listed(HOOKS)}")
    return list(given)


def _overrides(callback: Any, hook: str) -> bool:
    """Return whether a callback has a hook of its own, so that no step is spent on one that does nothing."""
    found: Callable[..., Any] | None = getattr(callback, hook, None)
    return callable(found) and getattr(found, "__func__", None) is not getattr(Callback, hook)

"""Attributes of a classifier that its fitted parts hold."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import Generic, TypeVar

from sklearn.exceptions import NotFittedError

from labelwise.errors import UserError

T = TypeVar("T")


class NotFitted(UserError, NotFittedError):  # type: ignore[misc]
    """The error of an estimator that is used before it was fitted."""


def check_fitted(estimator: object, when: str = "first") -> None:
    """Refuse a classifier that was not fitted; ``when`` it should have been, such as "before save"."""
    if not hasattr(estimator, "fitted_"):
        raise NotFitted(f"this MultiLabelClassifier is not fitted: call fit(X, Y) {when}")


class Fitted(Generic[T]):
    """Attribute of a classifier that one of its fitted parts holds.

    Before a fit it is missing, and free to be set, as an estimator's own attributes are.

    Args:
        path: Where it is, such as ``"fitted_.network"``.
        replaceable: Whether a fitted classifier may be given another.
        optional: Whether None says that this fit has no such attribute.
    """

    def __init__(self, path: str, *, replaceable: bool = False, optional: bool = False) -> None:
        self._get = attrgetter(path)
        self._holder, _, self._part = path.partition(".")
        self._replaceable, self._optional = replaceable, optional

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, estimator: object, owner: type) -> T:
        if hasattr(estimator, self._holder):
            value: T = self._get(estimator)
            if value is not None or not self._optional:
                return value
        elif self._name in getattr(estimator, "__dict__", {}):
            value = vars(estimator)[self._name]
            return value
        raise AttributeError(
            f"{owner.__name__!r} object has no attribute {self._name!r}", name=self._name, obj=estimator
        )

    def __set__(self, estimator: object, value: T) -> None:
        if not hasattr(estimator, self._holder):
            vars(estimator)[self._name] = value
            return
        if not self._replaceable:
            raise AttributeError(
                f"{self._name} ({self._holder}.{self._part}) is a result of fit, and read-only"
            )
        changed = replace(getattr(estimator, self._holder), **{self._part: value})
        setattr(estimator, self._holder, changed)

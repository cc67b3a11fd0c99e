"""The contract of workers, and the one that is this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers(Protocol):
    """Processes that do tasks side by side."""

    @property
    def count(self) -> int:
        """How many tasks they do at a time."""

    def map(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], *, keep: bool = False
    ) -> Iterator[Result]:
        """Yield each task's result, in the order of the tasks.

        Args:
            work: What to do; it is sent to the workers, and so are the tasks. A task may be done twice.
            keep: Whether each worker keeps ``work`` from task to task, as one that holds a network should.

        Raises:
            UserError: What a task raised, in the worker's words.
        """


@dataclass(frozen=True)
class Here:
    """This process."""

    count: int = 1

    def map(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], *, keep: bool = False
    ) -> Iterator[Result]:
        """Yield each task's result, done when it is asked for."""
        return map(work, tasks)


HERE = Here()
"""The workers of who names none."""

"""Sums of numbered fragments, joined in one order whatever the order of their coming."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from labelwise.errors import UserError

Value = TypeVar("Value")


class FragmentTree(Generic[Value]):
    """A binary tree over fragment numbers whose complete branches are joined.

    Node ``(level, place)`` holds the fragments from ``place * 2**level`` on, ``2**level`` of them. Two sisters are
    joined as soon as both are there, so that of n fragments in order at most log2(n) + 1 nodes are held. Which values
    are joined with which depends on the numbers alone: sums of floats come out the same to the bit, by however many
    trees and in whatever order they were gathered.
    """

    def __init__(self, join: Callable[[Value, Value], Value]) -> None:
        self._join = join
        self._nodes: dict[tuple[int, int], Value] = {}

    def add(self, number: int, value: Value) -> None:
        """Take in the value of a fragment.

        Raises:
            UserError: For a number below 0, and for a fragment that was taken in before.
        """
        if number < 0:
            raise UserError(f"fragment {number}: give a number of 0 or more")
        self._put(0, number, value)

    def merge(self, other: FragmentTree[Value]) -> None:
        """Take in all fragments of another tree.

        Raises:
            UserError: For a fragment that is in both.
        """
        for (level, place), value in sorted(other._nodes.items(), key=lambda node: node[0]):
            self._put(level, place, value)

    def __len__(self) -> int:
        return sum(1 << level for level, _ in self._nodes)

    def nodes(self) -> Iterator[Value]:
        """Yield the values of the tree's branches, in the order of their fragments."""
        for _, value in sorted(self._nodes.items(), key=lambda node: node[0][1] << node[0][0]):
            yield value

    def fold(self) -> Value | None:
        """Return all values joined, None without any."""
        total: Value | None = None
        for value in self.nodes():
            total = value if total is None else self._join(total, value)
        return total

    def _put(self, level: int, place: int, value: Value) -> None:
        for other, its in self._nodes:
            # One holds the other where they agree above the higher of both.
            top = max(level, other)
            if place >> (top - level) == its >> (top - other):
                raise UserError(
                    f"fragment {place << level} was taken in twice: give each fragment a number of its own"
                )
        while (sister := self._nodes.pop((level, place ^ 1), None)) is not None:
            value = self._join(sister, value) if place & 1 else self._join(value, sister)
            level, place = level + 1, place >> 1
        self._nodes[level, place] = value

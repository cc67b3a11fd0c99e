"""Labels' names as vectors, by an encoder that reads texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import UserError, near, shown

Encode: TypeAlias = Callable[[list[str]], NDArray[np.float32]]
"""From texts to vectors (n, d)."""

LabelTexts: TypeAlias = Mapping[str, str | Sequence[str]]
"""Texts that say what a label means, by its name."""

TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "text": ("{}.", "This is about {}.", "This text is {}.", "This text expresses {}."),
    "image": ("{}", "a photo of {}.", "a photo of a {}.", "a picture with a {} in it."),
}
"""Sentences that a label's text stands in, beside items of a kind."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def spoken(name: str) -> str:
    """Return a label's name as words: ``"heart_disease"`` and ``"HeartDisease"`` are ``"heart disease"``.

    Underscores, white space and humps part words; words all in capitals keep them.
    """
    words = " ".join(_HUMP.sub(" ", part) for part in re.split(r"[\s_]+", name)).split()
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words) or name


def label_vectors(
    names: Sequence[str], encode: Encode, *, kind: str, label_texts: LabelTexts | None = None
) -> NDArray[np.float32]:
    """Return a unit vector of each label (K, d) float32.

    It is the direction of the mean over a label's texts and the templates: ``L2(sum_t L2(encode(t)))``. A label has the
    texts that are given for it, else its name as words.

    Args:
        names: The K labels.
        encode: The encoder; it reads all sentences at once.
        kind: Of the items, a key of ``TEMPLATES``.
        label_texts: One text or several for some of the labels; they stand in the templates as the names do.

    Raises:
        UserError: For texts of no label, or none.
    """
    given = checked_label_texts(label_texts, names)
    texts = [given.get(name, (spoken(name),)) for name in names]
    sentences = [
        template.format(text.strip().rstrip("."))
        for one in texts
        for text in one
        for template in TEMPLATES[kind]
    ]
    vectors = _unit(np.asarray(encode(sentences), np.float64))
    starts = np.cumsum([0, *(len(one) * len(TEMPLATES[kind]) for one in texts)])[:-1]
    return _unit(np.add.reduceat(vectors, starts, axis=0)).astype(np.float32)


def checked_label_texts(given: LabelTexts | None, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the given texts of labels, each a tuple.

    Raises:
        UserError: For what is no mapping of labels to texts.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UserError(f"label_texts={shown(given)}: give a dict from label names to texts")
    texts: dict[str, tuple[str, ...]] = {}
    for name, text in given.items():
        if name not in names:
            raise UserError(f"label_texts names no label {shown(name)}: {near(str(name), names)}")
        parts: tuple[Any, ...] = (text,) if isinstance(text, str) else tuple(text) if _is_list(text) else ()
        if not parts or not all(isinstance(part, str) and part.strip() for part in parts):
            raise UserError(
                f"label_texts of {shown(name)} are {shown(text)}: give a text, or a list of texts"
            )
        texts[str(name)] = tuple(parts)
    return texts


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, bytes)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 1e-12))

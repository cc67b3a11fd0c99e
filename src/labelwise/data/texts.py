"""Texts as token ids."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise._random import generator
from labelwise.data.sources import TokenizerParts
from labelwise.data.views import check_view
from labelwise.errors import UserError

if TYPE_CHECKING:
    import torch

    from labelwise.models import Tokenizer

_CHUNK = 4096


def token_spans(lengths: NDArray[np.int64], tokens: int, most: int | None = None) -> list[slice]:
    """Return batches of at most ``tokens`` padded tokens, as spans of rows.

    The texts, of ``lengths`` (n,) tokens, stay in their order.

    A batch of b texts, the longest of L tokens, holds ``b L`` padded tokens. It has one text at least, and at most
    ``most`` of them.
    """
    spans, start, longest = [], 0, 1
    for row, length in enumerate(lengths.tolist()):
        longest = max(longest, length)
        # Padding makes every text as long as the longest: that product, not the sum, is the memory.
        if row > start and (row - start == most or longest * (row + 1 - start) > tokens):
            spans.append(slice(start, row))
            start, longest = row, max(1, length)
    return [*spans, slice(start, len(lengths))] if len(lengths) else []


class Texts:
    """Texts as int64 token ids (b, T).

    They are padded to the longest of the batch.

    The plain and the weak view are all tokens. The strong view leaves out each token with probability
    ``dropout``, except special ones: the tokenizer's ``special_ids`` where it has them, else the first and the
    last of each text. It is a function of (seed, epoch, item); ``source[index]`` keeps the items' numbers.

    Args:
        texts: N strings; what UTF-8 cannot write (lone surrogates) becomes "?".
        tokenizer: Has ``encode`` and ``pad_id``; ``models.build_tokenizer`` gives a backbone's.
        items: The n ids, for messages; by default the row numbers from 0.
        dropout: In [0, 1).

    Raises:
        UserError: For a text that is none, or an argument out of range.
    """

    kind: Literal["text"] = "text"

    def __init__(
        self,
        texts: Sequence[str],
        tokenizer: Tokenizer,
        *,
        items: Sequence[str] | None = None,
        dropout: float = 0.0,
    ) -> None:
        if isinstance(texts, str):
            raise UserError("texts is one string; give a list of strings, one per item")
        if not 0 <= dropout < 1:
            raise UserError(f"dropout is {dropout}: give a probability in [0, 1)")
        wrong = next((row for row, text in enumerate(texts) if not isinstance(text, str)), None)
        if wrong is not None:
            kind = type(texts[wrong]).__name__
            raise UserError(
                f"texts: row {wrong} (counted from 0) is {kind}, not a string; give '' for no text"
            )
        # Half characters cannot be hashed or tokenised; they become question marks once, for both.
        self.texts = [text.encode("utf-8", "replace").decode() for text in texts]
        if items is not None and len(items) != len(self.texts):
            raise UserError(f"{len(self.texts)} texts and {len(items)} items: give one id per text")
        self.items = [str(item) for item in (items if items is not None else range(len(self.texts)))]
        self.tokenizer, self.dropout = tokenizer, float(dropout)
        self._rows: NDArray[np.int64] = np.arange(len(self.texts))
        self._encoded = _Encoded(self.texts, tokenizer)

    @property
    def shape(self) -> tuple[int, ...]:
        """``()``: texts have lengths of their own."""
        return ()

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of tokens of each text (n,) int64, special ones included."""
        starts = self._encoded.starts()
        return starts[self._rows + 1] - starts[self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: NDArray[Any] | slice) -> Texts:
        """Return the source of some rows: numbers, a mask or a slice.

        The tokens are shared.
        """
        part, rows = copy.copy(self), np.arange(len(self))[index].tolist()
        part._rows = self._rows[index]
        part.texts, part.items = [self.texts[row] for row in rows], [self.items[row] for row in rows]
        return part

    def batch(self, index: NDArray[np.int64], view: str, *, seed: int, epoch: int) -> torch.Tensor:
        """Return the texts' views (b, T) int64.

        They are filled up with the tokenizer's ``pad_id``; see ``Source``.
        """
        import torch

        check_view(view)
        numbers = self._rows[np.asarray(index, dtype=np.int64)].tolist()
        texts = [self._encoded.ids(number) for number in numbers]
        if view == "strong" and self.dropout:
            texts = [
                self._thinned(ids, generator(seed, "token dropout", epoch, number))
                for ids, number in zip(texts, numbers, strict=True)
            ]
        width = max((len(ids) for ids in texts), default=0)
        batch = np.full((len(texts), max(width, 1)), self.tokenizer.pad_id, dtype=np.int64)
        for place, ids in zip(batch, texts, strict=True):
            place[: len(ids)] = ids
        return torch.from_numpy(batch)

    def digests(self) -> list[bytes]:
        """Return a digest of each text (16 bytes)."""
        return [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in self.texts]

    def _thinned(self, ids: NDArray[np.int32], random: np.random.Generator) -> NDArray[np.int32]:
        keep = random.random(len(ids)) >= self.dropout
        # Without its marks a text is another kind of input than the backbone was trained on.
        special = TokenizerParts(self.tokenizer).special_ids
        if special is not None:
            keep |= np.isin(ids, list(special))
        else:
            keep[[0, -1]] = True
        return ids[keep]


class _Encoded:
    """The token ids of all texts, made when first asked for.

    The parts of a source share them.
    """

    def __init__(self, texts: list[str], tokenizer: Tokenizer) -> None:
        self._texts, self._tokenizer = texts, tokenizer
        self._ids: NDArray[np.int32] | None = None
        self._starts: NDArray[np.int64] = np.zeros(1, dtype=np.int64)

    def starts(self) -> NDArray[np.int64]:
        """Return the texts' starts and the end among all ids, (n + 1,)."""
        if self._ids is None:
            blocks, lengths = [np.empty(0, dtype=np.int32)], [0]
            for start in range(0, len(self._texts), _CHUNK):
                for ids in self._tokenizer.encode(self._texts[start : start + _CHUNK]):
                    blocks.append(np.asarray(ids, dtype=np.int32))
                    lengths.append(len(ids))
            self._ids, self._starts = np.concatenate(blocks), np.cumsum(lengths, dtype=np.int64)
        return self._starts

    def ids(self, row: int) -> NDArray[np.int32]:
        """Return one text's ids."""
        starts = self.starts()
        assert self._ids is not None
        return self._ids[starts[row] : starts[row + 1]]

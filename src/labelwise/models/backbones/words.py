"""TF-IDF of words and of parts of words, fitted on texts without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise._random import generator
from labelwise.errors import UserError

Array: TypeAlias = npt.NDArray[Any]

# the stubs of scipy.sparse reject the untyped matrices that come in here
_CSR: Any = sp.csr_array

# Chosen by leave-one-out ridge on real texts: benchmarks/studies/words.py.
_LENGTHS = {"word": (1, 1), "char_wb": (2, 4)}
_COLUMNS = {"word": 20_000, "char_wb": 30_000}
_LONGEST = 20_000  # characters that are read of a text
_SAMPLE = 8_000_000  # characters from which the terms are chosen: their counts then stay below 1 GB
_BLOCK = 1 << 20  # characters, about, whose counts are held beside the result


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms of one kind that make the columns, and their weights.

    The entry of a term t that occurs c > 0 times in a text is ``(1 + log c) idf_t``, and rows are of norm 1.

    Attributes:
        analyzer: scikit-learn's name of the kind: ``word``, or ``char_wb`` for n-grams within words.
        lengths: Least and greatest n of the n-grams.
        vocabulary: The D terms, ascending.
        idf: (D,) float32, ``1 + log((1 + n) / (1 + n_t))`` of n texts of which n_t hold the term.
    """

    analyzer: str
    lengths: tuple[int, int]
    vocabulary: tuple[str, ...]
    idf: npt.NDArray[np.float32]

    @classmethod
    def fit(cls, texts: Sequence[str], analyzer: str) -> Self:
        """Take the terms that most of the texts hold, of two texts or more.

        Where no term is in two texts, those of one count too. Equal numbers go by the alphabet.
        """
        from sklearn.feature_extraction.text import CountVectorizer

        lengths = _LENGTHS[analyzer]
        counter = CountVectorizer(analyzer=analyzer, ngram_range=lengths, binary=True, dtype=np.int32)
        try:
            counts = counter.fit_transform(texts)
        except ValueError:  # which says that there is no term at all
            return cls(analyzer, lengths, (), np.zeros(0, np.float32))
        held = np.bincount(counts.indices, minlength=counts.shape[1])
        often = np.flatnonzero(held >= min(2, held.max()))
        kept = np.sort(often[np.argsort(-held[often], kind="stable")[: _COLUMNS[analyzer]]])
        idf = 1 + np.log((1 + len(texts)) / (1 + held[kept]))
        return cls(
            analyzer, lengths, tuple(counter.get_feature_names_out()[kept].tolist()), idf.astype(np.float32)
        )

    def transform(self, texts: Sequence[str]) -> Any:
        """Return rows of norm 1, or 0 without a term: CSR float32 (n, D)."""
        if not self.vocabulary or not texts:
            return _CSR((len(texts), len(self.vocabulary)), dtype=np.float32)
        return _CSR(self._vectoriser.transform(texts))

    @cached_property
    def _vectoriser(self) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectoriser = TfidfVectorizer(
            analyzer=self.analyzer,
            ngram_range=self.lengths,
            vocabulary=self.vocabulary,
            sublinear_tf=True,
            dtype=np.float32,
        )
        vectoriser.idf_ = self.idf
        return vectoriser

    def record(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return an entry fit for JSON, and the terms as lines of UTF-8, uint8."""
        # No term holds the end of a line: both kinds part texts at white space.
        lines = "\n".join(self.vocabulary).encode()
        entry = {"lengths": list(self.lengths), "terms": len(self.vocabulary)}
        return entry, {"terms": np.frombuffer(lines, np.uint8).copy(), "idf": self.idf}

    @classmethod
    def from_record(cls, analyzer: str, entry: Mapping[str, Any], terms: Array, idf: Array) -> Self:
        """Return the terms that ``record`` described.

        Raises:
            UserError: Where its parts disagree or are out of range.
        """
        low, high = (int(length) for length in entry["lengths"])
        if not 1 <= low <= high <= 10:
            raise _damaged(f"n-grams of {low} to {high}")
        if terms.dtype != np.uint8 or terms.ndim != 1 or idf.dtype != np.float32 or idf.ndim != 1:
            raise _damaged("arrays of another kind")
        try:
            text = terms.tobytes().decode()
        except UnicodeDecodeError:
            raise _damaged("terms that are no UTF-8") from None
        vocabulary = tuple(text.split("\n")) if text else ()
        if not len(vocabulary) == len(idf) == entry["terms"]:
            raise _damaged(f"{len(vocabulary)} terms and {len(idf)} weights for {entry['terms']!r:.20}")
        if any(before >= term for before, term in pairwise(vocabulary)):
            raise _damaged("terms out of order")
        if "" in vocabulary or not (np.isfinite(idf) & (idf > 0)).all():
            raise _damaged("a term that is empty, or weighs nothing")
        return cls(analyzer, (low, high), vocabulary, idf.copy())


@dataclass(frozen=True, eq=False)
class Words:
    """Featuriser of texts by their words and n-grams of characters.

    A row is the TF-IDF of its words beside that of its n-grams, half its square each, sparse. ``fit`` reads no label,
    and keeps at most 50,000 columns.
    """

    words: Terms
    characters: Terms

    @classmethod
    def fit(cls, texts: Sequence[str]) -> Self:
        """Choose and weigh the terms of a pool of texts.

        Beyond 8,000,000 characters a keyed sample of the texts serves, and of each text its first 20,000 characters.

        Raises:
            UserError: For an item that is no text, or texts without any term.
        """
        sample = _sample(texts)
        fitted = cls(*(Terms.fit(sample, analyzer) for analyzer in _LENGTHS))
        if not fitted.n_features:
            raise UserError(
                f"none of the {len(texts)} texts holds a word or a pair of characters: give texts, or another backbone"
            )
        return fitted

    @property
    def n_features(self) -> int:
        """Number D of columns: words, then n-grams."""
        return len(self.words.vocabulary) + len(self.characters.vocabulary)

    def transform(self, texts: Sequence[str]) -> Any:
        """Return the texts' rows, CSR float32 (n, D), of norm 1.

        A text without any of the terms gets zeros.

        Raises:
            UserError: For an item that is no text, by its row.
        """
        ends = _ends(texts)
        cuts = [0, *(np.flatnonzero(np.diff(ends // _BLOCK)) + 1).tolist(), len(ends)]
        blocks = [self._block(_read(texts[start:stop])) for start, stop in pairwise(cuts)]
        return _CSR(sp.vstack(blocks, format="csr"))

    def _block(self, texts: list[str]) -> Any:
        halves = [terms.transform(texts) for terms in (self.words, self.characters)]
        rows = _CSR(sp.hstack(halves, format="csr", dtype=np.float32))
        # Each half has norm 1, or 0 where the text has none of its terms.
        norms = np.sqrt(sum((np.diff(half.indptr) > 0).astype(np.float32) for half in halves))
        rows.data /= np.repeat(norms, np.diff(rows.indptr))
        return rows

    def record(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the featuriser as an entry fit for JSON, and arrays by name."""
        entry: dict[str, Any] = {}
        arrays: dict[str, Array] = {}
        for name, terms in (("words", self.words), ("characters", self.characters)):
            entry[name], stored = terms.record()
            arrays |= {f"{name}.{part}": array for part, array in stored.items()}
        return entry, arrays

    @classmethod
    def from_record(cls, entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        """Return the featuriser that ``record`` described.

        Raises:
            UserError: Where parts are missing, disagree, or are out of range.
        """
        try:
            words, characters = (
                Terms.from_record(analyzer, entry[name], arrays[f"{name}.terms"], arrays[f"{name}.idf"])
                for name, analyzer in zip(("words", "characters"), _LENGTHS, strict=True)
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, UserError):
                raise
            raise _damaged("an entry that is missing or of another kind") from None
        if not words.vocabulary and not characters.vocabulary:
            raise _damaged("no terms")
        return cls(words, characters)


def _ends(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return how many characters are read up to each text (n,), all checked."""
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(f"row {row} holds {type(text).__name__}, not a text; give a string, '' for none")
    return np.cumsum([min(len(text), _LONGEST) for text in texts], dtype=np.int64)


def _read(texts: Sequence[str]) -> list[str]:
    """Return the beginnings that are read, lone surrogates as question marks."""
    return [text[:_LONGEST].encode("utf-8", "replace").decode() for text in texts]


def _sample(texts: Sequence[str]) -> list[str]:
    """Return a keyed sample of the texts that holds up to ``_SAMPLE`` characters."""
    _ends(texts)
    drawn = [texts[row] for row in generator(0, "words").permutation(len(texts)).tolist()]
    return _read(drawn[: int(np.searchsorted(_ends(drawn), _SAMPLE, "right"))])


def _damaged(what: str) -> UserError:
    return UserError(f"the stored words have {what}: copy the model again")

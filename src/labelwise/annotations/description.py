"""Description of an annotation matrix: facts, and what it cannot tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from labelwise._html import columns_table, facts_table
from labelwise.annotations.listed import ListedStates, States
from labelwise.annotations.parsing import parse
from labelwise.errors import UserError, listed, shown

Counts = npt.NDArray[np.int64]
Setting = Literal["unlabelled", "full", "single_positive", "partial_positive", "semi_supervised", "partial"]
RARE = 10
"""A label with fewer known positives than this, and at least one, is listed as rare."""


@dataclass(frozen=True, eq=False)
class Summary:
    """The facts of an annotation matrix (n items, K labels).

    Attributes:
        n_items: n.
        n_labels: K.
        label_names: K names.
        setting: the first one that holds of those that ``labelwise.annotations`` lists.
        positives: (K,) int64 counts of each label's known positives.
        negatives: (K,) int64, of its known negatives.
        unknown: (K,) int64, of its unknown entries.
        rows_fully_known: number of rows; with the next two n in all.
        rows_partly_known: likewise.
        rows_unknown: likewise.
        rows_without_positive: number of rows without a known positive.
        labels_without_positive: names.
        labels_without_negative: names.
        rare_labels: names of the labels with 1 to 9 known positives.
        cardinality: mean number of relevant labels of the fully known rows, None where there are none or no negative
            is known.
        positives_per_row: mean number of known positives of all rows.
        share_unknown: of all n x K entries, in [0, 1].
        negatives_known: whether any negative is.
        prior_identified: whether ``priors`` has a number for every label.
        not_identified: sentences on what these annotations cannot tell.
        notes: sentences on what was guessed when the labels were read.
    """

    n_items: int
    n_labels: int
    label_names: tuple[str, ...]
    setting: Setting
    positives: Counts
    negatives: Counts
    unknown: Counts
    rows_fully_known: int
    rows_partly_known: int
    rows_unknown: int
    rows_without_positive: int
    labels_without_positive: tuple[str, ...]
    labels_without_negative: tuple[str, ...]
    rare_labels: tuple[str, ...]
    cardinality: float | None
    positives_per_row: float
    share_unknown: float
    negatives_known: bool
    prior_identified: bool
    not_identified: tuple[str, ...]
    _priors: npt.NDArray[np.float64] | None = field(repr=False)
    notes: tuple[str, ...] = ()

    def priors(self) -> npt.NDArray[np.float64] | None:
        """Return each label's share of relevant items, (K,) in [0, 1].

        They are float64; None if no negative is known.

        It is positives / (positives + negatives) over the known entries, which estimates the share if they
        are a fair sample: labelled rows drawn at random (the prior of CAP), or entries hidden whatever their
        sign. Rows that are partly known and show positives only are left out where all partly known rows are
        so beside fully known ones, since those tell by their very form that negatives were not written down.
        With setting ``partial``, a label of which no negative is known (or nothing) has NaN: 1.0 would say
        more than is known.
        """
        return None if self._priors is None else self._priors.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as plain data for JSON.

        These are lists, numbers and text; NaN becomes None.
        """
        names = [name for name in self.__dataclass_fields__ if not name.startswith("_")]
        facts = {name: _plain(getattr(self, name)) for name in names}
        priors = self.priors()
        shares = None if priors is None else [float(p) if p >= 0 else None for p in priors]
        return {**facts, "priors": shares}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Summary:
        """Return the summary that ``to_dict`` wrote.

        A record that it did not write is a UserError.
        """
        facts: dict[str, Any] = {}
        try:
            for name in cls.__dataclass_fields__:
                # Records of earlier versions have no notes.
                if name.startswith("_") or (name == "notes" and name not in data):
                    continue
                value = data[name]
                counts = name in {"positives", "negatives", "unknown"}
                if counts:
                    facts[name] = np.array(value, np.int64)
                else:
                    facts[name] = tuple(value) if isinstance(value, list) else value
            shares = data["priors"]
            priors = None if shares is None else np.array([np.nan if p is None else float(p) for p in shares])
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise UserError(
                f"the record of a description is damaged ({type(error).__name__}: {shown(str(error))}): describe the"
                " labels anew"
            ) from None
        return cls(**facts, _priors=priors)

    def _repr_html_(self) -> str:
        """Return the facts and each label's counts as tables, for notebooks."""
        facts = [
            ("items", f"{self.n_items:,}"),
            ("labels", f"{self.n_labels:,}"),
            ("setting", self.setting),
            ("unknown entries", f"{self.share_unknown:.1%}"),
            ("known positives per row", f"{self.positives_per_row:.2f}"),
        ]
        order = np.argsort(-self.positives, kind="stable")
        rows = [
            (
                self.label_names[k],
                *(f"{counts[k]:,}" for counts in (self.positives, self.negatives, self.unknown)),
            )
            for k in order
        ]
        head = ("label", "known positive", "known negative", "unknown")
        return facts_table("Annotations", facts) + columns_table(
            "Labels", head, rows, (*self.not_identified, *self.notes)
        )

    def __str__(self) -> str:
        total = self.n_items * self.n_labels
        lines = [
            f"{self.n_items:,} items, {self.n_labels:,} labels, setting: {self.setting}",
            f"entries   {_of(int(self.positives.sum()), total)} known positive, "
            f"{_of(int(self.negatives.sum()), total)} known negative, "
            f"{_of(int(self.unknown.sum()), total)} unknown",
            f"rows      {self.rows_fully_known:,} fully known, {self.rows_partly_known:,} partly, "
            f"{self.rows_unknown:,} not at all; {self.rows_without_positive:,} without a known positive",
            f"per row   {self.positives_per_row:.2f} known positives"
            + ("" if self.cardinality is None else f"; {self.cardinality:.2f} labels in fully known rows"),
        ]
        order = np.argsort(-self.positives, kind="stable")
        most = (f"{self.label_names[k]} ({self.positives[k]:,})" for k in order[:5])
        lines.append(f"labels    most known positives: {', '.join(most)}")
        for title, names in (
            ("no known positive", self.labels_without_positive),
            (f"fewer than {RARE} known positives", self.rare_labels),
            ("no known negative", self.labels_without_negative if self.negatives_known else ()),
        ):
            if names:
                lines.append(f"          {title}: {len(names)} ({listed(names)})")
        lines += [
            f"{'unclear' if not place else '':<10}{text}" for place, text in enumerate(self.not_identified)
        ]
        lines += [f"{'read as' if not place else '':<10}{text}" for place, text in enumerate(self.notes)]
        return "\n".join(lines)


def describe(
    Y: Any,
    label_names: Sequence[str] | None = None,
    *,
    unlisted: str | None = None,
    minus_one: str = "unknown",
    empty: str = "unknown",
) -> Summary:
    """Return the facts of the annotations ``Y``.

    ``Y`` is anything that ``labelwise.annotations.parse`` reads by these options.
    """
    annotations = parse(Y, label_names=label_names, unlisted=unlisted, minus_one=minus_one, empty=empty)
    counts = LabelCounts(annotations.n_labels)
    counts.update(annotations.states)
    return counts.finalize(annotations.label_names, annotations.notes)


class LabelCounts:
    """Counts of label states, from which a ``Summary`` is made.

    Batches of rows and other counts are added: the order changes nothing.
    """

    def __init__(self, n_labels: int) -> None:
        # Known positives and negatives of all rows, and of fully known ones.
        self.states = np.zeros((2, n_labels), np.int64)
        self.states_of_full = np.zeros((2, n_labels), np.int64)
        self.n_items = self.full = self.partly = self.without_positive = self.most_positives = 0
        self.positives_of_full = self.negatives_of_partly = 0

    def update(self, Y: States) -> None:
        """Take in the states (b, K) of more rows."""
        n, n_labels = Y.shape
        if n_labels != self.states.shape[1]:
            raise UserError(f"the labels are {n_labels} in one part and {self.states.shape[1]} in another")
        if isinstance(Y, ListedStates):
            positives, row_negatives = Y.counts, np.where(Y.silent == 0, n_labels - Y.counts, 0)
        else:
            positives, row_negatives = np.count_nonzero(Y == 1, axis=1), np.count_nonzero(Y == 0, axis=1)
        known = positives + row_negatives
        full = known == n_labels
        partly = (known > 0) & ~full
        self.n_items += n
        self.full += int(full.sum())
        self.partly += int(partly.sum())
        self.without_positive += int((positives == 0).sum())
        self.most_positives = max(self.most_positives, int(positives.max(initial=0)))
        self.positives_of_full += int(positives[full].sum())
        self.negatives_of_partly += int(row_negatives[partly].sum())
        self.states += _states_by_label(Y)
        self.states_of_full += _states_by_label(Y if full.all() else Y[full])

    def merge(self, other: LabelCounts) -> None:
        """Take in what was counted of other rows."""
        if self.states.shape != other.states.shape:
            raise UserError("LabelCounts of different numbers of labels cannot be merged.")
        most = max(self.most_positives, other.most_positives)
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        self.most_positives = most

    @property
    def known(self) -> int:
        """Number of rows with a known entry."""
        return self.full + self.partly

    @property
    def negatives_known(self) -> bool:
        """Whether any entry is known to be irrelevant."""
        return bool(self.states[1].any())

    @property
    def setting(self) -> Setting:
        """The first setting that holds."""
        if self.full == self.n_items:
            return "full"
        if not self.negatives_known:
            if not self.most_positives:
                return "unlabelled"
            return "single_positive" if self.most_positives <= 1 else "partial_positive"
        return "partial" if self.partly else "semi_supervised"

    def finalize(self, label_names: Sequence[str], notes: Sequence[str] = ()) -> Summary:
        """Return the facts of all rows counted, under the labels' names (K,)."""
        names, n_items, n_labels = tuple(label_names), self.n_items, self.states.shape[1]
        positives, negatives = self.states.copy()
        setting, negatives_known = self.setting, self.negatives_known
        identified = negatives_known or setting == "full"
        # Partly known rows of positives alone, beside full ones: negatives were not written down there.
        noted_only = bool(self.full) and not self.negatives_of_partly
        priors = _shares(self.states_of_full if noted_only else self.states, setting) if identified else None

        def labels(where: npt.NDArray[np.bool_]) -> tuple[str, ...]:
            return tuple(names[k] for k in np.flatnonzero(where))

        without_positive, without_negative = labels(positives == 0), labels(negatives == 0)
        priors_missing = () if priors is None else labels(np.isnan(priors))
        known = int(self.states.sum())
        return Summary(
            n_items=n_items,
            n_labels=n_labels,
            label_names=names,
            setting=setting,
            positives=positives,
            negatives=negatives,
            unknown=n_items - positives - negatives,
            rows_fully_known=self.full,
            rows_partly_known=self.partly,
            rows_unknown=n_items - self.known,
            rows_without_positive=self.without_positive,
            labels_without_positive=without_positive,
            labels_without_negative=without_negative,
            rare_labels=labels((positives > 0) & (positives < RARE)),
            cardinality=self.positives_of_full / self.full if identified and self.full else None,
            positives_per_row=float(positives.sum()) / n_items,
            share_unknown=1.0 - known / (n_items * n_labels),
            negatives_known=negatives_known,
            prior_identified=priors is not None and not priors_missing,
            not_identified=_unclear(setting, without_positive, without_negative, priors_missing),
            _priors=priors,
            notes=tuple(notes),
        )


def _states_by_label(Y: States) -> Counts:
    """Return the known positives and negatives of each label, (2, K)."""
    if isinstance(Y, ListedStates):
        positives = np.bincount(Y.positives.indices, minlength=Y.shape[1])
        answered = Y.silent == 0
        said = np.bincount(Y.positives[answered].indices, minlength=Y.shape[1])
        return np.stack([positives, int(answered.sum()) - said]).astype(np.int64)
    return np.stack([np.count_nonzero(state == Y, axis=0) for state in (1, 0)]).astype(np.int64)


def _shares(states: Counts, setting: Setting) -> npt.NDArray[np.float64]:
    positives, negatives = states
    shares = positives / np.maximum(positives + negatives, 1)
    return np.where(negatives == 0, np.nan, shares) if setting == "partial" else shares


def _unclear(
    setting: Setting,
    without_positive: Sequence[str],
    without_negative: Sequence[str],
    no_prior: Sequence[str],
) -> tuple[str, ...]:
    """Return what the annotations cannot tell, most important first."""
    if setting == "unlabelled":
        return ("Nothing is identified: no entry is known.",)
    sentences = []
    if setting in ("single_positive", "partial_positive"):
        sentences = [
            "The share of positives of each label: no negative is known, so it must be given "
            "(as priors or as one cardinality) where a method, a decision rule or calibration needs it.",
            "Precision, F1, average precision and thresholds on known entries: all of them are positive.",
            "Whether positives were noted at random given the label: observed AP ranks models only if so.",
        ]
    if setting == "single_positive":
        sentences.insert(1, "The number of labels of an item: no row shows more than one.")
    if setting == "semi_supervised":
        sentences.append(
            "Whether the labelled rows are a random sample of all rows: priors and thresholds assume it."
        )
    if setting == "partial":
        sentences.append(
            "Whether entries are hidden whatever their sign: priors and scores on known entries assume it."
        )
    if no_prior:
        sentences.append(f"The share of positives of labels without a known negative: {listed(no_prior)}.")
    if without_positive:
        sentences.append(f"What labels without a known positive look like: {listed(without_positive)}.")
    if without_negative and setting in ("full", "semi_supervised"):
        sentences.append(f"What tells labels without a known negative apart: {listed(without_negative)}.")
    return tuple(sentences)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | tuple):
        return list(value.tolist() if isinstance(value, np.ndarray) else value)
    return value


def _of(count: int, total: int) -> str:
    return f"{count:,} ({count / total:.1%})"

"""The grid of `benchmarks.auto`: sets x settings x seeds x learners, as a list of runs.

The sets are those of the local benchmark. GoEmotions has a keyed sample of 8,000 training comments and one of 3,000
test comments here, as MiniLM's features. The same comments come as texts too: `goemotions_named` with the names of
the emotions, read by `minilm`, and `goemotions_words` without them, read by `minilm+words`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.common import data_folder
from benchmarks.local import sets
from benchmarks.local.sets import Parts
from labelwise._random import generator
from labelwise.experiments import Job

SETS = ("scene", "yeast", "voc12_animals", "ohsumed", "goemotions", "tmc2007-500", "bibtex")
TEXTS = ("goemotions_named", "goemotions_words")
BACKBONES = {"goemotions_named": "minilm", "goemotions_words": "minilm+words"}
TITLES = {
    "scene": "scene",
    "yeast": "yeast",
    "voc12_animals": "VOC12-animals",
    "ohsumed": "Ohsumed",
    "goemotions": "GoEmotions",
    "tmc2007-500": "tmc2007",
    "bibtex": "bibtex",
    "goemotions_named": "GoEmotions, with names",
    "goemotions_words": "GoEmotions, `minilm+words`",
}
SETTINGS = ("5% labelled", "10% labelled", "20% labelled", "single positive", "half of the entries")
KINDS = {**sets.KINDS, "half of the entries": ("partial", 0.5)}
WORDS = {value: word for word, value in KINDS.items()}
WHOLE_ROWS = tuple(setting for setting in SETTINGS if KINDS[setting][0] == "semi_supervised")
CEILING = "all labels"
FLOOR, DEFAULT = "ridge", "auto"
PLAIN = ("logistic", "logistic_l2")
METHODS = (DEFAULT, FLOOR, *PLAIN)
ROWS, TEST_ROWS = 8_000, 3_000


def jobs(
    names: Sequence[str] = SETS,
    settings: Sequence[str] = SETTINGS,
    seeds: int = 3,
    methods: Sequence[str] = METHODS,
) -> list[Job]:
    """Return every run, set by set; ceilings come first in each, of the learners that are a ceiling's."""
    ceilings = [method for method in methods if method in (FLOOR, *PLAIN)]
    return [
        job
        for name in names
        for job in (
            *(cell(name, CEILING, method, 0) for method in ceilings),
            *(cell(name, s, m, seed) for seed in range(seeds) for s in settings for m in methods),
        )
    ]


def cell(name: str, setting: str, method: str, seed: int) -> Job:
    """Return the run of a learner on a set in a setting."""
    kind, fraction = KINDS[setting]
    options = {"rows": ROWS, "test_rows": TEST_ROWS} if name.startswith("goemotions") else {}
    return Job(name, kind, method, seed, labelled_fraction=fraction, options=options)


def setting_of(job: Job) -> str:
    """Return a run's setting in the page's words."""
    return WORDS[job.setting, job.fraction]


def read(name: str, cache: Path) -> Parts:
    """Return X and Y of train and test; those of `TEXTS` have lists of texts as X."""
    if not name.startswith("goemotions"):
        return sets.load(name)
    (text, Y), (test, Y_test) = sample("train", ROWS), sample("test", TEST_ROWS)
    if name in TEXTS:
        return text, Y, test, Y_test
    X = sets.embedded(text, cache / f"goemotions_train_{len(text)}.npy")
    return X, Y, sets.embedded(test, cache / f"goemotions_test_{len(test)}.npy"), Y_test


def sample(part: str, rows: int) -> tuple[list[str], np.ndarray]:
    """Return a keyed sample of GoEmotions' comments with their emotions; train's is the local benchmark's."""
    text, Y = sets.comments(part)
    words = ("goemotions",) if part == "train" else ("goemotions", part)
    chosen = np.sort(generator(0, *words).permutation(len(text))[:rows])
    return [text[i] for i in chosen], Y[chosen]


def label_names(name: str) -> list[str] | None:
    """Return the labels' names that a set gives to the learners, None where it gives none."""
    if name != "goemotions_named":
        return None
    return (data_folder() / "goemotions" / "labels.txt").read_text(encoding="utf-8").split()

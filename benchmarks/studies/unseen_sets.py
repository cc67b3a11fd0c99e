"""Sets that no constant of `auto` was chosen on, for `benchmarks.studies.unseen`.

Each case is a function of a seed that returns (X, Y, X_test, Y_test), with at most 1,500 rows to learn from. Features
are simulated from real label matrices or by rules, taken from scikit-learn's bundled tables with labels of their own,
words of comments under other labels than the grid's, or parts of the grid's sets that change their character.
`HOSTILE` names those in which the rows mislead.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.common import data_folder
from benchmarks.local import sets
from benchmarks.local.sets import Parts
from labelwise._random import generator

Case = Callable[[int], Parts]
Pool = Callable[[np.ndarray, np.random.Generator], np.ndarray]
CASES: dict[str, Case] = {}
FAMILY: dict[str, str] = {}
HOSTILE: set[str] = set()
POOLS: dict[str, Pool] = {}
TEST_ROWS, MOST_LABELS = 1_500, 16


def case(family: str, name: str, build: Case, hostile: bool = False, pool: Pool | None = None) -> None:
    """List a case under its family; `pool` gives the rows that stand for those without labels."""
    CASES[name], FAMILY[name] = build, family
    if hostile:
        HOSTILE.add(name)
    if pool is not None:
        POOLS[name] = pool


def split(X: Any, Y: np.ndarray, seed: int, train: int, test: int = TEST_ROWS) -> Parts:
    """Return keyed rows to learn from and others to judge on; labels without a positive or a negative there go."""
    order = generator(seed, "unseen split").permutation(len(Y))
    rows, held = np.sort(order[:train]), np.sort(order[train : train + test])
    return kept(X[rows], Y[rows].astype(np.int8), X[held], Y[held].astype(np.int8))


def kept(X: Any, Y: np.ndarray, X_test: Any, Y_test: np.ndarray) -> Parts:
    """Return the parts with the labels that train and test rows show in both signs."""
    varied = [part.any(axis=0) & ~part.all(axis=0) for part in (Y, Y_test)]
    both = varied[0] & varied[1]
    return X, Y[:, both], X_test, Y_test[:, both]


# --- simulated features of real label matrices ---------------------------------------------------


@cache
def matrix(name: str) -> np.ndarray:
    """Return a real label matrix (n, K) uint8."""
    root = data_folder()
    if name == "awa2":
        text = (root / "awa2_labels" / "predicate-matrix-binary.txt").read_text(encoding="utf-8")
        return np.array([line.split() for line in text.splitlines() if line.strip()], dtype=np.uint8)
    path, key, width = {
        "coco": ("coco14_labels/coco14_labels.npz", "train_Y", 80),
        "nus": ("flickr_labels/nuswide_81_m.npz", None, 81),
        "voc": ("voc12_labels/voc12_labels.npz", None, 20),
    }[name]
    with np.load(root / path) as file:
        keys = [key] if key else [one for one in file.files if file[one].ndim == 2]
        found = file[keys[0]]
    return found if found.shape[1] == width else np.unpackbits(found, axis=1)[:, :width]


def drawn(name: str, seed: int, rows: int) -> tuple[np.ndarray, np.random.Generator]:
    """Return keyed rows of a label matrix with a positive, and what draws their features."""
    draw, Y = generator(seed, "unseen", name), matrix(name)
    Y = Y[Y.any(axis=1)]
    return Y[draw.integers(len(Y), size=rows)], draw


def simulated(name: str, how: str, train: int = 300, columns: int = 60, noise: float = 1.0) -> Case:
    """Return a case with features by one of `MAPS`, of at most `MOST_LABELS` labels."""

    def build(seed: int) -> Parts:
        Y, draw = drawn(name, seed, train + TEST_ROWS)
        shown = np.flatnonzero(Y.any(axis=0))
        Y = Y[:, np.sort(draw.permutation(shown)[:MOST_LABELS])]
        X, Y = MAPS[how](Y.astype(np.float64), draw, columns, noise)
        return split(X.astype(np.float32), Y, seed, train)

    return build


Drawn = tuple[np.ndarray, np.ndarray]


def directions(draw: np.random.Generator, labels: int, columns: int) -> np.ndarray:
    G = draw.standard_normal((labels, columns))
    return np.asarray(3 * G / np.linalg.norm(G, axis=1, keepdims=True))


def linear(Y: np.ndarray, draw: np.random.Generator, columns: int, noise: float) -> Drawn:
    """A direction a label, and normal noise."""
    return Y @ directions(draw, Y.shape[1], columns) + noise * draw.standard_normal((len(Y), columns)), Y


def nonlinear(Y: np.ndarray, draw: np.random.Generator, columns: int, noise: float) -> Drawn:
    """The linear ones through two layers with random weights."""
    X, _ = linear(Y, draw, columns, noise)
    for _ in range(2):
        X = np.tanh(X @ draw.standard_normal((columns, columns)) / np.sqrt(columns))
    return X, Y


def modes(Y: np.ndarray, draw: np.random.Generator, columns: int, noise: float) -> Drawn:
    """Four directions a label, of which each row has one."""
    X = noise * draw.standard_normal((len(Y), columns))
    all_modes = np.stack([directions(draw, Y.shape[1], columns) for _ in range(4)])
    for k in range(Y.shape[1]):
        rows = np.flatnonzero(Y[:, k])
        X[rows] += all_modes[draw.integers(4, size=len(rows)), k]
    return X, Y


def heavy_tails(Y: np.ndarray, draw: np.random.Generator, columns: int, noise: float) -> Drawn:
    """The linear ones with noise of Student's t, two degrees of freedom, and ten skewed columns."""
    X = Y @ directions(draw, Y.shape[1], columns) + noise * draw.standard_t(2, (len(Y), columns))
    X[:, :10] = np.exp(np.clip(X[:, :10], -20, 20))
    return X, Y


def context(Y: np.ndarray, draw: np.random.Generator, columns: int, noise: float) -> Drawn:
    """Only the six most frequent labels have directions: the others are told by what they come with."""
    frequent = np.argsort(-Y.sum(axis=0), kind="stable")[:6]
    X, _ = linear(Y[:, frequent], draw, columns, noise)
    return X, Y


def style(Y: np.ndarray, draw: np.random.Generator, columns: int, noise: float) -> Drawn:
    """Eight far clusters that say nothing of the labels, the labels' directions small beside them."""
    X, _ = linear(Y, draw, columns, noise)
    return X + 8 * draw.standard_normal((8, columns))[draw.integers(8, size=len(Y))], Y


def parity(Y: np.ndarray, draw: np.random.Generator, columns: int, noise: float) -> Drawn:
    """Labels are seen in products of two columns alone."""
    X = draw.standard_normal((len(Y), columns))
    sign = 2 * Y[:, : columns // 2] - 1
    width = sign.shape[1]
    first = X[:, :width]
    X[:, width : 2 * width] = sign * first + 0.5 * noise * draw.standard_normal(first.shape)
    return X, Y


def categories(Y: np.ndarray, draw: np.random.Generator, columns: int, noise: float) -> Drawn:
    """One-hot columns: twelve questions of five answers, each label moving the chances of the answers."""
    hot = []
    for _ in range(12):
        chance = Y @ (draw.standard_normal((Y.shape[1], 5)) * (draw.random((Y.shape[1], 1)) < 0.3) * 2)
        answer = np.argmax(chance + noise * draw.gumbel(size=chance.shape), axis=1)
        hot.append(np.eye(5)[answer])
    return np.hstack(hot), Y


MAPS = {
    one.__name__: one for one in (linear, nonlinear, modes, heavy_tails, context, style, parity, categories)
}
for _name, _first in (("voc", 0), ("coco", 1), ("nus", 0), ("awa2", 1)):
    for _how in [*MAPS][_first::2]:
        case("simulated features", f"{_name} {_how}", simulated(_name, _how))
case("simulated features", "voc linear, much noise", simulated("voc", "linear", noise=3.0))
case("simulated features", "coco linear, 300 columns", simulated("coco", "linear", columns=300))
case("simulated features", "nus context, 1,000 rows", simulated("nus", "context", train=1_000))
case("simulated features", "nus modes, 6 columns", simulated("nus", "modes", columns=6, noise=0.7))

# --- scikit-learn's tables -----------------------------------------------------------------------


def digits(seed: int) -> Parts:
    """Pictures of digits: even, prime, above 4, with a hole, straight, and four single ones."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    groups = (
        (0, 2, 4, 6, 8),
        (2, 3, 5, 7),
        (5, 6, 7, 8, 9),
        (0, 4, 6, 8, 9),
        (1, 4, 7),
        (3,),
        (8,),
        (9,),
        (1,),
    )
    return split(X.astype(np.float32), np.stack([np.isin(y, one) for one in groups], axis=1), seed, 400)


def table(load: str, labels: int, train: int, bins: int = 2) -> Case:
    """Return a case of a bundled table: its last columns, cut in equal parts, and its classes are the labels."""

    def build(seed: int) -> Parts:
        from sklearn import datasets

        X, y = getattr(datasets, f"load_{load}")(return_X_y=True)
        cut = X[:, -labels:]
        quantiles = np.quantile(cut, np.arange(1, bins + 1) / (bins + 1), axis=0)
        classes = y[:, None] > np.median(y) if len(np.unique(y)) > 9 else y[:, None] == np.unique(y)
        Y = np.hstack([*(cut > one for one in quantiles), classes])
        return split(X[:, :-labels].astype(np.float32), Y, seed, train)

    return build


def generated(features: int, classes: int, labels: int, train: int, **given: Any) -> Case:
    """Return a case of `make_multilabel_classification`."""

    def build(seed: int) -> Parts:
        from sklearn.datasets import make_multilabel_classification

        X, Y = make_multilabel_classification(
            train + TEST_ROWS, features, n_classes=classes, n_labels=labels, random_state=seed, **given
        )
        return split(X.astype(np.float32), Y, seed, train)

    return build


case("scikit-learn's tables", "digits", digits)
case("scikit-learn's tables", "wine, 5 columns", table("wine", 8, 100))
case("scikit-learn's tables", "breast cancer, 24 columns", table("breast_cancer", 6, 300))
case("scikit-learn's tables", "breast cancer, 18 columns", table("breast_cancer", 12, 300, bins=1))
case("scikit-learn's tables", "breast cancer, rare parts", table("breast_cancer", 3, 300, bins=7))
case("scikit-learn's tables", "diabetes, 5 columns", table("diabetes", 5, 250))
case("scikit-learn's tables", "iris, 2 columns", table("iris", 2, 80))
case("scikit-learn's tables", "generated, 20 columns", generated(20, 5, 2, 500))
case("scikit-learn's tables", "generated, 100 columns", generated(100, 16, 3, 400))
case("scikit-learn's tables", "generated, short rows", generated(50, 12, 2, 500, length=12))

# --- small tables by rules -----------------------------------------------------------------------


def rules(columns: int, labels: int, train: int, how: str = "plain", share: float = 0.3) -> Case:
    """Return a case of a table whose labels follow from its columns by random rules."""

    def build(seed: int) -> Parts:
        draw = generator(seed, "unseen rules", how)
        n = train + TEST_ROWS
        X = draw.standard_normal((n, columns))
        if how == "boxes":
            raw = np.stack(
                [np.minimum(X[:, a] * s, X[:, b] * t) for a, b, s, t in pairs(draw, columns, labels)], axis=1
            )
        elif how == "rings":
            raw = -np.abs(X @ directions(draw, labels, columns).T / 3 - 0.4)
        else:
            raw = X @ directions(draw, labels, columns).T
        raw = raw + 0.5 * raw.std(axis=0) * draw.standard_normal(raw.shape)
        shares = share * np.linspace(0.4, 1.6, labels) if labels > 1 else np.array([share])
        Y = np.stack([one > np.quantile(one, 1 - s) for one, s in zip(raw.T, shares, strict=True)], axis=1)
        if how == "skewed":
            X = np.exp(2 * X) * 10.0 ** draw.integers(-4, 5, columns)
        return split(X.astype(np.float32), Y, seed, train)

    return build


def pairs(draw: np.random.Generator, columns: int, labels: int) -> list[tuple[int, int, int, int]]:
    """Return two columns and two signs for each label."""
    signs = draw.choice((-1, 1), (labels, 2))
    return [(*draw.choice(columns, 2, replace=False), *signs[k]) for k in range(labels)]


case("small tables", "3 columns, 3 labels", rules(3, 3, 300))
case("small tables", "5 columns in boxes", rules(5, 6, 500, "boxes"))
case("small tables", "12 columns in rings", rules(12, 8, 500, "rings"))
case("small tables", "8 skewed columns", rules(8, 5, 400, "skewed"))
case("small tables", "one label", rules(10, 1, 300))
case("small tables", "two labels", rules(10, 2, 300, "boxes"))
case("small tables", "rare labels", rules(10, 12, 600, share=0.03))
case("small tables", "common labels", rules(10, 6, 400, share=0.6))
case("small tables", "30 rows", rules(6, 3, 30))
case("small tables", "30 rows, 60 columns", rules(60, 4, 30))

# --- words of comments ---------------------------------------------------------------------------


@cache
def comments() -> tuple[list[str], np.ndarray]:
    """Return GoEmotions' development comments, which the grid does not use."""
    return sets.comments("dev")


def words(
    choose: Callable[[np.ndarray], list[int]], train: int = 800, columns: int = 600, **given: Any
) -> Case:
    """Return a case of sparse TF-IDF; `choose` takes labels' counts and returns the labels."""

    def build(seed: int) -> Parts:
        from sklearn.feature_extraction.text import TfidfVectorizer

        text, Y = comments()
        Y = Y[:, choose(Y.sum(axis=0))]
        X = TfidfVectorizer(max_features=columns, **given).fit_transform(text).astype(np.float32)
        return split(sp.csr_array(X), Y, seed, train)

    return build


def asides(seed: int) -> Parts:
    """Letters of comments; labels are what is said of them: length, questions, names, shouting."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    text, _ = comments()
    of = (
        lambda one: len(one) > 90,
        lambda one: len(one) < 30,
        lambda one: "?" in one,
        lambda one: "[NAME]" in one,
        lambda one: "!" in one,
        lambda one: any(word.isupper() and len(word) > 3 for word in one.split()),
        lambda one: "you" in one.lower(),
    )
    Y = np.array([[bool(f(one)) for f in of] for one in text], np.int8)
    X = TfidfVectorizer(analyzer="char", ngram_range=(2, 2), max_features=300).fit_transform(text)
    return split(sp.csr_array(X.astype(np.float32)), Y, seed, 500)


case("words", "rare emotions", words(lambda counts: [*np.argsort(counts)[:16]]))
case("words", "frequent emotions", words(lambda counts: [*np.argsort(-counts)[1:6]]))
case("words", "three emotions", words(lambda counts: [*np.argsort(-counts)[3:6]], train=600))
case(
    "words",
    "letters of emotions",
    words(lambda counts: [*np.argsort(-counts)[:12]], train=600, analyzer="char_wb", ngram_range=(2, 3)),
)
case("words", "asides", asides)

# --- parts of the grid's sets --------------------------------------------------------------------


def part(
    name: str,
    train: int = 400,
    labels: Callable[[np.ndarray], np.ndarray] | None = None,
    columns: int | None = None,
) -> Case:
    """Return a case of a set's rows, labels and columns; `labels` takes the labels' shares."""

    def build(seed: int) -> Parts:
        X, Y, X_test, Y_test = sets.load(name)
        draw = generator(seed, "unseen part", name)
        rows, held = (np.sort(draw.permutation(len(one))[:n]) for one, n in ((Y, train), (Y_test, TEST_ROWS)))
        chosen = slice(None) if labels is None else labels(Y.mean(axis=0))
        places = np.arange(X.shape[1])
        if columns is not None:
            places = np.sort(draw.permutation(X.shape[1])[:columns])
        return kept(X[rows][:, places], Y[rows][:, chosen], X_test[held][:, places], Y_test[held][:, chosen])

    return build


case("parts of sets", "scene, 20 columns", part("scene", columns=20))
case("parts of sets", "scene, 60 rows", part("scene", train=60))
case("parts of sets", "yeast, rare", part("yeast", labels=lambda share: np.argsort(share)[:7]))
case("parts of sets", "yeast, frequent", part("yeast", labels=lambda share: np.argsort(-share)[:5]))
case("parts of sets", "yeast, 60 rows", part("yeast", train=60))
case("parts of sets", "VOC, rare", part("voc12_animals", labels=lambda share: share < 0.04))
case("parts of sets", "VOC, frequent", part("voc12_animals", labels=lambda share: share >= 0.08))
case("parts of sets", "VOC, 100 columns", part("voc12_animals", columns=100))
case("parts of sets", "Ohsumed, rare", part("ohsumed", labels=lambda share: np.argsort(share)[:10]))
case(
    "parts of sets",
    "Ohsumed, frequent",
    part("ohsumed", labels=lambda share: np.argsort(-share)[:5], columns=200),
)
case("parts of sets", "tmc2007, rare", part("tmc2007-500", labels=lambda share: np.argsort(share)[:10]))
case("parts of sets", "tmc2007, 60 columns", part("tmc2007-500", columns=60))
case("parts of sets", "bibtex, 12 labels", part("bibtex", labels=lambda share: np.argsort(-share)[:12]))
case(
    "parts of sets", "bibtex, 24 rare", part("bibtex", train=600, labels=lambda share: np.argsort(share)[:24])
)

# --- rows that mislead ---------------------------------------------------------------------------


def changed(base: Case, how: Callable[[Parts, np.random.Generator], Parts]) -> Case:
    """Return a case whose rows to learn from are changed."""
    return lambda seed: kept(*how(base(seed), generator(seed, "unseen change")))


def unrelated(parts: Parts, draw: np.random.Generator) -> Parts:
    """Labels of other rows: nothing can be learnt."""
    X, Y, X_test, Y_test = parts
    return X, Y[draw.permutation(len(Y))], X_test, Y_test


def half_unrelated(parts: Parts, draw: np.random.Generator) -> Parts:
    """Every second label is of other rows."""
    X, Y, X_test, Y_test = parts
    Y = Y.copy()
    Y[:, ::2] = Y[draw.permutation(len(Y)), ::2]
    return X, Y, X_test, Y_test


def wrong_entries(parts: Parts, draw: np.random.Generator) -> Parts:
    """One positive in four is missing, and as many are wrong."""
    X, Y, X_test, Y_test = parts
    Y = Y.copy()
    for k in range(Y.shape[1]):
        rows = np.flatnonzero(Y[:, k])
        Y[draw.permutation(rows)[: len(rows) // 4], k] = 0
        Y[draw.permutation(np.flatnonzero(Y[:, k] == 0))[: len(rows) // 4], k] = 1
    return X, Y, X_test, Y_test


def outliers(parts: Parts, draw: np.random.Generator) -> Parts:
    """One row in fifty is a thousand times as long."""
    X = np.array(parts[0], np.float32)
    X[draw.random(len(X)) < 0.02] *= 1000
    return X, *parts[1:]


def other_tests(parts: Parts, draw: np.random.Generator) -> Parts:
    """Test rows are shifted by a deviation in every second column."""
    X, Y, X_test, Y_test = parts
    X_test = np.array(X_test, np.float32)
    X_test[:, ::2] += np.asarray(X, np.float32).std(axis=0)[::2]
    return X, Y, X_test, Y_test


def near_copies(parts: Parts, draw: np.random.Generator) -> Parts:
    """Every row stands there three times, with a little noise."""
    X, Y, X_test, Y_test = parts
    X, Y = np.tile(np.asarray(X, np.float32), (3, 1)), np.tile(Y, (3, 1))
    return (X + 0.01 * X.std(axis=0) * draw.standard_normal(X.shape)).astype(np.float32), Y, X_test, Y_test


for _how in (unrelated, half_unrelated, wrong_entries, outliers, other_tests, near_copies):
    _word = _how.__name__.replace("_", " ")
    case("rows that mislead", f"yeast, {_word}", changed(part("yeast", train=300), _how), hostile=True)
    case(
        "rows that mislead",
        f"voc linear, {_word}",
        changed(simulated("voc", "linear", train=300), _how),
        hostile=True,
    )


def noise(X: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Noise of each column's mean and deviation."""
    return X.mean(axis=0) + X.std(axis=0) * draw.standard_normal(X.shape)


def permuted(X: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """The same rows with their columns in another order."""
    return X[:, draw.permutation(X.shape[1])]


def far(X: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Two tight clusters far away."""
    middle = 10 * X.std(axis=0) * draw.standard_normal((2, X.shape[1]))
    return np.asarray(middle[draw.integers(2, size=len(X))] + 0.1 * noise(X, draw))


def tables(X: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Rows of scene, as they are."""
    other = sets.load("scene")[0]
    return np.asarray(other[draw.integers(len(other), size=len(X))][:, : X.shape[1]])


for _pool in (noise, permuted, far, tables):
    _word = f"unlabelled rows {_pool.__name__}"
    case("rows that mislead", f"yeast, {_word}", part("yeast"), True, _pool)
    case("rows that mislead", f"voc linear, {_word}", simulated("voc", "linear"), True, _pool)

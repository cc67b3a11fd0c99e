"""The demo: hide labels of embedded data, train several methods, report."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise._files import write
from labelwise._random import generator
from labelwise.errors import UserError

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier
    from labelwise.metrics import Evaluation, Interval
    from labelwise.report import Comparison, Example, ReportContent

LABELLED, TAGGED = 0.1, 0.3
"""Shares of the training canvases that keep all their labels, and one relevant label.

The rest keep none.
"""
_EXAMPLES = 9
_PATHS = ("report", "results", "review")
_Step = Callable[[str], None]
"""Names the step that begins."""


@dataclass(frozen=True)
class Entry:
    """A method of the demo and the labels that it is handed."""

    method: str
    title: str = ""
    """Empty for the method's own."""
    labels: Literal["given", "zeros", "all"] = "given"
    """With unknown entries, with those written as irrelevant, or all."""
    role: Literal["", "reference", "ceiling"] = ""


ENTRIES = (
    Entry("an", "missing = no", role="reference"),
    Entry("ridge", "no written in the table", "zeros"),
    Entry("ridge"),
    Entry("auto", "closed forms and trees"),
    Entry("em_apl"),
    Entry("hml"),
    Entry("bbam"),
    Entry("bce", "all labels (ceiling)", "all", role="ceiling"),
)
"""The first is the reference, the last the ceiling."""


@dataclass(frozen=True)
class DemoResult:
    """The files of a demo, and one row of figures for each method."""

    report: Path
    results: Path
    rows: list[dict[str, Any]]
    """``method``, ``title``, ``role`` ("", "reference": missing = no, or "ceiling"); on the test canvases ``map`` with
    its 95% interval (``map_low``, ``map_high``), ``map_gain`` over the reference with its paired interval,
    ``micro_f1``, ``macro_f1``, ``one_error`` and ``rule``; on the hidden entries of the training canvases
    ``hidden_found`` (share of the relevant ones predicted) and ``hidden_right`` (share of those predicted that are
    relevant); ``seconds``. None where undefined."""
    facts: dict[str, Any]
    """The seed, counts of hidden labels, the seconds of the whole demo."""
    review: Path | None = None
    """A run on digits with one tag each, to review."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        paths = {name: None if (path := getattr(self, name)) is None else str(path) for name in _PATHS}
        return {**paths, **self.facts, "rows": self.rows}


@dataclass(frozen=True, eq=False)
class _Data:
    """Canvases, features and labels of the training and of the test part."""

    seed: int
    quick: bool
    pictures: NDArray[np.uint8]
    features: NDArray[np.float32]
    truth: NDArray[np.int8]
    """(n, 10) of 1 and 0."""
    given: NDArray[np.int8]
    """(n, 10): the labels that training sees, -1 where it sees none."""
    test_features: NDArray[np.float32]
    test_truth: NDArray[np.int8]
    names: tuple[str, ...]

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """(n, 10) entries that training does not see."""
        return np.equal(self.given, -1)


@dataclass(frozen=True, eq=False)
class _Trained:
    """A method's model with its scores of the test and its label sets of the training canvases."""

    entry: Entry
    model: MultiLabelClassifier
    title: str
    evaluation: Evaluation
    interval: Interval
    scores: NDArray[np.float32]
    """(n_test, 10) in [0, 1]."""
    recovered: NDArray[np.int8]
    """(n, 10): the label sets that it predicts for the training canvases."""


def run(
    out: Path, *, quick: bool = False, open_report: bool = False, seed: int = 0, progress: bool = True
) -> DemoResult:
    """Compose canvases of handwritten digits, hide most labels, train, compare, and write ``report.html``.

    Every method sees the same labels: ``LABELLED`` of the canvases keep all of theirs, ``TAGGED`` of them one
    relevant label, all else is unknown. The ceiling alone sees every label. Nothing is read but what scikit-learn
    carries, and no network is used.

    Args:
        out: Directory for ``report.html``, ``results.json`` and, to review, ``digits/`` and ``run/``; made where it is
            missing.
        quick: Far fewer canvases and features, for a try in seconds; the figures then mean little.
        open_report: Show the report in the browser.
        seed: Of the canvases, of what is hidden and of training.
        progress: Show a progress bar on standard error.
    """
    began = time.perf_counter()
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: give a directory for the demo's report")
    with _one_thread(), _progress(len(ENTRIES) + 4, progress) as step:
        step("composing canvases of digits")
        data = _compose(quick, seed, step)
        trained = [_train(entry, data, step) for entry in ENTRIES]
        step("writing the report")
        from labelwise.report import write_report

        rows = [_row(one, trained[0], data) for one in trained]
        facts = _facts(data)
        report = write_report(_content(data, trained, rows, facts), out / "report.html")
        step("a run to review")
        review = _run_to_review(out, quick, seed)
    facts["seconds"] = round(time.perf_counter() - began, 2)
    # The time covers the report: it is part of what a user waits for.
    result = DemoResult(report, out / "results.json", rows, facts, review)
    write(result.results, json.dumps(result.to_dict(), indent=2) + "\n")
    if open_report:
        import webbrowser

        webbrowser.open(report.resolve().as_uri())
    return result


def _run_to_review(out: Path, quick: bool, seed: int) -> Path:
    """Return a run on digits with one tag each, made with its table and pictures where there is none.

    One that is there is left alone: it may hold somebody's answers.
    """
    from labelwise.runs.config import RunConfig
    from labelwise.runs.digits import write_digits
    from labelwise.runs.directory import RunDirectory
    from labelwise.runs.training import train

    run = RunDirectory(out / "run")
    if not run.exists():
        table = write_digits(
            out / "digits", n=300 if quick else 1000, filters=64 if quick else 256, seed=seed
        )
        train(RunConfig.build({"table": str(table), "method": "ridge", "seed": seed}), run.path)
    return run.path


def _compose(quick: bool, seed: int, step: _Step) -> _Data:
    from labelwise.data import digits_canvases, digits_features

    n_train, n_test = (300, 200) if quick else (2000, 1000)
    settings: dict[str, int] = {"filters": 64} if quick else {}
    pictures, truth, names = digits_canvases(n_train, seed=seed, part="train")
    test_pictures, test_truth, _ = digits_canvases(n_test, seed=seed, part="test")
    step("describing the canvases by features")
    features, test_features = (
        digits_features(images, seed=seed, **settings) for images in (pictures, test_pictures)
    )
    given = _hide(truth, seed)
    return _Data(seed, quick, pictures, features, truth, given, test_features, test_truth, names)


def _hide(truth: NDArray[np.int8], seed: int) -> NDArray[np.int8]:
    """Return the labels (n, 10) that training sees, -1 where it sees none.

    All those of ``LABELLED`` of the rows, one of ``TAGGED`` of the rows.
    """
    from labelwise.annotations import simulate

    complete, complete_or_tagged = (
        simulate.semi_supervised(truth, share, seed=seed, rule="cap") >= 0
        for share in (LABELLED, LABELLED + TAGGED)
    )
    tags = np.where(complete_or_tagged, simulate.single_positive(truth, seed=1200 + seed), -1)
    return np.where(complete, truth, tags).astype(np.int8)


def _train(entry: Entry, data: _Data, step: _Step) -> _Trained:
    from labelwise import metrics
    from labelwise.classifier import MultiLabelClassifier
    from labelwise.methods import get

    title = entry.title or _short_title(get(entry.method).spec.title)
    step(f"training: {title}")
    seen = {"given": data.given, "zeros": np.maximum(data.given, 0), "all": data.truth}[entry.labels]
    epochs = 2 if data.quick else None
    model = MultiLabelClassifier(entry.method, "features", random_state=data.seed, epochs=epochs)
    model.fit(data.features, seen, label_names=data.names)
    scores = model.predict_proba(data.test_features)
    return _Trained(
        entry,
        model,
        title,
        metrics.evaluate(data.test_truth, scores, model.rule_, label_names=data.names),
        metrics.bootstrap(data.test_truth, scores, "map", seed=data.seed),
        scores,
        model.predict(data.features),
    )


def _short_title(title: str) -> str:
    """Return a title's abbreviation in brackets, or its part before a comma."""
    brackets = re.search(r"\(([^()]+)\)$", title)
    return brackets[1] if brackets else title.partition(",")[0]


def _row(one: _Trained, reference: _Trained, data: _Data) -> dict[str, Any]:
    map_, role = one.evaluation["map"], one.entry.role
    row: dict[str, Any] = {
        "method": one.model.method_,
        "title": one.title,
        "role": role,
        "map": map_,
        "map_low": float(one.interval.low),
        "map_high": float(one.interval.high),
        **dict.fromkeys(("map_gain", "map_gain_low", "map_gain_high")),
        **{name: one.evaluation[name] for name in ("micro_f1", "macro_f1", "one_error")},
        "rule": one.evaluation.rule,
        "hidden_found": None,
        "hidden_right": None,
        "seconds": one.model.seconds_,
    }
    if role != "reference":
        # A replicate's items depend on the seed and its number alone, so the replicates of two methods are pairs.
        gains = one.interval.replicates - reference.interval.replicates
        low, high = np.quantile(gains, [0.025, 0.975]).tolist()
        row |= {"map_gain": map_ - reference.evaluation["map"], "map_gain_low": low, "map_gain_high": high}
    if role != "ceiling":
        # The ceiling was trained on these very entries, so nothing was hidden from it.
        predicted = np.equal(one.recovered[data.hidden], 1)
        relevant = np.equal(data.truth[data.hidden], 1)
        row |= {
            "hidden_found": float(predicted[relevant].mean()) if relevant.any() else None,
            "hidden_right": float(relevant[predicted].mean()) if predicted.any() else None,
        }
    return row


def _facts(data: _Data) -> dict[str, Any]:
    complete = ~data.hidden.any(axis=1)
    return {
        "seed": data.seed,
        "quick": data.quick,
        "n_train": len(data.truth),
        "n_test": len(data.test_truth),
        "n_features": data.features.shape[1],
        "n_complete": int(complete.sum()),
        "n_tagged": int(((data.given == 1).any(axis=1) & ~complete).sum()),
        "relevant": int((data.truth == 1).sum()),
        "relevant_hidden": int((data.truth[data.hidden] == 1).sum()),
        "entries_hidden": int(data.hidden.sum()),
    }


def _content(
    data: _Data, trained: Sequence[_Trained], rows: list[dict[str, Any]], facts: dict[str, Any]
) -> ReportContent:
    """Return the report of the best method by mAP, beside the others.

    Neither the reference, its like with the no written in the table, nor the ceiling can be the best.
    """
    from labelwise.report import content_of

    best = max(trained[2:-1], key=lambda one: one.evaluation["map"])
    row, base, top = rows[trained.index(best)], rows[0], rows[-1]
    share = facts["relevant_hidden"] / facts["relevant"]
    content = content_of(
        best.model,
        labels=data.test_truth,
        scores=best.scores,
        title="What hidden labels cost, and what can be recovered",
        judged_on=f"These are the figures of {best.title}, the best of the other methods by mAP, on the test canvases",
        seed=data.seed,
    )
    return replace(
        content,
        lead=(
            f"{facts['n_train']:,} canvases carry one to four handwritten digits each; the labels are the digits. "
            f"{facts['n_complete']:,} canvases kept all ten labels, {facts['n_tagged']:,} one relevant label drawn at "
            f"random, the others none: {facts['relevant_hidden']:,} of {facts['relevant']:,} relevant labels "
            f"({share:.0%}) are hidden.",
            _verdict(row, base, facts["n_test"]),
        ),
        key_figures=(
            (f"mAP, {base['title']}", f"{base['map']:.3f}"),
            (f"mAP, {best.title}", f"{row['map']:.3f}"),
            ("mAP, all labels", f"{top['map']:.3f}"),
            ("relevant labels hidden", f"{share:.0%}"),
        ),
        summary_words=("Every method but the ceiling was trained on these same labels, and sees no other.",),
        comparison=_comparison(rows),
        examples=_examples(data, (trained[0], best)),
        examples_words=(
            "Training canvases drawn at random among those with at least two hidden digits, with what each model, "
            "once trained, says of them.",
        ),
        use=None,  # the demo keeps no model directory
    )


def _verdict(row: dict[str, Any], base: dict[str, Any], n_test: int) -> str:
    """Return in words whether a method is ahead of the reference by mAP.

    And whether the test canvases tell the two apart, and how many hidden labels each recovered.
    """
    gain, low, high = (row[key] for key in ("map_gain", "map_gain_low", "map_gain_high"))
    if low > 0:
        verdict = "is ahead of reading missing as no"
    elif high < 0:
        verdict = "is behind reading missing as no"
    else:
        verdict = "cannot be told apart from reading missing as no"
    return (
        f"On {n_test:,} new canvases the best of the other methods, {row['title']}, {verdict} by mAP: {row['map']:.3f} "
        f"against {base['map']:.3f}, a difference of {gain:+.3f} (95% interval {low:+.3f} to {high:+.3f}). "
        f"Of the hidden relevant labels it finds {row['hidden_found']:.0%}, {base['title']} finds "
        f"{base['hidden_found']:.0%}; on new canvases its micro-F1 is {row['micro_f1']:.3f} against "
        f"{base['micro_f1']:.3f}."
    ).replace("-0.", "−0.")


def _comparison(rows: list[dict[str, Any]]) -> Comparison:
    from labelwise.report import Column, Comparison, ComparisonRow

    def intervals(row: dict[str, Any]) -> dict[str, tuple[float, float]]:
        by_column = {key: (row[f"{key}_low"], row[f"{key}_high"]) for key in ("map", "map_gain")}
        return {key: ends for key, ends in by_column.items() if None not in ends}

    rules = "; ".join(f"{row['rule']} ({row['title']})" for row in rows)
    if len({row["rule"] for row in rows}) == 1:
        rules = rows[0]["rule"]
    return Comparison(
        rows=[ComparisonRow(row["title"], row, intervals(row), row["role"]) for row in rows],
        columns=[
            Column("map", "mAP"),
            Column("map_gain", "mAP over missing = no", "gain", None),
            Column("micro_f1", "micro-F1"),
            Column("macro_f1", "macro-F1"),
            Column("one_error", "one-error", better="low"),
            Column("hidden_found", "hidden labels found"),
            Column("hidden_right", "of its finds, right"),
            Column("seconds", "training", "seconds", None),
        ],
        drawn=("map", "micro_f1"),
        words=(
            "mAP tells how well a method ranks; the F1s, and what it finds of the hidden labels, also tell how well "
            "it decides. The dashed lines are missing = no and the ceiling, which saw every label.",
            "Missing = no is a loss that takes unknown for irrelevant; its thresholds still come from what is known. "
            "In the row “no written in the table” every unknown entry was written as irrelevant beforehand, as in "
            "a table that has no word for unknown.",
            "Intervals are 95% percentile intervals of a bootstrap over the test canvases, paired for differences; "
            "another draw of training canvases or hidden labels would move the figures further. "
            f"Decision rule: {rules.replace('_', ' ')}.",
        ),
    )


def _examples(data: _Data, models: Sequence[_Trained]) -> list[Example]:
    """Return training canvases with at least two hidden digits, drawn at random."""
    from labelwise.report import Example

    hidden = data.hidden & (data.truth == 1)
    candidates = np.flatnonzero(hidden.sum(axis=1) >= 2)
    drawn = np.sort(generator(data.seed, "demo", "examples").permutation(candidates)[:_EXAMPLES])

    def named(mask: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(data.names[k] for k in np.flatnonzero(mask))

    return [
        Example(
            known=named(data.given[i] == 1),
            hidden=named(hidden[i]),
            predicted={one.title: named(one.recovered[i] == 1) for one in models},
            name=f"Canvas {i}",
            picture=data.pictures[i],
        )
        for i in drawn
    ]


def _one_thread() -> AbstractContextManager[None]:
    # The limit reaches libraries that are loaded already.
    import scipy.linalg  # noqa: F401
    import sklearn.cluster  # noqa: F401

    from labelwise.models import one_thread

    return one_thread(libraries=True)


@contextmanager
def _progress(steps: int, shown: bool) -> Iterator[_Step]:
    """Yield a function that names the step that begins."""
    if not shown:
        yield lambda title: None
        return
    from labelwise.engine import counted

    done = -1

    with counted("demo") as show:

        def step(title: str) -> None:
            nonlocal done
            done += 1
            show(done, steps, title)

        yield step

"""Content of a report as plain data, and its sections in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from numpy.typing import ArrayLike

from labelwise import metrics
from labelwise.annotations import Summary
from labelwise.classifier import MultiLabelClassifier
from labelwise.ensemble import Explanation
from labelwise.report.section import Section, Subject
from labelwise.report.sections.comparison import COMPARISON, Comparison
from labelwise.report.sections.examples import EXAMPLES, Example
from labelwise.report.sections.explanation import EXPLANATION
from labelwise.report.sections.labels import LABELS
from labelwise.report.sections.learnt import LEARNT, Learnt
from labelwise.report.sections.missing import MISSING, Missing
from labelwise.report.sections.results import RESULTS, Decision, Results, key_figures
from labelwise.report.sections.skipped import SKIPPED, Skipped
from labelwise.report.sections.training import TRAINING, Training
from labelwise.report.sections.use import USE, Use


@dataclass(frozen=True)
class ReportContent:
    """Data of a report's sections, each of which may be left out.

    The first field of a section names it: its place here is the section's place in the page.
    """

    title: str
    lead: Sequence[str] = ()
    """Paragraphs below the title."""
    key_figures: Sequence[tuple[str, str]] = ()
    """(name, value) pairs shown large below the lead."""
    summary: Summary | Mapping[str, Any] | None = field(default=None, metadata={"section": LABELS})
    """The result of ``labelwise.describe``, or its ``to_dict``."""
    summary_words: Sequence[str] = ()
    comparison: Comparison | None = field(default=None, metadata={"section": COMPARISON})
    examples: Sequence[Example] = field(default=(), metadata={"section": EXAMPLES})
    examples_words: Sequence[str] = ()
    results: Results | None = field(default=None, metadata={"section": RESULTS})
    results_words: Sequence[str] = ()
    """Sentences on the figures, or on why there are none."""
    decision: Decision | None = None
    """Shown where there are no results, whose table has the thresholds otherwise."""
    explanation: Explanation | None = field(default=None, kw_only=True, metadata={"section": EXPLANATION})
    learnt: Learnt | None = field(default=None, metadata={"section": LEARNT})
    missing: Missing | None = field(default=None, metadata={"section": MISSING})
    use: Use | None = field(default=None, kw_only=True, metadata={"section": USE})
    training: Training | None = field(default=None, metadata={"section": TRAINING})
    skipped: Sequence[Skipped] = field(default=(), metadata={"section": SKIPPED})
    """Items that were left out because they could not be read."""
    history: Sequence[Mapping[str, Any]] = ()
    """Records of the epochs, as ``MultiLabelClassifier.history_`` has them."""


SECTIONS: tuple[Section, ...] = tuple(
    part.metadata["section"] for part in fields(ReportContent) if "section" in part.metadata
)


def content_of(
    model: MultiLabelClassifier,
    evaluation: metrics.Evaluation | None = None,
    *,
    title: str | None = None,
    lead: Sequence[str] = (),
    labels: ArrayLike | None = None,
    scores: ArrayLike | None = None,
    judged_on: str = "",
    results_words: Sequence[str] = (),
    examples: Sequence[Example] = (),
    seed: int = 0,
    X: Any = None,
    Y: Any = None,
    items: Sequence[str] | None = None,
    contents: Sequence[Any] | None = None,
    kind: Literal["image", "text"] | None = None,
    held_out: tuple[ArrayLike, ArrayLike] | None = None,
    configuration: Mapping[str, Any] | None = None,
    skipped: Sequence[Any] = (),
    memory: int | None = None,
) -> ReportContent:
    """Return what there is to report of a fitted or loaded classifier.

    Args:
        evaluation: How well it does; by default on ``labels`` and ``scores``, else what it found on held-out rows
            while it was trained (``validation_``), if anything.
        labels: (n, K) annotations of the items judged; with ``scores``, intervals are resampled from them.
        scores: (n, K), what ``model.predict_proba`` gave for these items.
        judged_on: A sentence on the items judged.
        results_words: More sentences on the figures, or on why there are none.
        examples: Items to show.
        seed: Of the resampling and of samples.
        X: The training items as the classifier takes them. With ``Y`` the model goes over them once more, and the
            report shows angles, how labels go together and the most probable missing labels.
        Y: (n, K) their annotations, or ``Annotations``.
        items: Their n ids.
        contents: What is shown of them: paths or arrays of pictures, or texts.
        kind: Which of the two; None for neither.
        held_out: (labels, scores before calibration) of the rows that ``validation_`` rests on, for its intervals
            and reliability; by default what the classifier kept of them (``held_out_``), if anything.
        configuration: What the run was asked, by name.
        skipped: Items that could not be used, each with ``row``, ``item`` and ``reason``.
        memory: Bytes of memory that training held at most, as ``peak_memory()`` tells.
    """
    subject = Subject(
        model=model,
        evaluation=evaluation,
        labels=labels,
        scores=scores,
        judged_on=judged_on,
        results_words=results_words,
        seed=seed,
        X=X,
        Y=Y,
        items=items,
        contents=contents,
        kind=kind,
        held_out=held_out,
        configuration=configuration,
        skipped=skipped,
        memory=memory,
    )
    gathered = {name: value for section in SECTIONS for name, value in section.gather(subject).items()}
    return ReportContent(
        title=title or f"{model.fitted_.method.spec.title} on {len(model.label_names_):,} labels",
        lead=lead,
        key_figures=key_figures(gathered["results"]),
        examples=examples,
        **gathered,
    )

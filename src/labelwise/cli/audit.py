"""``labelwise audit``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from labelwise.cli.options import PICTURES, Json, Run, given_settings, takes
from labelwise.cli.output import print_json, progress, say, show_notes, table

if TYPE_CHECKING:
    from labelwise.completion import AuditEstimate

_FIGURES = {
    "cardinality": "labels of an item",
    "missing": "relevant entries that the table lacks",
    "missing_rate": "their share of all relevant entries",
    "precision": "precision of the rule",
    "recall": "recall of the rule",
}

EXAMPLES = (
    "labelwise audit runs/first --out ask.csv --size 100",
    "labelwise audit runs/first --answers ask.csv  # how good the table is, once it is filled in",
)


@takes(*PICTURES)
def audit(
    context: typer.Context,
    run: Run,
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write entries to ask next: .csv.", show_default=False),
    ] = None,
    size: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    aim: Annotated[
        str,
        typer.Option(
            metavar="estimate|fill", help="Ask to say how good the table is, or to certify what is filled."
        ),
    ] = "estimate",
    answers: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The answered file; its answers are kept in RUN.", show_default=False
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="score|label", help="Strata by score, or by label too (some 30 answers a label)."
        ),
    ] = "score",
    precision: Annotated[
        float, typer.Option(metavar="SHARE", help="With --aim fill: the wanted precision.")
    ] = 0.9,
    confidence: Annotated[float, typer.Option(metavar="SHARE", help="Of intervals and certificate.")] = 0.95,
    unasked: Annotated[
        bool, typer.Option("--unasked", help="Certify the entries alone that nobody was asked about.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="That of the draw; keep it from draw to draw.")] = 0,
    json: Json = False,
) -> None:
    """Ask for some unknown labels, and say by the answers how good the table is, with intervals."""
    from labelwise.runs import audit as audit_run

    done = audit_run(
        run,
        out,
        size=size,
        aim=aim,
        by=by,
        answers=answers,
        precision=precision,
        confidence=confidence,
        unasked=unasked,
        seed=seed,
        progress=progress(),
        **given_settings(context),
    )
    if json:
        print_json(done.to_dict())
        return
    if done.n_read:
        say(f"{done.n_read:,} answers read, and kept in {run}")
    if done.estimate is not None and done.certificate is None:
        _show(done.estimate)
    elif done.certificate is None:
        say("no answers to this draw yet: nothing is estimated")
    if done.certificate is not None:
        say(f"certified: {done.certificate}")
    show_notes(done.notes)
    if done.asked is not None:
        say(
            f"written: {done.out}, {len(done.asked):,} entries; fill its column answer (1 yes, 0 no, -1 skip), then"
        )
        say(f"         labelwise audit {run} --aim {aim} --answers {done.out}")


def _show(estimate: AuditEstimate) -> None:
    rows = [(words, *map(float, getattr(estimate, name))) for name, words in _FIGURES.items()]
    rows += [
        (f"share of {name}", *map(float, bounds))
        for name, bounds in zip(estimate.label_names, estimate.prevalence, strict=True)
    ]
    table(("estimate", "value", "lower", "upper"), rows)
    columns = ("mean_score", "observed", "lower", "upper", "entries", "answers")
    table(
        ("predicted", *(name.replace("_", " ") for name in columns)),
        [(row["predicted"], *(row[name] for name in columns)) for row in estimate.reliability],
    )
    say(
        f"{estimate.n_answers:,} answers of a random sample; each interval covers with about {estimate.confidence:.0%}"
    )

"""``labelwise compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from labelwise.cli.options import ALL, Json, Table, given_settings, takes
from labelwise.cli.output import print_json, progress, runs_progress, say, show_notes, table

if TYPE_CHECKING:
    from labelwise.runs import TableComparison

EXAMPLES = (
    "labelwise compare photos.csv --images photos/  # what the labels recommend, beside the baseline",
    "labelwise compare tickets.csv --methods ridge,auto,an --metric macro_f1 --out runs/best",
    "labelwise compare frames.csv --group-column video --repeats 3 --results comparisons/frames",
)
_HINTS = ("hints", "hints_yes_above", "hints_no_below", "hints_at_most")


@takes(*ALL, without=("method", "warm_start", *_HINTS))
def compare(
    context: typer.Context,
    source: Table,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="ID,ID",
            help="Methods, with commas between them [default: those that the labels recommend].",
            show_default=False,
        ),
    ] = None,
    no_baseline: Annotated[
        bool, typer.Option("--no-baseline", help="Leave out the logistic regression of scikit-learn.")
    ] = False,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What methods are ranked by: map, micro_f1, macro_f1, macro_auc, ... [default: map; observed_map where"
            " positives alone are known].",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[int, typer.Option(metavar="N", help="Parts that are held out in turn.")] = 5,
    repeats: Annotated[int, typer.Option(metavar="N", help="Times that all rows are dealt anew.")] = 1,
    level: Annotated[float, typer.Option(metavar="SHARE", help="What the intervals aim to cover.")] = 0.95,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Train the best on all rows, and save it as this run.", show_default=False
        ),
    ] = None,
    results: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="A folder for JSON, CSV and a page, from which a stopped comparison goes on [default: OUT-comparison"
            " with --out].",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(metavar="N", help="Folds at a time, each in a process; 0: one after the other, here."),
    ] = 0,
    config: Annotated[
        str | None,
        typer.Option(metavar="TOML", help="Settings; options given here win.", show_default=False),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="METHOD.KEY=VALUE",
            help="A method's hyper-parameter; repeat it.",
            show_default=False,
            rich_help_panel="Method",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare methods on a table by cross-validation on the known entries, with paired intervals; save the best."""
    from labelwise import runs

    settings = runs.RunConfig.build({**given_settings(context), "table": source}, file=config)
    chosen = None if methods is None else [name.strip() for name in methods.split(",") if name.strip()]
    with runs_progress("comparing") as on_progress:
        done = runs.compare(
            settings,
            chosen,
            out=out,
            results=results,
            sets=set_ or (),
            baseline=not no_baseline,
            metric=metric,
            folds=folds,
            repeats=repeats,
            level=level,
            workers=workers,
            progress=on_progress,
            training_progress=progress(),
        )
    if json:
        print_json(done.to_dict())
        return
    _show(done)


def _show(done: TableComparison) -> None:
    comparison = done.comparison
    show_notes(done.notes)
    kinds = f"{comparison.folds} folds" + (f" x {comparison.repeats}" if comparison.repeats > 1 else "")
    whole = ", whole groups together" if comparison.grouped else ""
    say(
        f"data     {comparison.n_items:,} items, setting {comparison.setting}; {comparison.n_judged:,} held out in"
        f" turn, {kinds}{whole}"
    )
    rows = [
        (
            one.name,
            one.value,
            "best" if one.to_best is None else _words(one.to_best),
            "" if one.to_best is None else f"{one.to_best.p_holm:.3f}",
            "" if one.to_baseline is None else _words(one.to_baseline),
            f"{one.seconds:.1f} s",
        )
        for one in comparison.methods
    ]
    columns = ("method", comparison.title, f"to {comparison.best}", "p (Holm)", "to the baseline", "a fold")
    table(columns, rows)
    for name, why in comparison.left_out.items():
        say(f"left out {name}: {why}")
    say(comparison.verdict)
    for sentence in (*comparison.words, *comparison.caveats):
        say(sentence)
    for path in done.files:
        say(f"written  {path}")
    if done.outcome is not None:
        say(f"saved    {done.outcome.run}: {done.saved}, trained on all rows")
        if done.saved != comparison.best:
            say(f"         {comparison.best} did better and is no method of this library: it is not saved")


def _words(pair: object) -> str:
    value, low, high = (getattr(pair, name) for name in ("value", "low", "high"))
    return f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"

"""``labelwise experiment``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelwise.cli.options import Json
from labelwise.cli.output import print_json, runs_progress, say, table

if TYPE_CHECKING:
    from labelwise.experiments import Outcome, Spec

EXAMPLES = (
    "labelwise experiment --list",
    "labelwise experiment hml-table2 --data data/ --datasets VOC --methods hml --seeds 0",
)


def experiment(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="An experiment of --list, or a TOML file.", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="The folder with the sets ('labelwise datasets').",
            envvar="LABELWISE_DATA",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where results go [default: experiments/NAME].", show_default=False),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the experiments.")] = False,
    protocol: Annotated[
        str, typer.Option(metavar="honest|published", help="How models are chosen and judged.")
    ] = "honest",
    methods: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A row or method, all by default; repeat it.", show_default=False),
    ] = None,
    datasets: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A data set, all by default; repeat it.", show_default=False),
    ] = None,
    seeds: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="A seed in place of the experiment's; repeat it.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="Run at most so many runs this time.", show_default=False)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Runs at a time, one thread each [default: 2, or one for each of --devices].",
            show_default=False,
        ),
    ] = None,
    devices: Annotated[
        list[str] | None,
        typer.Option(
            metavar="cpu|cuda:N",
            help="A device for the workers, by turns; repeat it [default: CUDA where there is one].",
            show_default=False,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Run the I-th of N disjoint parts alone; --out is then experiments/NAME-I-of-N by default.",
            show_default=False,
        ),
    ] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR",
            help="Run nothing, and take the results of a part's folder; repeat it.",
            show_default=False,
        ),
    ] = None,
    time_cap: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Stop a run that takes longer.", show_default=False),
    ] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Search learning rate and batch size, as the papers do.")
    ] = False,
    leak_truth: Annotated[
        bool,
        typer.Option(
            "--leak-truth", help="Published protocol: let BBAM's pseudo-labels see the truth, as released."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Reproduce a table or figure of the papers: run what is missing, and write it beside the printed numbers.

    For example: labelwise experiment hml-table2 --data DIR --datasets VOC --methods hml --seeds 0
    """
    from labelwise.errors import UserError
    from labelwise.experiments import load_spec, run_experiment, spec_names

    if list_:
        _list([load_spec(each) for each in spec_names()], json)
        return
    if name is None:
        raise UserError("give an experiment's name; 'labelwise experiment --list' shows them")
    with runs_progress(name) as on_progress:
        outcome = run_experiment(
            name,
            data,
            out,
            protocol=protocol,
            rows=methods,
            datasets=datasets,
            seeds=seeds,
            limit=limit,
            workers=workers,
            devices=devices or (),
            shard=shard,
            merge=merge or (),
            time_cap=time_cap,
            search=search,
            leak_truth=leak_truth,
            progress=on_progress,
        )
    if json:
        print_json(_record(outcome))
        return
    _show(outcome)


def _list(specs: list[Spec], json: bool) -> None:
    records = [
        {
            "name": spec.name,
            "kind": "figure" if spec.figure else "table",
            "title": spec.title,
            "datasets": spec.datasets,
            "runs": len(spec.jobs()),
        }
        for spec in specs
    ]
    if json:
        print_json(records)
        return
    table(
        ("name", "what it is", "sets", "runs"),
        [(r["name"], r["title"], ", ".join(r["datasets"]) or "none", r["runs"]) for r in records],  # type: ignore[arg-type]
    )


def _show(outcome: Outcome) -> None:
    tally = outcome.tally
    parts = [
        f"{count} {word}"
        for count, word in (
            (tally.done, "done now"),
            (tally.before, "done before"),
            (tally.capped, "stopped by the cap of time"),
            (tally.failed, "failed"),
            (tally.left, "left for next time"),
        )
        if count
    ]
    if parts:
        say(f"runs     {', '.join(parts)}")
    for error in dict.fromkeys(row.error for row in outcome.rows if row.error):
        say(f"missing  {error}")
    for path in outcome.files:
        say(f"written  {path}")


def _record(outcome: Outcome) -> dict[str, Any]:
    return {
        "experiment": outcome.spec.name,
        "runs": vars(outcome.tally),
        "rows": [{**vars(row), "difference": row.difference} for row in outcome.rows],
        "files": [str(path) for path in outcome.files],
    }

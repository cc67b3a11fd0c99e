"""``labelwise datasets``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelwise.cli.options import Json
from labelwise.cli.output import print_json, say, table
from labelwise.errors import UserError, near

if TYPE_CHECKING:
    from labelwise.data.datasets import Dataset

_PARTS = ("train", "validation", "test")
_COUNTS = ("labels", "cardinality", "without_positive", "unknown", "missing_files")

EXAMPLES = (
    "labelwise datasets",
    "labelwise datasets VOC2007 --data data/  # what is in it",
)


def datasets(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One set, in full.", show_default=False)
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Read the set from here and count what is in it.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the papers' data sets: sizes, licences, where their owners publish them, and how a tree looks."""
    from labelwise.data.datasets import DATASETS, read_dataset

    if name is None:
        if data is not None:
            raise UserError("--data needs the name of a set: labelwise datasets NAME --data DIR")
        records = [info.to_dict() for info in DATASETS.values()]
        if json:
            print_json(records)
            return
        columns = ("name", "kind", "labels", *_PARTS, "licence")
        rows = [
            (r["name"], r["kind"], r["n_labels"], *map(r["sizes"].get, _PARTS), r["licence"]) for r in records
        ]
        table(columns, rows)
        say("published at")
        for r in records:
            say(f"  {r['name']:<9}{r['url']}")
        say("'labelwise datasets NAME' shows a tree's layout; with --data DIR it checks one")
        return
    if name not in DATASETS:
        raise UserError(f"there is no set {name!r}; {near(name, DATASETS)}")
    record = DATASETS[name].to_dict()
    dataset = None if data is None else read_dataset(name, data)
    if json:
        print_json(record if dataset is None else {**record, "found": dataset.counts()})
        return
    _describe(record)
    if dataset is not None:
        _show_counts(dataset, record["sizes"])


def _describe(record: dict[str, Any]) -> None:
    say(f"{record['name']}: {record['title']}, {record['n_labels']} labels")
    sizes = ", ".join(f"{part} {size:,}" for part, size in record["sizes"].items())
    for key, value in (("sizes", sizes), *((key, record[key]) for key in ("licence", "url", "note"))):
        say(f"{key:<9}{value}")
    for place, line in enumerate(record["layout"]):
        say(f"{'layout' if not place else '':<9}{line}")


def _show_counts(dataset: Dataset, sizes: dict[str, int]) -> None:
    columns = (
        "part",
        "items",
        "published",
        "labels",
        "cardinality",
        "no positive",
        "unknown",
        "files missing",
    )
    rows = [
        (c["part"], c["items"], sizes.get(c["part"]), *(c[key] for key in _COUNTS)) for c in dataset.counts()
    ]
    table(columns, rows)
    sample = next((path for part in dataset.parts for path in dataset.missing_files(part)), None)
    if sample is not None:
        say(f"files missing: {sample}, for one")

"""Every bar of speed and memory, with what was measured last and a verdict: `python -m benchmarks [--write]`.

Reads the committed tables of `benchmarks/results` and times nothing: `python -m benchmarks.speed --write` makes them
anew, and each line names the command that measures it alone. `--write` fills docs/performance.md.
"""

from __future__ import annotations

from benchmarks.bars import bars, lines
from benchmarks.common import RESULTS, ROOT, plain_parser, read_rows
from benchmarks.pages import fill_page, table

PAGE = ROOT / "docs" / "performance.md"


def made() -> dict[str, str]:
    """Return the regions of the page."""
    found = bars()
    rows = table(["what", "measured", "bar", "verdict"], lines(found), words=(0, 3))
    failing = [one.what for one in found if not one.holds]
    return {
        "bars": "\n".join(rows),
        "held": f"{len(found) - len(failing)} of {len(found)}",
        "compiling": "\n".join(compiled()),
        **served(),
    }


def served() -> dict[str, str]:
    """Return what bounds the server where each request brings one text."""
    rows = read_rows(RESULTS / "serving.csv")
    return {"serving_few": next(row["figure"] for row in rows if row["question"].startswith("bare network"))}


def compiled() -> list[str]:
    """Return the table of steps with and without `compile`."""
    head = {
        "network": "network",
        "batch": "items a step",
        "plain_ms": "step, ms",
        "compiled_ms": "compiled, ms",
        "ratio": "ratio",
        "first_step_s": "first step, s",
        "loss_difference": "losses differ by",
        "weight_difference": "weights differ by",
    }
    rows = read_rows(RESULTS / "compiling.csv")
    return table(list(head.values()), [[row[name] for name in head] for row in rows])


def main() -> None:
    parser = plain_parser(__doc__, "benchmarks")
    parser.add_argument("--write", action="store_true", help="fill docs/performance.md, which is committed")
    given = parser.parse_args()
    for one in bars():
        print(
            f"{'holds' if one.holds else 'FAILS':6}{one.measured:>16}  {one.bar:24} {one.what}  [{one.command}]"
        )
    if given.write:
        fill_page(PAGE, made())


if __name__ == "__main__":
    main()

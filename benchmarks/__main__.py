"""Every bar of speed and memory, with what was measured last and a verdict: `python -m benchmarks [--write]`.

Reads the committed tables of `benchmarks/results` and times nothing: `python -m benchmarks.speed --write` makes them
anew, and each line names the command that measures it alone. `--write` fills docs/performance.md.
"""

from __future__ import annotations

from benchmarks.bars import bars, lines
from benchmarks.common import ROOT, plain_parser
from benchmarks.pages import fill_page, table

PAGE = ROOT / "docs" / "performance.md"


def made() -> dict[str, str]:
    """Return the regions of the page."""
    found = bars()
    rows = table(["what", "measured", "bar", "verdict"], lines(found), words=(0, 3))
    failing = [one.what for one in found if not one.holds]
    return {"bars": "\n".join(rows), "held": f"{len(found) - len(failing)} of {len(found)}"}


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

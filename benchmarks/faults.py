"""The table of faults: each promise tried everywhere: `python -m benchmarks.faults [NAME ...] [--inputs N] [--write]`.

Kills and refuses every call that changes a file, cuts files at every 4 KiB, disturbs runs, and changes a million inputs
of everything that reads what others wrote. Takes about an hour on a machine that does nothing else; needs Linux and
a C compiler. NAME is a fault, or its beginning; the rows of the others stay as they are in the table. `--write` fills
docs/reliability.md too; `--short` tries the short forms that the tests have, in a few minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.common import RESULTS, ROOT, place, read_rows, script_parser, show, write_rows
from benchmarks.pages import fill_page, table

TABLE = RESULTS / "faults.csv"
PAGE = ROOT / "docs" / "reliability.md"


def measured(names: list[str], inputs: int, long: bool = True) -> Iterator[dict[str, Any]]:
    """Yield a row of each fault that is named."""
    from tests.faults import fuzz
    from tests.faults.__main__ import rows
    from tests.faults.table import FAULTS, FUZZED
    from tests.faults.targets import by_share

    def asked(name: str) -> bool:
        return not names or any(name.startswith(one) for one in names)

    for name, count in by_share(inputs).items():
        if asked(f"changed inputs, {name}"):
            found = fuzz.apart(name, count, "table")
            for line in fuzz.kinds(found.failures):
                print(line, flush=True)
            yield {
                "fault": f"changed inputs, {name}",
                "promise": FUZZED,
                "test": "test_fuzz",
                "tries": found.tries,
                "failures": len(found.failures),
                "seconds": round(found.seconds, 1),
            }
    if any(asked(name) for name in FAULTS):
        for row in rows([name for name in FAULTS if asked(name)], long):
            for line in row["failures"]:
                print(line, flush=True)
            yield {**row, "failures": len(row["failures"])}


def made(found: list[dict[str, str]]) -> dict[str, str]:
    """Return the regions of the page."""
    lines = [
        [one["fault"], one["promise"], f"{int(one['tries']):,}", one["failures"], f"`{one['test']}`"]
        for one in found
    ]
    head = ["fault", "what is promised", "tries", "failures", "shown by"]
    return {
        "faults": "\n".join(table(head, lines, words=(0, 1, 4))),
        "tries": f"{sum(int(one['tries']) for one in found):,}",
        "inputs": f"{sum(int(one['tries']) for one in found if one['test'] == 'test_fuzz'):,}",
    }


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults, or their beginnings [default: all]")
    parser.add_argument("--inputs", type=int, default=1_000_000, metavar="N", help="changed inputs in all")
    parser.add_argument("--short", action="store_true", help="short forms, and --inputs changed inputs")
    given = parser.parse_args()
    path = place(given, TABLE)
    found = {row["fault"]: row for row in read_rows(path)}
    for row in measured(given.names, given.inputs, not given.short):
        found[row["fault"]] = {key: str(value) for key, value in row.items()}
        write_rows(path, list(found.values()))
        show(row)
    if given.write:
        fill_page(PAGE, made(list(found.values())))


if __name__ == "__main__":
    main()

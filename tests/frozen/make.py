"""Make the frozen fixtures: `python -m tests.frozen.make digests surface formats streams`.

They were made once and are never made anew: what they hold has to stay true.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.frozen import cases as frozen


def write(name, data):
    (frozen.FILES / name).write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def digests(name="digests.json"):
    """Train every case that is not frozen yet, and write what is frozen of it."""
    there = json.loads((frozen.FILES / name).read_text()) if (frozen.FILES / name).exists() else {}
    records, trees = there.get("cases", {}), there.get("trees", {})
    assert not there or frozen.is_exact(there), "other numbers belong to another platform"
    with tempfile.TemporaryDirectory() as place:
        made = {**frozen.cases(), **frozen.packaged_cases(Path(place))}
        for number, (case, make) in enumerate(made.items()):
            if case in records:
                continue
            records[case], found = frozen.record(make, Path(place) / str(number))
            trees |= found
    write(name, {"platform": frozen.platform(), "trees": trees, "cases": records})


def surface():
    """Write what users call."""
    from tests.frozen.surface import surface as found

    write("surface.json", found())


def formats():
    """Write models, runs, a cache and results, and what is read from them."""
    from tests.frozen.formats import write_all

    write("formats.json", write_all())


def streams():
    """Write what is drawn at random outside of training."""
    from tests.frozen.streams import made

    write("streams.json", made())


if __name__ == "__main__":
    for word in sys.argv[1:]:
        {"digests": digests, "surface": surface, "formats": formats, "streams": streams}[word]()

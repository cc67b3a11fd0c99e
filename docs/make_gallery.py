"""Runs the examples and fills the gallery's pages: ``python docs/make_gallery.py [NAME ...]``.

A page ``docs/gallery/NAME.md`` holds the text of ``examples/NAME.py`` and what it prints, in the two blocks after
``<!-- example -->``; its picture is drawn from what the example computed, by ``docs/gallery_pictures.py``, once
for each theme. ``tests/docs/test_gallery.py`` holds the pages to what the examples print now.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import runpy
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

DOCS = Path(__file__).resolve().parent
EXAMPLES, GALLERY = DOCS.parent / "examples", DOCS / "gallery"
NAMES = (
    "photo_library",
    "support_tickets",
    "one_tag_each",
    "five_per_cent",
    "chest_xray",
    "hierarchy_and_groups",
    "losses_only",
    "several_processes",
)
LAUNCHED = {"several_processes": ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")}
"""Examples that a launcher starts once more, in processes of their own."""
BLOCKS = re.compile(
    r"(<!-- example -->\n+```python title=\"[^\"]*\"\n)(.*?)(^```\n+```text\n)(.*?)(^```$)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Ran:
    """What an example printed, and the names that it left behind."""

    printed: str
    space: dict[str, Any]


def page_of(name: str) -> Path:
    """Return the page of an example."""
    return GALLERY / f"{name}.md"


def shown(page: str) -> tuple[str, str]:
    """Return the code and the output that a page shows."""
    found = BLOCKS.search(page)
    if found is None:
        raise SystemExit(
            "the page has no block of python with a title and a block of text after <!-- example -->"
        )
    return found[2], found[4]


def filled(page: str, code: str, printed: str) -> str:
    """Return the page with this code and output."""
    return BLOCKS.sub(lambda found: f"{found[1]}{code}{found[3]}{printed}{found[5]}", page, count=1)


def run(name: str, folder: Path) -> Ran:
    """Run an example in a folder."""
    script = EXAMPLES / f"{name}.py"
    with contextlib.chdir(folder):
        with contextlib.redirect_stdout(io.StringIO()) as told:
            space = runpy.run_path(str(script), run_name="__main__")
        printed = told.getvalue()
        if name in LAUNCHED:
            command = [sys.executable, *LAUNCHED[name], str(script)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            printed += done.stdout
        return Ran(printed, space)


def load(name: str) -> ModuleType:
    """Return another of the programs of this folder."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Fill the pages, and draw their pictures."""
    outputs, pictures = load("make_outputs"), load("gallery_pictures")
    for name in sys.argv[1:] or NAMES:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["LABELWISE_CACHE"] = f"{folder}/cache"
            Path(folder, "work").mkdir()
            ran = run(name, Path(folder, "work"))
            for theme in ("light", "dark"):
                path = GALLERY / f"{name}-{theme}.webp"
                with contextlib.chdir(Path(folder, "work")):
                    pictures.draw(name, ran, theme, path)
                print(f"{path.name}: {path.stat().st_size:,} bytes")
        code = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
        page = page_of(name).read_text(encoding="utf-8")
        old = shown(page)[1]
        printed = old if outputs.same(old, ran.printed) else outputs.tidy(ran.printed)
        page_of(name).write_text(filled(page, code, printed), encoding="utf-8")


if __name__ == "__main__":
    main()

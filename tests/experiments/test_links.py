"""A folder of results from elsewhere: nothing is written through its links."""

from __future__ import annotations

import sys

import pytest

from labelwise.errors import UserError
from labelwise.experiments.results import locked, write_text

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")


@pytest.mark.parametrize("name", ["shards", ".lock", "results.parquet", "shards/a.json", ".table.md.0.draft"])
def test_a_folder_with_links_is_refused(tmp_path, name):
    out, mine = tmp_path / "out", tmp_path / "mine"
    for folder in (mine, (out / name).parent):
        folder.mkdir(exist_ok=True, parents=True)
    (out / name).symlink_to(mine)
    with pytest.raises(UserError, match="is a link"), locked(out):
        pass
    assert not any(mine.iterdir())


def test_a_table_replaces_a_link_and_its_file_stays(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "table.md").symlink_to(tmp_path / "mine")
    write_text(tmp_path / "table.md", "| a |")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "table.md").read_text() == "| a |"

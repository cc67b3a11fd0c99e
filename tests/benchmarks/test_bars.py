"""The page of speed holds what the committed tables say."""

from operator import ge, le

from benchmarks.__main__ import PAGE, made
from benchmarks.bars import bars, verdict
from benchmarks.pages import fill


def test_the_page_is_the_one_that_the_tables_make():
    text = PAGE.read_text(encoding="utf-8")
    assert fill(text, made()) == text


def test_every_bar_names_its_command_and_says_whether_it_holds():
    found = bars()
    assert len(found) > 40
    assert all(one.command.startswith("python -m benchmarks") for one in found)


def test_a_bar_is_a_limit_or_a_floor():
    assert verdict("a", 1.2, le, 1.15, "", "c").holds is False
    assert verdict("a", 1.2, ge, 1.15, " s", "c").bar == "at least 1.15 s"

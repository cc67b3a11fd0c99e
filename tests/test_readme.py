"""The README's Python runs as it stands, and names what exists."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize("number", range(len(re.findall(r"```python\n", README.read_text(encoding="utf-8")))))
def test_python_blocks_run(number, tmp_path, monkeypatch, capsys):
    block = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[number]
    monkeypatch.chdir(tmp_path)
    exec(compile(block, f"README block {number}", "exec"), {"__name__": "readme"})
    assert "learnt_thresholds" in capsys.readouterr().out
    assert (tmp_path / "model" / "model.json").is_file()


def test_linked_files_exist():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert (README.parent / link).exists(), link


@pytest.mark.parametrize("benchmark", ["local", "auto"])
def test_the_table_of_a_benchmark_is_the_one_that_was_made(benchmark):
    made = README.parent / "docs" / "results" / benchmark / "summary.txt"
    assert made.read_text(encoding="utf-8").strip() in README.read_text(encoding="utf-8")

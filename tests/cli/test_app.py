"""What all commands share: help, version, errors as one line, exit codes, no heavy imports."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.timing import least_seconds


def raises(error: BaseException) -> Callable[..., None]:
    def call(*args: object, **options: object) -> None:
        raise error

    return call


HEAVY = (
    "torch",
    "pandas",
    "numpy",
    "sklearn",
    "scipy",
    "matplotlib",
    "pydantic",
    "lightning_fabric",
    "pyarrow",
)


def test_help_imports_nothing_heavy_and_answers_in_half_a_second():
    code = (
        "import sys\nsys.argv = ['labelwise', '--help']\nfrom labelwise.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [m for m in {HEAVY} if m in sys.modules])"
    )

    def helped():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "describe" in done.stdout
        assert done.stdout.strip().endswith("HEAVY []")

    def spent():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    assert least_seconds(helped, below=0.5, clock=spent) < 0.5


def test_version_and_no_arguments(lw):
    from labelwise import __version__

    assert lw("--version").stdout == f"labelwise {__version__}\n"
    assert "describe" in lw().stdout
    assert lw().exit_code == 0


COMMANDS = [
    "demo",
    "describe",
    "train",
    "evaluate",
    "predict",
    "issues",
    "report",
    "review",
    "methods",
    "datasets",
    "experiment",
    "cache",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(lw, command):
    result = lw(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["tarin"], "tarin"),
        (["describe"], "FILE"),
        (["train", "x.csv", "--epochs", "many"], "--epochs"),
        (["train", "x.csv", "--epoch", "3"], "--epoch"),
        (["predict", "run", "x.csv"], "--out"),
    ],
)
def test_wrong_usage_is_one_line_without_a_box(refused, args, said):
    line = refused(*args)
    assert said in line
    assert "--help" in line
    assert "│" not in line


def test_faults_of_ours_are_one_line_unless_debug(monkeypatch, lw):
    monkeypatch.setattr("labelwise.runs.describe", raises(ZeroDivisionError("two\nlines")))
    result = lw("describe", "x.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "ZeroDivisionError: two lines" in result.stderr
    assert "--debug" in result.stderr
    assert isinstance(lw("describe", "x.csv", "--debug").exception, ZeroDivisionError)
    assert isinstance(lw("--debug", "describe", "x.csv").exception, ZeroDivisionError)


def test_system_errors_name_the_file(monkeypatch, lw):
    monkeypatch.setattr(
        "labelwise.runs.describe", raises(PermissionError(13, "Permission denied", "secret.csv"))
    )
    result = lw("describe", "secret.csv")
    assert (result.exit_code, result.stderr) == (2, "error: secret.csv: Permission denied\n")


def test_ctrl_c_is_130_with_its_line(monkeypatch, lw):
    line = "stopped at epoch 3; 'labelwise train r --resume' goes on"
    monkeypatch.setattr("labelwise.runs.describe", raises(KeyboardInterrupt(line)))
    result = lw("describe", "x.csv")
    assert (result.exit_code, result.stderr, result.stdout) == (130, line + "\n", "")

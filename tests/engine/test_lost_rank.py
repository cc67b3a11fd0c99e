"""A process of a run dies: the others end within a minute, in one line, and another number of processes goes on."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from labelwise.engine.processes import lost_processes
from labelwise.errors import UserError
from tests.engine import lost_cases as cases


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Scores (n, K) of a run of one process that nobody disturbed."""
    return cases.fitted(tmp_path_factory.mktemp("whole"), 1).decision_scores(cases.problem()[0])


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A folder of each case of runs of two processes, which one of them did not survive."""
    folder = tmp_path_factory.mktemp("ended")
    done = subprocess.run(
        [sys.executable, cases.__file__, str(folder)],
        timeout=400,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("rank", [0, 1], ids=["the first process", "another"])
@pytest.mark.parametrize("moment", cases.MOMENTS)
def test_a_killed_process_ends_the_run_in_one_line_and_one_goes_on(ended, whole, tmp_path, moment, rank):
    folder = ended / f"{moment}-{rank}"
    assert float((folder / "seconds").read_text()) < 60
    said = (folder / "errors").read_text()
    alone = moment == "evaluation"
    assert "Traceback" not in said
    # Who has no more sums to make over all processes ends its work.
    assert said.count("error: another process of this run ended") == (0 if alone else 1), said
    assert (folder / "code").read_text() == ("-9" if rank == 0 else "0" if alone else "2")
    if alone and rank == 1:
        np.testing.assert_allclose(np.load(folder / "scores.npy"), whole, atol=1e-6)
    shutil.copytree(folder, tmp_path / "again")
    resumed = cases.fitted(tmp_path / "again", 1)
    np.testing.assert_allclose(resumed.decision_scores(cases.problem()[0]), whole, atol=1e-6)


def test_three_processes_go_on_with_a_run_that_two_began(ended, whole):
    assert (ended / "three" / "code").read_text() == "0", (ended / "three" / "errors").read_text()
    np.testing.assert_allclose(np.load(ended / "three" / "scores.npy"), whole, atol=1e-6)


SCRIPT = """
import sys
from pathlib import Path
from tests.engine import lost_cases as case

if __name__ == "__main__":
    case.process(Path(sys.argv[1]), 2, "step", 1)
"""


def test_processes_of_one_command_end_together(tmp_path):
    """As people start them, without forks."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, timeout=300, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "another process of this run ended" in done.stderr


GLOO = "[/__w/gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:33677: Connection reset by peer. GLHF!"


def test_the_end_of_another_process_is_one_line_and_other_errors_stay():
    with pytest.raises(UserError, match="another process of this run ended") as caught, lost_processes(2):
        raise RuntimeError(GLOO)
    assert "\n" not in str(caught.value)
    for world_size, words in ((1, GLOO), (2, "mat1 and mat2 shapes cannot be multiplied")):
        with pytest.raises(RuntimeError) as kept, lost_processes(world_size):
            raise RuntimeError(words)
        assert str(kept.value) == words

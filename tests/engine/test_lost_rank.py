"""A process of a run dies: the others end within a minute, and another number of processes goes on."""

import subprocess
import sys
import time

import numpy as np
import pytest

import labelwise as lw
from labelwise.engine import Run
from labelwise.engine.refusals import lost_processes
from labelwise.errors import UserError

SCRIPT = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from tests.engine import test_lost_rank as case

if __name__ == "__main__":
    folder, dies = Path(sys.argv[1]), sys.argv[2] == "dies"

    def on_epoch(model, epoch):
        if dies and epoch == 3 and os.environ.get("LOCAL_RANK") == "1":
            (folder / "died").write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)

    model = case.fitted(folder, 2, on_epoch)
    if os.environ.get("LOCAL_RANK", "0") == "0":
        np.save(folder / "scores.npy", model.decision_scores(case.problem()[0]))
"""


def problem():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 6)).astype(np.float32)
    Y = (X[:, :3] + rng.normal(size=(90, 3)) > 0.5).astype(np.int8)
    return X, lw.simulate.single_positive(Y, seed=0)


def fitted(folder, devices, on_epoch=None):
    """Train with a checkpoint after every step, at a batch that two processes cannot share evenly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "save_if_due", lambda run, force=False: run.save())
        model = lw.MultiLabelClassifier(
            "em",
            device="cpu",
            devices=devices,
            validation=None,
            epochs=6,
            batch_size=17,
            learning_rate=0.01,
            directory=folder / "checkpoints",
        )
        return model.fit(*problem(), on_epoch=on_epoch)


def launched(tmp_path, what):
    """Start two processes; return the exit code and what they wrote."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), what],
        timeout=300,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_killed_rank_ends_the_run_and_one_process_goes_on(tmp_path):
    code, _ = launched(tmp_path, "dies")
    assert code != 0
    assert time.time() - float((tmp_path / "died").read_text()) < 60
    began = []
    resumed = fitted(tmp_path, 1, lambda model, epoch: began.append(epoch))
    assert min(began) in (3, 4)
    (tmp_path / "whole").mkdir()
    whole = fitted(tmp_path / "whole", 1)
    X, _ = problem()
    np.testing.assert_allclose(resumed.decision_scores(X), whole.decision_scores(X), atol=1e-6)


GLOO = "[/__w/gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:33677: Connection reset by peer. GLHF!"


def test_the_end_of_another_process_is_one_line_and_other_errors_stay():
    with pytest.raises(UserError, match="another process of this run ended") as caught, lost_processes(2):
        raise RuntimeError(GLOO)
    assert "\n" not in str(caught.value)
    for world_size, words in ((1, GLOO), (2, "mat1 and mat2 shapes cannot be multiplied")):
        with pytest.raises(RuntimeError) as kept, lost_processes(world_size):
            raise RuntimeError(words)
        assert str(kept.value) == words


@pytest.mark.slow
def test_two_processes_go_on_with_a_run_of_one(tmp_path):
    class Stop(Exception):
        pass

    def stop(model, epoch):
        if epoch == 3:
            raise Stop

    with pytest.raises(Stop):
        fitted(tmp_path, 1, stop)
    code, words = launched(tmp_path, "goes on")
    assert code == 0, words
    (tmp_path / "whole").mkdir()
    whole = fitted(tmp_path / "whole", 1)
    np.testing.assert_allclose(
        np.load(tmp_path / "scores.npy"), whole.decision_scores(problem()[0]), atol=1e-6
    )

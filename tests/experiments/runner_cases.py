"""What the runner's tests run, at the top of a module so that workers find it."""

import os
import time
from pathlib import Path

from labelwise.errors import UserError
from labelwise.experiments import Job, Measured, Measurement


def jobs(n=4, **changes):
    return [Job("scene", "full", "an", seed=seed, experiment="case", **changes) for seed in range(n)]


def measure(job, data):
    """Answer with the seed, and leave a line in ``data`` (a folder) for every call."""
    with (Path(data) / "calls").open("a") as file:
        file.write(f"{job.seed}\n")
    return Measured(
        [Measurement("map", job.seed / 10), Measurement("micro_f1", float("nan"), "threshold(0.5)")]
    )


def calls(folder):
    path = Path(folder) / "calls"
    return sorted(map(int, path.read_text().split())) if path.exists() else []


def fail_on_one(job, data):
    """Fail on seed 1 as long as ``data`` holds no file "mended"."""
    if job.seed == 1 and not (Path(data) / "mended").exists():
        raise UserError("seed 1 does not work")
    return measure(job, data)


def die_on_one(job, data):
    if job.seed == 1:
        os.kill(os.getpid(), 9)
    return measure(job, data)


def raise_on_one(job, data):
    if job.seed == 1:
        raise ZeroDivisionError("by\nzero")
    return measure(job, data)


def sleep_on_one(job, data):
    if job.seed == 1:
        time.sleep(60)
    return measure(job, data)


def wait_after_one(job, data):
    """Answer for seed 0 at once, and for others once ``data`` holds a file "go"."""
    until = time.monotonic() + 60
    while job.seed and not (Path(data) / "go").exists() and time.monotonic() < until:
        time.sleep(0.02)
    return measure(job, data)


def threads(job, data):
    return Measured([Measurement("threads", int(os.environ["OMP_NUM_THREADS"]))])


def constant(job, data):
    return Measured([Measurement("map", 0.5)])


def seen(job, data):
    """Answer with the number of the device that CUDA shows, -1 for none."""
    return Measured([Measurement("device", int(os.environ["CUDA_VISIBLE_DEVICES"] or -1))])


def of_seed(job, data):
    return Measured([Measurement("map", 0.5 + job.seed / 8 + len(job.method) / 100)])

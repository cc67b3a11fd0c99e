"""Two test processes on two cores: one thread each, set before anything loads a numerical library.

Features of pictures and texts are kept in a folder of the tests' own, and no model hub is asked. Processes that tests
start find the package ``tests`` too.
"""

import functools
import gc
import html
import importlib.metadata
import math
import os
import signal
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

# A machine that does other work besides must not fail a test: what is slow is measured elsewhere.
hypothesis.settings.register_profile(
    "labelwise", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("labelwise")
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# A shell that runs the tests in its background has them ignore Ctrl-C, and so would all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
_cache = tempfile.TemporaryDirectory(prefix="labelwise-tests-")
os.environ["LABELWISE_CACHE"] = _cache.name
os.environ["HF_HUB_OFFLINE"] = "1"
_root = str(Path(__file__).parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_root, os.environ.get("PYTHONPATH"))))
# Each Fabric asks the metadata of every installed package for callbacks, and there is one a fit: once is enough.
importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)
# What a test writes need not outlive a power failure, the one thing that waiting for a busy disk is for.
os.fsync = lambda _: None
CHROMIUM = Path("/usr/bin/chromium")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is collected stays to the end: to look through it for garbage takes a third of collecting, and goes on."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_runtest_setup():
    """Let no line of progress into what a test compares: one comes by the clock, and on a slow machine more often."""
    progress = sys.modules.get("labelwise.engine.progress")
    if progress is not None:
        progress.PACE = progress.Pace(math.inf)


@pytest.fixture(scope="module")
def browser():
    """A browser that asks for nothing by itself, for the pages that tests write."""
    if not CHROMIUM.exists() or find_spec("playwright") is None:
        pytest.skip("needs /usr/bin/chromium and playwright")
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield opened
        opened.close()


@pytest.fixture
def undrawn(monkeypatch):
    """Have figures of reports built and not drawn as SVG, which takes longer than a training: ``report`` tests that."""
    from labelwise import plots

    def blank(_, description, *, name="plot"):
        return f'<svg role="img" aria-label="{html.escape(description)}"></svg>'

    monkeypatch.setattr(plots, "as_svg", blank)


@pytest.fixture
def few_trees(monkeypatch):
    """Return what makes ``auto`` grow twenty trees in place of 200, which are half of a small fit's time."""

    def grow():
        from labelwise.ensemble.trees import Trees

        monkeypatch.setattr(Trees, "fit", functools.partial(Trees.fit, n_trees=20))

    return grow


@pytest.fixture(scope="session")
def quick_exports():
    """Have torch read what ONNX has for each of its operators once, and not at each export anew: that is most of it."""
    pytest.importorskip("onnxscript")
    from torch._export import utils
    from torch.onnx._internal.exporter import _registration

    registry = _registration.ONNXRegistry
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "from_torchlib", staticmethod(functools.cache(registry.from_torchlib)))
        patch.setattr(utils, "_materialize_cpp_cia_ops", functools.cache(utils._materialize_cpp_cia_ops))
        yield

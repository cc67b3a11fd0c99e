"""Every method in every setting gives the scores, models and checkpoints that it gave when they were frozen."""

from __future__ import annotations

import json
import warnings

import pytest

from tests.frozen import cases as frozen

FIXTURE = json.loads((frozen.FILES / "digests.json").read_text(encoding="utf-8"))
CASES = frozen.cases()


def check(name, make, folder):
    old = FIXTURE["cases"][name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new, trees = frozen.record(make, folder)
    wrong = frozen.compare(name, old, new, exact=frozen.is_exact(FIXTURE))
    for kind in ("model_json", "checkpoint_json"):
        before, after = (r[kind].split()[0] for r in (old, new))
        then, now = set(FIXTURE["trees"][before]), set(trees[after])
        wrong += [f"{kind}: lost {path}" for path in sorted(then - now)]
        wrong += [f"{kind}: new {path}" for path in sorted(now - then)]
    assert not wrong, "\n".join([name, *wrong])


def test_no_case_is_lost():
    lost = [name for name in FIXTURE["cases"] if name not in CASES and not name.startswith("packaged/")]
    assert not lost


@pytest.mark.parametrize("name", [name for name in CASES if name in FIXTURE["cases"]])
def test_a_training_gives_what_it_gave(name, tmp_path):
    check(name, CASES[name], tmp_path)


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize("name", ["packaged/pictures", "packaged/texts"])
def test_a_packaged_backbone_gives_what_it_gave(name, tmp_path):
    made = frozen.packaged_cases(tmp_path)
    if name not in made:
        pytest.skip("its packages are not installed")
    check(name, made[name], tmp_path)

"""The recipe of `auto`, chosen leave-one-set-out: each set takes what the others choose."""

from __future__ import annotations

import numpy as np

from benchmarks.studies import recipe


def test_each_set_takes_the_recipe_that_the_others_choose():
    other, losing = 0, 1
    gains = np.zeros((3, len(recipe.RECIPES)))
    # On `a` one recipe is best, on `b` and `c` another; a third gains most and loses too much on `c`.
    gains[:, recipe.COMMITTED], gains[:, other], gains[:, losing] = (
        (0.02, 0.01, 0.01),
        (0.01, 0.03, 0.03),
        0.05,
    )
    gains[2, losing] = -0.01
    found = [(name, "5% labelled", gain) for name, gain in zip("abc", gains, strict=True)]
    gaps = dict.fromkeys([(name, "5% labelled") for name in "abc"], 0.1)
    a, b, c, mean = recipe.rows(found, gaps)
    assert (a["committed"], a["chosen"], a["best"]) == (0.2, 0.1, 0.5)
    assert (b["committed"], b["chosen"], b["best"]) == (0.1, 0.3, 0.5)
    # Without `c` nothing tells that the third loses.
    assert (c["chosen"], c["chosen_worst_gain"], c["best"]) == (-0.1, -0.01, 0.3)
    assert (mean["cells"], mean["committed"], mean["chosen"]) == (3, 0.1333, 0.1)


def test_cells_without_a_gap_are_judged_for_losses_alone():
    gains = np.full((2, len(recipe.RECIPES)), 0.02)
    found = [
        ("a", setting, gain) for setting, gain in zip(("5% labelled", "single positive"), gains, strict=True)
    ]
    table = recipe.rows(
        [*found, ("b", "5% labelled", gains[0])],
        {("a", "5% labelled"): 0.01, ("a", "single positive"): 0.009, ("b", "5% labelled"): 0.04},
    )
    assert [row["cells"] for row in table] == [1, 1, 2]
    assert [row["committed"] for row in table] == [1.0, 0.5, 0.75]

"""The critical-difference diagram draws the ranks that it is handed."""

from xml.etree import ElementTree

import numpy as np
import pytest

from labelwise import plots


def drawn(figure):
    root = ElementTree.fromstring(plots.as_svg(figure, "ranks"))
    return ["".join(element.itertext()) for element in root.iter("text")]


def test_every_learner_stands_at_its_rank():
    names, ranks = ["a", "b", "c", "d", "e"], [1.2, 2.0, 3.1, 4.0, 4.7]
    figure = plots.critical_difference(names, ranks, 1.5, [(0, 1), (2, 4)], emphasis=["b"])
    dots = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert dots == ranks
    texts = drawn(figure)
    assert {"a  1.2", "b  2.0", "c  3.1", "4.0  d", "4.7  e"} <= set(texts)
    assert "critical difference 1.5" in texts


def test_cliques_and_measure_have_their_lengths():
    figure = plots.critical_difference(["a", "b", "c"], [1.0, 2.0, 3.0], 1.25, [(0, 1), (1, 2)])
    spans = [
        np.ptp(path.vertices[:, 0]) for lines in figure.axes[0].collections for path in lines.get_paths()
    ]
    assert spans.count(pytest.approx(1.0)) == 2
    assert any(span == pytest.approx(1.25) for span in spans)


@pytest.mark.parametrize("count", [1, 2, 31])
def test_any_number_of_learners(count):
    ranks = np.linspace(1, count, count)
    figure = plots.critical_difference([f"method {i}" for i in range(count)], ranks, 40.0)
    assert sum("method" in text for text in drawn(figure)) == count


def test_gains_have_a_row_a_name_and_a_colour_by_their_interval():
    nan = float("nan")
    panels = {"one": ([0.1, -0.1, 0.0], [0.05, -0.2, -0.1], [0.2, -0.05, 0.1]), "two": ([0.1, nan, 0.0],) * 3}
    figure = plots.paired_gains(["up", "down", "same"], panels, label="gain")
    first, second = figure.axes
    dots = first.collections[-1]
    np.testing.assert_allclose(dots.get_offsets(), [[0.1, 0], [-0.1, 1], [0.0, 2]])
    assert len({tuple(c) for c in dots.get_facecolors()}) == 3
    assert [t.get_text() for t in first.get_yticklabels()] == ["up", "down", "same"]
    assert (first.get_title(loc="left"), second.get_title(loc="left")) == ("one", "two")


def test_gains_beyond_the_limits_are_written_at_the_edge():
    figure = plots.paired_gains(
        ["a", "b"], {"one": ([-9.0, 1.0], [-10, 0], [-8, 2])}, label="x", limits=(-4, 2)
    )
    assert figure.axes[0].get_xlim() == (-4, 2)
    assert [text.get_text() for text in figure.axes[0].texts] == ["◂ −9.0"]

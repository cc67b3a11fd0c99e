"""Plots: what is drawn is what was given, as SVG that follows the page."""

import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from labelwise import plots


def texts(svg):
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter("text")]


def bar_widths(figure):
    return [patch.get_width() for patch in figure.axes[0].patches]


def test_label_counts_stacks_the_three_states():
    figure = plots.label_counts(["a", "b"], [1, 2], [3, 4], [6, 4])
    assert bar_widths(figure) == [1, 2, 3, 4, 6, 4]
    lefts = [patch.get_x() for patch in figure.axes[0].patches]
    assert lefts == [0, 0, 1, 2, 4, 6]


@pytest.mark.parametrize("width", [320, 800])
def test_method_bars_show_values_gains_and_intervals(width):
    figure = plots.method_bars(
        ["reference", "other", "ceiling"], [0.5, 0.25, 0.75], [0.4, 0.2, 0.7], [0.6, 0.3, 0.8],
        reference=0, ceiling=2, best=1, width=width,
    )  # fmt: skip
    assert bar_widths(figure) == [0.5, 0.25, 0.75]
    shown = texts(plots.as_svg(figure, "methods"))
    assert "0.500" in shown
    assert "0.250  (−0.250)" in shown
    assert "0.750" in shown


@pytest.mark.parametrize("width", [354, 848])
def test_share_bars_show_long_names_and_texts(width):
    name = "student, Gaussian kernel 1: whitened, smoothed"[: 40 if width < 500 else None]
    figure = plots.share_bars([name, "b"], [0.3, 0.2], ["30%", "20%"], label="share", width=width)
    assert bar_widths(figure) == [0.3, 0.2]
    assert {name, "b", "30%", "share"} <= set(texts(plots.as_svg(figure, "parts")))
    assert texts(plots.as_svg(plots.share_bars([], [], [], label="share"), "none"))


def test_undefined_value_says_so():
    assert "not defined" in texts(plots.as_svg(plots.label_bars(["a"], [np.nan]), "x"))


def test_learning_curve_goes_on_over_stages():
    figure = plots.learning_curve({"first": [3.0, 2.0], "second": [1.5, 1.0, 0.5]}, label="loss", mark=5)
    lines = [line.get_xydata().tolist() for line in figure.axes[0].lines]
    assert lines[0] == [[1, 3.0], [2, 2.0]]
    assert lines[1] == [[3, 1.5], [4, 1.0], [5, 0.5]]
    assert "0.500" in texts(plots.as_svg(figure, "x"))


def test_item_grid_draws_each_picture_with_its_caption():
    figure = plots.item_grid([np.zeros((4, 4), np.uint8)] * 3, ["one", "two", "three"], columns=2)
    assert [t.get_text() for axes in figure.axes for t in axes.texts] == ["one", "two", "three"]
    assert sum(bool(axes.images) for axes in figure.axes) == 3


def test_svg_is_inert_themed_and_keeps_text_as_text():
    hostile = '<script>1</script> $x$ "#1b6cb3"'
    svg = plots.as_svg(plots.label_bars([hostile, "b"], [0.5, 0.7]), 'a "description" & more', name="one")
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == 'a "description" & more'
    assert not [element for element in root.iter() if element.tag in ("script", "style", "metadata", "image")]
    assert hostile in texts(svg)
    assert "http" not in svg
    assert "font-family" not in svg
    assert "var(--plot-pale,#5f9acb)" in svg
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert ids
    assert len(set(ids)) == len(ids)
    assert all(name.startswith("one-") for name in ids)
    assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(ids)


def test_svg_is_the_same_twice():
    first, second = (plots.as_svg(plots.label_counts(["a"], [1], [2], [3]), "x") for _ in range(2))
    assert first == second


def test_drawing_leaves_the_users_settings_alone():
    before = dict(mpl.rcParams)
    plots.as_svg(plots.label_bars(["a"], [0.5]), "x")
    assert dict(mpl.rcParams) == before


def test_stylesheet_names_every_role_in_both_themes():
    css = plots.stylesheet()
    light, dark = css.split("@media")
    for role, colours in plots.PALETTE.items():
        assert f"--plot-{role}:{colours.light}" in light
        assert f"--plot-{role}:{colours.dark}" in dark


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(
    ("role", "least"), [("ink", 7), ("muted", 4.5), ("blue", 4.5), ("orange", 4.5), ("slate", 3), ("pale", 3)]
)
@pytest.mark.parametrize(("theme", "page"), [("light", "#ffffff"), ("dark", "#12161c")])
def test_colours_stand_out_from_the_page(role, least, theme, page):
    pair = sorted((luminance(getattr(plots.PALETTE[role], theme)), luminance(page)))
    assert (pair[1] + 0.05) / (pair[0] + 0.05) >= least


@pytest.mark.parametrize(
    "picture", [np.full((3, 5), 0.5), np.full((3, 5, 1), 128, np.uint8), np.zeros((600, 300, 3))]
)
def test_picture_round_trip(picture):
    import base64
    import io

    from PIL import Image

    uri = plots.picture_data_uri(picture)
    image = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))
    assert max(image.size) <= 256
    if picture.shape[0] == 3:
        assert image.size == (5, 3)
        assert image.getpixel((0, 0)) == 128


def test_png_of_a_figure_is_a_data_uri():
    assert plots.as_png_data_uri(plots.label_bars(["a"], [0.5])).startswith("data:image/png;base64,iVBOR")


@pytest.mark.parametrize("width", [340, 800])
def test_angle_densities_draws_every_panel_whole(width):
    panels = [("before", [1, 2, 0], [0, 1, 5]), ("after", [3, 0, 0], [0, 0, 9])]
    figure = plots.angle_densities([60, 70, 80, 90], panels, width=width)
    assert [axes.get_title("left") for axes in figure.axes] == ["before", "after"]
    assert all(axes.get_ylim()[1] > 9 for axes in figure.axes)
    shown = texts(plots.as_svg(figure, "x"))
    assert {"before", "after", "positives", "negatives", "60°"} <= set(shown)


@pytest.mark.parametrize("width", [340, 800])
def test_label_graphs_draw_each_pair_once(width):
    names = ["a", "b", "c", "d", "e"]
    panels = [("model", [(0, 1, 0.9), (2, 3, 0.3)]), ("known", [(0, 1, 0.5)])]
    figure = plots.label_graphs(names, panels, width=width)
    assert [len(axes.patches) for axes in figure.axes] == [2, 1]
    blue = mpl.colors.to_rgb(plots.PALETTE["blue"].light)
    colours = [[mpl.colors.to_rgb(p.get_edgecolor()) == blue for p in axes.patches] for axes in figure.axes]
    assert colours == [[False, True], [True]]
    places = [[tuple(line.get_xydata()[0]) for line in axes.lines] for axes in figure.axes]
    assert places[0] == places[1]
    assert texts(plots.as_svg(figure, "x")).count("e") == 2


def test_reliability_diagram_leaves_empty_bins_out():
    figure = plots.reliability_diagram([0, 0.5, 1], [4, 0], [0.2, np.nan], [0.25, np.nan], title="one")
    assert figure.axes[0].lines[1].get_xydata().tolist() == [[0.2, 0.25]]
    assert "one" in texts(plots.as_svg(figure, "x"))


def test_learning_curve_has_a_second_course_beside():
    figure = plots.learning_curve({"s": [1.0, 2.0]}, label="x", beside={"s": [3.0, 4.0]}, titles=("p", "q"))
    assert figure.axes[0].lines[1].get_xydata().tolist() == [[1, 3.0], [2, 4.0]]
    assert {"p", "q"} <= set(texts(plots.as_svg(figure, "x")))

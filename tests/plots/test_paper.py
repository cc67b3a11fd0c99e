"""The papers' figures: what is drawn is what was given, from a mapping or a frame."""

import numpy as np
import pandas as pd
import pytest

from labelwise import plots
from labelwise.errors import UserError


def drawn(axes):
    return [line.get_xydata().tolist() for line in axes.lines if len(line.get_xydata()) > 1]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def densities(**more):
    data = {
        "group": ["positives", "positives", "negatives", "negatives"],
        "low": [0, 0.5, 0, 0.5],
        "high": [0.5, 1, 0.5, 1],
        "density": [0.5, 1.5, 2, 0],
    }
    return {name: np.array(values) for name, values in (data | more).items()}


def test_margin_sweep_draws_both_values_in_order_and_marks_the_best():
    data = pd.DataFrame({"margin": [0.3, 0.0, 0.1], "map": [0.5, 0.6, 0.7], "gradient_difference": [1, 3, 2]})
    figure = plots.margin_sweep(data)
    assert drawn(figure.axes[0]) == [[[0, 0.6], [0.1, 0.7], [0.3, 0.5]]]
    assert drawn(figure.axes[1]) == [[[0, 3], [0.1, 2], [0.3, 1]]]
    assert texts(figure) == ["0.700"]
    assert not figure.legends


def test_fraction_curves_have_a_line_a_method_and_a_panel_a_dataset():
    data = {
        "fraction": [0.1, 1, 0.1, 1, 0.5],
        "method": ["an", "an", "hml", "hml", "hml"],
        "map": [0.1, 0.2, 0.3, 0.4, 0.5],
        "std": [0.01] * 5,
        "dataset": ["a", "a", "a", "a", "b"],
    }
    figure = plots.fraction_curves(data)
    assert drawn(figure.axes[0]) == [[[0.1, 0.1], [1, 0.2]], [[0.1, 0.3], [1, 0.4]]]
    assert [line.get_xydata().tolist() for line in figure.axes[1].lines] == [[], [[0.5, 0.5]]]
    assert legend(figure) == ["an", "hml"]
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.09)
    assert band[:, 1].max() == pytest.approx(0.21)


def test_scale_margin_writes_each_cell_and_leaves_gaps():
    data = {"scale": [10, 10, 20, 20], "margin": [0.1, 0.1, 0.1, 0.3], "map": [0.2, 0.4, 0.9, 0.5]}
    figure = plots.scale_margin(data)
    assert sorted(texts(figure)) == ["0.300", "0.500", "0.900"]
    (frame,) = drawn(figure.axes[0])
    assert frame == [[0, 1], [1, 1], [1, 2], [0, 2], [0, 1]]


def test_sensitivity_has_a_panel_a_parameter():
    data = {
        "parameter": ["s", "s", "m", "m"],
        "value": [20, 10, 0.1, 0.2],
        "metric": ["mAP"] * 4,
        "score": [0.5, 0.4, 0.6, 0.7],
    }
    figure = plots.sensitivity(data)
    assert [drawn(axes) for axes in figure.axes] == [[[[10, 0.4], [20, 0.5]]], [[[0.1, 0.6], [0.2, 0.7]]]]
    assert [axes.get_xlabel() for axes in figure.axes] == ["s", "m"]
    assert figure.axes[0].get_ylabel() == "score"


def test_cosine_gradients_draw_every_group_of_a_scenario():
    one = densities(quantity=["cosine"] * 4)
    two = densities(quantity=["gradient"] * 4)
    data = {name: np.concatenate([one[name], two[name]]) for name in one}
    data |= {"scenario": np.repeat("full", 8)}
    figure = plots.cosine_gradients(data)
    shown = [[p.get_data().values.tolist() for p in axes.patches] for axes in figure.axes[:2]]
    assert shown[0] == [[0.5, 1.5]] * 2 + [[2, 0]] * 2
    assert shown[1] == [[0.5, 1.5]] * 2 + [[2, 1e-4]] * 2
    assert legend(figure) == ["positives", "negatives", "mean score p"]
    assert figure.axes[0].get_title(loc="left") == "full"
    assert figure.axes[2].get_ylabel() == "mean score p"
    figure.draw_without_rendering()
    assert {"0.01", "0.1", "1"} <= {tick.get_text() for tick in figure.axes[1].get_yticklabels()}


def test_the_last_scenarios_scores_keep_clear_of_its_cosines():
    """Tick labels of the right axis and those below stand at different heights."""
    one = densities(quantity=["cosine"] * 4)
    two = densities(quantity=["gradient"] * 4)
    figure = plots.cosine_gradients({name: np.concatenate([one[name], two[name]]) for name in one})
    figure.draw_without_rendering()
    upper, score = figure.axes[0], figure.axes[2]
    right = [t.get_window_extent() for t in score.get_yticklabels() if t.get_text()]
    below = [t.get_window_extent() for t in upper.get_xticklabels() if t.get_text()]
    assert not any(box.overlaps(other) for box in right for other in below)


def test_prediction_densities_have_a_panel_a_method():
    data = {name: np.tile(values, 2) for name, values in densities().items()}
    figure = plots.prediction_densities(data | {"method": np.repeat(["an", "em"], 4)})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["an", "em"]
    assert figure.axes[1].patches[0].get_data().values.tolist() == [2, 0]


def test_wasserstein_distances_show_labels_and_mean():
    data = {"method": ["an", "an", "em"], "label": list("aba"), "distance": [0.1, 0.4, np.nan]}
    figure = plots.wasserstein_distances(data)
    assert texts(figure) == ["0.250", "not defined"]
    dots = figure.axes[0].collections[0].get_offsets()
    assert dots.tolist() == [[0.1, 0], [0.4, 0]]


def test_loss_landscape_shares_its_shades_and_names_the_loss_at_the_weights():
    a, b = (grid.ravel() for grid in np.meshgrid([-1, 0, 1], [-1, 0, 1]))
    data = {"a": np.tile(a, 2), "b": np.tile(b, 2), "loss": np.concatenate([1 + a**2 + b, 2.5 + a**2 + b])}
    figure = plots.loss_landscape(data | {"method": np.repeat(["an", "em"], 9)})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["an, 1.000 at +", "em, 2.500 at +"]
    assert figure.axes[0].get_xlabel() == "along one direction"
    assert figure.axes[0].get_ylabel() == "along another"
    shades = [axes.collections[0] for axes in figure.axes]
    assert shades[0].levels.tolist() == shades[1].levels.tolist()


def test_vdfd_by_epoch_is_the_mean_size_or_a_panel_a_label():
    data = {
        "epoch": [1, 1, 2, 2] * 2,
        "label": list("abab") * 2,
        "vdfd": [0.1, -0.3, 0.2, np.nan, 1, 1, 1, -1],
        "run": ["semi"] * 4 + ["full"] * 4,
    }
    (axes,) = plots.vdfd_by_epoch(data).axes
    assert [np.array(line) for line in drawn(axes)] == [
        pytest.approx(np.array([[1, 0.2], [2, 0.2]])),
        pytest.approx(np.array([[1, 1], [2, 1]])),
    ]
    figure = plots.vdfd_by_epoch(data, labels=["b"])
    assert drawn(figure.axes[0])[-1] == [[1, 1], [2, -1]]
    assert legend(figure) == ["semi", "full"]


def test_epoch_seconds_are_bars_with_ranges():
    data = {"method": ["a", "b"], "seconds": [1.5, 20], "low": [1, 19], "high": [2, 25]}
    figure = plots.epoch_seconds(data)
    assert [patch.get_width() for patch in figure.axes[0].patches] == [1.5, 20]
    assert texts(figure) == ["1.5 s", "20 s"]
    assert figure.axes[0].get_xlabel() == "seconds an epoch: median, least to most"


def test_correlation_graph_joins_the_pairs():
    figure = plots.correlation_graph({"first": ["b", "c"], "second": ["a", "a"], "correlation": [0.9, 0.6]})
    assert set(texts(figure)) == {"a", "b", "c"}
    assert len(figure.axes[0].patches) == 2
    assert figure.axes[0].get_title(loc="left") == "pairs of labels, correlation from 0.60"


def test_a_graph_of_many_labels_has_room_for_every_name():
    names = [f"label {i}" for i in range(60)]
    data = {"first": names, "second": names[1:] + names[:1], "correlation": np.full(60, 0.99)}
    figure = plots.correlation_graph(data)
    figure.draw_without_rendering()
    shown = figure.axes[0].texts
    places = figure.axes[0].transData.transform([text.get_position() for text in shown])
    order = np.argsort(np.arctan2(*(places - places.mean(0)).T))
    gaps = np.linalg.norm(np.diff(places[order], axis=0), axis=1)
    assert gaps.min() > shown[0].get_size() * figure.dpi / 72
    ends = [text.get_window_extent() for text in shown]
    assert all(figure.bbox.containsx(x) for box in ends for x in (box.x0, box.x1))
    assert all(figure.bbox.containsy(y) for box in ends for y in (box.y0, box.y1))


def test_theory_curves_draw_theory_and_simulation_by_label_share():
    names = (
        "ratio",
        "label_share",
        "noise_positive",
        "noise_negative",
        "source",
        "risk_positive",
        "risk_negative",
    )
    rows = [
        (0.5, 0.5, 0, 0, "theory", 0.1, 0.2),
        (2.0, 0.5, 0, 0, "theory", 0.3, 0.4),
        (2.0, 0.5, 0, 0, "simulation", 0.31, 0.41),
        (0.5, 0.3, 0, 0, "theory", 0.5, 0.6),
    ]
    data = {name: np.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    data |= {
        "vca": np.zeros(4),
        "risk_positive_error": np.full(4, 0.01),
        "risk_negative_error": np.full(4, 0.01),
    }
    figure = plots.theory_curves(data)
    assert len(figure.axes) == 6
    first = figure.axes[0]
    assert first.lines[0].get_xydata().tolist() == [[0.5, 0.1], [2, 0.3]]
    assert first.containers[0].lines[0].get_xydata().tolist() == [[2, 0.31]]
    assert first.containers[0].lines[2][0].get_segments()[0][:, 1] == pytest.approx([0.28, 0.34])
    assert figure.axes[4].lines[0].get_xydata().tolist() == [[0.5, 0.6]]


def test_gradient_regimes_have_a_panel_a_loss_with_gradients_and_values():
    p = np.array([0.25, 0.75])
    entries = ("relevant", "unknown", "irrelevant")
    data = {
        "loss": np.repeat(["a", "b"], 6),
        "entry": np.tile(np.repeat(entries, 2), 2),
        "p": np.tile(p, 6),
        "value": np.arange(12.0),
        "gradient": -np.arange(12.0),
    }
    figure = plots.gradient_regimes(data)
    first, second = figure.axes[:2]
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["a", "b"]
    # A line at 0, then value and gradient of relevant, irrelevant and unknown entries.
    assert len(second.lines) == 7
    assert second.lines[5].get_xydata().tolist() == [[0.25, 8], [0.75, 9]]
    assert second.lines[6].get_xydata().tolist() == [[0.25, -8], [0.75, -9]]


def test_a_few_shares_are_the_ticks_of_their_axis():
    data = {"fraction": [0.1, 0.3, 0.9], "method": ["an"] * 3, "map": [0.1, 0.2, 0.3]}
    axes = plots.fraction_curves(data, label="share of labels known").axes[0]
    assert axes.get_xticks().tolist() == [0.1, 0.3, 0.9]
    assert axes.get_xlabel() == "share of labels known"


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_saved_figure_is_the_same_file_each_time_and_has_a_ground(tmp_path, ending):
    paths = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for path in paths:
        plots.save_figure(plots.prediction_densities(densities()), path, ending, caption="VOC, honest")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if ending == "png":
        from PIL import Image

        assert Image.open(paths[0]).getpixel((0, 0)) == (255, 255, 255, 255)
    else:
        assert "VOC, honest" in paths[0].read_text()


def test_missing_and_uneven_columns_are_named():
    with pytest.raises(UserError, match="lacks gradient_difference"):
        plots.margin_sweep({"margin": [1], "map": [1]})
    with pytest.raises(UserError, match="different length"):
        plots.scale_margin({"scale": [1, 2], "margin": [1], "map": [1]})
    with pytest.raises(UserError, match="no rows"):
        plots.fraction_curves({"fraction": [], "method": [], "map": []})


@pytest.mark.parametrize("width", [320, 900])
def test_figures_fit_a_page(width):
    data = densities()
    svg = plots.as_svg(plots.prediction_densities(data, width=width), "densities")
    assert f"max-width:{width}px" in svg


def test_top_predictions_have_a_row_an_item_and_a_column_a_method():
    """A bar is as long as its score, in the order of the ranks, and blue where the item has the label."""
    data = {
        "method": np.repeat(["an", "em"], 4),
        "item": np.tile(np.repeat(["a", "b"], 2), 2),
        "truth": np.tile(np.repeat(["cat, dog", "dog"], 2), 2),
        "given": np.tile(np.repeat(["cat", ""], 2), 2),
        "rank": np.tile([2, 1], 4),
        "label": np.tile(["dog", "cat", "car", "dog"], 2),
        "score": np.array([0.4, 0.9, 0.2, 0.8, 0.5, 0.7, 0.3, 0.6]),
        "relevant": np.tile([1, 1, 0, 1], 2),
    }
    figure = plots.top_predictions(data, pictures={"a": np.zeros((4, 6, 3), np.uint8)})
    (picture, an, em), (name, below, _) = np.reshape(figure.axes, (2, 3))
    assert [axes.get_title(loc="left") for axes in (an, em, below)] == ["an", "em", ""]
    assert len(picture.images) == 1
    assert not name.images
    assert [text.get_text() for text in name.texts] == ["b", "dog"]
    assert picture.texts[0].get_text() == "cat, dog\ngiven: cat"
    assert [round(bar.get_width(), 2) for bar in an.patches] == [0.9, 0.4]
    assert [text.get_text() for text in below.texts] == ["dog  0.80", "car  0.20"]
    first, second = (bar.get_facecolor() for bar in below.patches)
    assert first == an.patches[0].get_facecolor() != second

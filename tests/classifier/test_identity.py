"""What a run is a function of, and what two runs share."""

from labelwise.classifier.options import FitOptions


def test_no_named_method_on_fixed_features_is_another_run_than_before_the_default_changed():
    """A run stopped when no name meant another method must not go on as today's."""
    assert FitOptions().identity["default"] == 2


def test_a_named_method_and_a_whole_network_keep_their_identity():
    assert "default" not in FitOptions(method="ridge").identity
    assert "default" not in FitOptions(tune="all", backbone="mlp").identity


def test_options_that_came_later_count_where_they_are_given():
    assert "label_texts" not in FitOptions().identity
    assert FitOptions(label_texts={"a": "an a"}).identity["label_texts"] == {"a": "an a"}

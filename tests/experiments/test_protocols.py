"""What each setting shows, what each protocol may see, and which figures come out."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from labelwise import metrics
from labelwise.data.datasets import Dataset, Part
from labelwise.errors import UserError
from labelwise.experiments import Job, hide, load_spec, spml_split
from labelwise.experiments import measuring as _measure
from labelwise.experiments.measuring import Source, evaluate, measure
from labelwise.experiments.spec import Training


def official_single_positives(Y, seed=1200):
    """The rule as the released code is described, row by row and shuffle by shuffle."""
    random = np.random.RandomState(seed)
    seen = np.full(Y.shape, -1)
    for row in range(len(Y)):
        positives = np.nonzero(Y[row] == 1)[0]
        random.shuffle(positives)
        for k in positives[:1]:
            seen[row, k] = 1
        negatives = np.nonzero(Y[row] == 0)[0]
        random.shuffle(negatives)
    return seen


def labels(n, k=20, share=0.1, seed=0):
    return (np.random.default_rng(seed).random((n, k)) < share).astype(np.int8)


@pytest.mark.parametrize("seed", [0, 3])
def test_single_positives_are_the_official_ones_whatever_the_runs_seed(seed):
    Y = labels(500, share=0.05)
    assert (Y.sum(1) == 0).sum() > 100
    expected = official_single_positives(Y)
    for setting in ("single_positive", "single_positive_all_negatives"):
        np.testing.assert_array_equal(hide(Job("NUS", setting, "an", seed), Y), expected)
    assert ((expected == 1).sum(1) == (Y.sum(1) > 0)).all()


def test_a_released_file_of_observed_labels_is_taken_as_it_is():
    Y = labels(30)
    given = np.where(np.arange(20) < 10, Y, -1).astype(np.int8)
    np.testing.assert_array_equal(hide(Job("VOC", "single_positive", "an"), Y, given), given)


def test_labelled_rows_and_positives_follow_the_runs_seed():
    Y = labels(400, share=0.3)
    one, two = (hide(Job("VOC", "semi_supervised", "cap", s, labelled_fraction=0.1), Y) for s in (1, 2))
    for seed, seen in ((1, one), (2, two)):
        rows = np.random.RandomState(seed).permutation(400)[:40]
        np.testing.assert_array_equal(np.flatnonzero((seen >= 0).all(1)), np.sort(rows))
    half = hide(Job("VOC", "partial_positive", "an", 0, positives_fraction=0.5), Y)
    assert set(np.unique(half)) == {-1, 1}
    known = hide(Job("VOC", "partial", "an", 0, positives_fraction=0.3), Y)
    assert (known >= 0).sum() == round(0.3 * Y.size)
    np.testing.assert_array_equal(hide(Job("VOC", "full", "bce"), Y), Y)
    for setting in ("partial", "semi_supervised"):
        with pytest.raises(UserError, match="needs a fraction"):
            hide(Job("VOC", setting, "an"), Y)


@pytest.mark.parametrize(
    ("n", "train", "held"),
    [(5717, 4574, 1143), (82081, 65665, 16416), (150000, 120000, 30000), (5994, 4795, 1199)],
)
def test_the_spml_split_has_the_papers_sizes(n, train, held):
    rows, rest = spml_split(n)
    assert (len(rows), len(rest)) == (train, held)
    order = np.random.RandomState(1200).permutation(n)
    np.testing.assert_array_equal(rows, np.sort(order[:train]))
    np.testing.assert_array_equal(rest, np.sort(order[train:]))


def test_every_rule_judges_the_same_scores():
    rng = np.random.default_rng(1)
    Y = labels(200, 6, 0.3)
    Y[:, 5] = 0
    # Many of them are 1 as float32 probabilities, and tied there.
    logits = 12 * Y + 22 * rng.random(Y.shape) - 2
    scores = expit(logits)
    assert (scores.astype(np.float32) == 1).mean() > 0.2
    own = metrics.PerLabelThreshold([0.4] * 6, name="learnt_thresholds")
    for protocol, empty in (("honest", "omit"), ("published", "zero")):
        found, facts = evaluate(Y, logits, own, protocol)
        values = {(m.metric, m.rule): m.value for m in found}
        assert len(values) == len(found)
        for rule in (own, metrics.Threshold(0.5), metrics.OracleCardinality()):
            expected = metrics.evaluate(Y, scores, rule, empty_labels=empty)
            for name in ("micro_f1", "macro_f1", "hamming_loss"):
                assert values[name, rule.name] == expected[name]
            for name in ("map", "one_error", "coverage"):
                assert values[name, ""] == expected[name]
        assert (facts["rule"], facts["labels_without_positive"]) == ("learnt_thresholds", 1)
    oracle = metrics.OracleCardinality().apply(logits, Y)
    assert (oracle.sum(1) == Y.sum(1)).all()


@pytest.fixture
def seen(monkeypatch):
    """Replace reading and training: what a model is given is what the tests look at."""
    rng = np.random.default_rng(0)
    parts = {
        name: Part(
            tuple(map(str, range(n))), labels(n, 5, 0.3, seed), features=rng.normal(size=(n, 4)).astype("f4")
        )
        for seed, (name, n) in enumerate({"train": 100, "test": 40}.items())
    }
    dataset = Dataset("voc2012", "features", tuple("abcde"), parts)
    told = []

    class Model:
        rule_, rule_source_, best_epoch_ = metrics.Threshold(0.3), "said so", 1
        history_ = ({"seconds": 1.0}, {"seconds": 9.0}, {"seconds": 2.0})
        hyperparameters_, budget_, notes_, validation_ = {}, {}, (), None

        def __init__(self, method, backbone, **given):
            self.given = {"method": method, "backbone": backbone, **given}

        def fit(self, X, Y, *, label_names, true_labels, groups):
            told.append({**self.given, "X": X, "Y": Y, "true_labels": true_labels})
            self.validation_ = told[-1].get("validation_map")
            return self

        def predict_proba(self, X):
            return np.full((len(X), 5), 0.4, np.float32)

        def read(self, X):
            return X

        def decision_function(self, X):
            return logit(np.full((len(X), 5), 0.4))

    monkeypatch.setattr(_measure, "_read", lambda name, directory: dataset)
    monkeypatch.setattr(_measure, "MultiLabelClassifier", Model)
    return dataset, told


def run(job, seen):
    found = measure(job, Source("nowhere"))
    return seen[1][-1], {(m.metric, m.rule): m.value for m in found.measurements}, found.facts


def test_the_honest_protocol_sees_no_truth_and_no_test_item(seen):
    told, values, facts = run(Job("VOC", "single_positive", "hml"), seen)
    assert told["true_labels"] is None
    assert told["validation"] == "auto"
    assert len(told["X"]) == 100
    np.testing.assert_array_equal(told["Y"], official_single_positives(seen[0].parts["train"].labels))
    assert ("micro_f1", "threshold(0.3)") in values
    assert values["seconds_per_epoch", ""] == 2.0
    assert facts["rule"] == "threshold(0.3)"


def test_an_oracle_alone_is_given_the_truth(seen):
    job = Job("VOC", "single_positive_all_negatives", "bce_single_positive_all_negatives")
    told, _, _ = run(job, seen)
    np.testing.assert_array_equal(told["true_labels"], seen[0].parts["train"].labels)


def test_the_published_protocol_of_single_positives_splits_after_hiding(seen):
    told, _, _ = run(
        Job("VOC", "single_positive", "an", protocol="published", options={"code": "spml"}), seen
    )
    truth = seen[0].parts["train"].labels
    rows, held = spml_split(100)
    np.testing.assert_array_equal(told["Y"], official_single_positives(truth)[rows])
    X_val, Y_val = told["validation"]
    np.testing.assert_array_equal(X_val, seen[0].parts["train"].features[held])
    np.testing.assert_array_equal(Y_val, truth[held])
    assert (told["select"], told["calibrate"], told["rule"]) == ("best", False, 0.5)


def test_the_published_protocol_of_semi_supervision_selects_on_the_test_set(seen):
    job = Job(
        "VOC",
        "semi_supervised",
        "bbam",
        1,
        labelled_fraction=0.2,
        protocol="published",
        options={"code": "cap"},
    )
    told, values, _ = run(job, seen)
    assert len(told["X"]) == 100
    np.testing.assert_array_equal(told["validation"][0], seen[0].parts["test"].features)
    np.testing.assert_array_equal(told["validation"][1], seen[0].parts["test"].labels)
    assert {rule for _, rule in values} == {"", "threshold(0.5)", "oracle_cardinality"}


@pytest.mark.parametrize("name", ["leak_truth", "warm_up_seed"])
def test_what_reads_the_truth_is_refused_by_the_honest_protocol(seen, name):
    job = Job(
        "VOC",
        "semi_supervised",
        "bbam",
        1,
        labelled_fraction=0.2,
        hyperparameters={name: 1000 if name == "warm_up_seed" else True},
    )
    with pytest.raises(UserError, match=f"{name} reads true labels: it is part of the published protocol"):
        measure(job, Source("nowhere"))
    measure(replace(job, protocol="published", options={"code": "cap"}), Source("nowhere"))


def test_a_prior_is_given_where_labels_do_not_identify_it(seen):
    given = {"options": {"cardinality": 1.5}}
    assert run(Job("VOC", "single_positive", "epr", **given), seen)[0]["prior"] == 1.5
    assert run(Job("VOC", "single_positive", "an", **given), seen)[0]["prior"] is None
    assert (
        run(Job("VOC", "semi_supervised", "cap", 1, labelled_fraction=0.5, **given), seen)[0]["prior"] is None
    )
    with pytest.raises(UserError, match="needs the mean number of labels of an item"):
        measure(Job("VOC", "single_positive", "epr"), Source("nowhere"))


def test_features_take_a_head_and_its_own_budget(seen):
    options = {"backbone": "hf/microsoft/resnet-50", "tune": "all", "epochs": 10, "learning_rate": 1e-5}
    told, _, facts = run(Job("VOC", "full", "bce", options=options), seen)
    assert told["backbone"] == "features"
    assert not {"tune", "epochs", "learning_rate"} & told.keys()
    assert any("head alone" in note for note in facts["notes"])


def test_texts_are_read_as_far_as_the_spec_says(seen, monkeypatch):
    dataset, _ = seen
    parts = {
        name: replace(part, features=None, contents=[f"{name} {i}" for i in range(len(part))])
        for name, part in dataset.parts.items()
    }
    monkeypatch.setattr(_measure, "_read", lambda name, directory: replace(dataset, kind="text", parts=parts))
    job = load_spec("bbam-text").jobs("honest", rows=["bbam"], datasets=["AAPD"], seeds=[1])[0]
    told, _, _ = run(replace(job, dataset="VOC"), seen)
    assert (told["backbone"], told["max_length"]) == ("hf/bert-base-uncased", 256)


def test_all_that_a_spec_says_of_training_reaches_the_classifier():
    assert set(_measure._CLASSIFIER) == Training.model_fields.keys() - {"backbone"}


def test_pictures_take_the_specs_network_at_one_rate(seen, monkeypatch):
    dataset, _ = seen
    parts = {
        name: replace(part, features=None, contents=[f"{name}{i}.jpg" for i in range(len(part))])
        for name, part in dataset.parts.items()
    }
    pictures = replace(dataset, kind="image", parts=parts)
    monkeypatch.setattr(_measure, "_read", lambda name, directory: pictures)
    options = {
        "backbone": "hf/microsoft/resnet-50",
        "tune": "all",
        "head_start": "random",
        "image_size": 448,
        "learning_rate": 1e-5,
    }
    job = Job("VOC", "single_positive", "an", protocol="published", options={**options, "code": "spml"})
    told, _, _ = run(job, seen)
    assert {name: told[name] for name in options} == options
    assert told["backbone_learning_rate"] == 1e-5
    rows, held = spml_split(100)
    assert told["X"].tolist() == [f"train{i}.jpg" for i in rows]
    assert told["validation"][0].tolist() == [f"train{i}.jpg" for i in held]
    with pytest.raises(UserError, match=r"the experiment needs training\.backbone"):
        measure(replace(job, options={"code": "spml"}), Source("nowhere"))


def test_a_search_keeps_the_best_by_validation(seen, monkeypatch):
    class Tried(_measure.MultiLabelClassifier):
        def fit(self, X, Y, **rest):
            super().fit(X, Y, **rest)
            self.validation_ = {"map": {1e-3: 0.4, 1e-4: 0.7, 1e-5: 0.5}[self.given["learning_rate"]]}
            return self

    monkeypatch.setattr(_measure, "MultiLabelClassifier", Tried)
    dataset, told = seen
    parts = {n: replace(p, features=None, contents=["x"] * len(p)) for n, p in dataset.parts.items()}
    monkeypatch.setattr(_measure, "_read", lambda *_: replace(dataset, kind="text", parts=parts))
    search = {"learning_rate": [1e-3, 1e-4, 1e-5], "batch_size": [8.0]}
    options = {"backbone": "minilm", "tune": "all", "search": search, "code": "spml"}
    found = measure(Job("AAPD", "full", "bce", protocol="published", options=options), Source("nowhere"))
    assert [t["learning_rate"] for t in told] == [1e-3, 1e-4, 1e-5]
    assert {t["batch_size"] for t in told} == {8}
    assert found.facts["validation_map"] == 0.7


def test_a_test_picture_that_is_not_there_is_told_before_anything_is_trained(tmp_path, monkeypatch):
    """Hours of training are not spent on a run that cannot be judged."""
    parts = {
        name: Part(("a",), labels(1, 3), contents=[str(tmp_path / f"{name}.jpg")])
        for name in ("train", "test")
    }
    (tmp_path / "train.jpg").touch()
    monkeypatch.setattr(
        _measure, "read_dataset", lambda *_: Dataset("coco2014", "image", tuple("abc"), parts)
    )
    _measure._read.cache_clear()
    with pytest.raises(UserError, match=r"coco2014: its test part lacks .*test.jpg; put back"):
        measure(Job("COCO", "full", "bce", options={"backbone": "smallcnn"}), Source(str(tmp_path)))


def test_features_are_not_searched(seen):
    options = {"backbone": "minilm", "search": {"learning_rate": [1e-3, 1e-4]}, "code": "cap"}
    run(Job("VOC", "full", "bce", protocol="published", options=options), seen)
    assert len(seen[1]) == 1


def test_a_search_of_a_method_of_two_stages_moves_the_second_alone(seen, monkeypatch):
    """The linear stage has a fixed rate in the papers; the search is that of the network."""

    class Tried(_measure.MultiLabelClassifier):
        def fit(self, X, Y, **rest):
            super().fit(X, Y, **rest)
            self.validation_ = {"map": 0.5}
            return self

    monkeypatch.setattr(_measure, "MultiLabelClassifier", Tried)
    dataset, told = seen
    parts = {n: replace(p, features=None, contents=["x"] * len(p)) for n, p in dataset.parts.items()}
    monkeypatch.setattr(_measure, "_read", lambda *_: replace(dataset, kind="image", parts=parts))
    spec = load_spec("em-apl-poster")
    (job,) = spec.jobs("published", rows=["role_linear_init"], datasets=["VOC"], seeds=[0], search=True)
    measure(job, Source("nowhere"))
    rates = [(t["learning_rate"], t["hyperparameters"]["second_rate"]) for t in told]
    assert {first for first, _ in rates} == {1e-3}
    seconds = [first * second for first, second in rates]
    np.testing.assert_allclose(sorted(set(seconds)), [1e-5, 1e-4, 1e-3, 1e-2])
    assert len(told) == 8


def test_the_published_protocol_of_texts_tests_the_last_epoch(seen, monkeypatch):
    """The released code names its live model the best one."""
    dataset, _ = seen
    parts = {n: replace(p, features=None, contents=["x"] * len(p)) for n, p in dataset.parts.items()}
    parts["validation"] = parts["test"]
    options = {"backbone": "minilm", "tune": "all", "code": "cap"}
    for kind, expected in (("text", "last"), ("image", "best")):
        monkeypatch.setattr(_measure, "_read", lambda *_, kind=kind: replace(dataset, kind=kind, parts=parts))
        job = Job(
            "AAPD", "semi_supervised", "bbam", 1, labelled_fraction=0.2, protocol="published", options=options
        )
        assert run(job, seen)[0]["select"] == expected

"""The whole refresh against the rules that it chains, each in plain float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelwise.errors import UserError
from labelwise.targets import balanced_refresh

N, K, D = 300, 5, 16


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    weight = random.standard_normal((K, D)).astype(np.float32)
    truth = (random.random((N, K)) < 0.2).astype(np.int8)
    features = (truth @ weight + random.standard_normal((N, D))).astype(np.float32)
    labels = np.where(random.random((N, K)) < 0.3, truth, np.int8(-1))
    return features, labels, weight, truth.mean(axis=0)


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T


@pytest.mark.parametrize("negatives_of", ["all", "kept"])
@pytest.mark.parametrize("negative_share", [1.0, 0.9])
def test_refresh_is_the_chain_of_its_rules(data, negatives_of, negative_share):
    features, labels, weight, prior = data
    found = balanced_refresh(
        *data, negative_share=negative_share, negative_ratio=1.5, negatives_of=negatives_of, chunk_rows=37
    )
    scores = cosine(features, weight)
    pseudo = labels.copy()
    for label in range(K):
        unknown = [i for i in range(N) if labels[i, label] == -1]
        unknown.sort(key=lambda i, label=label: -scores[i, label])
        positives = int(prior[label] * len(unknown))
        negatives = int(negative_share * (len(unknown) - positives))
        for rank, i in enumerate(unknown):
            pseudo[i, label] = 1 if rank < positives else 0 if rank >= len(unknown) - negatives else -1
    np.testing.assert_array_equal(found.pseudo, pseudo)
    assert found.pseudo.dtype == np.int8
    prototypes = np.stack(
        [features[pseudo[:, label] == 1].astype(np.float64).mean(axis=0) for label in range(K)]
    )
    np.testing.assert_allclose(found.prototypes, prototypes, rtol=1e-12, atol=1e-12)
    similarities = cosine(features, prototypes)
    keep = pseudo == 1
    for label in range(K):
        negative = [i for i in range(N) if pseudo[i, label] == 0]
        negative.sort(key=lambda i, label=label: -similarities[i, label])
        keep[negative[: int(1.5 * (pseudo[:, label] == 1).sum())], label] = True
    np.testing.assert_array_equal(found.keep, keep)
    angle = np.arccos(similarities)
    for label in range(K):
        for side, sign in (("negative", 0), ("positive", 1)):
            used = (pseudo[:, label] == sign) & (keep[:, label] | (negatives_of == "all"))
            values = angle[used, label].tolist()
            mean = sum(values) / len(values)
            variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
            assert float(getattr(found.angles, f"mean_{side}")[label]) == pytest.approx(mean, rel=1e-4)
            floored = max(variance, 1e-3)
            assert float(getattr(found.angles, f"variance_{side}")[label]) == pytest.approx(floored, rel=1e-3)
            assert int(getattr(found.angles, f"count_{side}")[label]) == len(values)


def test_the_chunks_change_no_selection_and_the_features_may_be_mapped(data, tmp_path):
    features, labels, weight, prior = data
    np.save(tmp_path / "features.npy", features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    whole = balanced_refresh(*data)
    parts = balanced_refresh(mapped, torch.from_numpy(labels), torch.from_numpy(weight), prior, chunk_rows=11)
    np.testing.assert_array_equal(whole.pseudo, parts.pseudo)
    np.testing.assert_array_equal(whole.keep, parts.keep)


def test_labels_without_positives_and_zero_features_do_no_harm(data):
    features, labels, weight, _ = data
    features = features.copy()
    features[3] = 0
    labels = labels.copy()
    labels[:, 0] = -1
    found = balanced_refresh(features, labels, weight, np.zeros(K))
    assert (found.pseudo[:, 0] == 0).all()
    assert not found.keep[:, 0].any()
    assert (found.prototypes[0] == 0).all()
    assert float(found.angles.variance_negative[0]) == float(found.angles.variance_positive[0])
    assert all(bool(torch.isfinite(value).all()) for value in found.angles.tensors().values())


def test_given_pseudo_labels_are_taken_and_previous_angles_mixed_in(data):
    labels = data[1]
    first = balanced_refresh(*data)
    given_ = np.where(labels == -1, 0, labels)
    found = balanced_refresh(*data, pseudo=given_, previous=first.angles, momentum=0.5)
    alone = balanced_refresh(*data, pseudo=given_)
    np.testing.assert_array_equal(found.pseudo, given_)
    middle = (alone.angles.mean_negative + first.angles.mean_negative) / 2
    torch.testing.assert_close(found.angles.mean_negative, middle)


def test_what_does_not_fit_is_refused(data):
    features, labels, weight, prior = data
    with pytest.raises(UserError, match="do not fit"):
        balanced_refresh(features[:, 1:], labels, weight, prior)
    with pytest.raises(UserError, match="negatives_of is 'some'"):
        balanced_refresh(*data, negatives_of="some")
    broken = features.copy()
    broken[7, 2] = np.nan
    with pytest.raises(UserError, match="row 7"):
        balanced_refresh(broken, np.zeros_like(labels), weight, prior, chunk_rows=5)

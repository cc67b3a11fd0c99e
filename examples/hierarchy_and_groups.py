"""Labels above labels, and items that belong together: frames of videos, digits below "even" and "odd".

What is said of a label says something of those above and below it; frames of one video never stand on both sides of a
judgement.
"""

import numpy as np

import labelwise as lw
from labelwise.annotations import Hierarchy
from labelwise.data import digits_canvases, digits_features

rng = np.random.default_rng(0)
images, digits, names = digits_canvases(200, seed=0)
new_images, new_digits, _ = digits_canvases(200, seed=0, part="test")
parents = {name: "odd" if int(name) % 2 else "even" for name in names}
labels = [*names, "even", "odd"]


def with_parents(digits):
    """Return the labels of the digits, and of what stands above them."""
    known = np.hstack([np.where(digits == 1, 1, -1), np.full((len(digits), 2), -1)])
    return (Hierarchy.of(parents, labels).close(known).matrix == 1).astype(np.int8)


def filmed(features):
    """Return features as a camera sees them from one moment to the next."""
    return features + 0.1 * rng.standard_normal(features.shape).astype(np.float32)


X, X_new = digits_features(images, filters=128), digits_features(new_images, filters=128)
truth, new_truth = with_parents(digits), with_parents(new_digits)

# A hierarchy: one labeller noted a few entries of each picture, four in five stayed unknown.
Y = lw.simulate.random_partial(truth, hidden=0.8, seed=0)
scores = {}
for told in (None, parents):
    model = lw.MultiLabelClassifier("ridge", hierarchy=told).fit(X, Y, label_names=labels)
    scores["told" if told else "not told"] = model.score(X_new, new_truth)
print(next(note for note in model.notes_ if "hierarchy" in note))
print("hierarchy:", ", ".join(f"{name} mAP {value:.2f}" for name, value in scores.items()))

# Groups: every picture is the start of a video of five frames. Left out singly, a frame is judged by its neighbours.
video = np.repeat(np.arange(len(X)), 5)
frames, new_frames, known = filmed(X[video]), filmed(X_new), digits[video]
promised, found = {}, {}
for groups in (None, video):
    model = lw.MultiLabelClassifier("ridge").fit(frames, known, label_names=names, groups=groups)
    key = "single frames" if groups is None else "whole videos"
    promised[key], found[key] = model.validation_["map"], model.score(new_frames, new_digits)
    print(f"{key} left out: mAP {promised[key]:.2f} promised, {found[key]:.2f} on new videos")

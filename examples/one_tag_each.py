"""One tag each: every item has one label that is known to apply, and nobody ever said no.

Compares what is done with all other entries, and how scores become label sets. A canvas shows one to three handwritten
digits, of which one is named.
"""

import labelwise as lw
from labelwise.data import digits_canvases, digits_features

images, truth, names = digits_canvases(400, seed=0, most=3)
new_images, new_truth, _ = digits_canvases(300, seed=0, most=3, part="test")
X, X_new = digits_features(images, filters=128), digits_features(new_images, filters=128)
Y = lw.simulate.single_positive(truth, seed=0)

# With positives alone nobody can tell from the labels how frequent one is: no method finds out where "yes" begins.
# The mean number of labels an item is enough; it was counted here on twenty items.
labels_an_item = truth[:20].sum(axis=1).mean()

results = {}
print("method  labels an item   mAP   micro-F1  given an item")
for method in ("an", "ridge", "hml"):
    for prior in (None, labels_an_item):
        model = lw.MultiLabelClassifier(method, prior=prior).fit(X, Y, label_names=names)
        results[method, prior] = figures = model.evaluate(X_new, new_truth)
        told = "not told" if prior is None else f"told {prior:.2f}"
        given = model.predict(X_new).sum(axis=1).mean()
        print(f"{method:7} {told:14}  {figures['map']:.2f}   {figures['micro_f1']:.2f}      {given:.2f}")

"""Five per cent labelled: somebody went through a few items with care, and all others wait.

Compares three uses of the same labels, of 2.5 to 20 per cent of the items: scikit-learn on the labelled rows alone,
"missing is no" on all rows, and ridge, which reads what is known and tunes itself by leaving one row out at a time.
"""

from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import labelwise as lw
from labelwise.data import digits_canvases, digits_features

images, truth, names = digits_canvases(500, seed=0)
new_images, new_truth, _ = digits_canvases(300, seed=0, part="test")
X, X_new = digits_features(images, filters=256), digits_features(new_images, filters=256)

usual = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
results = {}
print("labelled  rows  scikit-learn  missing is no  ridge")
for share in (0.025, 0.05, 0.1, 0.2):
    Y = lw.simulate.semi_supervised(truth, labelled_fraction=share, seed=0, rule="cap")
    labelled = (Y >= 0).all(axis=1)
    each = OneVsRestClassifier(usual).fit(X[labelled], Y[labelled])
    no = lw.MultiLabelClassifier("an", epochs=10).fit(X, Y, label_names=names)
    model = lw.MultiLabelClassifier("ridge").fit(X, Y, label_names=names)
    results[share] = [
        lw.metrics.mean_average_precision(new_truth, scores)
        for scores in (each.predict_proba(X_new), no.predict_proba(X_new), model.predict_proba(X_new))
    ]
    a, b, c = results[share]
    print(f"{share:7.1%}   {labelled.sum():4}      {a:.2f}          {b:.2f}         {c:.2f}")

# One test set is one test set: intervals say what the difference is worth.
found = lw.metrics.bootstrap(new_truth, model.predict_proba(X_new), metric="map", n=100, seed=0)
print(f"ridge at 20%: {float(found.value):.2f} ({float(found.low):.2f} to {float(found.high):.2f})")

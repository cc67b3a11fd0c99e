"""Findings read from reports: 1 present, 0 absent, -1 uncertain, blank not mentioned.

Writes ``findings.csv`` in the convention of tables of chest X-rays, and compares what -1 and blanks may be taken for.
The table is simulated: the names are those of CheXpert, more frequent ones first as there; no number is.
"""

import numpy as np
import pandas as pd

import labelwise as lw
from labelwise.data import TableOptions, read_table

FINDINGS = {  # share of the images that show it
    "Support Devices": 0.5,
    "Lung Opacity": 0.45,
    "Pleural Effusion": 0.36,
    "Edema": 0.25,
    "Atelectasis": 0.2,
    "Cardiomegaly": 0.15,
    "Pneumothorax": 0.1,
    "Consolidation": 0.08,
    "Fracture": 0.06,
    "Pneumonia": 0.05,
}


def simulate(n, rng, weights):
    """Return features (n, 40), how clearly each finding shows, and whether it is there."""
    X = rng.normal(size=(n, 40))
    evidence = X @ weights / 40**0.5 + 0.7 * rng.normal(size=(n, len(FINDINGS)))
    cut = np.array([np.quantile(column, 1 - share) for column, share in zip(evidence.T, FINDINGS.values())])
    return X, evidence - cut, (evidence > cut).astype(int)


def report(clear, truth, rng):
    """Return what a report says: most that is there, little that is not, doubt where it hardly shows."""
    near = np.abs(clear) < 0.25
    said = rng.random(truth.shape) < np.where(truth == 1, 0.8, np.where(near, 0.5, 0.12))
    doubt = said & near & (rng.random(truth.shape) < 0.7)
    return np.where(doubt, "-1", np.where(said, truth.astype(str), ""))


rng = np.random.default_rng(0)
weights = rng.normal(size=(40, len(FINDINGS)))
X, clear, truth = simulate(900, rng, weights)
X_new, _, new_truth = simulate(400, rng, weights)
cells = report(clear, truth, rng)
columns = [f"f{j}" for j in range(40)]
frame = pd.concat([pd.DataFrame(X, columns=columns), pd.DataFrame(cells, columns=list(FINDINGS))], axis=1)
frame.to_csv("findings.csv", index=False)
for code, name in (("-1", "uncertain"), ("", "not mentioned")):
    share = truth[cells == code].mean()
    print(f"{name}: {(cells == code).mean():.0%} of the entries, of which {share:.0%} are there")

# What a code means is said when the table is read; -1 and blanks are unknown unless told otherwise.
print("-1       blank    mAP   micro-F1")
results = {}
for minus_one, empty in (
    ("unknown", "unknown"),
    ("unknown", "absent"),
    ("absent", "absent"),
    ("present", "absent"),
):
    # A doubt that counts as a finding is no reading of the table but a change of it: make it where one can see it.
    source = frame.replace("-1", "1") if minus_one == "present" else frame
    source.to_csv("read.csv", index=False)
    codes = {"minus_one": "unknown" if minus_one == "present" else minus_one, "empty": empty}
    table = read_table("read.csv", TableOptions(**codes))
    model = lw.MultiLabelClassifier("ridge").fit(table.features, table.annotations)
    # A frame's columns are matched by name.
    figures = model.evaluate(X_new, pd.DataFrame(new_truth, columns=list(FINDINGS)))
    results[minus_one, empty] = figures
    print(f"{minus_one:8} {empty:8} {figures['map']:.2f}  {figures['micro_f1']:.2f}")

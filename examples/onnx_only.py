"""Predict with an exported model, by onnxruntime and numpy alone: python onnx_only.py MODEL.onnx TABLE.csv."""

import csv
import json
import sys

import numpy as np
import onnxruntime


def main(model: str, table: str) -> None:
    session = onnxruntime.InferenceSession(model)
    facts = session.get_modelmeta().custom_metadata_map
    labels = json.loads(facts["labelwise.label_names"])
    features = json.loads(facts["labelwise.feature_names"])
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = features or [name for name in rows[0] if name.startswith("f")]
    batch = np.array([[float(row[name]) for name in names] for row in rows], dtype=np.float32)
    probabilities, _, sets = session.run(None, {session.get_inputs()[0].name: batch})
    for scores, chosen in zip(probabilities, sets, strict=True):
        found = [f"{labels[k]} {scores[k]:.3f}" for k in np.flatnonzero(chosen)]
        print(", ".join(found) or "no label")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Predict by onnxruntime and numpy: onnx_only.py MODEL.onnx TABLE.csv, or MODEL.onnx PICTURE..., or MODEL.onnx TEXT...

Pictures need pillow besides, and texts need tokenizers.
"""

import csv
import json
import sys

import numpy as np
import onnxruntime


def read_pictures(paths, how):
    from PIL import Image, ImageOps

    pictures, (high, wide) = [], how["size"]
    for path in paths:
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        height, width = high, wide
        if how["resize"] == "crop":
            scale = (how["short_side"] or max(high, wide)) / max(high, wide)
            scale *= max(high / image.height, wide / image.width)
            height, width = max(high, round(image.height * scale)), max(wide, round(image.width * scale))
        image = image.resize((width, height), Image.Resampling[how["interpolation"].upper()])
        top, left = (height - high) // 2, (width - wide) // 2
        pictures.append(np.asarray(image.crop((left, top, left + wide, top + high))).transpose(2, 0, 1))
    return np.stack(pictures)


def read_texts(texts, how, definition):
    from tokenizers import Tokenizer

    ids = [encoding.ids for encoding in Tokenizer.from_str(definition).encode_batch(texts)]
    batch = np.full((len(ids), max(2, *map(len, ids))), how["pad_id"], dtype=np.int64)
    for row, tokens in enumerate(ids):
        batch[row, : len(tokens)] = tokens
    return batch


def read_table(path, columns):
    with open(path, newline="", encoding="utf-8") as file:
        return np.array([[float(row[name]) for name in columns] for row in csv.DictReader(file)], np.float32)


def main(model, *items):
    session = onnxruntime.InferenceSession(model)
    facts = {key: json.loads(v) for key, v in session.get_modelmeta().custom_metadata_map.items()}
    names, how = facts["labelwise.label_names"], facts["labelwise.preprocessing"]
    if how is None:
        batch = read_table(items[0], facts["labelwise.feature_names"])
    elif how["kind"] == "image":
        batch = read_pictures(items, how)
    else:
        batch = read_texts(items, how, facts["labelwise.tokenizer"])
    probabilities, _, sets = session.run(None, {session.get_inputs()[0].name: batch})
    for scores, chosen in zip(probabilities, sets, strict=True):
        found = [f"{names[k]} {scores[k]:.3f}" for k in np.flatnonzero(chosen)]
        print(", ".join(found) or "no label")


if __name__ == "__main__":
    main(*sys.argv[1:])

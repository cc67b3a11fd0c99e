"""Exported files beside their models on 1,000 real items a backbone: `python -m benchmarks.studies.exported`.

Features and rows of a perceptron are the stored EfficientNet-Lite0 features of VOC12-animals, arrays of pictures are
scikit-learn's handwritten digits, pictures VOC12-animals, texts GoEmotions. Each model is trained on items of its own
and exported to ONNX and to `torch.export`; pretrained backbones also with weights of 8 bits, and once with features in
bfloat16, as torch makes them where the processor has it. Bar: with features in float32 no probability differs by more
than 1e-4.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import labelwise as lw
from benchmarks.common import RESULTS, data_folder, place, publish, script_parser
from benchmarks.local import sets
from labelwise.classifier import trial

TABLE = RESULTS / "exported.csv"
BAR = 1e-4
ITEMS = 1000


def animals() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return features, labels and files of VOC12-animals."""
    folder = data_folder() / "voc12_subset"
    with np.load(folder / "voc12_animal_lite0.npz") as file:
        files = [str(folder / "JPEGImages" / f"{name}.jpg") for name in file["names"]]
        return file["X"].astype(np.float32), file["Y"].astype(np.int8), files


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return handwritten digits (n, 1, 8, 8) in 0..1, with their value and evenness as labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    values = np.eye(10, dtype=np.int8)[found.target]
    even = (found.target % 2 == 0).astype(np.int8)
    return (found.images[:, None] / 16).astype(np.float32), np.column_stack([values, even])


def cases(few: int) -> Iterator[tuple[str, str, Any, np.ndarray, dict[str, Any]]]:
    """Yield backbone, method, items, labels and options; the last 1,000 items are compared."""
    X, Y, files = animals()
    yield "features", "ridge", X, Y, {}
    yield "features", "hml", X, Y, {"epochs": 2}
    yield "mlp", "bce", X, Y, {"tune": "all", "epochs": 2}
    pictures, values = digits()
    yield "smallcnn", "bce", pictures, values, {"tune": "all", "epochs": 2}
    start = len(files) - ITEMS - few
    yield "efficientnet-lite0", "ridge", files[start:], Y[start:], {}
    texts, emotions = sets.comments("dev")
    yield "minilm", "ridge", texts[: ITEMS + few], emotions[: ITEMS + few], {}


def measure(few: int) -> Iterator[dict[str, Any]]:
    """Yield a row a file."""
    folder = Path(tempfile.mkdtemp())
    for backbone, method, items, labels, options in cases(few):
        pretrained = backbone in ("efficientnet-lite0", "minilm")
        for narrow in (False, True) if pretrained else (False,):
            with mock.patch("labelwise.embedding.pipeline._multiplies_bfloat16", lambda _, n=narrow: n):
                model = lw.MultiLabelClassifier(
                    method, backbone, validation=None, cache=False, device="cpu", **options
                )
                model.fit(items[:-ITEMS], labels[:-ITEMS])
                last = (items[-ITEMS:], labels[-ITEMS:])
                done = model.export_onnx(folder / "model.onnx", *last, int8=pretrained and not narrow)
                told = {"onnx": done.agreement, "onnx, 8 bits": done.rounded}
                if not narrow:
                    told["torch"] = model.export_torch(folder / "model.pt2", *last).agreement
            for form, agreement in told.items():
                if agreement is not None:
                    yield {
                        "backbone": backbone,
                        "method": method,
                        "features": "bfloat16" if narrow else "float32",
                        "file": form,
                        "items": agreement.items,
                        "largest": f"{agreement.largest:.3g}",
                        "mean": f"{agreement.mean:.3g}",
                        "sets": f"{agreement.sets:.3g}",
                        "map": "" if agreement.map is None else f"{agreement.map[0]:.4f}",
                        "map_of_model": "" if agreement.map is None else f"{agreement.map[1]:.4f}",
                        "bar": BAR if form != "onnx, 8 bits" and not narrow else "",
                    }


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--train", type=int, default=600, metavar="N", help="pictures and texts to train on")
    given = parser.parse_args()
    with mock.patch.object(trial, "MOST_ITEMS", ITEMS):
        publish(place(given, TABLE), list(measure(given.train)))


if __name__ == "__main__":
    main()

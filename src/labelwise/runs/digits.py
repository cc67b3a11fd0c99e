"""The digits as a user's table: pictures in a folder, features, and one tag each."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from labelwise._files import make_folder, write
from labelwise.errors import UserError

TABLE, TRUTH, PICTURES = "digits.csv", "truth.csv", "pictures"


def write_digits(folder: str | Path, *, n: int = 1000, filters: int = 128, seed: int = 0) -> Path:
    """Write canvases of handwritten digits as a table with one tag each.

    ``pictures/`` holds the canvases; ``digits.csv`` their names, ``filters`` features, and a column for each digit with
    1 in one of those that are there and nothing in all others; ``truth.csv`` has every label, to compare with. Nothing
    is read but what scikit-learn carries.

    Args:
        folder: Made where it is missing; files of these names are replaced.
        n: Canvases.

    Returns:
        The path of ``digits.csv``.

    Raises:
        UserError: Where ``folder`` is a file.
        OSError: Where the system refuses.
    """
    from PIL import Image

    from labelwise.annotations import simulate
    from labelwise.data import digits_canvases, digits_features

    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: give a folder for the digits")
    folder.mkdir(parents=True, exist_ok=True)
    make_folder(folder / PICTURES)
    images, truth, labels = digits_canvases(n, seed=seed)
    features = digits_features(images, filters=filters, seed=seed)
    given = simulate.single_positive(truth, seed=seed)
    items = [f"{PICTURES}/{i:04}.png" for i in range(n)]
    for item, image in zip(items, images, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, format="PNG")
        # Not flushed one by one, as a table is: a thousand pictures would wait for the disk a thousand times.
        (folder / item).write_bytes(file.getvalue())
    header = ["item", *(f"f{k}" for k in range(filters)), *labels]
    values = [[f"{value:.4f}" for value in row] for row in features]
    states = np.where(given == 1, "1", "")
    write(folder / TABLE, _text(header, ([i, *x, *y] for i, x, y in zip(items, values, states, strict=True))))
    write(
        folder / TRUTH,
        _text(["item", *labels], ([i, *y] for i, y in zip(items, truth.tolist(), strict=True))),
    )
    return folder / TABLE


def _text(header: list[str], rows: object) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)  # type: ignore[arg-type]
    return text.getvalue()

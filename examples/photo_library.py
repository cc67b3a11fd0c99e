"""A photo library: albums say one thing of each picture, a short list says everything of a few.

Draws landscapes into ``photos/ALBUM/``, trains on what albums and ``complete.csv`` say, and tags the pictures that lie
in no album. Pictures of your own: leave ``draw_library`` out.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

import labelwise as lw

TAGS = ["boat", "house", "moon", "snow", "sun", "tree"]


def draw_scene(there, rng):
    """Return a small landscape that shows the given tags."""
    picture = Image.new("RGB", (128, 96), (34, 44, 92) if "moon" in there else (158, 204, 238))
    draw, ground = ImageDraw.Draw(picture), (238, 242, 247) if "snow" in there else (104, 156, 92)
    draw.rectangle((0, 58, 128, 96), ground)
    x, *spots = rng.integers(0, 12) + rng.permutation([4, 44, 84])
    if "sun" in there or "moon" in there:
        draw.ellipse((x + 4, 8, x + 26, 30), (250, 204, 64) if "sun" in there else (226, 230, 240))
    if "boat" in there:
        draw.rectangle((0, 80, 128, 96), (52, 104, 164))
        draw.polygon([(x, 78), (x + 32, 78), (x + 25, 88), (x + 7, 88)], (122, 64, 38))
        draw.polygon([(x + 15, 48), (x + 15, 75), (x + 31, 75)], (246, 246, 240))
    if "house" in there:
        left = spots[0]
        draw.rectangle((left, 44, left + 28, 68), (206, 116, 84))
        draw.polygon([(left - 4, 44), (left + 14, 28), (left + 32, 44)], (112, 44, 40))
    if "tree" in there:
        left = spots[1]
        draw.rectangle((left + 12, 54, left + 17, 72), (98, 66, 42))
        draw.ellipse((left, 24, left + 28, 58), (40, 98, 58))
    return Image.fromarray(
        np.clip(np.asarray(picture) + rng.normal(0, 6, (96, 128, 3)), 0, 255).astype("uint8")
    )


def draw_library(albums, loose, listed, rng):
    """Write the pictures, and complete.csv about some of those in albums; return what is on each."""
    truth = {}
    for i in range(albums + loose):
        there = [tag for tag in TAGS if rng.random() < 0.35 and tag != "moon"] or ["tree"]
        there = ["moon" if tag == "sun" and rng.random() < 0.5 else tag for tag in there]
        path = Path("photos", str(rng.choice(there)) if i < albums else "unsorted", f"{i:03}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_scene(there, rng).save(path)
        truth[path.name] = there
    rows = [{"photo": name, "tags": ";".join(there)} for name, there in list(truth.items())[:listed]]
    pd.DataFrame(rows).to_csv("complete.csv", index=False)
    return truth


truth = draw_library(albums=130, loose=40, listed=30, rng=np.random.default_rng(0))

# An album says one thing of a picture, and nothing of all others: they stay unknown (-1), they are not "no".
paths = sorted(Path("photos").rglob("*.png"))
Y = np.array([[1 if path.parent.name == tag else -1 for tag in TAGS] for path in paths])
# A complete list also says what is not there.
complete = pd.read_csv("complete.csv", index_col="photo")["tags"].str.split(";").to_dict()
for row, path in enumerate(paths):
    if path.name in complete:
        Y[row] = [tag in complete[path.name] for tag in TAGS]
print(lw.describe(Y, TAGS))

# Every picture is read once by a network that knows photographs; the head on its features takes a second.
loose = [row for row, path in enumerate(paths) if path.parent.name == "unsorted"]
kept = [row for row in range(len(paths)) if row not in loose]
known, asked = ([str(paths[row]) for row in rows] for rows in (kept, loose))
model = lw.MultiLabelClassifier("ridge", "efficientnet-lite0", image_size=64)
model.fit(known, Y[kept], label_names=TAGS)
names = model.predict_names(asked)
for file, tags in list(zip(asked, names))[:5]:
    print(f"{Path(file).name}: {', '.join(tags)}")

# Only because the pictures were drawn is the truth at hand; label a hundred of your own to know as much.
wanted = np.array([[tag in truth[Path(file).name] for tag in TAGS] for file in asked]).astype(int)
missing_is_no = lw.MultiLabelClassifier("ridge", "efficientnet-lite0", image_size=64)
missing_is_no.fit(known, np.maximum(Y[kept], 0), label_names=TAGS)
for name, fitted in (("unknown is unknown", model), ("missing is no", missing_is_no)):
    figures = fitted.evaluate(asked, wanted)
    print(f"{name:18}  mAP {figures['map']:.2f}  micro-F1 {figures['micro_f1']:.2f}")

"""Pictures and texts from files, by the commands alone: train on 10% labelled, evaluate.

`python -m benchmarks.studies.raw_items [--parts pictures texts tuned] [--work DIR]` reads VOC12-animals and GoEmotions
from LABELWISE_DATA, writes the tables that a user would have (paths and tags, or texts and labels; nine rows in ten
without any label), runs the commands that `docs/results/raw_items.md` shows, and writes table and page, with `--write`
those that are committed. For pictures the same labels are also trained on the stored EfficientNet-Lite0 features: the
two mAP should agree to .01.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import labelwise as lw
from benchmarks.common import RESULTS, ROOT, data_folder, place, read_rows, script_parser, write_rows
from benchmarks.local import sets
from benchmarks.pages import publish_regions, table

PAGE = ROOT / "docs" / "results" / "raw_items.md"
TABLE = RESULTS / "raw_items.csv"
MAIN = [sys.executable, "-c", "from labelwise.cli import main; main()"]
METHODS = ("ridge", "bbam", "hml")
TUNED = ("hml",)
FIELDS = [
    "set",
    "method",
    "map",
    "micro_f1",
    "macro_f1",
    "stored",
    "seconds",
    "evaluated",
    "train",
    "evaluate",
]


def command(*words: str, cwd: Path) -> tuple[str, dict, float]:
    """Run `labelwise` with --json in `cwd`; return the command as a user types it, its answer and its seconds."""
    start = time.perf_counter()
    done = subprocess.run(
        [*MAIN, *words, "--json"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"labelwise {' '.join(words)}\n{done.stderr}")
    return f"labelwise {' '.join(words)}", json.loads(done.stdout), time.perf_counter() - start


def write_table(path: Path, column: str, items: list[str], labels: np.ndarray, names: list[str]) -> None:
    """Write one row an item: its path or text, and its labels' names; no cell where nobody looked."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([column, "tags"])
        for item, row in zip(items, labels, strict=True):
            known = ";".join(names[k] for k in np.flatnonzero(row == 1))
            writer.writerow([item, known])


def pictures(data: Path, work: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Write train.csv and val.csv of VOC12-animals; return the picture folder and the stored features."""
    with np.load(data / "voc12_subset" / "voc12_animal_lite0.npz") as file:
        stored = {key: file[key] for key in ("X", "Y", "names", "split", "label_names")}
    names = [str(name) for name in stored["label_names"]]
    train, val = (np.flatnonzero(stored["split"] == part) for part in ("train", "val"))
    seen = lw.simulate.semi_supervised(
        stored["Y"][train].astype(np.int8), labelled_fraction=0.1, seed=1, rule="cap"
    )
    stored |= {"seen": seen, "train": train, "val": val}
    files = [f"{name}.jpg" for name in stored["names"]]
    write_table(work / "train.csv", "image", [files[i] for i in train], seen, names)
    write_table(work / "val.csv", "image", [files[i] for i in val], stored["Y"][val], names)
    return data / "voc12_subset" / "JPEGImages", stored


def texts(data: Path, work: Path) -> None:
    """Write train.csv and test.csv of GoEmotions."""
    names = (data / "goemotions" / "labels.txt").read_text(encoding="utf-8").split()
    for part in ("train", "test"):
        strings, labels = sets.comments(part)
        if part == "train":
            labels = lw.simulate.semi_supervised(labels, labelled_fraction=0.1, seed=1, rule="cap")
        write_table(work / f"{part}.csv", "text", strings, labels, names)


def stored_map(stored: dict[str, np.ndarray], method: str) -> float:
    """Train on the stored features of the same pictures, by the same labels; return the mAP on the same test rows.

    The labels are those with a tag in the training table: a column of tags tells of no others.
    """
    X, tagged = stored["X"].astype(np.float32), (stored["seen"] == 1).any(0)
    model = lw.MultiLabelClassifier(method).fit(X[stored["train"]], stored["seen"][:, tagged])
    scores = model.decision_scores(X[stored["val"]])
    truth = stored["Y"][stored["val"]][:, tagged].astype(np.int8)
    return float(lw.metrics.mean_average_precision(truth, scores))


def train_and_judge(
    work: Path, options: list[str], method: str, test: str, out: str, extra: list[str]
) -> dict:
    """Train one method by the command line, if that was not done before, and evaluate it."""
    tags = ["--labels-column", "tags", "--unlisted", "absent"]
    words = ["train", "train.csv", *options, *tags, "--method", method, *extra, "--out", out]
    if (work / out).exists():
        _, done, _ = command("train", out, "--resume", cwd=work)
        asked, spent = f"labelwise {' '.join(words)}", float(done["seconds"])
    else:
        asked, _, spent = command(*words, cwd=work)
    judged, found, after = command("evaluate", out, test, cwd=work)
    return {
        "train": asked,
        "evaluate": judged,
        "seconds": spent,
        "evaluated": after,
        **found["figures"]["metrics"],
    }


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--parts", nargs="*", default=["pictures", "texts", "tuned"])
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    data, work = data_folder(), given.work or Path(tempfile.mkdtemp())
    rows: list[dict] = []
    if {"pictures", "tuned"} & set(given.parts):
        folder = work / "voc12-animals"
        folder.mkdir(parents=True, exist_ok=True)
        source, stored = pictures(data, folder)
        link = folder / "photos"
        if not link.exists():
            link.symlink_to(source)
        look = ["--images", "photos/", "--backbone", "efficientnet-lite0"]
        if "pictures" in given.parts:
            for method in METHODS:
                row = train_and_judge(folder, look, method, "val.csv", f"runs/{method}", [])
                rows.append(
                    {"set": "VOC12-animals", "method": method, **row, "stored": stored_map(stored, method)}
                )
                print(method, rows[-1]["map"], rows[-1]["stored"], f"{row['seconds']:.1f} s", flush=True)
        if "tuned" in given.parts:
            for method in TUNED:
                extra = ["--tune", "all", "--epochs", "3", "--validation", "none"]
                row = train_and_judge(folder, look, method, "val.csv", f"runs/{method}-all", extra)
                rows.append({"set": "VOC12-animals, whole network", "method": method, **row})
                print(method, "all", rows[-1]["map"], f"{row['seconds']:.1f} s", flush=True)
    if "texts" in given.parts:
        folder = work / "goemotions"
        folder.mkdir(parents=True, exist_ok=True)
        texts(data, folder)
        for method in METHODS:
            row = train_and_judge(folder, ["--backbone", "minilm"], method, "test.csv", f"runs/{method}", [])
            rows.append({"set": "GoEmotions", "method": method, **row})
            print(method, rows[-1]["map"], f"{row['seconds']:.1f} s", flush=True)
    path = place(given, TABLE)
    # Sets that were not run again keep their rows.
    kept = [row for row in read_rows(path) if row["set"] not in {r["set"] for r in rows}]
    new = [{k: f"{v:.4f}" if isinstance(v, float) else v for k, v in r.items() if k in FIELDS} for r in rows]
    write_rows(path, [dict.fromkeys(FIELDS, "") | row for row in (*kept, *new)])
    publish_regions(PAGE, path, regions(read_rows(path)), write=given.write)


def regions(found: list[dict[str, str]]) -> dict[str, str]:
    """Return the table of each set, and the commands that made it."""
    made = {}
    for name in dict.fromkeys(row["set"] for row in found):
        rows = [row for row in found if row["set"] == name]
        cells = [
            [*(row[k] for k in ("method", "map", "stored", "micro_f1", "macro_f1"))]
            + [f"{float(row[k]):.1f}" for k in ("seconds", "evaluated")]
            for row in rows
        ]
        head = ["method", "mAP", "mAP, stored", "micro-F1", "macro-F1", "train, s", "evaluate, s"]
        commands = [line for row in rows for line in (row["train"], row["evaluate"])]
        slug = name.lower().replace(", ", "-").replace(" ", "-")
        made[slug] = "\n".join([*table(head, cells), "", "```", *commands, "```"])
    return made


if __name__ == "__main__":
    main()

"""What the labels' names add to ridge, and what they tell alone: GoEmotions by MiniLM, with and without words beside.

`python -m benchmarks.studies.names [--settings ...] [--seeds 3]` reads LABELWISE_DATA, solves ridge on the 8,000
comments of `benchmarks.auto`, adds scores by name at the weight that left-out scores give (`ensemble.NameScores`, no
gate), and writes one row a setting and seed: test mAP on 3,000 comments, left-out mAP of the labels that have both
signs, and the weight of names of the rarest and the most frequent label, in deviations of their targets. It prints the
zero-shot mAP by each template and by all of them first.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.auto import grid
from benchmarks.common import RESULTS, data_folder, place, script_parser, show, write_rows
from benchmarks.local import sets
from labelwise.embedding import TEMPLATES, label_vectors
from labelwise.ensemble import KnownEntries, LabelVectors, NameScores
from labelwise.metrics import mean_average_precision
from labelwise.models import Words, side_by_side, solve_ridge

TABLE = RESULTS / "names.csv"
CACHE = Path("runs", "embeddings")
SETTINGS = ("5% labelled", "10% labelled", "20% labelled", "single positive")


@cache
def comments() -> dict[str, Any]:
    """Return features by source and labels of both parts, and the labels' names."""
    parts = {part: grid.sample(part, rows) for part, rows in (("train", grid.ROWS), ("test", grid.TEST_ROWS))}
    dense = {
        part: sets.embedded(text, CACHE / f"goemotions_{part}_{len(text)}.npy")
        for part, (text, _) in parts.items()
    }
    words = Words.fit(parts["train"][0])
    return {
        "minilm": dense,
        "minilm+words": {
            part: side_by_side({"minilm": dense[part], "words": words.transform(text)})
            for part, (text, _) in parts.items()
        },
        "labels": {part: labels for part, (_, labels) in parts.items()},
        "names": (data_folder() / "goemotions" / "labels.txt").read_text(encoding="utf-8").split(),
    }


def zero_shot(vectors: np.ndarray) -> float:
    """Return the test mAP of scores by name alone."""
    given = comments()
    unknown = KnownEntries.of(np.full((grid.ROWS, len(given["names"])), -1, np.int8))
    names = NameScores.fit(
        given["minilm"]["train"], unknown, np.zeros_like(unknown.targets), LabelVectors(vectors)
    )
    return float(mean_average_precision(given["labels"]["test"], names.scores(given["minilm"]["test"])))


def compare(backbone: str, setting: str, seed: int, vectors: np.ndarray) -> dict[str, Any]:
    """Return the record of ridge with and without names."""
    given = comments()
    X, test, truth = *given[backbone].values(), given["labels"]["test"]
    seen = sets.hide(given["labels"]["train"], sets.job("goemotions", setting, "ridge", seed, grid.ROWS))
    solution, known = solve_ridge(X, seen), KnownEntries.of(seen)
    left_out, outputs = solution.loo_scores[known.rows], solution.predict(test)
    block = "minilm" if backbone != "minilm" else None
    names = NameScores.fit(X, known, left_out, LabelVectors(vectors, block=block))
    both = np.flatnonzero(known.both)
    left_out_named = names.added(left_out, names.scores(X[known.rows]))
    targets = known.targets[:, both].astype(np.int8)
    pairs = {
        "test": (truth, outputs, names.added(outputs, names.scores(test))),
        "left out": (targets, left_out[:, both], left_out_named[:, both]),
    }
    record: dict[str, Any] = {"backbone": backbone, "setting": setting, "seed": seed}
    for where, (labels, *scores) in pairs.items():
        ridge, added = (float(mean_average_precision(labels, one)) for one in scores)
        record |= {f"{where}, ridge": f"{ridge:.4f}", f"{where}, names": f"{added:.4f}"}
    deviation = np.sqrt(known.means * (1 - known.means))
    order = both[np.argsort(known.positives[both], kind="stable")]
    weights = names.weight[order] / deviation[order]
    return record | {"weight, rarest": f"{weights[0]:.3f}", "weight, most frequent": f"{weights[-1]:.3f}"}


def records(
    settings: list[str], seeds: int, backbones: list[str], vectors: np.ndarray
) -> Iterator[dict[str, Any]]:
    for backbone in backbones:
        for setting in settings:
            for seed in range(seeds):
                yield compare(backbone, setting, seed, vectors)


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--backbones", nargs="+", default=["minilm", "minilm+words"])
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    names = comments()["names"]
    for template in TEMPLATES["text"]:
        alone = sets.embed([template.format(name) for name in names])
        print(f"zero-shot by {template!r}: {zero_shot(alone):.4f}", flush=True)
    vectors = label_vectors(names, sets.embed, kind="text")
    print(f"zero-shot by all templates: {zero_shot(vectors):.4f}", flush=True)
    found = []
    for record in records(given.settings, given.seeds, given.backbones, vectors):
        found.append(record)
        write_rows(place(given, TABLE), found)
        show(record)


if __name__ == "__main__":
    main()

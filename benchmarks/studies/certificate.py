"""What 200 answers certify: entries filled at precision .9, and their true precision.

Tables of which the whole truth is known: VOC12-animals with one tag a picture, and 8,000 comments of GoEmotions, scene
and yeast with half of the tags hidden, each by a coin. Scores are `ridge`'s leave-one-out ones (`features`;
`minilm+words` of comments). Answers are those of the truth, asked in the default order (`completion.next_to_certify`,
20 at a time).

There are 20 repetitions, hidden labels and random orders of asking; 5 of the claim "unasked", which no bar is of. The
pilot's settings were chosen on the first two hidings of VOC12-animals and GoEmotions; no choice looked at scene and
yeast, which say whether the promise holds elsewhere. Figures: entries filled (confirmed and unasked), true precision of
all that is filled and of the unasked alone, the share of the missing positives that are filled, and the same
for labels with an average precision above .8 (of the scores, on all rows), and above .8 among the entries that were
unknown.

    python -m benchmarks.studies.certificate --write
    python -m benchmarks.studies.certificate --sets scene yeast --write     # the rows of other sets stay
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from benchmarks.common import RESULTS, UNCOMMITTED, place, read_rows, script_parser, write_rows
from benchmarks.local.sets import comments, load
from labelwise._random import generator
from labelwise.annotations import simulate
from labelwise.completion import Answer, Answers, certify, left_out_scores, next_to_certify
from labelwise.metrics import average_precision

COMMITTED = RESULTS / "certificate.csv"
ROWS, ANSWERS, BATCH, HIDINGS, ORDERS = 8_000, 200, 20, 4, 5
CLAIMS = ("filled", "unasked")
KEY = ("set", "hidden", "order", "claim")
CHOSEN_ON, UNSEEN = ("voc12_animals", "goemotions"), ("scene", "yeast")


def hidden(name: str, seed: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return items, true labels, and the labels that are left."""
    if name == "goemotions":
        text, Y = comments("train")
        kept = np.sort(generator(0, "goemotions").permutation(len(text))[:ROWS])
        X, Y = [text[i] for i in kept], Y[kept]
    else:
        X, Y, X_test, Y_test = load(name)
        X, Y = np.concatenate([X, X_test]), np.concatenate([Y, Y_test])
    if name == "voc12_animals":
        return X, Y, simulate.single_positive(Y, seed=seed)
    coin = np.random.default_rng(seed).random(Y.shape) < 0.5
    return X, Y, np.where((Y == 1) & coin, 1, -1).astype(np.int8)


def scored(name: str, seed: int, cache: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return left-out scores, true labels, and the labels that are left; scores are kept in ``cache``."""
    from labelwise import MultiLabelClassifier

    X, Y, left = hidden(name, seed)
    path = cache / f"{name}-{seed}.npy"
    if not path.exists():
        model = MultiLabelClassifier("ridge", "minilm+words" if name == "goemotions" else "features")
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, left_out_scores(model.fit(X, left), X, left).logits.astype(np.float32))
    return expit(np.load(path).astype(np.float64)), Y, left


def asked(scores: np.ndarray, Y: np.ndarray, left: np.ndarray, order: int, claim: str) -> Any:
    """Return the certificate after 200 answers in the default order."""
    names = [f"label_{k}" for k in range(Y.shape[1])]
    answers: list[Answer] = []
    while True:
        certificate = certify(scores, left, Answers(tuple(answers)), seed=order, claim=claim)
        if len(answers) >= ANSWERS:
            return certificate
        rows, columns = next_to_certify(certificate.plan, min(BATCH, ANSWERS - len(answers)))
        for row, k in zip(rows.tolist(), columns.tolist(), strict=True):
            answers.append(Answer(str(row), names[k], int(Y[row, k]), time="2026-01-01T00:00:00+00:00"))


def measure(name: str, seed: int, order: int, claim: str, cache: Path) -> dict[str, Any]:
    scores, Y, left = scored(name, seed, cache)
    certificate = asked(scores, Y, left, order, claim)
    new, missing = (certificate.filled() == 1) & (left == -1), (Y == 1) & (left == -1)
    unasked = Y[certificate.rows, certificate.columns]
    ap = average_precision(Y, scores)
    ap_unknown = average_precision(np.where(left == -1, Y, -1).astype(np.int8), scores)
    good, good_unknown = np.nan_to_num(ap) > 0.8, np.nan_to_num(ap_unknown) > 0.8

    def found(labels: np.ndarray) -> float | str:
        return (
            round(float((new & missing)[:, labels].sum() / missing[:, labels].sum()), 4)
            if labels.any()
            else ""
        )

    return {
        "set": name,
        "claim": claim,
        "hidden": seed,
        "order": order,
        "missing": int(missing.sum()),
        "filled": int(new.sum()),
        "unasked": len(unasked),
        "lower": "" if np.isnan(certificate.lower) else round(certificate.lower, 4),
        "precision": round(float(Y[new].mean()), 4),
        "precision_unasked": round(float(unasked.mean()), 4) if len(unasked) else "",
        "recall": found(np.ones(Y.shape[1], dtype=bool)),
        "good_labels": int(good.sum()),
        "recall_good": found(good),
        "good_labels_unknown": int(good_unknown.sum()),
        "recall_good_unknown": found(good_unknown),
    }


def cases() -> Iterator[tuple[str, int, int, str]]:
    for claim in CLAIMS:
        for name in (*CHOSEN_ON, *(UNSEEN if claim == "filled" else ())):
            for seed in range(HIDINGS if claim == "filled" else 1):
                for order in range(ORDERS):
                    yield name, seed, order, claim


def summary(rows: list[dict[str, Any]]) -> str:
    """Return the means over repetitions, and how many keep their promise."""
    lines = []
    for claim in CLAIMS:
        for name in (*CHOSEN_ON, *UNSEEN):
            part = [row for row in rows if row["set"] == name and row["claim"] == claim]
            if not part:
                continue

            def mean(key: str, part: list[dict[str, Any]] = part) -> float:
                values = [float(row[key]) for row in part if row[key] != ""]
                return float(np.mean(values)) if values else np.nan

            kept = sum(float(row["precision"]) >= 0.9 for row in part)
            kept_unasked = sum(
                row["precision_unasked"] == "" or float(row["precision_unasked"]) >= 0.9 for row in part
            )
            lines.append(
                f"{name}, claim {claim}: filled {mean('filled'):.0f} of {mean('missing'):.0f} missing"
                f" ({mean('unasked'):.0f} unasked); precision {mean('precision'):.3f}, at least .9 in {kept} of"
                f" {len(part)}; unasked {mean('precision_unasked'):.3f}, at least .9 in {kept_unasked}; missing"
                f" positives filled {mean('recall'):.3f}, of labels with AP above .8 {mean('recall_good'):.3f}"
                f" (AP above .8 among unknown entries: {mean('recall_good_unknown'):.3f})"
            )
    return "\n".join(lines)


def main() -> None:
    parser = script_parser(__doc__, COMMITTED)
    parser.add_argument("--cache", type=Path, default=UNCOMMITTED / "certificate")
    parser.add_argument("--sets", nargs="+", choices=(*CHOSEN_ON, *UNSEEN), default=(*CHOSEN_ON, *UNSEEN))
    given = parser.parse_args()
    committed = {tuple(str(row[name]) for name in KEY): row for row in read_rows(COMMITTED)}
    rows = []
    for case in cases():
        if case[0] not in given.sets:
            rows += [committed[key]] if (key := tuple(map(str, case))) in committed else []
            continue
        rows.append(measure(*case, given.cache))
        print(rows[-1], flush=True)
    write_rows(place(given, COMMITTED), rows)
    print(summary(rows))


if __name__ == "__main__":
    main()

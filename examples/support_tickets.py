"""Support tickets: a few hundred are tagged by hand, in a column of names; the rest wait.

Writes ``tickets.csv`` with made-up mails, trains on the tagged ones, tags those that wait, and lists the given
tags that the model doubts. Tickets of your own: leave ``write_tickets`` out.
"""

from itertools import product

import numpy as np
import pandas as pd

import labelwise as lw
from labelwise.completion import left_out_scores
from labelwise.data import TableOptions, read_table

SAID = {
    "billing": [
        "I was charged {} for one order",
        "the invoice {} shows a wrong amount",
        "my card was debited {}",
    ],
    "delivery": [
        "the parcel has not arrived {}",
        "the courier came {} and left",
        "tracking has not moved {}",
    ],
    "damaged": ["the lid was cracked {}", "it came in pieces {}", "the screen has a scratch {}"],
    "login": [
        "I cannot sign in {}",
        "the code to reset my password never comes {}",
        "my account is locked {}",
    ],
    "refund": ["please send the money back {}", "I return it and want to be paid back {}", "cancel it {}"],
}
WHEN = ["since Monday", "again", "twice", "as I told you in May", "although I paid extra", "this morning"]
TAGS = list(SAID)


def write_tickets(n, tagged, rng):
    """Write n mails, the first of them tagged, the very first of them wrongly; return a frame of what each is about."""
    phrases = {tag: [said.format(when) for said, when in product(SAID[tag], WHEN)] for tag in TAGS}
    truth, rows = (rng.random((n, len(TAGS))) < 0.3).astype(int), []
    for i, about in enumerate(truth):
        said = [str(rng.choice(phrases[tag])) for tag, there in zip(TAGS, about) if there]
        text = f"Hello, {' and '.join(rng.permutation(said)) or 'thank you for your help'}."
        given = about if i else 1 - about
        names = ";".join(tag for tag, there in zip(TAGS, given) if there) or "[]"
        rows.append({"id": i, "text": text, "tags": names if i < tagged else ""})
    pd.DataFrame(rows).to_csv("tickets.csv", index=False)
    return pd.DataFrame(truth, columns=TAGS)


truth = write_tickets(n=240, tagged=120, rng=np.random.default_rng(0))

# Somebody read each tagged ticket to its end: what a list does not name is absent; an empty cell says nothing.
table = read_table("tickets.csv", TableOptions(labels_column="tags", unlisted="absent"))
labels = table.annotations
print(lw.describe(labels))

# MiniLM reads the sense of each text once, TF-IDF its words; ridge weighs the two by leave-one-out.
model = lw.MultiLabelClassifier("ridge", "minilm+words").fit(table.contents, labels)
print(model.rule_source_)
new = [
    "the courier left a box that was broken",
    "you took the money twice",
    "my password does not work, pay me back",
]
names_of = model.predict_names(new)
for text, names in zip(new, names_of):
    print(f"{text}: {', '.join(names) or 'no tag'}")

# Of the first ticket every tag is wrong: models that did not see a row doubt what was given.
left_out = left_out_scores(model, table.contents, labels)
doubted = lw.find_label_issues(labels.matrix, left_out.scores, return_indices_ranked_by="self_confidence")
for row, column in doubted[:5]:
    print(f"ticket {row}: is it {'' if labels.matrix[row, column] else 'not '}{labels.label_names[column]}?")

# Only because the tickets are made up is the truth of those that wait at hand. A frame's columns are matched by name.
waiting = [text for text, row in zip(table.contents, labels.matrix) if row[0] == -1]
print(f"mAP {model.score(waiting, truth[-len(waiting) :]):.2f} on the {len(waiting)} tickets that wait")

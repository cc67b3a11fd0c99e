"""Files out of a review and back in: answers with their history, and the table with answers entered."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from labelwise.completion import Answers
from labelwise.errors import UserError, listed
from labelwise.web.review import Review


def answers_csv(review: Review) -> bytes:
    """Return the history of answers as a CSV file."""
    with tempfile.TemporaryDirectory(prefix="labelwise-") as folder:
        path = Path(folder) / "answers.csv"
        review.store.answers().write(path)
        return path.read_bytes()


def bring_in(review: Review, content: bytes) -> dict[str, Any]:
    """Add the answers of a CSV file to those of the review.

    Answers that are there already are not added again. Nothing is added where an item or a label is not the run's.

    Raises:
        UserError: For what is no such file, and for items and labels that the run does not have, counted and named.
        CannotStore: Where they cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="labelwise-") as folder:
        path = Path(folder) / "answers.csv"
        path.write_bytes(content)
        try:
            answers = Answers.read(path)
        except UserError as error:
            raise UserError(str(error).replace(str(path), "the file")) from None
    items, labels = set(review.data.items), set(review.labels)
    strange_items = sorted({row.item for row in answers.rows} - items)
    strange_labels = sorted({row.label for row in answers.rows} - labels)
    if strange_items or strange_labels:
        parts = [f"{len(strange_items):,} items ({listed(strange_items, 3)})"] if strange_items else []
        parts += [f"{len(strange_labels):,} labels ({listed(strange_labels, 3)})"] if strange_labels else []
        raise UserError(
            f"{' and '.join(parts)} of the file are not of this run: nothing was brought in; add missing labels on the"
            " page first, and take out rows of other items"
        )
    new = review.bring_in(answers.rows)
    same = len(answers) - new
    return {
        "new": new,
        "words": f"{new:,} answers brought in" + (f", {same:,} were here already" if same else ""),
    }


def table_file(review: Review) -> tuple[str, bytes, tuple[str, ...]]:
    """Return the run's table in its own format with the answers entered: its name, its content, and notes."""
    from labelwise.runs.reviewing import table_with_answers

    matrix, _ = review.matrix()
    with tempfile.TemporaryDirectory(prefix="labelwise-") as folder:
        path = Path(folder) / review.data.table.name
        notes = table_with_answers(review.data, matrix, review.labels, path)
        return path.name, path.read_bytes(), notes

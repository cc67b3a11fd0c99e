"""A finished run's model, sent to a model hub or written as it would be sent."""

from __future__ import annotations

from pathlib import Path

from labelwise.errors import UserError
from labelwise.runs.card import background_of
from labelwise.runs.directory import RunDirectory
from labelwise.runs.tables import read_model


def push(
    run: str | Path,
    repo: str | None = None,
    *,
    out: str | Path | None = None,
    private: bool = False,
    license: str | None = None,
    revision: str | None = None,
) -> str:
    """Send a run's model, its card and the recipe of a server to a repository, or write them to a folder.

    Args:
        run: The run directory.
        repo: ``"owner/name"``; None with ``out``.
        out: A new or empty folder to write to; nothing is sent then.
        private: Whether a new repository is private.
        license: The licence under which the model may be used, as an SPDX identifier.
        revision: A branch; None for the main one.

    Returns:
        The address of the commit, or the folder.

    Raises:
        UserError: For a run that is not finished, and whatever the hub refuses.
    """
    if (repo is None) == (out is None):
        raise UserError("give a repository, 'owner/name', or --out FOLDER to write what would be sent")
    directory = RunDirectory(Path(run))
    state = directory.finished()
    model, _ = read_model(directory, state)
    if out is not None:
        background = background_of(directory, state, Path(out).name)
        return str(model.save_pretrained(out, license=license, background=background))
    background = background_of(directory, state, str(repo))
    return model.push_to_hub(
        str(repo), private=private or None, license=license, revision=revision, background=background
    )

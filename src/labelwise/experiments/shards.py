"""Results on disk: one small file a run, each written whole or not at all, and a lock on their folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from labelwise._files import check_no_links, claim_lock, replacing
from labelwise.errors import UserError

FORMAT = 1
"""The version of shards and of ``results.parquet``; files of another one are refused."""

_PARTS = {
    "key": str,
    "job": dict,
    "version": str,
    "status": str,
    "error": str,
    "measurements": list,
    "facts": dict,
}
"""What a whole shard has at least."""
_STATUS = ("done", "failed", "capped")
_WORDS = ("dataset", "setting", "method", "row", "experiment", "protocol")


def read_shard(path: Path) -> dict[str, Any] | None:
    """Return a shard, None for one that is not there or only partly written; ``UserError`` for another format."""
    try:
        shard = json.loads(path.read_text(encoding="utf-8"))
        # Numbers that are none cannot be written again.
        json.dumps(shard, allow_nan=False)
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if not isinstance(shard, dict) or "format" not in shard:
        return None
    if shard["format"] != FORMAT:
        raise UserError(
            f"{path} has format {shard['format']!r}, this version of labelwise reads {FORMAT}: give another --out, or "
            "use the version that wrote it"
        )
    return shard if _is_whole(shard, path.stem) else None


def _is_whole(shard: Mapping[str, Any], key: str) -> bool:
    """Return whether a shard says all that is read of one, and of the run whose name the file has."""
    if not all(isinstance(shard.get(name), kind) for name, kind in _PARTS.items()):
        return False
    if shard["key"] != key or shard["status"] not in _STATUS:
        return False
    job, measured = shard["job"], shard["measurements"]
    return (
        all(isinstance(job.get(name), str) for name in _WORDS)
        and all(isinstance(job.get(name), dict) for name in ("hyperparameters", "options"))
        and type(job.get("seed")) is int
        and 0 <= job["seed"] < 2**32
        and all(_is_number(job.get(name)) for name in ("labelled_fraction", "positives_fraction"))
        and all(_is_number(shard.get(name)) for name in ("seconds", "memory_mb", "time_cap"))
        and all(isinstance(one, dict) and _is_number(one.get("value")) for one in measured)
        and all(isinstance(one.get(name), str) for one in measured for name in ("metric", "rule"))
    )


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value is None
    return abs(value) < 2**63


def read_shards(out: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the whole shards under ``out``, by file name."""
    for path in sorted((Path(out) / "shards").glob("*.json")):
        shard = read_shard(path)
        if shard is not None:
            yield shard


def write_shard(out: Path, shard: Mapping[str, Any]) -> None:
    """Write a shard under its key."""
    write_text(
        out / "shards" / f"{shard['key']}.json", json.dumps({"format": FORMAT, **shard}, allow_nan=False)
    )


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all, to last through a power cut."""
    with writing(path) as draft:
        draft.write_text(text, encoding="utf-8")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a draft's path, which takes the place of ``path`` at the end; ``UserError`` where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            yield draft
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror or error}: what is done is kept; mend this and give the same command again"
        ) from None


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold ``out`` for this process; ``UserError`` where another holds it. The system frees it if we are killed.

    Links in it are refused: what is written there would go elsewhere.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: give --out a folder")
    check_no_links(out, "a folder of results")
    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            holder = stack.enter_context(claim_lock(out / ".lock"))
        except OSError as error:
            raise UserError(f"{out}: {error.strerror}: give --out a folder that can be written to") from None
        if holder is not None:
            raise UserError(f"another run is writing to {out} ({holder}): wait for it, or give another --out")
        yield

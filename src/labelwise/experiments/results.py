"""Results on disk: shards, ``results.parquet``, locks and merging."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise._files import check_no_links, replacing
from labelwise._locks import claim_lock
from labelwise.errors import UserError
from labelwise.experiments.jobs import Job

if TYPE_CHECKING:
    import pandas as pd


FORMAT = 1
"""Version of shards and of ``results.parquet``; files of another one are refused."""

_FIELDS = {
    "key": str,
    "job": dict,
    "version": str,
    "status": str,
    "error": str,
    "measurements": list,
    "facts": dict,
}
"""Fields that every shard has, and their types."""
_STATUS = ("done", "failed", "capped")
_WORDS = ("dataset", "setting", "method", "row", "experiment", "protocol")


def read_shard(path: Path) -> dict[str, Any] | None:
    """Read a shard; None for one that is missing or partly written.

    Raises:
        UserError: If it has another format.
    """
    try:
        shard = json.loads(path.read_text(encoding="utf-8"))
        # NaN and infinity are read, but could not be written again.
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
    """Return whether a shard is complete and its file rightly named."""
    if not all(isinstance(shard.get(name), kind) for name, kind in _FIELDS.items()):
        return False
    if shard["key"] != key or shard["status"] not in _STATUS:
        return False
    job, measurements = shard["job"], shard["measurements"]
    return (
        all(isinstance(job.get(name), str) for name in _WORDS)
        and all(isinstance(job.get(name), dict) for name in ("hyperparameters", "options"))
        and type(job.get("seed")) is int
        and 0 <= job["seed"] < 2**32
        and all(_is_number(job.get(name)) for name in ("labelled_fraction", "positives_fraction"))
        and all(_is_number(shard.get(name)) for name in ("seconds", "memory_mb", "time_cap"))
        and all(isinstance(one, dict) and _is_number(one.get("value")) for one in measurements)
        and all(isinstance(one.get(name), str) for one in measurements for name in ("metric", "rule"))
    )


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value is None
    # What Parquet holds as a whole number.
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
    """Write a text file, whole or not at all, through power cuts."""
    with writing(path) as draft:
        draft.write_text(text, encoding="utf-8")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield the path of a draft, which replaces ``path`` at the end.

    Raises:
        UserError: If it cannot be written.
    """
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
    """Lock ``out`` for this process.

    The system frees it when the process ends.

    Raises:
        UserError: If another process holds it, if it cannot be written to, or if it has links in it: what is written
            there would go elsewhere.
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


COLUMNS = {
    "experiment": "string",
    "dataset": "string",
    "setting": "string",
    "labelled_fraction": "float64",
    "positives_fraction": "float64",
    "row": "string",
    "method": "string",
    "hyperparameters": "string",
    "options": "string",
    "seed": "int64",
    "protocol": "string",
    "metric": "string",
    "rule": "string",
    "value": "float64",
    "status": "string",
    "error": "string",
    "seconds": "float64",
    "memory_mb": "float64",
    "facts": "string",
    "version": "string",
    "key": "string",
}
"""Columns of the results; ``hyperparameters``, ``options`` and ``facts`` are JSON."""

_OF_JOB = (
    *("experiment", "dataset", "setting", "labelled_fraction", "positives_fraction"),
    *("row", "method", "seed", "protocol"),
)
_FORMAT_KEY = b"labelwise_format"


def collect(out: str | Path) -> pd.DataFrame:
    """Write ``out/results.parquet`` from the shards and return it.

    It has one row per (job, metric, rule); a job that failed or was stopped has one row with its ``status`` and
    ``error``, without metric and value.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [row for shard in read_shards(out) for row in _rows(shard)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), _FORMAT_KEY: str(FORMAT).encode()}
    )
    with writing(Path(out) / "results.parquet") as draft:
        pq.write_table(table, draft)
    return frame


def read_results(path: str | Path) -> pd.DataFrame:
    """Read the results that ``collect`` wrote.

    Raises:
        UserError: For another file or another format.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; 'labelwise experiment' writes one") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path} is no whole Parquet file ({str(error).splitlines()[0]}): write it again"
        ) from None
    version = (table.schema.metadata or {}).get(_FORMAT_KEY)
    if version is None:
        raise UserError(f"{path} holds no results of an experiment: give the results.parquet of one")
    if version.decode() != str(FORMAT):
        raise UserError(
            f"{path} has format {version.decode()}, this version of labelwise reads {FORMAT}: use the version that "
            "wrote it"
        )
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _rows(shard: dict[str, Any]) -> list[dict[str, Any]]:
    job = shard["job"]
    shared = {
        **{name: job[name] for name in _OF_JOB},
        "hyperparameters": json.dumps(job["hyperparameters"], sort_keys=True),
        "options": json.dumps(job["options"], sort_keys=True),
        "facts": json.dumps(shard["facts"], sort_keys=True),
        **{name: shard[name] for name in ("status", "error", "seconds", "memory_mb", "version", "key")},
    }
    measurements = shard["measurements"] or [{"metric": None, "rule": None, "value": None}]
    return [{**shared, **one} for one in measurements]


def merge_results(folders: Sequence[str | Path], out: str | Path) -> dict[str, str]:
    """Copy the results of several folders into ``out``.

    What ``out`` holds already stays; a run that is done there, and equal, is passed over, and one that failed or was
    stopped is replaced. Nothing is written before all of it has been read.

    Returns:
        The status of every run in ``out``, by its key.

    Raises:
        UserError: For a folder without results, a damaged file in one, a run that two folders have, or one that is
            done in ``out`` with another result.
    """
    out, shards = Path(out), dict[str, tuple[Path, dict[str, Any]]]()
    for folder in map(Path, folders):
        if not (folder / "shards").is_dir():
            raise UserError(
                f"{folder} holds no results: give folders that 'labelwise experiment --shard' wrote"
            )
        if out.exists() and folder.resolve() == out.resolve():
            raise UserError(f"{folder} is to be merged into itself: give another --out")
        check_no_links(folder, "a folder of results")
        for key, shard in _read_all(folder).items():
            if key in shards:
                raise UserError(f"{folder} and {shards[key][0]} both have the run {key}: give one of them")
            shards[key] = folder, shard
    with locked(out):
        new = {}
        for key, (folder, shard) in shards.items():
            present = read_shard(out / "shards" / f"{key}.json")
            if present is None or present["status"] != "done":
                new[key] = folder, shard
            elif _content(present) != _content(shard):
                raise UserError(f"{out} has another result of the run {key} than {folder}: give a new --out")
        for key, (folder, shard) in new.items():
            columns = folder / "columns" / f"{key}.csv"
            if columns.is_file():
                with writing(out / "columns" / columns.name) as draft:
                    shutil.copyfile(columns, draft)
            # The shard comes last: whoever finds it finds the run's columns.
            write_shard(out, shard)
        return {shard["key"]: shard["status"] for shard in read_shards(out)}


def _read_all(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the shards of a folder by key; ``UserError`` for damaged ones."""
    shards, damaged = {}, []
    for path in sorted((folder / "shards").glob("*.json")):
        shard = read_shard(path)
        if shard is None or Job.from_dict(shard["job"]).key != path.stem:
            damaged.append(path)
        else:
            shards[path.stem] = shard
    if damaged:
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        raise UserError(
            f"{damaged[0]}{more} cannot be read: delete it, and let the command that made {folder} run it again"
        )
    return shards


def _content(shard: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in shard.items() if name != "format"}, sort_keys=True)

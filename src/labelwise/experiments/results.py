"""All shards of a folder as one table: ``results.parquet``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise.errors import UserError
from labelwise.experiments.shards import FORMAT, read_shards, writing

if TYPE_CHECKING:
    import pandas as pd

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
"""The columns of the results; ``hyperparameters``, ``options`` and ``facts`` are JSON."""

_JOB = (
    "experiment",
    "dataset",
    "setting",
    "labelled_fraction",
    "positives_fraction",
    "row",
    "method",
    "seed",
)
_FORMAT = b"labelwise_format"


def collect(out: str | Path) -> pd.DataFrame:
    """Write ``out/results.parquet`` from the shards and return it: one row per (job, metric, rule).

    A job that failed or was stopped has one row with its ``status`` and ``error``, without metric and value.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [row for shard in read_shards(out) for row in _rows(shard)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _FORMAT: str(FORMAT).encode()})
    with writing(Path(out) / "results.parquet") as draft:
        pq.write_table(table, draft)
    return frame


def read_results(path: str | Path) -> pd.DataFrame:
    """Return the results that ``collect`` wrote; ``UserError`` for another file or another format."""
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
    found = (table.schema.metadata or {}).get(_FORMAT)
    if found is None:
        raise UserError(f"{path} holds no results of an experiment: give the results.parquet of one")
    if found.decode() != str(FORMAT):
        raise UserError(
            f"{path} has format {found.decode()}, this version of labelwise reads {FORMAT}: use the version that "
            "wrote it"
        )
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _rows(shard: dict[str, Any]) -> list[dict[str, Any]]:
    job = shard["job"]
    shared = {
        **{name: job[name] for name in (*_JOB, "protocol")},
        "hyperparameters": json.dumps(job["hyperparameters"], sort_keys=True),
        "options": json.dumps(job["options"], sort_keys=True),
        "facts": json.dumps(shard["facts"], sort_keys=True),
        **{name: shard[name] for name in ("status", "error", "seconds", "memory_mb", "version", "key")},
    }
    measured = shard["measurements"] or [{"metric": None, "rule": None, "value": None}]
    return [{**shared, **one} for one in measured]

"""An experiment in parts: which runs are whose, and several folders of results as one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelwise._files import check_no_links
from labelwise.errors import UserError
from labelwise.experiments.jobs import Job
from labelwise.experiments.shards import locked, read_shard, read_shards, write_shard, writing


def part_of(jobs: Sequence[Job], part: str) -> list[Job]:
    """Return the jobs of a part "i/n", i from 1: n parts are disjoint, hold all jobs, and differ by one at most.

    A job's place is by its key's digest, so that slow methods and large sets are spread over the parts, and whoever
    asks for the same jobs gets the same parts. Jobs of one key are one run, and stay together.

    Raises:
        UserError: For anything else than two whole numbers with 1 <= i <= n.
    """
    told = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", part) if isinstance(part, str) else None
    place, parts = (int(told[1]), int(told[2])) if told else (0, 0)
    if not 1 <= place <= parts:
        raise UserError(f"shard={part!r}: give two whole numbers, such as 1/4 for the first of four parts")
    keys = sorted({job.key for job in jobs}, key=lambda key: (key.rpartition("-")[2], key))
    mine = set(keys[place - 1 :: parts])
    return [job for job in jobs if job.key in mine]


def merge_results(folders: Sequence[str | Path], out: str | Path) -> dict[str, str]:
    """Copy the results of several folders into ``out``, and return what became of each run there, by its key.

    What ``out`` holds already stays; a run that is done there, and equal, is passed over, and one that failed or was
    stopped is replaced. Nothing is written before all of it has been looked through.

    Raises:
        UserError: For a folder without results, a damaged file in one, a run that two folders have, or one that is
            done in ``out`` with another result.
    """
    out, found = Path(out), dict[str, tuple[Path, dict[str, Any]]]()
    for folder in map(Path, folders):
        if not (folder / "shards").is_dir():
            raise UserError(
                f"{folder} holds no results: give folders that 'labelwise experiment --shard' wrote"
            )
        if out.exists() and folder.resolve() == out.resolve():
            raise UserError(f"{folder} is to be merged into itself: give another --out")
        check_no_links(folder, "a folder of results")
        damaged = []
        for path in sorted((folder / "shards").glob("*.json")):
            shard = read_shard(path)
            if shard is None or Job.from_dict(shard["job"]).key != path.stem:
                damaged.append(path)
            elif path.stem in found:
                raise UserError(
                    f"{folder} and {found[path.stem][0]} both have the run {path.stem}: give one of them"
                )
            else:
                found[path.stem] = folder, shard
        if damaged:
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise UserError(
                f"{damaged[0]}{more} cannot be read: delete it, and let the command that made {folder} run it again"
            )
    with locked(out):
        new = {}
        for key, (folder, shard) in found.items():
            there = read_shard(out / "shards" / f"{key}.json")
            if there is None or there["status"] != "done":
                new[key] = folder, shard
            elif _same(there) != _same(shard):
                raise UserError(f"{out} has another result of the run {key} than {folder}: give a new --out")
        for key, (folder, shard) in new.items():
            columns = folder / "columns" / f"{key}.csv"
            if columns.is_file():
                with writing(out / "columns" / columns.name) as draft:
                    shutil.copyfile(columns, draft)
            write_shard(out, shard)
        return {shard["key"]: shard["status"] for shard in read_shards(out)}


def _same(shard: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in shard.items() if name != "format"}, sort_keys=True)

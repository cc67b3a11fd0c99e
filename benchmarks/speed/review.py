"""How fast the review page answers, and whether an answer is ever lost: `python -m benchmarks.speed.review`.

`--items` rows with `--labels` labels are written as a table of features and trained on in closed form; then `labelwise
review` serves the run in a process of its own and a load client asks it over HTTP as pages do: the next 24 cards of a
label, items with all their labels, progress, searches, and answers, each on disk before the reply. Bars at 100,000
items: 100 ms in the median and 300 ms at the 99th percentile.

`--reviewers N --seconds S --kills M` lets N reviewers answer as fast as they can instead, each request sent again under
its own id until it is confirmed, while the server is killed (SIGKILL) M times on the way; then the database is compared
with what was confirmed: no answer may be missing, none there twice.
"""

from __future__ import annotations

import http.client
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np

from benchmarks.common import RESULTS, place, publish, script_parser

PROGRAM = "from labelwise.cli import main; main()"
BARS = {"median_ms": 100.0, "p99_ms": 300.0}


class Client:
    """One page: a kept connection, and the proof that its requests carry."""

    def __init__(self, port: int) -> None:
        self.port, self.connection, self.proof = (
            port,
            http.client.HTTPConnection("127.0.0.1", port, timeout=30),
            "",
        )

    def ask(self, path: str, body: Any = None, **query: Any) -> Any:
        """Send one request and return its JSON; an error of HTTP is an error here."""
        headers = {"x-labelwise": self.proof, "content-type": "application/json"}
        target = f"{path}?{urlencode(query)}" if query else path
        self.connection.request(
            "GET" if body is None else "POST", target, None if body is None else json.dumps(body), headers
        )
        reply = self.connection.getresponse()
        content = reply.read()
        if reply.status != 200:
            raise ConnectionError(f"{reply.status}: {content[:200]!r}")
        return json.loads(content)

    def enter(self) -> Any:
        """Ask for the run, and keep the proof."""
        found = self.ask("/api/run")
        self.proof = found["proof"]
        return found

    def again(self) -> None:
        """Connect anew."""
        self.connection.close()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)


class Server:
    """`labelwise review` in a process of its own; started again at the same port after a kill."""

    def __init__(self, run: Path) -> None:
        self.run, self.port = run, 0
        self.start()

    def start(self) -> None:
        """Start, and wait until it can be reached."""
        command = [sys.executable, "-c", PROGRAM, "review", str(self.run), "--json", "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        lines = ""
        while not lines.endswith("}\n"):
            line = self.process.stdout.readline()
            if not line:
                assert self.process.stderr is not None
                raise RuntimeError(self.process.stderr.read())
            lines += line
        self.port = int(json.loads(lines)["port"])

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.communicate()


def make_run(folder: Path, n_items: int, n_labels: int) -> Path:
    """Return a run on a table of `n_items` rows with 16 features, a tenth of whose entries are known."""
    import pandas as pd

    from labelwise.runs import RunConfig, train

    draw = np.random.default_rng(0)
    X = draw.normal(size=(n_items, 16)).astype(np.float32)
    logits = X @ draw.normal(size=(16, n_labels)) - 2
    Y = (logits + draw.normal(size=logits.shape) > 0).astype(np.float32)
    Y[draw.random(Y.shape) > 0.1] = np.nan
    frame = pd.DataFrame(X, columns=[f"f{k}" for k in range(16)])
    frame.insert(0, "id", [f"item-{i:06}" for i in range(n_items)])
    labels = pd.DataFrame(Y, columns=[f"label {k}" for k in range(n_labels)])
    pd.concat([frame, labels], axis=1).to_parquet(folder / "table.parquet")
    settings = {"table": str(folder / "table.parquet"), "method": "ridge", "device": "cpu"}
    train(RunConfig.build(settings), folder / "run")
    return folder / "run"


def time_requests(server: Server, rounds: int) -> list[dict[str, Any]]:
    """Return the times of each kind of request, one page asking."""
    client = Client(server.port)
    run = client.enter()
    labels = [one["name"] for one in run["labels"]]
    draw, times = random.Random(0), defaultdict[str, list[float]](list)

    def timed(kind: str, path: str, body: Any = None, **query: Any) -> Any:
        began = time.perf_counter()
        found = client.ask(path, body, **query)
        times[kind].append(1000 * (time.perf_counter() - began))
        return found

    for number in range(rounds):
        label = draw.choice(labels)
        order = draw.choice(("likely", "uncertain", "unlikely"))
        cards = timed("24 cards of a label", "/api/entries", label=label, order=order, asker="ann")["entries"]
        for card in cards[:6]:
            answer = {
                "id": uuid.uuid4().hex,
                "item": card["item"],
                "label": label,
                "answer": draw.randint(0, 1),
            }
            timed("one answer, stored", "/api/answers", {"reviewer": "ann", "answers": [answer]})
        timed("progress, all labels", "/api/progress", label=label)
        timed("6 items, all labels", "/api/items", order="likely", size=6, asker="ann")
        if number % 4 == 0:
            timed("undo", "/api/undo", {"id": uuid.uuid4().hex, "reviewer": "ann", "answers": []})
            timed("search, new words", "/api/entries", label=label, search=f"{draw.randint(0, 9999):04}")
        timed("answered yes, a label", "/api/entries", label=label, state="yes")
    rows = [
        {
            "request": kind,
            "n": len(values),
            "median_ms": round(float(np.median(values)), 1),
            "p99_ms": round(float(np.quantile(values, 0.99)), 1),
            "worst_ms": round(max(values), 1),
        }
        for kind, values in times.items()
    ]
    everything = [value for values in times.values() for value in values]
    total = {"request": "all", "n": len(everything), "worst_ms": round(max(everything), 1)}
    total |= {
        "median_ms": round(float(np.median(everything)), 1),
        "p99_ms": round(float(np.quantile(everything, 0.99)), 1),
    }
    return [*rows, total]


def answer_until_told(
    server: Server, name: str, end: float, confirmed: dict[str, tuple[str, str, int]], times: list[float]
) -> None:
    """Answer as one reviewer; a request is sent again under its id until it is confirmed."""
    client, draw = Client(server.port), random.Random(name)
    labels: list[str] = []
    while time.monotonic() < end:
        try:
            if not labels:
                labels = [one["name"] for one in client.enter()["labels"]]
            label = draw.choice(labels)
            cards = client.ask("/api/entries", label=label, asker=name)["entries"]
        except (OSError, http.client.HTTPException):
            client.again()
            labels = []
            time.sleep(0.05)
            continue
        for card in cards:
            one = {"id": uuid.uuid4().hex, "item": card["item"], "label": label, "answer": draw.randint(0, 1)}
            while True:
                began = time.perf_counter()
                try:
                    client.ask("/api/answers", {"reviewer": name, "answers": [one]})
                    # Sent once more on purpose now and then, as a page does that did not hear the reply.
                    if draw.random() < 0.1:
                        client.ask("/api/answers", {"reviewer": name, "answers": [one]})
                    break
                except (OSError, http.client.HTTPException):
                    client.again()
                    time.sleep(0.05)
                    try:
                        client.enter()
                    except (OSError, http.client.HTTPException):
                        client.again()
            times.append(1000 * (time.perf_counter() - began))
            confirmed[one["id"]] = (one["item"], label, one["answer"])
            if time.monotonic() > end:
                break


def answer_in_parallel(run: Path, reviewers: int, seconds: float, kills: int) -> dict[str, Any]:
    """Return what became of the answers of several reviewers, with the server killed on the way."""
    server = Server(run)
    confirmed: dict[str, tuple[str, str, int]] = {}
    times: list[float] = []
    end = time.monotonic() + seconds
    threads = [
        threading.Thread(target=answer_until_told, args=(server, f"reviewer {k}", end, confirmed, times))
        for k in range(reviewers)
    ]
    for thread in threads:
        thread.start()
    for number in range(kills):
        time.sleep(max(0.0, end - seconds + seconds * (number + 1) / (kills + 1) - time.monotonic()))
        server.kill()
        server.start()
    for thread in threads:
        thread.join()
    server.kill()
    with sqlite3.connect(f"file:{run / 'answers.sqlite'}?mode=ro", uri=True) as database:
        stored = database.execute("SELECT id, item, label, answer FROM answers").fetchall()
    counts = Counter(name for name, *_ in stored)
    there = {name: tuple(rest) for name, *rest in stored}
    return {
        "reviewers": reviewers,
        "seconds": seconds,
        "kills": kills,
        "confirmed": len(confirmed),
        "stored": len(stored),
        "lost": sum(name not in there for name in confirmed),
        "changed": sum(there.get(name, one) != one for name, one in confirmed.items()),
        "doubled": sum(count > 1 for count in counts.values()),
        "median_ms": round(float(np.median(times)), 1),
        "p99_ms": round(float(np.quantile(times, 0.99)), 1),
    }


def main() -> None:
    parser = script_parser(__doc__, RESULTS / "review.csv", rounds=100)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--reviewers", type=int, default=0, help="answer in parallel instead")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--kills", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="labelwise-review-") as folder:
        began = time.perf_counter()
        run = make_run(Path(folder), given.items, given.labels)
        print(
            f"{given.items:,} items x {given.labels} labels, trained in {time.perf_counter() - began:.0f} s"
        )
        size = {"items": given.items, "labels": given.labels}
        if given.reviewers:
            rows = [{**size, **answer_in_parallel(run, given.reviewers, given.seconds, given.kills)}]
            name = "review_parallel"
        else:
            began = time.perf_counter()
            server = Server(run)
            print(f"the page answers after {time.perf_counter() - began:.1f} s")
            try:
                rows, name = [{**size, **row} for row in time_requests(server, given.rounds)], "review"
            finally:
                server.kill()
    publish(place(given, RESULTS / f"{name}.csv"), rows)


if __name__ == "__main__":
    main()

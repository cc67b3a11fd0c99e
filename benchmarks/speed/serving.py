"""How fast models are served, and whether a request is ever lost: `python -m benchmarks.speed.serving`.

A run on texts by MiniLM and a closed form is served by `labelwise serve` in a process of its own. The bare network
reads `--texts` texts in batches of 64, sorted by length, with as many threads as there are cores; then clients ask the
server for the same texts, eight a request and one a request, `--clients` at a time, and 200 requests are sent at once.
Bars: the server starts within 8 s by the clock, none of the 200 is lost, and texts a second are at least .8 of the
bare network's.

Beside them, without a bar: the bare network in batches of as many texts as there are clients, as they come, which is
all that clients with one text a request let anybody see at once; and the same client's requests for a fact, for which
nothing is computed.

Bare network and server are timed in turns, since other programs may run beside them: the column `load` says how many
did, on two cores.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, place, publish, script_parser

PROGRAM = "from labelwise.cli import main; main()"
WORDS = [
    "my",
    "card",
    "was",
    "charged",
    "twice",
    "the",
    "invoice",
    "is",
    "wrong",
    "parcel",
    "has",
    "not",
    "arrived",
    "shipping",
    "takes",
    "long",
    "sign",
    "in",
    "locked",
]
START, SHARE, AT_ONCE = 8.0, 0.8, 200


class Server:
    """`labelwise serve` in a process of its own, and the seconds that its start took."""

    def __init__(self, run: Path, *options: str) -> None:
        began = time.perf_counter()
        command = [sys.executable, "-c", PROGRAM, "serve", str(run), "--json", "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        lines = ""
        while not lines.endswith("}\n"):
            line = self.process.stdout.readline()
            if not line:
                assert self.process.stderr is not None
                raise RuntimeError(self.process.stderr.read())
            lines += line
        self.port, self.seconds = int(json.loads(lines)["port"]), time.perf_counter() - began
        self.processor = processor_seconds(self.process.pid)

    def stop(self) -> int:
        """End it as an operator would, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)
        return self.process.returncode


def processor_seconds(process: int) -> float:
    """Return the seconds that a process has had of the processor, as Linux tells them."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def make_texts(n: int) -> list[str]:
    """Return n texts of 5 to 60 words."""
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(WORDS, draw.integers(5, 60))) for _ in range(n)]


def make_run(folder: Path) -> Path:
    """Return a run on 160 texts of three labels, read by MiniLM."""
    import pandas as pd

    from labelwise.runs import RunConfig, train

    texts = make_texts(160)
    frame = pd.DataFrame({"text": texts})
    for word in ("card", "parcel", "locked"):
        frame[f"about {word}"] = [int(word in text) for text in texts]
    frame.to_csv(folder / "texts.csv", index=False)
    settings = {"table": str(folder / "texts.csv"), "method": "ridge", "backbone": "minilm", "device": "cpu"}
    train(RunConfig.build(settings), folder / "run")
    return folder / "run"


def bare_seconds(run: Path, texts: list[str], size: int = 64, *, by_length: bool = True) -> float:
    """Return the seconds of the bare network for all texts, tokens included, without anything of ours around it.

    They come in batches of ``size``, sorted by length or in their own order. It computes by one thread and by one a
    core, and the faster counts: beside other programs that may be the former.
    """
    import torch

    from labelwise.classifier import load
    from labelwise.embedding.pipeline import choose_precision
    from labelwise.models import build_tokenizer

    reader = load(run / "model").reader_
    network, preprocessing = reader.embedder, reader.preprocessing
    assert network is not None
    half = choose_precision("auto", torch.device("cpu"), "text") == "bf16"
    tokenizer = build_tokenizer(preprocessing)  # type: ignore[arg-type]

    def every() -> None:
        ids = sorted(tokenizer.encode(texts), key=len) if by_length else tokenizer.encode(texts)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            for start in range(0, len(ids), size):
                part = ids[start : start + size]
                batch = torch.full((len(part), max(map(len, part))), tokenizer.pad_id)
                for row, one in zip(batch, part, strict=True):
                    row[: len(one)] = torch.tensor(one)
                network(batch)

    took = []
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        every()
        began = time.perf_counter()
        every()
        took.append(time.perf_counter() - began)
    return min(took)


def ask(
    port: int, bodies: list[bytes], clients: int, path: str = "/predict"
) -> tuple[float, list[float], int]:
    """Return the seconds of all requests, those of each, and how many were not answered with 200.

    A path other than the first is asked for without a body.
    """
    seconds, lost = [0.0] * len(bodies), 0
    numbers = iter(range(len(bodies)))
    taking = threading.Lock()

    def client() -> None:
        nonlocal lost
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with taking:
                number = next(numbers, None)
            if number is None:
                break
            began = time.perf_counter()
            if path == "/predict":
                connection.request("POST", path, bodies[number], {"content-type": "application/json"})
            else:
                connection.request("GET", path)
            answer = connection.getresponse()
            said = json.loads(answer.read())
            seconds[number] = time.perf_counter() - began
            wrong = answer.status != 200 or len(said.get("predictions", ())) != bodies[number].count(
                b'"text"'
            )
            with taking:
                lost += wrong
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, seconds, lost


def in_bodies(texts: list[str], size: int) -> list[bytes]:
    """Return texts as bodies of ``size`` items."""
    parts = (texts[start : start + size] for start in range(0, len(texts), size))
    return [json.dumps({"items": [{"text": text} for text in part]}).encode() for part in parts]


def measure(folder: Path, n_texts: int, clients: int, rounds: int) -> list[dict[str, Any]]:
    """Return one row a question."""
    run, texts = make_run(folder), make_texts(n_texts)
    starts, code = [], 0
    for _ in range(rounds):
        server = Server(run)
        starts.append((server.seconds, server.processor))
        code = max(code, abs(server.stop()))
    wall, processor = (median(one) for one in zip(*starts, strict=True))
    rows: list[dict[str, Any]] = [
        {"question": "start, of the processor", "n": rounds, "figure": processor, "unit": "s", "bar": ""},
        {"question": "start, by the clock", "n": rounds, "figure": wall, "unit": "s", "bar": START},
    ]
    server = Server(run)
    try:
        shares: dict[int, list[float]] = {8: [], 1: []}
        rates, few, facts = [], [], []
        for _ in range(rounds):
            for size, own in shares.items():
                bare = bare_seconds(run, texts)
                took, _, lost = ask(server.port, in_bodies(texts, size), clients)
                assert not lost, lost
                own.append(bare / took)
                rates.append(len(texts) / took)
            few.append(bare / bare_seconds(run, texts, clients, by_length=False))
            facts.append(len(texts) / ask(server.port, [b""] * len(texts), clients, "/labels")[0])
        for size, own in shares.items():
            what = f"texts a second beside the bare network, {size} a request"
            rows.append({"question": what, "n": len(texts), "figure": median(own), "unit": "", "bar": SHARE})
        rows.append(
            {"question": "texts a second, best", "n": len(texts), "figure": max(rates), "unit": "", "bar": ""}
        )
        for what, figures in (
            (f"bare network in batches of {clients} as they come, beside batches of 64 by length", few),
            ("requests a second for which nothing is computed", facts),
        ):
            rows.append({"question": what, "n": len(texts), "figure": median(figures), "unit": "", "bar": ""})
        took, each, lost = ask(server.port, in_bodies(texts[:AT_ONCE], 1), AT_ONCE)
        rows.append(
            {"question": "lost of requests at once", "n": AT_ONCE, "figure": lost, "unit": "", "bar": 0}
        )
        late = quantiles(each, n=100)[98] * 1000
        rows.append(
            {"question": "p99 of requests at once", "n": AT_ONCE, "figure": late, "unit": "ms", "bar": ""}
        )
    finally:
        code = max(code, abs(server.stop()))
    rows.append(
        {"question": "exit code after SIGTERM", "n": rounds + 1, "figure": code, "unit": "", "bar": 0}
    )
    load = round(os.getloadavg()[0], 1)
    return [{**row, "figure": round(row["figure"], 3), "load": load} for row in rows]


def main() -> None:
    committed = RESULTS / "serving.csv"
    parser = script_parser(__doc__, committed, rounds=3)
    parser.add_argument("--texts", type=int, default=512, metavar="N", help="texts to ask for [default: 512]")
    parser.add_argument(
        "--clients", type=int, default=16, metavar="N", help="clients at a time [default: 16]"
    )
    given = parser.parse_args()
    path = place(given, committed)
    with tempfile.TemporaryDirectory() as folder:
        publish(path, measure(Path(folder), given.texts, given.clients, given.rounds))


if __name__ == "__main__":
    main()

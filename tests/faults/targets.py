"""What reads what others wrote: each with whole inputs to change, and how an input is used."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from labelwise.errors import UserError
from tests.faults import scenarios

Use = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        opened: A context, of a folder to work in, that yields how an input is used and whole inputs.
        share: Its share of the inputs of the long form.
    """

    opened: Callable[[Path], contextlib.AbstractContextManager[tuple[Use, list[bytes]]]]
    share: float = 1.0


def _table(ending: str) -> Target:
    @contextmanager
    def opened(folder: Path) -> Iterator[tuple[Use, list[bytes]]]:
        from labelwise.annotations import parse_names
        from labelwise.data import read_table
        from labelwise.data.tables.table import read_columns
        from tests.data.tables.test_fuzz import SEEDS

        path = folder / f"t.{ending}"

        def use(data: bytes) -> None:
            path.write_bytes(data)
            columns = read_columns(path)
            for name in [*columns.data][:6]:
                for read in (columns.names, columns.states, columns.numbers):
                    with contextlib.suppress(UserError):
                        read(name)
                with contextlib.suppress(UserError):
                    parse_names(columns.names(name))
            read_table(path)

        yield use, SEEDS[ending]()

    return Target(opened, 1.5)


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


@contextmanager
def _labels(folder: Path) -> Iterator[tuple[Use, list[bytes]]]:
    from labelwise.annotations import describe, names_in, parse, parse_names

    def use(data: bytes) -> None:
        cells = data.decode("utf-8", "surrogateescape").split("\n")[:40]
        for read in (parse_names, names_in):
            with contextlib.suppress(UserError):
                read(cells)
        try:
            given = json.loads(data)
        except (ValueError, RecursionError):
            given = [[_number(cell) for cell in line.split(",")[:6]] for line in cells]
        describe(parse(given))

    whole = [
        b"a;b\nb\n\na;c",
        b'["a","b"]\n[]',
        b"1,0,-1\n0,1,\n1,1,0",
        b"[[1,0],[-1,1]]",
        b'[["a"],["b","c"]]',
        b"a b\nb",
    ]
    yield use, [*whole, b'[{"choices":["a"]},{"choices":[]}]', b"{'a','b'}\n{'c'}", b"a|b\na, b"]


@contextmanager
def _model(folder: Path) -> Iterator[tuple[Use, list[bytes]]]:
    import labelwise
    from labelwise.classifier import artifact

    random_ = np.random.default_rng(0)
    X = random_.normal(size=(40, 4))
    Y = (X[:, :2] > 0).astype(np.int8)
    whole = folder / "whole"
    labelwise.MultiLabelClassifier("bam", epochs=1, device="cpu").fit(X, Y).save(whole)
    record = (whole / "model.json").read_bytes()
    weights = (whole / "weights.safetensors").read_bytes()

    def use(data: bytes) -> None:
        # By its first byte an input is the record, with its checksum made right where it can be, or the weights.
        if data[:1] == b"{":
            (whole / "weights.safetensors").write_bytes(weights)
            with contextlib.suppress(ValueError, RecursionError):
                given = json.loads(data)
                if isinstance(given, dict):
                    given["weights_sha256"] = hashlib.sha256(weights).hexdigest()
                    data = json.dumps({**given, "sha256": artifact._checksum(given)}).encode()
            (whole / "model.json").write_bytes(data)
        else:
            given = json.loads(record)
            given["weights_sha256"] = hashlib.sha256(data).hexdigest()
            (whole / "model.json").write_text(json.dumps({**given, "sha256": artifact._checksum(given)}))
            (whole / "weights.safetensors").write_bytes(data)
        model = labelwise.load(whole)
        assert np.isfinite(model.predict_proba(X[:2])).all()

    yield use, [record, record, weights]


_RECORDS = (
    "run.toml",
    "state.json",
    "evaluation.json",
    "held_out.npz",
    "left_out_scores.npz",
    "copies.npz",
    "history.jsonl",
)


@contextmanager
def _run(folder: Path) -> Iterator[tuple[Use, list[bytes]]]:
    from labelwise import runs
    from labelwise.runs.copies import Sketch
    from labelwise.runs.scoring import kept_row_scores
    from labelwise.runs.tables import read_model

    scenarios.command("complete", scenarios.finished() / "run")
    place = Path(shutil.copytree(scenarios.finished() / "run", folder / "run"))
    wholes = {path.name: path.read_bytes() for path in sorted(place.iterdir()) if path.is_file()}
    wholes.pop("report.html")
    names = sorted(wholes)
    run, table = runs.RunDirectory(place), None

    def use(data: bytes) -> None:
        nonlocal table
        # The last byte says which file an input stands for.
        name, data = names[data[-1] % len(names)] if data else names[0], data[:-1]
        for one, content in wholes.items():
            (place / one).write_bytes(data if one == name else content)
        if table is None:
            from labelwise.data import read_table

            table = read_table(scenarios.finished() / "t.csv")
        refusals = []
        for read in (
            run.config,
            lambda: read_model(run, run.finished()),
            run.figures,
            lambda: run.held_out(60, 2),
            lambda: Sketch.load(place),
            lambda: kept_row_scores(run, table),
        ):
            try:
                read()
            except UserError as refusal:
                refusals.append(refusal)
        if refusals:
            raise refusals[0]

    yield use, [content + bytes([names.index(name)]) for name, content in wholes.items()]


@contextmanager
def _spec(folder: Path) -> Iterator[tuple[Use, list[bytes]]]:
    from labelwise.experiments.loading import load_spec

    path = folder / "spec.toml"

    def use(data: bytes) -> None:
        path.write_bytes(data)
        load_spec(str(path))

    specs = files("labelwise.experiments") / "specs"
    yield use, [one.read_bytes() for one in specs.iterdir() if one.name.endswith(".toml")]


@contextmanager
def _picture(folder: Path) -> Iterator[tuple[Use, list[bytes]]]:
    from PIL import Image

    from labelwise.data.images.decode import Unusable, decode
    from tests.data.images.picture_files import scene

    picture, wholes = Image.fromarray(scene(0)).resize((24, 24)), []
    for name, more in (
        ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("WebP", {}), ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ):  # fmt: skip
        file = io.BytesIO()
        picture.save(file, name, **more)
        wholes.append(file.getvalue())

    def use(data: bytes) -> None:
        try:
            decode(data, most_pixels=1_000_000)
        except Unusable as error:
            raise UserError(str(error)) from None

    yield use, wholes


@contextmanager
def _exchange(folder: Path) -> Iterator[tuple[Use, list[bytes]]]:
    from labelwise.annotations import Annotations
    from labelwise.exchange import FORMATS, LabelledItems, read_labels

    matrix = np.array([[1, 0, -1], [-1, 1, 0], [0, 0, 1]], np.int8)
    items = LabelledItems(
        items=("a.png", "b.png", "c.png"),
        kind="image",
        annotations=Annotations(matrix, ("cat", "dog", "sea")),
        contents=["a.png", "b.png", "c.png"],
    )
    wholes, endings = [], []
    for format_ in FORMATS:
        with contextlib.suppress(UserError):
            source = folder / f"whole{format_.endings[0] if format_.endings else '.json'}"
            format_.write(source, items)
            endings.append((format_.name, source.suffix))
            wholes.append(source.read_bytes() + bytes([len(endings) - 1]))

    def use(data: bytes) -> None:
        name, ending = endings[data[-1] % len(endings)] if data else endings[0]
        for left in folder.glob("given*"):
            left.unlink()
        path = folder / f"given{ending}"
        path.write_bytes(data[:-1])
        refusals = []
        for format_ in (None, name):
            try:
                read_labels(path, format_)
            except UserError as refusal:
                refusals.append(refusal)
        if refusals:
            raise refusals[-1]

    yield use, wholes


@contextmanager
def _answers(folder: Path) -> Iterator[tuple[Use, list[bytes]]]:
    from labelwise.completion import Answer, Answers, AnswerStore

    rows = [Answer(f"i{k}", "a", k % 3 - 1, "Ann", f"2026-01-01T00:00:{k:02d}Z") for k in range(9)]
    with AnswerStore.open(folder / "whole.sqlite") as store:
        store.append(rows)
    whole = (folder / "whole.sqlite").read_bytes()
    text = Answers(tuple(rows)).to_csv().encode()

    def use(data: bytes) -> None:
        for left in folder.glob("given*"):
            left.unlink()
        if data.startswith(b"SQLite"):
            (folder / "given.sqlite").write_bytes(data)
            Answers.read(folder / "given.sqlite").latest()
            with AnswerStore.open(folder / "given.sqlite") as opened:
                opened.append([Answer("new", "a", 1)])
        else:
            (folder / "given.csv").write_bytes(data)
            Answers.read(folder / "given.csv").latest()

    yield use, [whole, text, text.replace(b",", b";"), b"item,label,answer\ni1,a,1\ni2,a,0\n"]


def _asked(client: object, requests: list[bytes]) -> tuple[Use, list[bytes]]:
    """Return how a request is sent whose first line is its method, path and kind, and the rest its body."""

    def use(data: bytes) -> None:
        line, _, body = data.partition(b"\n")
        method, path, kind = [*line.decode("latin-1").split(" ", 2), "", ""][:3]
        if method not in ("GET", "POST", "PUT") or not path.startswith("/") or not path.isprintable():
            raise UserError("the client sends no such request")
        if not kind.isascii() or not kind.isprintable() or not path.isascii():
            raise UserError("the client sends no such request")
        try:
            said = client.request(method, path, content=body, headers={"content-type": kind})  # type: ignore[attr-defined]
        except Exception as error:
            if type(error).__name__ in ("InvalidURL", "LocalProtocolError"):
                raise UserError("the client sends no such request") from None
            raise
        assert said.status_code < 500 or said.status_code == 507, (said.status_code, said.text[:200])
        if said.status_code >= 400:
            raise UserError(f"{said.status_code} {said.text[:300]}")

    return use, requests


@contextmanager
def _review(folder: Path) -> Iterator[tuple[Use, list[bytes]]]:
    from starlette.testclient import TestClient

    from labelwise.web import create_app
    from tests.web.conftest import make_data, open_review

    review = open_review(folder, make_data(folder, 20))
    client = TestClient(create_app(review), base_url="http://127.0.0.1")
    client.headers["x-labelwise"] = client.get("/api/run").json()["proof"]
    one = {"id": "answer-00001", "item": "item 1", "label": "cat", "answer": 1}
    bodies = [
        ("/api/answers", json.dumps({"reviewer": "ann", "answers": [one]})),
        ("/api/undo", json.dumps({"id": "undo-00001", "reviewer": "ann", "answers": ["answer-00001"]})),
        ("/api/labels", json.dumps({"name": "boat"})),
        ("/api/learn", "{}"),
        ("/api/import", "item,label,answer,reviewer,time\nitem 2,cat,1,bea,2026-01-01T00:00:00Z\n"),
    ]
    questions = (
        "/api/entries?label=cat&state=open&size=5",
        "/api/items?search=3",
        "/api/item/3",
        "/api/progress?label=cat",
    )
    posts = [f"POST {path} application/json\n{body}".encode() for path, body in bodies]
    try:
        yield _asked(client, [*posts, *(f"GET {path} text/plain\n".encode() for path in questions)])
    finally:
        review.store.close()


@contextmanager
def _serve(folder: Path) -> Iterator[tuple[Use, list[bytes]]]:
    from labelwise.serving import open_models
    from tests.serving.conftest import asked

    model = open_models([f"birds={scenarios.finished() / 'run'}"])[0]
    row = {f"f{k}": 0.5 * k for k in range(4)}
    bodies = [
        ("application/json", json.dumps({"items": [row, row]})),
        ("application/json", json.dumps([row])),
        ("application/json", json.dumps({"tasks": [{"id": 1, "data": row}]})),
        ("text/csv", "f0,f1,f2,f3\n0,1,2,3\n"),
    ]
    with asked(model, items=8, queue=64) as client:
        posts = [f"POST /predict {kind}\n{body}".encode() for kind, body in bodies]
        gets = [b"GET /labels text/plain\n", b"GET /models text/plain\n", b"GET /predict?top=3 text/plain\n"]
        yield _asked(client, [*posts, *gets])


TARGETS: dict[str, Target] = {
    **{
        f"table, {ending}": _table(ending)
        for ending in ("csv", "tsv", "jsonl", "json", "csv.gz", "arff", "parquet")
    },
    "labels": Target(_labels, 6),
    "picture": Target(_picture, 3),
    "exchange": Target(_exchange, 1.5),
    "experiment": Target(_spec, 0.3),
    "answers": Target(_answers, 0.3),
    "model directory": Target(_model, 0.1),
    "requests to review": Target(_review, 0.1),
    "requests to serve": Target(_serve, 0.1),
    "run directory": Target(_run, 0.05),
}


def by_share(total: int) -> dict[str, int]:
    """Return how many inputs of a total each target gets."""
    shares = sum(target.share for target in TARGETS.values())
    return {name: max(1, round(total * target.share / shares)) for name, target in TARGETS.items()}

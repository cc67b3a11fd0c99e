"""Read and check the records of a run directory.

Files may be damaged, or come from elsewhere.
"""

from __future__ import annotations

import json
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labelwise._files import read_bytes
from labelwise.errors import UserError

_MOST_BYTES = 1 << 28
_DAMAGED = (
    *(ValueError, LookupError, EOFError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""The errors that the standard library raises for damaged archives."""
_REQUIRED = ("reason", "kind", "feature_names", "label_names", "files")

Record = TypeVar("Record", bound=BaseModel)


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Result(_Record):
    """The result of a finished run; entries of later versions are dropped."""

    model_config = ConfigDict(extra="ignore")

    method: str
    setting: str
    n_items: int
    n_labels: int
    rule: str
    rule_source: str
    notes: list[str]
    skipped: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    why_no_figures: list[str]
    seconds: float


class _State(_Record):
    """The state of a run.

    A new run has all entries, those of earlier versions fewer; what needs an entry asks for it with ``require``.
    """

    status: Literal["training", "finished"]
    reason: str | None = None
    kind: Literal["features", "image", "text"] = "features"
    feature_names: list[str] = []
    label_names: list[str] = []
    content_column: str | None = None
    preparation: dict[str, Any] | None = None
    roles: list[str] = []
    files: dict[str, str] = {}
    memory: int | None = None
    added_labels: list[str] = []
    result: _Result | None = None


class _LeftOut(_Record):
    __pydantic_extra__: dict[str, str] = Field(init=False)


class _Evaluation(_Record):
    figures: dict[str, Any] | None
    why_no_figures: list[str] = []


def read_state(path: Path, version: int) -> dict[str, Any]:
    """Return ``state.json``.

    Raises:
        UserError: For anything else, and for the state of another format.
    """
    state = _json(path, "the state of a run")
    if "format" not in state:
        raise _wrong(path, "the state of a run", "it names no format")
    if state["format"] != version or isinstance(state["format"], bool):
        raise UserError(
            f"{path.parent} has format {state['format']!r:.80}, this version of labelwise reads {version}: use the"
            " version that wrote it"
        )
    record = _checked(_State, state, path, "the state of a run")
    return state if record.result is None else {**state, "result": record.result.model_dump()}


def require(state: Mapping[str, Any], path: Path) -> None:
    """Raise ``UserError`` where the state of a run lacks an entry."""
    names = (*_REQUIRED, *(["result"] if state["status"] == "finished" else []))
    if missing := [name for name in names if name not in state]:
        raise _wrong(path / "state.json", "the state of a run", f"it has no entry {missing[0]!r}")


def read_evaluation(path: Path) -> dict[str, Any]:
    """Return ``evaluation.json``: ``figures`` as ``Evaluation.to_dict`` has them, or None, and ``why_no_figures``."""
    from labelwise.classifier.record import check_evaluation
    from labelwise.metrics import Evaluation

    what = "the validation figures of a run"
    record = _checked(_Evaluation, _json(path, what), path, what).model_dump()
    if record["figures"] is not None:
        check_evaluation(record["figures"], path)
        # Figures that follow from others are computed anew, so that a changed file cannot contradict itself.
        try:
            record["figures"] = Evaluation.from_dict(record["figures"]).to_dict()
        except (TypeError, ValueError, LookupError) as error:
            raise _wrong(path, what, str(error)) from None
    return record


def read_left_out(path: Path) -> dict[str, str]:
    """Return which items could not be read when training began, and why."""
    what = "the list of items that were left out"
    return _checked(_LeftOut, _json(path, what), path, what).model_dump()


def read_held_out(
    path: Path, n_items: int | None = None, n_labels: int | None = None
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return the labels and scores (m, K) of held-out items.

    Args:
        n_items: The most items, and the number of labels, that there can be.
        n_labels: As ``n_items``.

    Raises:
        UserError: For what is no such file; nothing is unpacked that its table of contents does not bear out.
    """
    try:
        # To open a pipe would wait for ever.
        if not path.is_file():
            raise OSError("it is no file")
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            labels = _array(archive, "labels.npy", np.dtype(np.int8), n_items, n_labels)
            scores = _array(archive, "scores.npy", np.dtype(np.float32), n_items, n_labels)
        if labels.shape != scores.shape:
            raise ValueError(f"labels of shape {labels.shape}, scores of shape {scores.shape}")
        if not (((labels >= -1) & (labels <= 1)).all() and np.isfinite(scores).all()):
            raise ValueError("labels or scores that are none")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror or error}): delete it to go without"
        ) from None
    except _DAMAGED as error:
        raise UserError(
            f"{path} is not what a run keeps of its held-out items ({error!s:.120}): delete it to go without"
        ) from None
    return labels, scores


def read_scores(path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], Any] | None:
    """Return scores of this shape with the record kept beside them, None for what is no such file.

    Nothing is unpacked that its table of contents does not bear out.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            with archive.open(archive.getinfo("words.npy")) as entry:
                size, kind = _header(entry)
                if size != () or kind.kind != "U" or entry.tell() + kind.itemsize > _MOST_BYTES:
                    raise ValueError(f"words.npy is {kind} of shape {size}")
                words = np.frombuffer(entry.read(kind.itemsize), kind)
            scores = _array(archive, "logits.npy", np.dtype(np.float32), shape[0], shape[1])
            record = json.loads(str(words[0]))
    except (OSError, *_DAMAGED):
        return None
    return (scores, record) if scores.shape == shape else None


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and kind of the array that a file begins."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, kind = read(file)
    if fortran and len(shape) > 1:
        raise ValueError("an array by columns")
    return shape, kind


def _array(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype[Any], n_items: int | None, n_labels: int | None
) -> NDArray[Any]:
    entry = archive.getinfo(name)
    with archive.open(entry) as file:
        shape, kind = _header(file)
        if kind != dtype or len(shape) != 2 or min(shape) < 0:
            raise ValueError(f"{name} is {kind} of shape {shape}")
        if (n_items is not None and shape[0] > n_items) or n_labels not in (None, shape[1]):
            raise ValueError(f"{name} has shape {shape}, for {n_items} items and {n_labels} labels")
        size = shape[0] * shape[1] * dtype.itemsize
        if file.tell() + size != entry.file_size:
            raise ValueError(f"{name} says shape {shape}, and holds {entry.file_size} bytes")
        # The array may be a thousand times what is packed of it; its size was compared with the run's.
        return np.frombuffer(file.read(size), dtype).reshape(shape).copy()


def _json(path: Path, what: str) -> dict[str, Any]:
    try:
        record = json.loads(read_bytes(path, _MOST_BYTES).decode("utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror or error}): put it back, or train again to another --out"
        ) from None
    except (ValueError, RecursionError) as error:
        raise _wrong(path, what, str(error)) from None
    if not isinstance(record, dict):
        raise _wrong(path, what, "it is no record")
    return record


def _checked(kind: type[Record], record: Mapping[str, Any], path: Path, what: str) -> Record:
    try:
        return kind.model_validate(record)
    except (ValidationError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            raise _wrong(path, what, "it is nested too deep") from None
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _wrong(path, what, f"entry {where!r:.100}: {first['msg']:.200}") from None


def _wrong(path: Path, what: str, why: str) -> UserError:
    return UserError(f"{path} is not {what} ({why:.300}): put it back, or train again to another --out")

"""Features of texts and pictures in Parquet files, by a frozen backbone, into Parquet files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise._files import replacing
from labelwise.data import ContentStream
from labelwise.errors import UserError
from labelwise.runs.fragments import begun, one_by_one
from labelwise.workers import open_workers

if TYPE_CHECKING:
    from labelwise.classifier import FitOptions, FrozenNetwork

COLUMN = "embedding"
"""The column of features that is written."""

_MANIFEST = "features.json"


@dataclass(frozen=True)
class EmbeddedFolder:
    """The summary of a folder of features.

    Attributes:
        n_items: Items of the fragments that were embedded now.
        n_fragments: Number of all fragments.
        n_found: Number of those that were there already.
    """

    source: str
    out: str
    backbone: str
    n_items: int
    n_features: int
    n_fragments: int
    n_found: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        return asdict(self)


def embed(
    source: str | Path,
    out: str | Path,
    *,
    column: str,
    backbone: str,
    images: str | Path | None = None,
    engine: str = "here",
    workers: int | None = None,
    **options: Any,
) -> EmbeddedFolder:
    """Write a frozen backbone's features of every item beside the other columns, fragment by fragment.

    A fragment that is there is left as it is: a killed command that is given again goes on, to the same bits. What is
    written is a folder that ``train`` reads in passes, with the features in the column ``embedding``.

    Args:
        source: A folder of Parquet files, or one such file.
        out: A folder; it is made where there is none.
        column: The column of texts, of pictures, or of their files' paths.
        backbone: A pretrained one by name, which decides the kind of items.
        images: The folder that paths are in; None: the folder of ``source``.
        engine: Who embeds: ``"here"``, this process, or ``"ray"``, the workers of a cluster.
        workers: Ray's tasks at a time.
        options: Further keywords of ``MultiLabelClassifier``: device, image_size, max_length, backbone_weights.

    Raises:
        UserError: For a backbone that reads neither texts nor pictures, empty cells, and an ``out`` that holds anything
            else.
    """
    from labelwise.classifier import FitOptions, FrozenNetwork
    from labelwise.embedding import backbone_digest

    crew = open_workers(engine, workers)
    fit_options = FitOptions(backbone=backbone, cache=False, progress=False, **options).checked()
    if fit_options.preprocessing_of(backbone) is None:
        raise UserError(
            f"backbone {backbone!r} reads neither texts nor pictures: name a pretrained one, as minilm"
        )
    network = FrozenNetwork.of(backbone, fit_options)
    stream = ContentStream.open(source, column, network.kind, images)
    out = Path(out).absolute()
    if Path(source).resolve() == out.resolve():
        raise UserError(f"--out {out} is the folder of the rows itself: give another")
    fragments = stream.fragments()
    wanted = {
        "rows": [[part.name, part.rows, part.digest] for part in stream.parts],
        "column": column,
        "backbone": [backbone, backbone_digest(network.network), network.preprocessing.to_dict()],
        "precision": fit_options.precision,
    }
    done = begun(out, wanted, {f"{one.name}.parquet" for one in fragments}, _MANIFEST, "features")
    sizes = list(crew.map(_Embedding(network, fit_options, out), one_by_one(stream, done), keep=True))
    return EmbeddedFolder(
        source=str(source),
        out=str(out),
        backbone=backbone,
        n_items=sum(rows for rows, _ in sizes),
        n_features=max((width for _, width in sizes), default=0),
        n_fragments=len(fragments),
        n_found=len(done),
    )


@dataclass(frozen=True)
class _Embedding:
    """Embeds a stream's one fragment, and writes it whole."""

    network: FrozenNetwork
    options: FitOptions
    out: Path

    def __call__(self, stream: ContentStream) -> tuple[int, int]:
        """Return the number of items and of their features."""
        import pyarrow as pa
        from pyarrow import parquet

        from labelwise.classifier import Contents

        ((fragment, table, contents, names),) = stream.items()
        features = self.network.read(Contents(contents, names), self.options, "stop").features
        # Pictures stay where they are: beside their features they would be most of the bytes.
        kept = [name for name in table.column_names if name != COLUMN and not _holds_bytes(table[name].type)]
        column = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
        with replacing(self.out / f"{fragment.name}.parquet") as draft:
            parquet.write_table(table.select(kept).append_column(COLUMN, column), draft)
        return len(contents), features.shape[1]


def _holds_bytes(kind: Any) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_struct(kind))

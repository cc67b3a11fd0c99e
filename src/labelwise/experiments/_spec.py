"""An experiment as data: a table or figure of a paper, read from TOML and checked before anything runs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labelwise.errors import UserError, near
from labelwise.experiments._job import Job
from labelwise.experiments._published import DATASETS, tables

__all__ = [
    "Figure",
    "Override",
    "Row",
    "Setting",
    "Spec",
    "Theory",
    "Training",
    "load_spec",
    "parse_spec",
    "spec_names",
]

Protocol = Literal["honest", "published"]
Value = bool | int | float | str

_FRACTIONS = {"partial_positive", "partial", "semi_supervised"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Setting(_Strict):
    """How labels are hidden: a name, and for shares of rows, entries or positives the fractions in (0, 1]."""

    name: Literal[
        "full",
        "single_positive",
        "single_positive_all_negatives",
        "partial_positive",
        "partial",
        "semi_supervised",
    ]
    fractions: list[float] = Field(default_factory=list)


class Training(_Strict):
    """What a network is and how long it trains; what is left out is the method's default."""

    backbone: str | None = None
    tune: Literal["head", "all"] | None = None
    image_size: int | None = Field(None, ge=16, le=2048)
    epochs: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    precision: Literal["32", "bf16", "16"] | None = None
    patience: int | None = Field(None, ge=1)


_DEFAULT = Training.model_validate({})


class Override(_Strict):
    """What differs on one data set or under the published protocol."""

    hyperparameters: dict[str, Value] = Field(default_factory=dict)
    training: Training = _DEFAULT


class Row(_Strict):
    """One row of a table: a method with hyper-parameters, and the source that they are from.

    ``settings`` and ``datasets`` name a part of the experiment's; ``sweep`` lists values of hyper-parameters, of
    which every combination is run; ``rule`` is the decision rule behind the printed F1 and Hamming loss.
    """

    method: str
    source: str
    hyperparameters: dict[str, Value] = Field(default_factory=dict)
    settings: list[str] | None = None
    datasets: list[str] | None = None
    sweep: dict[str, list[Value]] = Field(default_factory=dict)
    rule: Literal["threshold(0.5)", "oracle_cardinality"] = "threshold(0.5)"
    training: Training = _DEFAULT
    on: dict[str, Override] = Field(default_factory=dict)
    published: Override = Override()


class Theory(_Strict):
    """The arguments of ``analysis.theory.curves``: ``noise`` are pairs (e+, e-), ``points`` ratios to simulate at."""

    separation: float = Field(1.0, gt=0)
    label_shares: list[Annotated[float, Field(gt=0, lt=1)]] = Field(min_length=1)
    noise: list[Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(min_length=1)
    points: list[Annotated[float, Field(gt=0)]] = Field(default_factory=list)


class Figure(_Strict):
    """How a figure is drawn: by the function of ``labelwise.plots`` that has the name of its ``kind``.

    ``theory`` is what "theory_curves" shows, which rests on no run.
    """

    kind: Literal[
        "cosine_gradients",
        "margin_sweep",
        "fraction_curves",
        "scale_margin",
        "correlation_graph",
        "wasserstein_distances",
        "prediction_densities",
        "loss_landscape",
        "vdfd_by_epoch",
        "sensitivity",
        "epoch_seconds",
        "theory_curves",
    ]
    theory: Theory | None = None


class Spec(_Strict):
    """One experiment: which rows on which data sets in which settings, with which seeds and training.

    ``tables`` are the printed tables whose cells it measures (``labelwise.experiments.published``), ``percent`` tells
    that they print percent; ``code`` is the code base whose protocol ``published`` follows: ``spml`` (20% clean
    validation, best epoch) or ``cap`` (best epoch by the test set). ``cardinality`` is the mean number of labels of
    an item, given to methods that need it where labels do not identify it. ``search`` lists values of learning rate
    and batch size, tried where that is asked for; the best by validation is kept. A figure of theory has no code,
    data sets, settings, seeds, metrics and rows; all else needs them.
    """

    name: str = ""
    title: str
    paper: str
    tables: list[str] = Field(default_factory=list)
    percent: bool = False
    code: Literal["spml", "cap"] | None = None
    datasets: list[str] = Field(default_factory=list)
    settings: list[Setting] = Field(default_factory=list)
    seeds: list[int] = Field(default_factory=list)
    metrics: list[str] = Field(default_factory=list)
    note: str = ""
    training: Training = _DEFAULT
    on: dict[str, Override] = Field(default_factory=dict)
    search: dict[Literal["learning_rate", "batch_size"], list[float]] = Field(default_factory=dict)
    cardinality: dict[str, float] = Field(default_factory=dict)
    figure: Figure | None = None
    rows: dict[str, Row] = Field(default_factory=dict)

    @property
    def theory(self) -> Theory | None:
        """What a figure of theory shows; None for an experiment, which needs data."""
        return None if self.figure is None else self.figure.theory

    def jobs(
        self,
        protocol: Protocol = "honest",
        *,
        rows: Sequence[str] | None = None,
        datasets: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
        search: bool = False,
        extra: Mapping[str, Value] | None = None,
    ) -> list[Job]:
        """Return the runs of the experiment, data set by data set and seed by seed.

        ``rows`` and ``datasets`` choose some (a row's name, or a method for all of its rows), ``seeds`` replaces the
        experiment's; ``extra`` are hyper-parameters for the rows whose method has them.
        """
        for name in rows or ():
            options = {*self.rows, *(row.method for row in self.rows.values())}
            if name not in options:
                raise UserError(f"{self.name} has no row or method {name!r}: {near(name, sorted(options))}")
        for name in datasets or ():
            if name not in self.datasets:
                raise UserError(f"{self.name} has no dataset {name!r}: {near(name, self.datasets)}")
        if protocol not in ("honest", "published"):
            raise UserError(f"protocol={protocol!r}: {near(protocol, ('honest', 'published'))}")
        return [
            self._job(name, row, dataset, setting, fraction, values, seed, protocol, search, extra or {})
            for dataset in self.datasets
            if not datasets or dataset in datasets
            for seed in (self.seeds if seeds is None else seeds)
            for setting, fraction in self.cells()
            for name, row in self.rows.items()
            if not rows or name in rows or row.method in rows
            if (row.settings is None or setting in row.settings)
            and (row.datasets is None or dataset in row.datasets)
            for values in _combinations(row.sweep)
        ]

    def cells(self) -> list[tuple[str, float | None]]:
        """Return (setting, fraction) of every column."""
        return [
            (s.name, fraction)
            for s in self.settings
            for fraction in (*s.fractions, *([] if s.fractions else [None]))
        ]

    def _job(
        self,
        name: str,
        row: Row,
        dataset: str,
        setting: str,
        fraction: float | None,
        values: Mapping[str, Value],
        seed: int,
        protocol: Protocol,
        search: bool,
        extra: Mapping[str, Value],
    ) -> Job:
        from labelwise import methods

        layers = [
            Override(training=self.training),
            self.on.get(dataset, Override()),
            Override(hyperparameters=row.hyperparameters, training=row.training),
            row.on.get(dataset, Override()),
            *([row.published] if protocol == "published" else []),
            Override(hyperparameters=dict(values)),
        ]
        known = methods.get(row.method).spec.hyperparameters
        hyperparameters = {k: v for layer in layers for k, v in layer.hyperparameters.items()}
        hyperparameters |= {name: value for name, value in extra.items() if name in known}
        options: dict[str, Any] = {
            k: v for layer in layers for k, v in layer.training.model_dump(exclude_none=True).items()
        }
        if dataset in self.cardinality:
            options["cardinality"] = self.cardinality[dataset]
        if protocol == "published":
            options["code"] = self.code
        if search and self.search:
            options["search"] = dict(self.search)
        if self.figure is not None:
            options["figure"] = self.figure.kind
        rows_labelled = setting == "semi_supervised"
        return Job(
            dataset,
            setting,
            row.method,
            seed,
            experiment=self.name,
            row=name,
            labelled_fraction=fraction if rows_labelled else None,
            positives_fraction=None if rows_labelled else fraction,
            protocol=protocol,
            hyperparameters=hyperparameters,
            options=options,
        )


def parse_spec(text: str, name: str) -> Spec:
    """Return the experiment in a TOML text; ``UserError``, one line that begins with ``name``, for a mistake."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"experiment {name}: not TOML: {error}") from None
    try:
        spec = Spec.model_validate({"name": name, **data})
    except ValidationError as error:
        raise UserError(f"experiment {name}: {_explain(error)}") from None
    _check(spec)
    return spec


def load_spec(name: str) -> Spec:
    """Return an experiment that comes with labelwise, or the one in a TOML file; ``UserError`` for neither."""
    if name.endswith(".toml"):
        path = Path(name)
        try:
            return parse_spec(path.read_text(encoding="utf-8-sig"), path.stem)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}: {getattr(error, 'strerror', None) or error}: give a TOML file"
            ) from None
    if name not in spec_names():
        raise UserError(f"there is no experiment {name!r}: {near(name, spec_names())}")
    return _shipped(name)


def spec_names() -> list[str]:
    """Return the names of the experiments that come with labelwise."""
    folder = files("labelwise.experiments") / "specs"
    return sorted(path.name[: -len(".toml")] for path in folder.iterdir() if path.name.endswith(".toml"))


@cache
def _shipped(name: str) -> Spec:
    return parse_spec(
        (files("labelwise.experiments") / "specs" / f"{name}.toml").read_text(encoding="utf-8"), name
    )


def _combinations(sweep: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
    for values in product(*sweep.values()):
        yield dict(zip(sweep, values, strict=True))


def _check(spec: Spec) -> None:
    """Refuse names that do not exist: data sets, tables, metrics, methods, hyper-parameters, settings."""
    from labelwise import methods
    from labelwise.metrics import METRICS

    where = f"experiment {spec.name}: "
    _check_parts(where, spec)
    _known(where, "dataset", [*spec.datasets, *spec.on, *spec.cardinality], DATASETS)
    _known(where, "table", spec.tables, tables())
    _known(where, "metric", spec.metrics, METRICS)
    for setting in spec.settings:
        if bool(setting.fractions) != (setting.name in _FRACTIONS):
            need = "needs fractions" if setting.name in _FRACTIONS else "has no fractions"
            raise UserError(f"{where}setting {setting.name} {need}")
        if not all(0 < fraction <= 1 for fraction in setting.fractions):
            raise UserError(f"{where}setting {setting.name}: fractions are above 0 and at most 1")
    for name, row in spec.rows.items():
        at = f"{where}row {name}: "
        _known(at, "method", [row.method], methods.names())
        _known(at, "dataset", [*(row.datasets or ()), *row.on], spec.datasets)
        _known(at, "setting", row.settings or (), [setting.name for setting in spec.settings])
        method = methods.get(row.method).spec
        layers = [
            *spec.on.values(),
            *row.on.values(),
            row.published,
            Override(hyperparameters=row.hyperparameters),
        ]
        layers += [Override(hyperparameters=values) for values in _combinations(row.sweep)]
        for layer in layers:
            try:
                method.resolve(layer.hyperparameters)
            except UserError as error:
                raise UserError(f"{at}{error}") from None
        for setting in spec.settings:
            if row.settings is None or setting.name in row.settings:
                seen = "single_positive" if setting.name.startswith("single_positive") else setting.name
                if seen not in method.settings:
                    raise UserError(
                        f"{at}method {row.method!r} does not take {seen.replace('_', ' ')} labels"
                    )


def _check_parts(where: str, spec: Spec) -> None:
    """Refuse an experiment without its parts, and a figure of theory with them."""
    drawn = spec.figure is not None and spec.figure.kind == "theory_curves"
    if drawn != (spec.theory is not None):
        raise UserError(f"{where}[figure.theory] goes with figure.kind = 'theory_curves', which needs it")
    for name in ("code", "datasets", "settings", "seeds", "metrics", "rows"):
        if drawn and getattr(spec, name):
            raise UserError(f"{where}{name}: a figure of theory rests on no runs; leave it out")
        if not drawn and not getattr(spec, name):
            raise UserError(f"{where}{name} is missing")


def _known(where: str, kind: str, names: Iterable[str], options: Iterable[str]) -> None:
    options = list(options)
    for name in names:
        if name not in options:
            raise UserError(f"{where}there is no {kind} {name!r}: {near(name, options)}")


def _explain(error: ValidationError) -> str:
    """Return the first mistake in one line: its place in the file, and the keys or values that there are."""
    # A misspelt key also leaves the right one missing: tell the misspelling.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    *place, last = first["loc"]
    path = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        inside = f" in [{'.'.join(map(str, place))}]" if place else ""
        return f"there is no key {last!r}{inside}: {near(str(last), _fields(place))}"
    if first["type"] == "missing":
        return f"{path} is missing"
    return f"{path} = {first['input']!r}: {first['msg'].replace('Input should be', 'it should be')}"


def _fields(place: Sequence[int | str]) -> list[str]:
    """Return the keys that a table of the file may have, by its place."""
    model: type[BaseModel] = Spec
    inner: dict[str, type[BaseModel]] = {
        "settings": Setting,
        "training": Training,
        "figure": Figure,
        "theory": Theory,
        "rows": Row,
        "on": Override,
        "published": Override,
    }
    for step in place:
        if step in inner and isinstance(step, str):
            model = inner[step]
    return list(model.model_fields)

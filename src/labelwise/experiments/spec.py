"""An experiment as data: its rows, settings and training, and its jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from labelwise.errors import UserError, near
from labelwise.experiments.jobs import Job

Protocol = Literal["honest", "published"]
Value = bool | int | float | str

_SEEDS = 2**32
"""Bound on seeds: numpy's RandomState, which the papers' rules name, takes none from here."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Setting(_Strict):
    """A way to hide labels.

    Attributes:
        name: Its name.
        fractions: Shares in (0, 1] of rows, entries or positives, for the settings that have them.
    """

    name: Literal[
        "full",
        "single_positive",
        "single_positive_all_negatives",
        "partial_positive",
        "partial",
        "semi_supervised",
        "random_partial",
        "fixed_per_class",
    ]
    fractions: list[float] = Field(default_factory=list)


class Training(_Strict):
    """A network and its training; None stands for the method's default."""

    backbone: str | None = None
    tune: Literal["head", "all"] | None = None
    head_start: Literal["ridge", "random"] | None = None
    image_size: int | None = Field(None, ge=16, le=2048)
    max_length: int | None = Field(None, ge=3)
    epochs: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    backbone_learning_rate: float | None = Field(None, gt=0)
    positive_boost: float | None = Field(None, ge=1)
    precision: Literal["32", "bf16", "16"] | None = None
    patience: int | None = Field(None, ge=1)


_DEFAULT = Training.model_validate({})


class Override(_Strict):
    """Departures on one data set or under the published protocol."""

    hyperparameters: dict[str, Value] = Field(default_factory=dict)
    training: Training = _DEFAULT


class Published(Override):
    """Departures of the released code.

    They hold everywhere, at a fraction (``at."0.15"``) and on a data set (``on``).
    """

    at: dict[str, Override] = Field(default_factory=dict)
    on: dict[str, Override] = Field(default_factory=dict)

    def layers(self, dataset: str, fraction: float | None) -> list[Override]:
        """Return the departures that apply, the more special last."""
        nothing = Override()
        special = "" if fraction is None else f"{fraction:g}"
        return [self, self.at.get(special, nothing), self.on.get(dataset, nothing)]


class Row(_Strict):
    """One row of a table: a method, its hyper-parameters and their source.

    ``settings`` and ``datasets`` name a part of the experiment's; ``sweep`` lists values of hyper-parameters, of
    which every combination is run; ``rule`` is the decision rule behind the printed F1 and Hamming loss.
    """

    method: str
    source: str
    hyperparameters: dict[str, Value] = Field(default_factory=dict)
    settings: list[str] | None = None
    datasets: list[str] | None = None
    sweep: dict[str, Annotated[list[Value], Field(min_length=1)]] = Field(default_factory=dict)
    rule: Literal["threshold(0.5)", "oracle_cardinality"] = "threshold(0.5)"
    training: Training = _DEFAULT
    on: dict[str, Override] = Field(default_factory=dict)
    published: Published = Published()


class Search(_Strict):
    """The values of a search, of which every combination is tried."""

    learning_rate: list[Annotated[float, Field(gt=0)]] | None = Field(None, min_length=1)
    batch_size: list[Annotated[int, Field(ge=1)]] | None = Field(None, min_length=1)


class Theory(_Strict):
    """The arguments of ``analysis.theory.curves``.

    ``noise`` are pairs (e+, e-), ``points`` ratios to simulate at.
    """

    separation: float = Field(1.0, gt=0)
    label_shares: list[Annotated[float, Field(gt=0, lt=1)]] = Field(min_length=1)
    noise: list[Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(min_length=1)
    points: list[Annotated[float, Field(gt=0)]] = Field(default_factory=list)


class Regimes(_Strict):
    """The arguments of ``analysis.gradient_regimes``; all losses where none is named."""

    losses: list[str] = Field(default_factory=list)
    points: int = Field(199, ge=1, le=9999)


class Figure(_Strict):
    """A figure, drawn by the function of ``labelwise.plots`` of its kind's name.

    Attributes:
        kind: The kind, and the name of the function.
        theory: Arguments of "theory_curves", which rests on no run.
        regimes: Arguments of "gradient_regimes", which rests on no run either.
        labels: Labels with a panel each in "vdfd_by_epoch", which draws the mean over all labels without them.
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
        "gradient_regimes",
        "top_predictions",
    ]
    theory: Theory | None = None
    regimes: Regimes | None = None
    labels: list[str] = Field(default_factory=list)


class Spec(_Strict):
    """One experiment: rows on data sets in settings, with seeds and training.

    ``tables`` are the printed tables whose cells it measures (``labelwise.experiments.published``), ``percent`` tells
    that they print percent; ``code`` is the code base whose protocol ``published`` follows: ``spml`` (20% clean
    validation, best epoch) or ``cap`` (best epoch by the test set). ``cardinality`` is the mean number of labels of
    an item, given to methods that need it where labels do not identify it; ``per_class`` the positives and negatives of
    a label that setting ``fixed_per_class`` keeps. ``search`` lists values of learning rate and batch size, tried where
    that is asked for; the best by validation is kept. A figure of theory, or of
    losses, has no code, data sets, settings, seeds, metrics and rows; all else needs them.
    """

    name: str = ""
    title: str
    paper: str
    tables: list[str] = Field(default_factory=list)
    percent: bool = False
    code: Literal["spml", "cap"] | None = None
    datasets: list[str] = Field(default_factory=list)
    settings: list[Setting] = Field(default_factory=list)
    seeds: list[Annotated[int, Field(ge=0, lt=_SEEDS)]] = Field(default_factory=list)
    metrics: list[str] = Field(default_factory=list)
    note: str = ""
    training: Training = _DEFAULT
    on: dict[str, Override] = Field(default_factory=dict)
    search: Search | None = None
    cardinality: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    per_class: int | None = Field(None, ge=1)
    figure: Figure | None = None
    rows: dict[str, Row] = Field(default_factory=dict)

    @property
    def rests_on_runs(self) -> bool:
        """Whether there is anything to run; the figures of theory and of losses need nothing."""
        return self.figure is None or (self.figure.theory is None and self.figure.regimes is None)

    @property
    def theory(self) -> Theory | None:
        """Arguments of a theory figure; None for an experiment on data."""
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
        """Return the experiment's jobs, by data set and then by seed.

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
        for seed in seeds or ():
            if not 0 <= seed < _SEEDS:
                raise UserError(f"seeds={seed}: give whole numbers from 0 to {_SEEDS - 1}")
        # A job that is listed twice is one run.
        return list(
            dict.fromkeys(
                self._job(name, row, dataset, setting, fraction, values, seed, protocol, search, extra or {})
                for dataset in self.datasets
                if not datasets or dataset in datasets
                for seed in (self.seeds if seeds is None else seeds)
                for setting, fraction in self.cells()
                for name, row in self.rows.items()
                if not rows or name in rows or row.method in rows
                if (row.settings is None or setting in row.settings)
                and (row.datasets is None or dataset in row.datasets)
                for values in combinations(row.sweep)
            )
        )

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
            *(row.published.layers(dataset, fraction) if protocol == "published" else []),
            Override(hyperparameters=dict(values)),
        ]
        accepted = methods.get(row.method).spec.hyperparameters
        hyperparameters = {k: v for layer in layers for k, v in layer.hyperparameters.items()}
        hyperparameters |= {name: value for name, value in extra.items() if name in accepted}
        options: dict[str, Any] = {
            k: v for layer in layers for k, v in layer.training.model_dump(exclude_none=True).items()
        }
        if dataset in self.cardinality:
            options["cardinality"] = self.cardinality[dataset]
        if setting == "fixed_per_class":
            options["per_class"] = self.per_class
        if protocol == "published":
            options["code"] = self.code
        if search and self.search is not None:
            options["search"] = self.search.model_dump(exclude_none=True)
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


def combinations(sweep: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
    """Yield every combination of the values of a sweep.

    Without a sweep it is one, of no values.
    """
    for values in product(*sweep.values()):
        yield dict(zip(sweep, values, strict=True))

"""What is refused of an experiment before anything runs: names that do not exist, and parts that do not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from labelwise.errors import UserError, near
from labelwise.experiments.publications import DATASETS, tables
from labelwise.experiments.spec import OF_RESULTS, Figure, Override, Spec, combinations

_FRACTIONS = {"partial_positive", "partial", "semi_supervised"}
_SWEPT = {"margin_sweep": ("margin",), "scale_margin": ("scale", "margin"), "sensitivity": ()}


def check(spec: Spec) -> None:
    """Refuse names that do not exist: data sets, tables, metrics, methods, hyper-parameters, settings."""
    from labelwise import methods
    from labelwise.metrics import METRICS

    where = f"experiment {spec.name}: "
    _check_parts(where, spec)
    _known(where, "dataset", [*spec.datasets, *spec.on, *spec.cardinality], DATASETS)
    _known(where, "table", spec.tables, tables())
    _known(where, "metric", spec.metrics, [*METRICS, "seconds_per_epoch", "gradient_difference"])
    for setting in spec.settings:
        if bool(setting.fractions) != (setting.name in _FRACTIONS):
            need = "needs fractions" if setting.name in _FRACTIONS else "has no fractions"
            raise UserError(f"{where}setting {setting.name} {need}")
        if not all(0 < fraction <= 1 for fraction in setting.fractions):
            raise UserError(f"{where}setting {setting.name}: fractions are above 0 and at most 1")
    for name, row in spec.rows.items():
        at = f"{where}row {name}: "
        _known(at, "method", [row.method], methods.names())
        _known(at, "dataset", [*(row.datasets or ()), *row.on, *row.published.on], spec.datasets)
        _known(at, "fraction", row.published.at, [f"{f:g}" for s in spec.settings for f in s.fractions])
        _known(at, "setting", row.settings or (), [setting.name for setting in spec.settings])
        method = methods.get(row.method).spec
        layers = [
            *spec.on.values(),
            *row.on.values(),
            row.published,
            *row.published.at.values(),
            *row.published.on.values(),
            Override(hyperparameters=row.hyperparameters),
        ]
        layers += [Override(hyperparameters=values) for values in combinations(row.sweep)]
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
    _check_cardinality(where, spec)
    if spec.figure is not None:
        _check_figure(where, spec, spec.figure)


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


def _check_cardinality(where: str, spec: Spec) -> None:
    """Refuse rows that need the number of labels of an item on a set that has none given."""
    from labelwise import methods

    for job in spec.jobs(seeds=spec.seeds[:1]):
        needs = "prior" in methods.get(job.method).spec.needs and "positive" in job.setting
        if needs and job.dataset not in spec.cardinality:
            raise UserError(
                f"{where}row {job.row}: method {job.method!r} needs the mean number of labels of an item where only "
                f"positives are known: give [cardinality] {job.dataset}"
            )


def _check_figure(where: str, spec: Spec, figure: Figure) -> None:
    """Refuse a figure whose axes the experiment does not move, or that would show several runs as one."""
    kind = figure.kind
    if figure.labels and kind != "vdfd_by_epoch":
        raise UserError(f"{where}figure.labels: vdfd_by_epoch alone has panels of labels; leave it out")
    swept = [set(row.sweep) for row in spec.rows.values()]
    if kind == "sensitivity" and not all(len(names) == 1 for names in swept):
        raise UserError(f"{where}{kind} needs rows that sweep one hyper-parameter each")
    axes = _SWEPT.get(kind, ())
    if axes and not set(axes) & set().union(*swept):
        raise UserError(f"{where}{kind} needs rows that sweep {' or '.join(axes)}")
    if kind == "fraction_curves" and not any(setting.fractions for setting in spec.settings):
        raise UserError(f"{where}{kind} needs a setting with fractions")
    if kind not in OF_RESULTS:
        for name, count in Counter(job.row for job in spec.jobs(seeds=spec.seeds[:1])).items():
            if count > 1:
                raise UserError(
                    f"{where}row {name}: {kind} shows one run of a row, here {count}: give one set and setting"
                )


def _known(where: str, kind: str, names: Iterable[str], options: Iterable[str]) -> None:
    options = list(options)
    for name in names:
        if name not in options:
            raise UserError(f"{where}there is no {kind} {name!r}: {near(name, options)}")

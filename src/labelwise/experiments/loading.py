"""Read and check experiments written in TOML."""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ValidationError

from labelwise._files import read_text
from labelwise.errors import UserError, near, shown
from labelwise.experiments.figures import KINDS
from labelwise.experiments.publications import DATASETS, tables
from labelwise.experiments.spec import (
    Figure,
    Override,
    Published,
    Regimes,
    Row,
    Search,
    Setting,
    Spec,
    Theory,
    Training,
    combinations,
)
from labelwise.metrics import METRICS

_MOST_SWEPT = 10_000
_FRACTIONS = {"partial_positive", "partial", "semi_supervised", "random_partial"}
_KINDS = {"single_positive_all_negatives": "single_positive"} | dict.fromkeys(
    ("random_partial", "fixed_per_class"), "partial"
)
"""Settings of labels by ways of hiding them, where these have names of their own."""


def parse_spec(text: str, name: str) -> Spec:
    """Return the experiment in a TOML text.

    Raises:
        UserError: For a mistake, in one line that begins with ``name``.
    """
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # such as a number of 5,000 digits, or lists without end
        raise UserError(f"experiment {name}: not TOML: {error!s:.300}") from None
    try:
        spec = Spec.model_validate({"name": name, **data})
    except ValidationError as error:
        raise UserError(f"experiment {name}: {_explain(error)}") from None
    check(spec)
    return spec


def load_spec(name: str) -> Spec:
    """Return a packaged experiment, or one from a TOML file.

    Raises:
        UserError: If ``name`` is neither, or the file has a mistake.
    """
    if name.endswith(".toml"):
        path = Path(name)
        try:
            return parse_spec(read_text(path), path.stem)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}: {getattr(error, 'strerror', None) or error}: give a TOML file"
            ) from None
    if name not in spec_names():
        raise UserError(f"there is no experiment {name!r}: {near(name, spec_names())}")
    return _packaged(name)


def spec_names() -> list[str]:
    """Return the names of the experiments that come with labelwise."""
    folder = files("labelwise.experiments") / "specs"
    return sorted(path.name[: -len(".toml")] for path in folder.iterdir() if path.name.endswith(".toml"))


@cache
def _packaged(name: str) -> Spec:
    return parse_spec(
        (files("labelwise.experiments") / "specs" / f"{name}.toml").read_text(encoding="utf-8"), name
    )


def _explain(error: ValidationError) -> str:
    """Return the first mistake in one line.

    It names the place in the file, and the keys or values that there are.
    """
    # A misspelt key also leaves the right one missing: tell the misspelling.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    *place, last = first["loc"]
    path = ".".join(map(str, first["loc"]))[:200]
    if first["type"] == "extra_forbidden":
        inside = f" in [{'.'.join(map(str, place))[:200]}]" if place else ""
        return f"there is no key {shown(last)}{inside}: {near(str(last), _fields(place))}"
    if first["type"] == "missing":
        return f"{path} is missing"
    if first["type"] == "too_short":
        return f"{path} is empty: give at least one value"
    return f"{path} = {shown(first['input'], 200)}: {first['msg'].replace('Input should be', 'it should be')}"


def _fields(place: Sequence[int | str]) -> list[str]:
    """Return the keys that a table of the file may have."""
    model: type[BaseModel] = Spec
    inner: dict[str, type[BaseModel]] = {
        "settings": Setting,
        "training": Training,
        "search": Search,
        "figure": Figure,
        "theory": Theory,
        "regimes": Regimes,
        "rows": Row,
        "on": Override,
        "published": Published,
        "at": Override,
    }
    for step in place:
        if step in inner and isinstance(step, str):
            model = inner[step]
    return list(model.model_fields)


def check(spec: Spec) -> None:
    """Refuse an experiment with unknown names or parts that do not fit."""
    where = f"experiment {spec.name}: "
    _check_parts(where, spec)
    _check_known(where, "dataset", [*spec.datasets, *spec.on, *spec.cardinality], DATASETS)
    _check_known(where, "table", spec.tables, tables())
    _check_known(where, "metric", spec.metrics, [*METRICS, "seconds_per_epoch", "gradient_difference"])
    for setting in spec.settings:
        if bool(setting.fractions) != (setting.name in _FRACTIONS):
            need = "needs fractions" if setting.name in _FRACTIONS else "has no fractions"
            raise UserError(f"{where}setting {setting.name} {need}")
        if not all(0 < fraction <= 1 for fraction in setting.fractions):
            raise UserError(f"{where}setting {setting.name}: fractions are above 0 and at most 1")
    for name, row in spec.rows.items():
        _check_row(f"{where}row {name}: ", spec, row)
    if (spec.per_class is not None) != any(setting.name == "fixed_per_class" for setting in spec.settings):
        raise UserError(f"{where}per_class goes with the setting fixed_per_class, which needs it")
    _check_cardinality(where, spec)
    if spec.figure is not None:
        _check_figure(where, spec, spec.figure)


def _check_row(where: str, spec: Spec, row: Row) -> None:
    """Refuse a row whose method, parts or hyper-parameters do not exist."""
    from labelwise import methods

    _check_known(where, "method", [row.method], methods.names())
    _check_known(where, "dataset", [*(row.datasets or ()), *row.on, *row.published.on], spec.datasets)
    _check_known(where, "fraction", row.published.at, [f"{f:g}" for s in spec.settings for f in s.fractions])
    _check_known(where, "setting", row.settings or (), [setting.name for setting in spec.settings])
    method = methods.get(row.method).spec
    # Lists of few values multiply: counted before they are laid out.
    if (count := math.prod(map(len, row.sweep.values()))) > _MOST_SWEPT:
        raise UserError(
            f"{where}sweep has {count:,} combinations, more than {_MOST_SWEPT:,}: give fewer values"
        )
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
            raise UserError(f"{where}{error}") from None
    for setting in spec.settings:
        if row.settings is None or setting.name in row.settings:
            kind = _KINDS.get(setting.name, setting.name)
            if kind not in method.settings:
                raise UserError(f"{where}method {row.method!r} does not take {kind.replace('_', ' ')} labels")


def _check_parts(where: str, spec: Spec) -> None:
    """Refuse an experiment without its parts, or a figure that needs no runs with them."""
    figure = spec.figure
    is_theory = figure is not None and figure.kind == "theory_curves"
    if is_theory != (spec.theory is not None):
        raise UserError(f"{where}[figure.theory] goes with figure.kind = 'theory_curves', which needs it")
    if (figure is not None and figure.kind == "gradient_regimes") != bool(figure and figure.regimes):
        raise UserError(f"{where}[figure.regimes] goes with figure.kind = 'gradient_regimes', which needs it")
    for name in ("code", "datasets", "settings", "seeds", "metrics", "rows"):
        if not spec.rests_on_runs and getattr(spec, name):
            about = "theory" if is_theory else "losses"
            raise UserError(f"{where}{name}: a figure of {about} rests on no runs; leave it out")
        if spec.rests_on_runs and not getattr(spec, name):
            raise UserError(f"{where}{name} is missing")


def _check_cardinality(where: str, spec: Spec) -> None:
    """Refuse rows whose method needs a cardinality that is not given."""
    from labelwise import methods

    for job in spec.jobs(seeds=spec.seeds[:1]):
        needs = "prior" in methods.get(job.method).spec.needs and "positive" in job.setting
        if needs and job.dataset not in spec.cardinality:
            raise UserError(
                f"{where}row {job.row}: method {job.method!r} needs the mean number of labels of an item where only "
                f"positives are known: give [cardinality] {job.dataset}"
            )


def _check_figure(where: str, spec: Spec, figure: Figure) -> None:
    """Refuse a figure without its axes, or of several runs as one."""
    kind = KINDS[figure.kind]
    if figure.labels and figure.kind != "vdfd_by_epoch":
        raise UserError(f"{where}figure.labels: vdfd_by_epoch alone has panels of labels; leave it out")
    if lack := kind.lacks(spec):
        raise UserError(f"{where}{figure.kind} needs {lack}")
    if kind.of_model is not None:
        for name, count in Counter(job.row for job in spec.jobs(seeds=spec.seeds[:1])).items():
            if count > 1:
                raise UserError(
                    f"{where}row {name}: {figure.kind} shows one run of a row, here {count}: give one set and setting"
                )


def _check_known(where: str, kind: str, names: Iterable[str], options: Iterable[str]) -> None:
    options = list(options)
    for name in names:
        if name not in options:
            raise UserError(f"{where}there is no {kind} {shown(name)}: {near(name, options)}")

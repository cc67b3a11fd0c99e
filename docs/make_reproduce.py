"""Write the experiments' costs into ``docs/reproduce.md``: ``python docs/make_reproduce.py``."""

from __future__ import annotations

from pathlib import Path

from labelwise.experiments import RATES, Spec, estimate, load_spec, spec_names

PAGE = Path(__file__).with_name("reproduce.md")

MARK = "<!-- costs: python docs/make_reproduce.py -->"


def rates() -> list[str]:
    """Return the table of assumed rates."""
    lines = [
        "| backbone | forward passes a second (a backward pass is two) | memory: fixed + each item of a batch |",
        "|---|---|---|",
    ]
    for (name, size), rate in RATES.items():
        what = f"`{name}`" + (f" at {size} px" if size else ", 256 tokens")
        lines.append(f"| {what} | {rate.passes:,.0f} | {rate.fixed_gb:g} + {rate.item_gb:g} GB |")
    return lines


def row(spec: Spec) -> str:
    """Return an experiment's line."""
    honest, published = (estimate(spec.jobs(protocol)) for protocol in ("honest", "published"))
    sets = ", ".join(spec.datasets)
    return (
        f"| {spec.title} | `labelwise experiment {spec.name} --data DIR` | {sets} | {honest.runs} | "
        f"{hours(honest.hours)} ({hours(honest.longest)}) | {hours(published.hours)} | {honest.memory_gb:.0f} GB |"
    )


def hours(value: float) -> str:
    """Return hours with no more digits than an estimate has."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def page() -> str:
    """Return the page: its prose down to the mark, and the tables anew."""
    specs = [load_spec(name) for name in spec_names()]
    prose = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    lines = [prose + MARK, "", *rates()]
    for title, chosen in (
        ("Tables", [spec for spec in specs if spec.figure is None]),
        ("Figures", [spec for spec in specs if spec.figure is not None]),
    ):
        lines += [
            "",
            f"### {title}",
            "",
            "| what | command | sets | runs | hours, honest (longest run) | hours, published | GPU memory |",
            "|---|---|---|---|---|---|---|",
            *(row(spec) for spec in chosen if spec.rests_on_runs),
        ]
    for spec in specs:
        if not spec.rests_on_runs:
            lines += [
                "",
                f"{spec.title}: `labelwise experiment {spec.name}`, which needs no data and takes seconds.",
            ]
    lines += [
        "",
        "One set: `--datasets VOC`. One seed: `--seeds 0`. Made by `python docs/make_reproduce.py`.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""The command line: one thin file a command.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

from labelwise.cli.application import app
from labelwise.cli.audit import audit
from labelwise.cli.cache import cache
from labelwise.cli.card import card
from labelwise.cli.compare import compare
from labelwise.cli.complete import complete
from labelwise.cli.completion import completion
from labelwise.cli.convert import convert
from labelwise.cli.datasets import datasets
from labelwise.cli.demo import demo
from labelwise.cli.describe import describe
from labelwise.cli.embed import embed
from labelwise.cli.evaluate import evaluate
from labelwise.cli.experiment import experiment
from labelwise.cli.export import export
from labelwise.cli.issues import issues
from labelwise.cli.methods import methods
from labelwise.cli.options import Command, deferred
from labelwise.cli.predict import predict
from labelwise.cli.push import push
from labelwise.cli.report import report
from labelwise.cli.review import review
from labelwise.cli.serve import serve
from labelwise.cli.train import train

__all__ = ["app", "main"]

_GROUPS = {
    "Begin": (demo, describe, methods, datasets),
    "Train and judge": (train, compare, evaluate, predict, report, embed),
    "Find what is missing": (complete, audit, issues, review),
    "Take it with you": (serve, export, card, push, convert),
    "Besides": (experiment, cache, completion),
}
"""The commands by the title of their group, in the order of ``labelwise --help``."""

for _title, _commands in _GROUPS.items():
    for _command in _commands:
        _name = _command.__name__.rstrip("_")
        app.command(_name, cls=Command, help=_command.__doc__, rich_help_panel=_title)(deferred(_command))


def main() -> None:
    """Run the command line.

    The exit codes are those of ``EXIT_CODES``.
    """
    app()

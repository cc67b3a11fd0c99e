"""Log for MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelwise.tracking.base import MetricLog, library


class MlflowLog(MetricLog):
    """Run of MLflow, in a database file of one's own or on a tracking server.

    Args:
        uri: Tracking URI, such as that of a server; or a folder, which gets ``mlflow.db``: ``mlflow ui
            --backend-store-uri sqlite:///FOLDER/mlflow.db`` shows it.
        experiment: Name of the experiment, made where there is none.
        run_name: Name of the run; None leaves it to MLflow.
    """

    def __init__(self, uri: str | Path, experiment: str = "labelwise", run_name: str | None = None) -> None:
        self.uri, self.experiment, self.run_name = uri, experiment, run_name
        self._library = library("mlflow.tracking", "mlflow", "mlflow")
        self._client: Any = None
        self._run = ""

    def begin(self, parameters: Mapping[str, str]) -> None:
        """Start a run, and write the parameters."""
        # A client of its own: the global tracking URI and active run may be somebody's.
        self._client = self._library.MlflowClient(tracking_uri=self._uri())
        found = self._client.get_experiment_by_name(self.experiment)
        number = found.experiment_id if found else self._client.create_experiment(self.experiment)
        self._run = self._client.create_run(number, run_name=self.run_name).info.run_id
        for name, value in parameters.items():
            self._client.log_param(self._run, name, value)

    def _uri(self) -> str:
        if isinstance(self.uri, str) and "://" in self.uri:
            return self.uri
        folder = Path(self.uri).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{(folder / 'mlflow.db').as_posix()}"

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Write numbers of an epoch."""
        for name, value in numbers.items():
            self._client.log_metric(self._run, name, value, step=step)

    def end(self, figures: Mapping[str, float]) -> None:
        """Write the final figures, and end the run."""
        for name, value in figures.items():
            self._client.log_metric(self._run, name, value)
        self._client.set_terminated(self._run, "FINISHED")

    def fail(self, reason: str) -> None:
        """End the run as failed, with the reason as a tag."""
        if self._run:
            self._client.set_tag(self._run, "reason", reason[:500])
            self._client.set_terminated(self._run, "FAILED")

"""Loggers of a fit, as callbacks: CSV, TensorBoard, MLflow and Weights & Biases.

Each writes under one folder, needs no network, and is given to ``fit(callbacks=[...])`` or named by ``labelwise train
--log``. Their libraries are the extra ``tracking``, imported when a logger is made.
"""

from labelwise.tracking.base import MetricLog
from labelwise.tracking.csv_log import CsvLog
from labelwise.tracking.mlflow_log import MlflowLog
from labelwise.tracking.registry import LOGS, open_logs
from labelwise.tracking.tensorboard_log import TensorBoardLog
from labelwise.tracking.wandb_log import WandbLog

__all__ = ["LOGS", "CsvLog", "MetricLog", "MlflowLog", "TensorBoardLog", "WandbLog", "open_logs"]

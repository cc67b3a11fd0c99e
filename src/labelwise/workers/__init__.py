"""Who does the tasks of a pass: this process, or the workers of a Ray cluster."""

from labelwise.workers.base import HERE, Here, Workers
from labelwise.workers.opening import ENGINES, open_workers

__all__ = ["ENGINES", "HERE", "Here", "Workers", "open_workers"]

"""Metrics over known entries, decision rules by name, and thresholds and calibration where identified."""

from labelwise.metrics._average_precision import (
    average_precision,
    mean_average_precision,
    observed_average_precision,
)
from labelwise.metrics._bootstrap import Interval, bootstrap
from labelwise.metrics._calibration import PlattCalibration, calibration_from_dict
from labelwise.metrics._evaluation import METRICS, evaluate
from labelwise.metrics._judgeable import Judgeable, judgeable
from labelwise.metrics._ranking_score import ObservedAveragePrecisionWarning, ranking_score
from labelwise.metrics._reliability import Reliability, expected_calibration_error, reliability
from labelwise.metrics._result import Evaluation, PerLabel
from labelwise.metrics._rules import (
    OracleCardinality,
    PerLabelThreshold,
    PriorMatched,
    Rule,
    Threshold,
    TopK,
    decide,
    rule_from_dict,
)
from labelwise.metrics._spread import vca, vdfd
from labelwise.metrics._thresholds import learn_thresholds

__all__ = [
    "METRICS",
    "Evaluation",
    "Interval",
    "Judgeable",
    "ObservedAveragePrecisionWarning",
    "OracleCardinality",
    "PerLabel",
    "PerLabelThreshold",
    "PlattCalibration",
    "PriorMatched",
    "Reliability",
    "Rule",
    "Threshold",
    "TopK",
    "average_precision",
    "bootstrap",
    "calibration_from_dict",
    "decide",
    "evaluate",
    "expected_calibration_error",
    "judgeable",
    "learn_thresholds",
    "mean_average_precision",
    "observed_average_precision",
    "ranking_score",
    "reliability",
    "rule_from_dict",
    "vca",
    "vdfd",
]

"""Metrics over known entries, decision rules, thresholds and calibration.

The last two are learnt where the labels identify them.
"""

from labelwise.metrics.blocks import decides_by_row, evaluate_in_blocks, observed_in_blocks
from labelwise.metrics.calibration import (
    PlattCalibration,
    Reliability,
    calibration_from_dict,
    expected_calibration_error,
    reliability,
)
from labelwise.metrics.evaluation import (
    LOWER_IS_BETTER,
    MANY_LABELS,
    METRICS,
    RULE_METRICS,
    TITLES,
    TOP_TITLES,
    Evaluation,
    PerLabel,
    evaluate,
)
from labelwise.metrics.item_metrics import label_weighted_ranking_ap
from labelwise.metrics.measurable import Judgeable, judgeable
from labelwise.metrics.propensity import propensities, top_labels, top_metrics
from labelwise.metrics.ranking import (
    ObservedAveragePrecisionWarning,
    average_precision,
    mean_average_precision,
    observed_average_precision,
    ranking_score,
)
from labelwise.metrics.recall import positives_for, recall_thresholds, too_few_positives
from labelwise.metrics.rules import (
    OracleCardinality,
    PerLabelThreshold,
    PriorMatched,
    Rule,
    Threshold,
    TopK,
    decide,
    rule_from_dict,
)
from labelwise.metrics.spread import Interval, bootstrap, vca, vdfd
from labelwise.metrics.thresholds import learn_thresholds

__all__ = [
    "LOWER_IS_BETTER",
    "MANY_LABELS",
    "METRICS",
    "RULE_METRICS",
    "TITLES",
    "TOP_TITLES",
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
    "decides_by_row",
    "evaluate",
    "evaluate_in_blocks",
    "expected_calibration_error",
    "judgeable",
    "label_weighted_ranking_ap",
    "learn_thresholds",
    "mean_average_precision",
    "observed_average_precision",
    "observed_in_blocks",
    "positives_for",
    "propensities",
    "ranking_score",
    "recall_thresholds",
    "reliability",
    "rule_from_dict",
    "too_few_positives",
    "top_labels",
    "top_metrics",
    "vca",
    "vdfd",
]

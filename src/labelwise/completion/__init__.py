"""Missing labels: ranked, asked for, certified and filled.

Scores here are those of models that did not see the row (``left_out_scores``), so that what is said of a training
table holds for it.
"""

from __future__ import annotations

from labelwise.completion import audit
from labelwise.completion.answer import Answer
from labelwise.completion.answers import Answers, Joined
from labelwise.completion.asking import next_entries
from labelwise.completion.certificate import Certificate, certify, next_to_certify
from labelwise.completion.estimates import AuditEstimate
from labelwise.completion.label_issues import find_label_issues, label_quality_scores
from labelwise.completion.left_out import LeftOutScores, left_out_scores
from labelwise.completion.ranking import Completion, complete
from labelwise.completion.store import AnswerStore

__all__ = [
    "Answer",
    "AnswerStore",
    "Answers",
    "AuditEstimate",
    "Certificate",
    "Completion",
    "Joined",
    "LeftOutScores",
    "audit",
    "certify",
    "complete",
    "find_label_issues",
    "label_quality_scores",
    "left_out_scores",
    "next_entries",
    "next_to_certify",
]

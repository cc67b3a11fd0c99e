"""Audits: which unknown entries to ask, and how good the table is by the answers.

``draw`` draws them in strata by score (and label), with known probabilities; ``estimate`` gives prevalence,
cardinality, missing rate, precision, recall and calibration with intervals; ``certify`` says what can be filled, and
``next_to_certify`` what to ask for that.
"""

from __future__ import annotations

from labelwise.completion.certificate import Certificate, certify, next_to_certify
from labelwise.completion.draw import Strata, draw
from labelwise.completion.estimates import AuditEstimate, estimate
from labelwise.completion.exact import Bounds

__all__ = [
    "AuditEstimate",
    "Bounds",
    "Certificate",
    "Strata",
    "certify",
    "draw",
    "estimate",
    "next_to_certify",
]

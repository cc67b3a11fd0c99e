"""Weights of 8 bits in a model of ONNX, by onnxruntime's quantisation."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from labelwise.classifier.trial import Trial
from labelwise.errors import UserError

Classifier: TypeAlias = Any
_FEWEST_WEIGHTS = 100_000
"""Weights of a backbone below which rounding saves nothing that anybody would notice."""
_CALIBRATED = 4
"""Batches at most on which the ranges of a convolution's inputs are measured."""


def backbone_of(model: Classifier) -> nn.Module:
    """Return a fitted classifier's backbone, frozen or trained."""
    embedder: nn.Module | None = model.reader_.embedder
    backbone: nn.Module = model.network_.backbone if embedder is None else embedder
    return backbone


def check_rounds(model: Classifier, X: Any) -> None:
    """Refuse a model whose file would hardly become smaller, and a loss that could not be measured."""
    weights = sum(parameter.numel() for parameter in backbone_of(model).parameters())
    if weights < _FEWEST_WEIGHTS:
        raise UserError(
            f"int8 rounds the weights of a backbone, and this one has {weights:,}: leave int8 (--int8) out"
        )
    if X is None:
        raise UserError("int8: what the rounding loses is measured, so give items too: export_onnx(path, X)")


def quantised(model: Any, trial: Trial, backbone: nn.Module) -> tuple[Any, int]:
    """Return a model of ONNX with its backbone's weights in 8 bits, and how many batches calibrated it.

    Matrices are rounded a column at a time, and what they are multiplied with as it comes. With convolutions the
    ranges of all that flows between are measured on batches of the trial. The head stays as it is.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    convolves = any(isinstance(module, nn.Conv2d) for module in backbone.modules())
    with tempfile.TemporaryDirectory() as folder, _quiet():
        before, after = Path(folder, "float.onnx"), Path(folder, "rounded.onnx")
        onnx.save(model, before)
        if not convolves:
            quantize_dynamic(
                before, after, per_channel=True, weight_type=QuantType.QInt8, nodes_to_exclude=_last(model)
            )
            return onnx.load(after), 0
        count = max(1, min(_CALIBRATED, len(trial.batches) // 2))
        quantize_static(
            before,
            after,
            _Batches(model, trial, count),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=["Conv"],
        )
        return onnx.load(after), count


class _Batches:
    """Batches of a trial as onnxruntime asks for them."""

    def __init__(self, model: Any, trial: Trial, count: int) -> None:
        self._name = model.graph.input[0].name
        self._left = iter([batch for _, batch in trial.batches[:count]])

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch by the input's name, None after the last."""
        batch = next(self._left, None)
        return None if batch is None else {self._name: batch}


def _last(model: Any) -> list[str]:
    """Return the last product of matrices, which is the head's."""
    products = [node.name for node in model.graph.node if node.op_type in ("MatMul", "Gemm")]
    return products[-1:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep onnxruntime's advice on preparing a model to itself."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)

"""Export for use without labelwise: one file of ONNX, or one of ``torch.export``."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch.fx import GraphModule

from labelwise._files import replacing
from labelwise.classifier.attributes import check_fitted
from labelwise.classifier.decision import Decision
from labelwise.classifier.distilling import Distillation
from labelwise.classifier.graph import OUTPUTS, Graph, example, facts
from labelwise.classifier.quantising import backbone_of, check_rounds, quantised
from labelwise.classifier.reader import ItemReader
from labelwise.classifier.trial import Agreement, Trial
from labelwise.errors import UserError, missing_extra
from labelwise.metrics import PerLabelThreshold, Threshold, TopK

Classifier: TypeAlias = Any
_LARGEST = 2**31 - 2**20
"""Most bytes of weights: a file of ONNX holds less than 2 GiB."""


@dataclass(frozen=True)
class Exported:
    """A written file, and what it was measured to give.

    Attributes:
        path: The file.
        agreement: The file beside the classifier on real items; None without any.
        distillation: What the small network in the place of an ensemble loses; None for others.
        rounded: The file with weights of 8 bits beside the classifier; None for others.
    """

    path: Path
    agreement: Agreement | None = None
    distillation: Distillation | None = None
    rounded: Agreement | None = None

    def measured(self) -> dict[str, Any]:
        """Return the measurements as plain data, without those that were not made."""
        parts = {name: getattr(self, name) for name in ("agreement", "distillation", "rounded")}
        return {name: asdict(part) for name, part in parts.items() if part is not None}


def export_onnx(
    self: Classifier,
    path: str | Path,
    X: Any = None,
    Y: Any = None,
    *,
    int8: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Exported:
    """Write one file of ONNX: backbone, scaling, head, calibration and rule, names and preprocessing with them.

    Args:
        self: A fitted classifier.
        path: The file; one that is there is replaced.
        X: Items like those of the fit, on up to 200 of which the file is compared with the classifier. An ensemble
            (``auto``) is distilled from all of them first.
        Y: (n, K) their annotations, to measure mean average precision by.
        int8: Round the backbone's weights to 8 bits; its loss is measured on items of ``X`` that the rounding did not
            see.
        about: Further facts for the file's metadata, plain data by name.

    Returns:
        What was measured; it stands in the file's metadata too.

    Raises:
        UserError: For a model that is no single network, a rule that decides over all items together, a missing extra,
            or weights beyond 2 GiB.
    """
    onnx = _library()
    if int8:
        check_rounds(self, X)
    model, program, done = _traced(self, path, X, Y, "export_onnx")
    size = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    if size > _LARGEST:
        raise UserError(f"the model's weights take {size:,} bytes, and a file of ONNX holds less than 2 GiB")
    trial = None if X is None else Trial.of(model, X, Y)
    with _quiet(), torch.no_grad():
        written = torch.onnx.export(
            program,
            input_names=[example(model.reader_, model.fitted_)[0]],
            output_names=list(OUTPUTS),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert written is not None
    proto = written.model_proto
    _forget_places(proto)
    if trial is not None:
        done = Exported(done.path, trial.of_onnx(proto.SerializeToString()), done.distillation)
    if int8:
        assert trial is not None
        proto, calibrated = quantised(proto, trial, backbone_of(model))
        rounded = trial.without(calibrated).of_onnx(proto.SerializeToString())
        done = Exported(done.path, done.agreement, done.distillation, rounded)
    onnx.helper.set_model_props(proto, _with_measured(model, done, about))
    with replacing(done.path) as draft:
        onnx.save(proto, draft)
    return done


def export_torch(
    self: Classifier,
    path: str | Path,
    X: Any = None,
    Y: Any = None,
    *,
    about: Mapping[str, Any] | None = None,
) -> Exported:
    """Write one program of ``torch.export`` (.pt2): weights and operations alone, no code and no pickle.

    ``torch.export.load`` reads it; the facts of ``export_onnx`` lie in its extra file ``labelwise.json``.

    Args:
        self: A fitted classifier.
        path: The file; one that is there is replaced.
        X: As in ``export_onnx``.
        Y: As in ``export_onnx``.
        about: As in ``export_onnx``.

    Returns:
        What was measured.

    Raises:
        UserError: As ``export_onnx``.
    """
    model, program, done = _traced(self, path, X, Y, "export_torch")
    # They name the files of this machine, in the parts of a graph too.
    graphs = [part.graph for part in program.graph_module.modules() if isinstance(part, GraphModule)]
    for node in (node for graph in graphs for node in graph.nodes):
        for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node"):
            node.meta.pop(key, None)
    # The example would be the one part of the file that is pickled.
    program._example_inputs = None
    if X is not None:
        trial = Trial.of(model, X, Y)
        done = Exported(done.path, trial.of_program(program.module()), done.distillation)
    record = {
        key.removeprefix("labelwise."): json.loads(value)
        for key, value in _with_measured(model, done, about).items()
    }
    stream = BytesIO()
    with _quiet():
        torch.export.save(
            program, stream, extra_files={"labelwise.json": json.dumps(record, ensure_ascii=False)}
        )
    with replacing(done.path) as draft:
        draft.write_bytes(stream.getbuffer())
    return done


def _traced(
    model: Classifier, path: str | Path, X: Any, Y: Any, asked: str
) -> tuple[Classifier, Any, Exported]:
    """Return the classifier that is one network, its program, and what is known of the file so far."""
    check_fitted(model, f"before {asked}")
    _check(model.reader_, model.decision_)
    if model.fitted_.network.reads_rows:
        model = _one_network(model, X, Y)
    reader, fitted = model.reader_, model.fitted_
    # A copy: what is traced shall ask for no gradients, and lie on the processor.
    graph = copy.deepcopy(Graph(reader, fitted, model.decision_)).cpu().requires_grad_(False).eval()
    _, items, sides = example(reader, fitted)
    try:
        with _quiet(), torch.no_grad():
            program = torch.export.export(graph, (items,), dynamic_shapes=(sides,), strict=False)
    except Exception as error:  # of many kinds, most of a user's own backbone
        first = str(error).strip().partition("\n")[0]
        raise UserError(
            f"the network cannot be traced for batches of any size ({type(error).__name__}: {first:.200}); use the"
            " model itself"
        ) from error
    return model, program, Exported(Path(path), distillation=getattr(model, "distillation_", None))


def _one_network(model: Classifier, X: Any, Y: Any) -> Classifier:
    """Return the small network of an ensemble, distilled from items."""
    if X is None:
        raise UserError(
            f"method {model.method_!r} on fixed features is an ensemble of closed forms and trees, which is no single"
            " network that a file could hold: give items, from which a small one is distilled (export_onnx(path, X, Y))"
            ", or train one with method='ridge' (--method ridge) or another, or with tune='all' (--tune all)"
        )
    return model.distil(X, Y)


def _check(reader: ItemReader, decision: Decision) -> None:
    if reader.sources:
        names = "+".join(source.name for source in reader.sources)
        raise UserError(
            f"the model reads {names}, of which words and columns are no part of a network; train with one backbone"
            " alone, such as minilm"
        )
    if not isinstance(decision.rule, Threshold | PerLabelThreshold | TopK):
        raise UserError(
            f"the rule {decision.rule.name} decides over all items together, and a graph sees a batch: set rule_ to"
            " thresholds, as labelwise.metrics.PriorMatched.fit gives them"
        )


def _with_measured(model: Classifier, done: Exported, about: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the facts of a file with what was measured, as JSON."""
    added = {**(about or {}), "notes": list(model.notes_), "measured": done.measured()}
    return facts(model.reader_, model.fitted_, model.decision_) | {
        f"labelwise.{key}": json.dumps(value, ensure_ascii=False) for key, value in added.items()
    }


def _forget_places(model: Any) -> None:
    """Take what tells of the exporting machine's files out of a model of ONNX."""
    for graph in (model.graph, *model.functions):
        for part in (*graph.node, *getattr(graph, "value_info", ())):
            del part.metadata_props[:]
            part.doc_string = ""
    for part in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del part.metadata_props[:]


def _library() -> Any:
    try:
        import onnx
        import onnxruntime  # noqa: F401  # what is written is run once
        import onnxscript  # noqa: F401  # torch writes with it
    except ImportError as error:
        raise missing_extra("export to ONNX needs an extra", "onnx", error) from error
    return onnx


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's warnings and steps to itself: what fails is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

"""The scikit-learn face: ``MultiLabelClassifier`` and ``load``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from torch import nn

from labelwise import metrics
from labelwise.classifier import artifact
from labelwise.classifier.attributes import NotFitted, check_fitted
from labelwise.classifier.callbacks import Callbacks, FitEnd, FitStart
from labelwise.classifier.decision import Decision, check_rule, learn_decision
from labelwise.classifier.distilling import distil
from labelwise.classifier.exporting import export_onnx, export_torch
from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.given import read_sample_weight
from labelwise.classifier.hub import from_pretrained, push_to_hub, save_pretrained
from labelwise.classifier.label_names import vectors_of_labels
from labelwise.classifier.loading import loaded
from labelwise.classifier.notes import all_notes, notes_on
from labelwise.classifier.options import FitOptions, check_functions
from labelwise.classifier.predicting import Predictor
from labelwise.classifier.reader import ItemReader, ReadItems
from labelwise.classifier.record import is_path
from labelwise.classifier.streaming import (
    METHOD,
    ArrayStream,
    as_stream,
    fit_stream,
    fits_in_passes,
    options_for_lists,
)
from labelwise.classifier.training import (
    TrainingSet,
    choose_method,
    read_groups,
    read_hints,
    read_labels,
    train,
)
from labelwise.classifier.unseen import ValidationResult
from labelwise.classifier.validation import ValidationPlan, result_of, validate
from labelwise.classifier.warm import WarmStart
from labelwise.data import TableStream, check_same_order, is_dataset
from labelwise.errors import UserError, shown
from labelwise.methods import Method, get

OnEpoch = Callable[["MultiLabelClassifier", int], object]


class MultiLabelClassifier(Predictor):
    """A multi-label classifier that learns from the labels you have.

    Every entry of ``Y`` is relevant (1), irrelevant (0) or unknown (-1, NaN or NA). Which entries are known decides
    the setting; one ``fit`` serves all of them. Labels with names (a frame's columns, rows of names) are matched by
    name in ``validation``, ``evaluate`` and ``score``.

    Args:
        method (str or None): A method's id (``labelwise.methods.names()``), or None for what
            ``labelwise.recommend`` says.
        backbone (str, list of str or nn.Module): ``"features"`` (rows of X are features), ``"mlp"``,
            ``"smallcnn"``; pretrained: ``"efficientnet-lite0"`` for pictures, ``"minilm"`` for texts, ``"hf/NAME"``,
            ``"timm/NAME"``; or a module from items to features. ``:layers`` behind a pretrained network has it give the
            states of three depths of texts, of two of pictures. Several sources of features stand side by side, as in
            ``"minilm:layers+words"`` or a list of names: frozen backbones for the same items, ``"words"`` (TF-IDF of
            texts) and ``"columns"`` (of numbers, in a frame beside the column of texts or paths).
        backbone_weights (path or None): A file of weights for the backbone: safetensors, or what ``torch.save``
            wrote of a state dict.
        image_size (int or None): Side of the pictures in pixels, instead of the backbone's own.
        max_length (int or None): Tokens that are read of a text at most, special ones included, instead of the
            backbone's own: 256 of ``"minilm"``, of others as many as they have places for, up to 512.
        hyperparameters (dict or None): The method's own; ``labelwise.methods.get(id).spec.hyperparameters`` lists
            them.
        tune ({"head", "all"} or None): Train the head alone or the whole network. None: the head for ``"features"``
            and pretrained backbones, all otherwise. With ``"head"`` every picture or text is read by the backbone
            once, and its features are kept.
        head_start ({"ridge", "random"} or None): What the head starts from: the closed form on the features as they
            are before training, or random weights. None: the closed form for ``"features"``, pretrained and frozen
            backbones; random otherwise. Methods with heads of their own (``mime``, ``drml``) always start at
            random.
        epochs (number or None): None takes the method's default for the way it tunes.
        batch_size (number or None): As ``epochs``.
        learning_rate (number or None): As ``epochs``.
        backbone_learning_rate (float or None): With ``tune="all"``. None: a tenth of ``learning_rate`` for a
            pretrained backbone, the same otherwise.
        validation ("auto", float, (X, Y) or None): What decision rule, calibration and early stopping are chosen
            on. A fraction of the labelled rows is held out; once the choices are made the model is trained again on
            everything. ``"auto"`` is .2 where negatives are known on at least 50 rows; a head leaves 10 to 49 out
            in five turns. With a pair it is trained once, on all of X.
        rule ({"auto", "micro-f1", "macro-f1", "shares", "recall"}, Rule or float): How scores become label sets: by
            name, by a rule of ``labelwise.metrics``, or by one threshold. ``"auto"`` learns thresholds where negatives
            are known, else matches ``prior`` or, as a lower bound, the observed shares; ``"shares"`` always matches;
            ``"recall"`` needs positives alone (``labelwise.metrics.recall_thresholds``).
            docs/guides/decisions.md has the details.
        calibrate (bool): Turn scores into calibrated probabilities where that is identified.
        prior ((K,) array, dict, float or None): The share of positives of each label, or the
            mean number of labels an item has, where the labels do not identify it; a dict holds shares by name.
        unlisted ({"unknown", "absent"} or None): What a name means that a row of names does not list, and what a
            sparse ``Y`` does not store. None: unknown for names; a sparse ``Y`` must say it.
        minus_one ({"unknown", "absent"}): What -1 means, wherever labels are given.
        empty ({"unknown", "absent"}): What NaN, None, NA, a masked entry or an empty cell means, wherever labels
            are given.
        label_weights ("balanced", (K,) array, dict by name or None): Weights of each label's known positives in
            the loss, against imbalance; ``"balanced"`` is the ratio of its other entries to them, at most 100.
        strong_view (float): Share of coordinates dropped in the strong view of features, in [0, 1).
        patience (int or None): Stop after that many epochs without a better validation score, and use the best
            epoch. None: fixed epochs.
        select ({"last", "best"}): Which epoch to use where there is validation; ``"best"`` by its mean average
            precision.
        on_bad_item ({"stop", "skip"}): What to do with a picture that cannot be read. ``"skip"`` leaves up to 5% of
            the items out (``skipped_``).
        cache (bool): Keep the features of pictures and texts on disk (``labelwise cache`` lists them), for the next
            run.
        picture_cache (path or None): A folder for decoded pictures of short side 256, for ``tune="all"``.
        accumulate (int): Batches whose gradients make one step; see ``labelwise.engine.Settings``.
        device (str): ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``; see ``labelwise.engine.Settings``.
        devices (int): Processes on each machine, one a device.
        nodes (int): Machines.
        precision (str): ``"32"``, ``"bf16"`` or ``"16"`` (autocast).
        random_state (int or None): The seed of every choice; the same seed gives the same model to the bit. None is
            0: nothing is ever drawn anew, so that a model can be trained again.
        directory (path or None): Where checkpoints and ``history.jsonl`` go. Fitting again with the same arguments
            resumes there, exactly.
        memory (float or None): Gigabytes (GiB) past which stored features and item state are memory-mapped under
            ``directory``. None: 4.
        progress (bool): Show a progress bar.
        label_texts (dict or None): What labels mean, for methods that take names for evidence (``auto``): a text, or a
            list of texts, by label name. They stand in the place of the name, which is best kept among them. None: the
            names themselves, as words. A frozen backbone of texts reads them, or the tower of texts beside one of
            pictures (``"hf/NAME"`` of a CLIP).
        recall (float): With ``rule="recall"``: the share of each label's positives that its threshold keeps.
        hierarchy (dict or None): Which labels stand above which: a parent, or a list of parents, by child. A relevant
            label makes those above it relevant, an irrelevant one those below it irrelevant, wherever labels are given;
            no score is above that of a parent, and label sets hold all labels above theirs.
        coherent_loss (bool): With ``hierarchy``: train by the loss of C-HMCNN, in which a label's score is the maximum
            over those below it, for methods whose loss takes entries one by one.
        group_consistency (float): With ``groups`` in ``fit``: weight of a term that keeps the scores of a group's items
            near the group's running mean (``labelwise.methods.GroupConsistency``). 0 leaves it out.
        positive_boost (float or None): For a whole network on pictures: each place of the backbone's last map is
            scored, positive scores are multiplied by this, and their mean is the logit, in training and at prediction
            (BoostLU, there 5). For methods with a linear head, which then starts at random. None: the head reads the
            pooled features.
        compile (bool): Compile the forward pass of the training steps by ``torch.compile``. Results are equal to
            rounding, and a run may go on with or without it; nothing of it is in the model. It takes a C++ compiler,
            and half a minute before the first step: docs/performance.md says where it pays.

    Attributes:
        method_ (str): The method's id.
        hyperparameters_ (dict[str, Any]): Its hyper-parameters, defaults included.
        budget_ (dict[str, Any]): Epochs, batch size and learning rates.
        label_names_ (tuple[str, ...]): The K names.
        summary_ (Summary): The facts of the labels that it was trained on.
        prior_ (np.ndarray or None): (K,) the share of positives of each label, None where nothing identifies it.
        rule_ (Rule): The decision rule.
        rule_source_ (str): How it was chosen, in words.
        calibration_ (PlattCalibration or None): What makes probabilities of scores.
        validation_ (Evaluation or None): The figures on held-out rows.
        best_epoch_: The epoch that was taken, where the run chose one.
        held_out_: Labels (m, K) and scores (m, K), before calibration, of items that the model did not see; None
            without any, and after ``load``.
        history_ (list[dict[str, Any]]): One record an epoch.
        explanation_ (Explanation): What the training found and chose by, of a method that says so (``auto``); missing
            for others.
        notes_: Sentences on what was assumed.
        seconds_: Wall time of ``fit``.
        skipped_: The items that could not be read.
        reader_: How items are read. Most other attributes are views of this one and the next two.
        fitted_: What was trained.
        decision_: How scores become probabilities and label sets. Of the views, those of the decision alone can
            be replaced.
    """

    def __init__(
        self,
        method: str | None = None,
        backbone: str | Sequence[str] | nn.Module = "features",
        *,
        backbone_weights: str | Path | None = None,
        image_size: int | None = None,
        max_length: int | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        tune: str | None = None,
        head_start: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        backbone_learning_rate: float | None = None,
        validation: Any = "auto",
        rule: Any = "auto",
        calibrate: bool = True,
        prior: Any = None,
        unlisted: str | None = None,
        minus_one: str = "unknown",
        empty: str = "unknown",
        label_weights: Any = None,
        strong_view: float = 0.2,
        patience: int | None = None,
        select: str = "last",
        on_bad_item: str = "stop",
        cache: bool = True,
        picture_cache: str | Path | None = None,
        accumulate: int = 1,
        device: str = "auto",
        devices: int = 1,
        nodes: int = 1,
        precision: str = "32",
        random_state: int = 0,
        directory: str | Path | None = None,
        memory: float | None = None,
        progress: bool = False,
        label_texts: Mapping[str, Any] | None = None,
        recall: float = 0.9,
        hierarchy: Mapping[str, Any] | None = None,
        coherent_loss: bool = False,
        group_consistency: float = 0.0,
        positive_boost: float | None = None,
        compile: bool = False,
    ) -> None:
        arguments = locals()
        for option in fields(FitOptions):
            setattr(self, option.name, arguments[option.name])

    def fit(
        self,
        X: Any,
        Y: Any,
        *,
        label_names: Sequence[str] | None = None,
        items: Sequence[str] | None = None,
        true_labels: Any = None,
        warm_start: MultiLabelClassifier | None = None,
        on_epoch: OnEpoch | None = None,
        on_read: Callable[[ReadItems], object] | None = None,
        groups: Any = None,
        hints: Any = None,
        sample_weight: Any = None,
        callbacks: Sequence[Any] | None = None,
    ) -> Self:
        """Train on ``X`` (n items) and ``Y`` (n, K) annotations.

        A fit that is refused or interrupted leaves this classifier as it was.

        Rows that do not fit in memory are given as a ``pyarrow.dataset.Dataset`` of features and labels, ``Y`` being
        the name of its column of lists of labels, or the names of its columns of states: ``"ridge"`` is trained on them
        in three passes, and thresholds and figures are learnt on a sample of rows, each left out in turn.

        Args:
            X: An array (n, D) of features or (n, C, H, W) of pictures, a frame, a sparse matrix, a source, or with a
                pretrained backbone a list of texts or of pictures' paths.
            Y: (n, K) annotations, or n rows of names: see ``labelwise.annotations.parse``.
            label_names: Names of the columns of Y.
            items: n ids, which name the items in messages.
            true_labels: (n, K), read by oracle methods alone.
            warm_start: A fitted classifier to go on from where rows, labels or new labels were added: the network and
                the head's weights of the labels in common, by name, and the scaling of features are its own; new labels
                start as always. Closed forms are solved anew. What is held out of this fit is judged by models
                without it, which may have seen those rows.
            on_epoch: Called after every epoch of the final run with a classifier as it is then, which can be asked
                and saved like any (its rule is one half), and the number of epochs so far.
            on_read: Called before any training with the items as they were read, which can be scored in the place
                of ``X``.
            groups: n names or numbers of groups, such as the video of a frame; None, NaN or an empty text is none.
                Rows of a group stay together wherever rows are held out, left out or dealt into folds.
            hints: (n, K) scores in [0, 1] or NaN, from another model, or ``labelwise.targets.Hints``, which says how
                far they are believed: unknown entries become soft targets of a method that has such.
            sample_weight: (n,) numbers of at least 0 that multiply the loss of each row's entries, scaled to a mean of
                1 over the rows that train, so that only their ratios matter; equal ones are none. In the closed form
                they multiply the squared errors. Scaling, decision rule, calibration and figures count rows once.
            callbacks: Objects that are told how the fit goes: see ``labelwise.classifier.Callback``, and
                ``labelwise.tracking`` for loggers.

        Raises:
            UserError: For input that cannot be used; it is a ``ValueError``.
        """
        began = time.perf_counter()
        beside = {
            "true_labels": true_labels,
            "warm_start": warm_start,
            "on_epoch": on_epoch,
            "groups": groups,
            "hints": hints,
            "sample_weight": sample_weight,
            "callbacks": callbacks or None,
        }
        if isinstance(X, TableStream) or is_dataset(X):
            given = {"label_names": label_names, "items": items, **beside}
            return self._fit_stream(as_stream(self._options(), X, Y), given, on_read, began)
        options = self._options().checked()
        check_functions(on_epoch=on_epoch, on_read=on_read)
        told = Callbacks(callbacks)
        check_same_order(X, Y)
        labels, items, truth = read_labels(options, Y, label_names, items, true_labels)
        if fits_in_passes(options, labels, beside):
            reader, X = ItemReader.of(options, get(METHOD), X, labels.states, items)
            if getattr(X, "ndim", 0) == 2:
                stream = ArrayStream(X, labels.states, labels.label_names)
                return self._fit_stream(stream, {}, on_read, began, reader, labels.notes)
        codes = read_groups(groups, labels)
        targets = read_hints(hints, labels)
        weights = read_sample_weight(sample_weight, labels.n_items)
        method = choose_method(options, labels, hinted=targets is not None, weighted=weights is not None)
        alone = codes is None and targets is None and weights is None and truth is None
        options, listed_notes = options_for_lists(options, labels, method) if alone else (options, ())
        reader, X = ItemReader.of(options, method, X, labels.states, items)
        reads_names = method.spec.reads_names
        warm = self._warm_start(warm_start, options, reader, method, labels.label_names)
        names = vectors_of_labels(options, reader, labels.label_names) if reads_names else None
        training_set = TrainingSet.of(
            options, reader, X, labels, items, truth, on_read, names, codes, targets, weights
        )
        plan = ValidationPlan.of(options, training_set, method)
        check_rule(options, training_set, plan)
        with told.fit(
            FitStart(
                method.spec.id,
                MappingProxyType(dict(options.hyperparameters or {})),
                MappingProxyType({name: getattr(options, name) for name in sorted(options.given)}),
                labels.label_names,
                training_set.labels.n_items,
                training_set.full_summary.setting,
            )
        ):
            result = validate(options, training_set, method, plan, told)
            fitted = self._unfitted(training_set)

            def show(model: FittedModel, epoch: int) -> None:
                if on_epoch is not None:
                    half = Decision(
                        metrics.Threshold(0.5),
                        "one half, until the training ends",
                        hierarchy=training_set.hierarchy,
                    )
                    fitted._fill(
                        model, half, ValidationResult(), notes_on(options, training_set, model), began
                    )
                    on_epoch(fitted, epoch)

            model = train(
                options,
                training_set,
                method,
                part="final",
                held_out=plan.pair,
                after=result,
                on_epoch=show,
                warm=warm,
                callbacks=told,
            )
            # Nothing was held out: the final model is judged on a given pair, or on rows that a closed form left out.
            result = (
                result
                if result.unseen is not None
                else result_of(model, plan.pair, positives=options.rule == "recall")
            )
            decision = learn_decision(options, training_set, model, result.unseen)
            arguments = {
                "true_labels": true_labels,
                "warm_start": warm_start,
                "on_epoch": on_epoch,
                "groups": groups,
            }
            notes = all_notes(options, training_set, model, decision, result, X, Y, arguments)
            notes = (*listed_notes, *notes)
            if warm is not None:
                notes += warm.words(judged_without=plan.pair is None and result.unseen is not None)
            fitted._fill(model, decision, result, notes, began)
        # A single assignment: whatever interrupts it finds the old state or the new one.
        self.__dict__ = fitted.__dict__
        figures = None if self.validation_ is None else MappingProxyType(dict(self.validation_))
        end = FitEnd(figures, self.rule_.name, self.notes_, self.seconds_, self.best_epoch_)
        told.tell("on_fit_end", end, ", and the classifier is fitted")
        return self

    def _fit_stream(
        self,
        stream: TableStream | ArrayStream,
        given: Mapping[str, Any],
        on_read: Callable[[ReadItems], object] | None,
        began: float,
        reader: ItemReader | None = None,
        notes: tuple[str, ...] = (),
    ) -> Self:
        """Train on rows that are read in passes, or whose labels stay lists."""
        options = self._options().checked()
        fit = fit_stream(options, stream, given, reader=reader)
        if on_read is not None:
            on_read(ReadItems(fit.training_set.X, np.arange(len(fit.training_set.X))))
        fitted = self._unfitted(fit.training_set)
        fitted._fill(fit.model, fit.decision, fit.result, (*notes, *fit.notes), began)
        fitted.streamed_ = fit.rows
        self.__dict__ = fitted.__dict__
        return self

    @staticmethod
    def _warm_start(
        given: MultiLabelClassifier | None,
        options: FitOptions,
        reader: ItemReader,
        method: type[Method],
        label_names: Sequence[str],
    ) -> WarmStart | None:
        """Return the checked start from a fitted classifier; None without one, and for a closed form."""
        if given is None:
            return None
        if not isinstance(given, MultiLabelClassifier):
            raise UserError(
                f"warm_start={shown(given)}: give a fitted MultiLabelClassifier, as labelwise.load returns it"
            )
        if not hasattr(given, "fitted_"):
            raise NotFitted("warm_start is not fitted: call fit(X, Y) on it first, or load one")
        if not method.spec.passes:
            return None
        earlier = (given._options(), given.reader_)
        return WarmStart.of(given.fitted_, earlier, (options, reader), method, label_names)

    def _fill(
        self,
        model: FittedModel,
        decision: Decision,
        result: ValidationResult,
        notes: tuple[str, ...],
        began: float,
    ) -> None:
        """Set the fitted attributes from the results of a fit.

        ``began`` is when it began, by ``time.perf_counter``.
        """
        self.fitted_, self.decision_ = model, decision
        self.best_epoch_, self.held_out_ = result.epochs, result.held_out
        self.notes_, self.seconds_ = notes, time.perf_counter() - began

    def _options(self) -> FitOptions:
        """Return the parameters as options, not yet checked."""
        return FitOptions(**{option.name: getattr(self, option.name) for option in fields(FitOptions)})

    def _unfitted(self, training_set: TrainingSet) -> Self:
        """Return a twin with the same parameters and items, not yet fitted."""
        twin = object.__new__(type(self))
        # A trailing underscore marks what an earlier fit came to.
        twin.__dict__ = {name: value for name, value in vars(self).items() if not name.endswith("_")}
        twin.reader_, twin.skipped_ = training_set.reader, training_set.skipped
        twin.classes_ = np.arange(len(training_set.labels.label_names))
        return twin

    def save(self, path: str | Path) -> None:
        """Write a model directory: weights as safetensors, everything else as JSON."""
        check_fitted(self, "before save")
        if not is_path(path):
            raise UserError(f"save({shown(path)}): give the path of a folder")
        from labelwise._version import __version__

        (model, weights), (items, frozen) = self.fitted_.record(), self.reader_.record()
        facts = {"best_epoch": self.best_epoch_, "notes": list(self.notes_), "seconds": self.seconds_}
        record = {"labelwise": __version__, **facts, **model, **items}
        artifact.write(
            path, {**record, **self.decision_.record(), **self._options().record()}, weights | frozen
        )

    distil = distil
    export_onnx = export_onnx
    export_torch = export_torch
    save_pretrained = save_pretrained
    push_to_hub = push_to_hub
    from_pretrained = classmethod(from_pretrained)  # type: ignore[var-annotated]


def load(path: str | Path, *, backbone: nn.Module | None = None) -> MultiLabelClassifier:
    """Return the fitted classifier of a model directory.

    Args:
        path: The directory that ``save`` wrote.
        backbone: For a model trained with a module of your own, whose code no model directory holds: an untrained
            one of the same make.

    Raises:
        UserError: For anything that is not a whole, unchanged model directory.
    """
    return loaded(MultiLabelClassifier, path, backbone)

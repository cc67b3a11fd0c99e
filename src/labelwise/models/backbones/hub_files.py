"""What a model on the hub, or in a local folder, says of its items in its small files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from labelwise.errors import UserError
from labelwise.models.backbones.extras import needs
from labelwise.models.backbones.preprocessing import ImagePreprocessing, TextPreprocessing

_CODE = ("auto_map", "custom_pipelines", "quantization_config", "use_kernels")
_RESAMPLING = {2: "bilinear", 3: "bicubic"}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from telling of weights it passes over, and of progress: what matters is raised."""
    logging: Any = import_module("transformers.utils.logging")
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def found(name: str) -> Iterator[None]:
    """Turn what the hub says of a name that cannot be had into one line."""
    with needs("text", f"hf/{name}"), quiet():
        try:
            yield
        except UserError:
            raise
        except (OSError, ValueError, KeyError) as error:
            words = " ".join(str(error).split()) or type(error).__name__
            if "trust_remote_code" in words:
                raise UserError(
                    f"backbone 'hf/{name}' comes with code of its own, which labelwise never runs: take a model that"
                    " transformers has the code of, or build it yourself and give the module"
                ) from error
            raise UserError(
                f"backbone 'hf/{name}' cannot be loaded: {words:.200}; give a model's name on the hub, with a"
                " connection or a filled cache, or a local folder"
            ) from error


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Build what a model directory records: no hub is asked, and whatever the library makes of it is one line."""
    with needs("text", f"hf/{name}"), quiet():
        constants: Any = import_module("huggingface_hub.constants")
        before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # many kinds, by what the record says
            words = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"the architecture of backbone 'hf/{name:.80}' makes no network: {words:.200}"
            ) from error
        finally:
            constants.HF_HUB_OFFLINE = before


def plain_settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without what names code: classes of a repository, kernels to be fetched."""
    return {
        key: plain_settings(value) if isinstance(value, Mapping) else value
        for key, value in record.items()
        if key not in _CODE and not key.lstrip("_").startswith("attn_implementation")
    }


def tokenizer_of(name: str, *, local_files_only: bool = False) -> Any:
    """Return transformers' fast tokenizer of ``name``; UserError where it has only a slow one."""
    with found(name):
        transformers: Any = import_module("transformers")
        made = transformers.AutoTokenizer.from_pretrained(
            name, use_fast=True, local_files_only=local_files_only, trust_remote_code=False
        )
    if not getattr(made, "is_fast", False):
        raise UserError(f"backbone 'hf/{name}' has no fast tokenizer (tokenizer.json); take one that has")
    return made


def config_of(name: str, local_files_only: bool) -> Any:
    """Return a hub model's configuration, without running its code."""
    with found(name):
        transformers: Any = import_module("transformers")
        return transformers.AutoConfig.from_pretrained(
            name, local_files_only=local_files_only, trust_remote_code=False
        )


def kind_of(config: Any, name: str) -> str:
    """Return whether a model reads an ``"image"`` or a ``"text"``."""
    if hasattr(config, "vision_config") or hasattr(config, "num_channels"):
        return "image"
    if hasattr(config, "vocab_size"):
        return "text"
    raise UserError(f"backbone 'hf/{name}' is of type {config.model_type}, neither of pictures nor of texts")


def text_items(name: str, config: Any, max_length: int | None, local_files_only: bool) -> TextPreprocessing:
    """Return how a hub model takes texts: its tokenizer and the tokens it reads at most."""
    tokenizer = tokenizer_of(name, local_files_only=local_files_only)
    # RoBERTa's positions start behind its padding id
    offset = (getattr(config, "pad_token_id", 0) or 0) + 1 if "roberta" in config.model_type else 0
    positions = getattr(config, "max_position_embeddings", 0) or 0
    limits = [int(tokenizer.model_max_length)] + [int(positions) - offset] * (positions > 0)
    most = min(512, *limits)
    if max_length is not None and max_length > min(limits):
        raise UserError(
            f"max_length is {max_length}: backbone 'hf/{name}' reads at most {min(limits)} tokens"
        )
    pad_id = tokenizer.pad_token_id
    if pad_id is None or pad_id in tokenizer("")["input_ids"]:
        pad_id = -1
    return TextPreprocessing(f"hf/{name}", most if max_length is None else max_length, int(pad_id))


def image_items(name: str, local_files_only: bool) -> tuple[ImagePreprocessing, list[float], list[float]]:
    """Return the preprocessing, mean and std (in 0..255) of the image processor's configuration."""
    with found(name):
        transformers: Any = import_module("transformers")
        processor = transformers.AutoImageProcessor.from_pretrained(
            name, local_files_only=local_files_only, trust_remote_code=False
        )
    try:
        return _image_items(processor)
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"backbone 'hf/{name}' has an image processor without a size, mean or deviation ({error});"
            " complete its preprocessor_config.json"
        ) from error


def _image_items(processor: Any) -> tuple[ImagePreprocessing, list[float], list[float]]:
    size, cut = _sides(processor.size), None
    if getattr(processor, "do_center_crop", False):
        cut = _sides(processor.crop_size)
    elif getattr(processor, "crop_pct", None) and max(size) < 384:
        # ConvNeXt's rule: below 384 pixels the picture is resized to size / crop_pct and cut
        cut, size = size, (int(size[0] / processor.crop_pct), int(size[1] / processor.crop_pct))
    interpolation = _RESAMPLING.get(int(getattr(processor, "resample", 2) or 2), "bicubic")
    if cut is None:
        whole = _record(processor.size).get("shortest_edge") and not getattr(processor, "crop_pct", None)
        preprocessing = ImagePreprocessing(size, "crop" if whole else "squash", interpolation)
    else:
        preprocessing = ImagePreprocessing(cut, "crop", interpolation, short_side=max(*size, *cut))
    if not getattr(processor, "do_normalize", True):
        mean, std = [0.0] * 3, [1.0] * 3
    else:
        mean, std = list(processor.image_mean), list(processor.image_std)
    # the processor multiplies by its factor first: (x f - mean) / std = (x - mean / f) / (std / f)
    factor = float(processor.rescale_factor) if getattr(processor, "do_rescale", True) else 1.0
    return preprocessing, [m / factor for m in mean], [s / factor for s in std]


def _sides(size: Any) -> tuple[int, int]:
    """Return (H, W) of a processor's size: an int, or height and width, or the shorter edge."""
    sides = _record(size)
    edge = sides.get("shortest_edge")
    return (int(edge), int(edge)) if edge else (int(sides["height"]), int(sides["width"]))


def _record(size: Any) -> dict[str, int]:
    if isinstance(size, int):
        return {"height": size, "width": size}
    return {key: int(value) for key, value in dict(size).items() if value is not None}

"""Models in a folder or repository of a model hub, with their card and the recipe of a server."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from torch import nn

from labelwise._files import replacing_folder
from labelwise.classifier.attributes import check_fitted
from labelwise.classifier.card import Background, model_card
from labelwise.classifier.loading import loaded
from labelwise.classifier.record import is_path
from labelwise.errors import UserError, missing_extra, shown

Classifier: TypeAlias = Any
Model = TypeVar("Model")
_MODEL, _FILES = "model", ("model.json", "weights.safetensors")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_DOCKERFILE = """\
# A server of this model:
#   docker build --tag {name} .
#   docker run --publish 8000:8000 --env LABELWISE_TOKEN=... {name}
FROM python:3.12-slim
# A name in an index, the address of a wheel, or of a repository.
ARG LABELWISE="labelwise[{extras}]"
RUN pip install --no-cache-dir "$LABELWISE" && useradd --create-home labelwise
COPY model /app/{name}/model
USER labelwise
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health')"]
CMD ["labelwise", "serve", "/app/{name}", "--host", "0.0.0.0", "--port", "8000"]
"""


def save_pretrained(
    self: Classifier, folder: str | Path, *, license: str | None = None, background: Background | None = None
) -> Path:
    """Write what ``push_to_hub`` sends: the model directory ``model``, a card, and the recipe of a server.

    Args:
        self: A fitted classifier.
        folder: A new or empty folder; its name stands in card and recipe.
        license: The licence under which the model may be used, as an SPDX identifier.
        background: What the card says besides.

    Returns:
        The folder.

    Raises:
        UserError: Where the folder holds anything, or cannot be written.
    """
    check_fitted(self, "before save_pretrained")
    target = Path(folder)
    _check_licence(license)
    if background is None:
        background = Background(name=target.name)
    if license is not None:
        background = replace(background, license=license)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} is not empty: give a new or an empty folder")
    card = model_card(self, background)
    name = re.sub(r"[^a-z0-9]+", "-", background.name.rpartition("/")[2].lower()).strip("-") or "model"
    with replacing_folder(target) as draft:
        self.save(draft / _MODEL)
        (draft / "README.md").write_text(card, encoding="utf-8", newline="\n")
        recipe = _DOCKERFILE.format(name=name, extras=",".join(["serve", *_extras(self)]))
        (draft / "Dockerfile").write_text(recipe, encoding="utf-8", newline="\n")
    return target


def push_to_hub(
    self: Classifier,
    repo_id: str,
    *,
    private: bool | None = None,
    license: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    commit_message: str = "Upload a model of labelwise",
    background: Background | None = None,
) -> str:
    """Send the model to a repository of a hub, with its card and the recipe of a server.

    Args:
        self: A fitted classifier.
        repo_id: ``"owner/name"``; it is made where it is not there.
        private: Whether a new repository is private; None leaves it to the hub.
        license: The licence under which the model may be used, as an SPDX identifier.
        revision: A branch, made where it is not there; None for the main one.
        token: As huggingface_hub takes it; None for the one it keeps.
        commit_message: What the commit says.
        background: What the card says besides.

    Returns:
        The address of the commit.

    Raises:
        UserError: For a name that is none, a missing extra, and whatever the hub refuses.
    """
    check_fitted(self, "before push_to_hub")
    _check_name(repo_id)
    background = replace(background or Background(), name=repo_id)
    with tempfile.TemporaryDirectory() as place:
        folder = save_pretrained(
            self, Path(place, repo_id.rpartition("/")[2]), license=license, background=background
        )
        with _hub(repo_id) as hub:
            api = hub.HfApi(token=token)
            known = api.create_repo(repo_id, private=private, exist_ok=True)
            if revision is not None:
                api.create_branch(known.repo_id, branch=revision, exist_ok=True)
            commit = api.upload_folder(
                repo_id=known.repo_id, folder_path=folder, commit_message=commit_message, revision=revision
            )
    return str(commit.commit_url)


def from_pretrained(
    cls: type[Model],
    name: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    backbone: nn.Module | None = None,
) -> Model:
    """Return the fitted classifier of a folder, or of a repository of a hub.

    Safetensors and JSON are read, and nothing else is downloaded.

    Args:
        cls: The classifier's class.
        name: A folder: what ``save_pretrained`` wrote, a run directory or a model directory. Else ``"owner/name"``.
        revision: A branch, tag or commit of the repository.
        token: As huggingface_hub takes it.
        cache_dir: Where downloads are kept; None for huggingface_hub's own folder.
        local_files_only: Whether only what was downloaded before is used.
        backbone: As in ``labelwise.load``.

    Raises:
        UserError: For a name that is neither, a repository that cannot be had, and for anything that is not a whole,
            unchanged model.
    """
    if not is_path(name):
        raise UserError(f"from_pretrained({shown(name)}): give a folder, or 'owner/name' of a repository")
    if Path(name).is_dir():
        return loaded(cls, _model_in(Path(name), str(name)), backbone)
    _check_name(str(name))
    patterns = [*_FILES, *(f"{_MODEL}/{file}" for file in _FILES)]
    with _hub(str(name)) as hub:
        snapshot = hub.snapshot_download(
            str(name),
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            allow_patterns=patterns,
        )
    inside = _model_in(Path(snapshot), str(name))
    with tempfile.TemporaryDirectory() as place:
        copied = Path(place, _MODEL)
        _copy(inside, copied, Path(snapshot).parent.parent, str(name))
        try:
            return loaded(cls, copied, backbone)
        except UserError as error:
            # The copy is gone when this is read.
            raise UserError(f"{name}: {str(error).replace(str(copied), _MODEL)}") from None


def _model_in(folder: Path, name: str) -> Path:
    """Return the model directory of a folder."""
    for place in (folder, folder / _MODEL):
        if (place / _FILES[0]).is_file():
            return place
    raise UserError(
        f"{name} holds no model of labelwise: give what push_to_hub, save_pretrained or save wrote, with model.json"
    )


def _copy(model: Path, target: Path, cache: Path, name: str) -> None:
    """Copy a model out of a hub's cache, whose files are links to others inside of it."""
    target.mkdir()
    for file in _FILES:
        real = (model / file).resolve()
        if not real.is_file():
            raise UserError(f"{name}: {file} is missing: download it again, or ask whoever pushed it")
        if not real.is_relative_to(cache.resolve()):
            raise UserError(
                f"{name}: {file} is a link out of the cache {cache}: remove that, and download it again"
            )
        shutil.copyfile(real, target / file)


def _extras(model: Classifier) -> list[str]:
    """Return the extras that the model's backbones need."""
    named = model.backbone if isinstance(model.backbone, str) else ""
    needs = {"minilm": "text", "hf/": "text", "efficientnet": "vision", "timm/": "timm"}
    return sorted(
        {extra for start, extra in needs.items() if any(n.startswith(start) for n in named.split("+"))}
    )


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(
            f"{shown(name)} is neither a folder nor a repository: give a folder that is there, or 'owner/name'"
        )


def _check_licence(license: str | None) -> None:
    if license is not None and not (isinstance(license, str) and license.strip()):
        raise UserError(f"license={shown(license)}: give the name of a licence, as in 'apache-2.0', or None")


@contextmanager
def _hub(name: str) -> Iterator[Any]:
    """Yield huggingface_hub; whatever fails inside is said in one line."""
    try:
        import huggingface_hub
    except ImportError as error:
        needs = f"{name!r} is no folder here, and repositories need an extra"
        raise missing_extra(needs, "hub", error) from error
    try:
        yield huggingface_hub
    except Exception as error:  # the library's own, its transport's and the system's
        first = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{name}: the hub cannot be used ({type(error).__name__}: {first:.300}); check name, token and connection,"
            " or give a folder"
        ) from error

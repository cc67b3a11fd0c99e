"""``labelwise train``: what it writes, what it says, what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import tomllib

import numpy as np
import pytest

from labelwise._locks import claim_lock

FAST = ("--method", "bam", "--epochs", 2, "--device", "cpu")


def test_a_run_directory_holds_what_was_asked_and_what_came_out(trained, tables):
    assert sorted(entry.name for entry in trained.iterdir()) == [
        "evaluation.json",
        "held_out.npz",
        "history.jsonl",
        "model",
        "report.html",
        "run.toml",
        "state.json",
    ]
    asked = tomllib.loads((trained / "run.toml").read_text())
    assert asked["table"] == str(tables.semi)
    assert asked["method"] == "auto"
    state = json.loads((trained / "state.json").read_text())
    assert state["status"] == "finished"
    assert state["feature_names"] == [f"f{i}" for i in range(5)]
    assert state["label_names"] == ["cat", "dog", "sea"]
    assert json.loads((trained / "evaluation.json").read_text())["figures"]["metrics"]["map"] > 0.8
    assert "<html" in (trained / "report.html").read_text()


def test_the_summary_says_method_why_rule_and_what_to_do_next(lw, tables, tmp_path):
    result = lw("train", tables.semi, "--out", tmp_path / "r", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    for said in (
        "setting semi_supervised",
        "auto: closed forms and trees",
        "micro_f1",
        "learnt_thresholds",
        "report.html",
        "predict",
    ):
        assert said in result.stdout, said


def test_json_is_all_of_stdout(answer, tables, tmp_path):
    outcome = answer("train", tables.semi, "--out", tmp_path / "r", *FAST)
    assert outcome["method"] == "bam"
    assert outcome["reason"] is None
    assert outcome["figures"]["rule"] == outcome["rule"]
    assert not outcome["already_finished"]
    lines = (tmp_path / "r" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_single_positives_train_and_say_what_cannot_be_judged(answer, tables, tmp_path):
    outcome = answer(
        "train", tables.single, "--out", tmp_path / "r", "--method", "an", "--epochs", 1, "--device", "cpu"
    )
    assert outcome["setting"] == "single_positive"
    assert outcome["figures"] is None
    assert "No negative is known" in outcome["why_no_figures"][0]


def test_a_label_with_nothing_known_is_named_and_trains(lw, tables, tmp_path):
    rows = [line.split(",") for line in tables.semi.read_text().splitlines()]
    (tmp_path / "t.csv").write_text(
        "\n".join(",".join([*row[:-1], "sea" if n == 0 else ""]) for n, row in enumerate(rows))
    )
    result = lw("train", tmp_path / "t.csv", "--out", tmp_path / "r", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "no positive is known of sea" in result.stdout


def test_two_runs_with_one_seed_are_equal_to_the_bit(lw, tables, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert lw("train", tables.semi, "--out", tmp_path / name, *FAST, "--seed", seed).exit_code == 0
    weights = [(tmp_path / name / "model" / "weights.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


def test_print_config_is_read_back(lw, tables, tmp_path):
    options = (
        "--prior",
        1.5,
        "--set",
        "margin=0.3",
        "--validation",
        "0.25",
        "--label-columns",
        "cat",
        "--no-calibrate",
    )
    printed = lw("train", tables.semi, *FAST, *options, "--print-config").stdout
    (tmp_path / "run.toml").write_text(printed)
    again = lw("train", "--config", tmp_path / "run.toml", "--print-config").stdout
    assert again == printed
    values = tomllib.loads(printed)
    assert (values["prior"], values["epochs"], values["hyperparameters"]) == (1.5, 2, {"margin": 0.3})
    won = tomllib.loads(
        lw("train", "--config", tmp_path / "run.toml", "--epochs", 7, "--print-config").stdout
    )
    assert (won["epochs"], won["method"]) == (7, "bam")


def test_a_finished_runs_configuration_trains_the_same_model(lw, trained, tmp_path):
    again = tmp_path / "again"
    assert lw("train", "--config", trained / "run.toml", "--out", again).exit_code == 0
    first, second = ((run / "model" / "weights.safetensors").read_bytes() for run in (trained, again))
    assert first == second


def test_resume_of_a_finished_run_says_so(lw, trained):
    before = (trained / "model" / "model.json").read_bytes()
    result = lw("train", trained, "--resume")
    assert result.exit_code == 0, result.stderr
    assert "is finished" in result.stdout
    assert (trained / "model" / "model.json").read_bytes() == before


def test_the_same_command_with_resume_is_a_resume(lw, trained, tables):
    result = lw("train", tables.semi, "--out", trained, "--device", "cpu", "--resume")
    assert result.exit_code == 0, result.stderr
    assert "is finished" in result.stdout


def test_priors_and_weights_come_from_files(lw, tables, tmp_path):
    (tmp_path / "prior.json").write_text('{"sea": 0.5, "cat": 0.5, "dog": 0.4}')
    (tmp_path / "weights.csv").write_text("label,weight\ncat,2\ndog,1\nsea,1\n")
    files = ("--prior", tmp_path / "prior.json", "--label-weights", tmp_path / "weights.csv")
    args = ("train", tables.single, "--method", "an", "--epochs", 1, "--device", "cpu", *files)
    assert lw(*args, "--out", tmp_path / "r").exit_code == 0
    rule = json.loads((tmp_path / "r" / "model" / "model.json").read_text())["prior"]
    assert np.allclose(rule, [0.5, 0.4, 0.5])


def test_a_validation_table_judges(answer, tables, tmp_path):
    outcome = answer(
        "train",
        tables.semi,
        "--out",
        tmp_path / "r",
        *FAST,
        "--validation",
        tables.test,
        "--rule",
        "top_k(2)",
    )
    assert outcome["figures"]["n_items"] == 60
    assert outcome["rule"] == "top_k(2)"


def changed(tables, folder, change):
    """Write the table with its cells changed: ``change(rows)``; row 0 is the header."""
    rows = [line.split(",") for line in tables.semi.read_text().splitlines()]
    change(rows)
    path = folder / "changed.csv"
    path.write_text("\n".join(map(",".join, rows)) + "\n")
    return path


def put(row, column, value):
    def change(rows):
        rows[row][rows[0].index(column)] = value

    return change


def blank(*states):
    def change(rows):
        for row in rows[1:]:
            row[-3:] = ["" if state in states else state for state in row[-3:]]

    return change


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (put(5, "dog", "2"), (), ("row 5", "line 6", "'dog'", "'2'")),
        (put(5, "f1", "nan"), (), ("row 5", "'f1'", "NaN")),
        (put(5, "f1", "inf"), (), ("row 5", "'f1'", "infinite")),
        (put(5, "id", "i0"), (), ("row 5", "'i0'", "row 1")),
        (blank("1"), (), ("nothing to learn",)),
        (blank("0", "1"), (), ("nothing to learn",)),
        (None, ("--label-columns", "cta"), ("'cta'", "'cat'")),
        (None, ("--labels-column", "tags"), ("'tags'",)),
        (None, ("--method", "bbma"), ("'bbma'", "'bbam'")),
        (None, ("--method", "bam", "--set", "scale=-3"), ("scale", "-3", "default")),
        (None, ("--method", "bam", "--set", "scal=3"), ("'scal'", "'scale'")),
        (None, ("--set", "scale"), ("KEY=VALUE",)),
        (None, ("--tune", "tail"), ("tune", "'tail'", "'head'")),
        (None, ("--precision", "8"), ("precision", "'8'", "'bf16'")),
        (None, ("--epochs", 0), ("epochs", "0")),
        (None, ("--seed", -1), ("seed", "-1")),
        (None, ("--rule", "best"), ("rule", "'best'", "top_k(3)")),
        (None, ("--rule", "top_k(0)"), ("k=0",)),
        (None, ("--unlisted", "no"), ("unlisted", "'no'", "'absent'")),
        (None, ("--validation", "1.5"), ("validation", "1.5")),
        (None, ("--validation", "held.csv"), ("held.csv",)),
        (None, ("--prior", "prior.json"), ("prior.json",)),
        (None, ("--prior", "7"), ("prior", "7")),
        (None, ("--config", "no.toml"), ("no.toml",)),
        (None, ("--backbone", "resnet"), ("resnet",)),
        (None, ("--method", "bam", "--backbone", "smallcnn"), ("smallcnn",)),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(refused, tables, tmp_path, change, options, said):
    table = tables.semi if change is None else changed(tables, tmp_path, change)
    before = sorted(tmp_path.iterdir())
    line = refused("train", table, "--out", tmp_path / "runs", *options)
    for word in said:
        assert word in line, line
    assert sorted(tmp_path.iterdir()) == before


def test_a_method_outside_its_assumption_names_those_that_fit(refused, tables, tmp_path):
    line = refused("train", tables.single, "--out", tmp_path / "r", "--method", "bce")
    assert "single positive" in line
    assert "hml" in line


def test_a_prior_that_the_method_needs_is_asked_for(refused, tables, tmp_path):
    line = refused("train", tables.single, "--out", tmp_path / "r", "--method", "cap", "--device", "cpu")
    assert "prior" in line
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("prior.json", '{"cat": 0.5, "dog": 0.5}', ("'sea'", "prior")),
        ("prior.json", '{"cat": 0.5, "dog": 0.5, "seas": 0.1}', ("'seas'", "'sea'")),
        ("prior.json", '{"cat": 0.5, "dog": 1.5, "sea": 0.1}', ("'dog'", "1.5", "from 0 to 1")),
        ("prior.json", "[0.5]", ("not a JSON object",)),
        ("prior.json", "{", ("not JSON", "line 1")),
        ("prior.csv", "label,share\ncat,0.5\ndog,much\nsea,0.1\n", ("'dog'", "'much'")),
        ("prior.csv", "cat,0.5\ncat,0.5\n", ("'cat'", "twice")),
        ("prior.csv", "cat\n", ("label,number",)),
    ],
)
def test_a_prior_file_is_checked_by_label(refused, tables, tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    line = refused("train", tables.semi, "--out", tmp_path / "r", "--prior", tmp_path / name)
    for word in (*said, name):
        assert word in line, line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch = 3", ("'epoch'", "'epochs'")),
        ("epochs = [", ("not TOML",)),
        ("epochs = true", ("epochs",)),
    ],
)
def test_a_configuration_file_is_checked(refused, tables, tmp_path, text, said):
    (tmp_path / "run.toml").write_text(text)
    line = refused("train", tables.semi, "--out", tmp_path / "r", "--config", tmp_path / "run.toml")
    for word in (*said, "run.toml"):
        assert word in line, line


def test_an_out_that_holds_something_is_refused(refused, trained, tables, tmp_path):
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    assert "another run" in refused("train", tables.semi, "--out", trained)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    assert "chapter.txt" in refused("train", tables.semi, "--out", tmp_path / "thesis")
    assert "is a file" in refused("train", tables.semi, "--out", tmp_path / "thesis" / "chapter.txt")
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


def test_an_empty_out_is_used(lw, tables, tmp_path):
    (tmp_path / "empty").mkdir()
    assert lw("train", tables.semi, "--out", tmp_path / "empty", "--device", "cpu").exit_code == 0


def test_resume_refuses_other_settings_other_data_and_no_run(refused, trained, tables, tmp_path):
    assert "epochs" in refused("train", trained, "--resume", "--epochs", 9)
    assert "images" in refused("train", trained, "--resume", "--images", tmp_path)
    assert "seed" in refused(
        "train", tables.semi, "--out", trained, "--device", "cpu", "--resume", "--seed", 3
    )
    assert "no such run" in refused("train", tmp_path / "nowhere", "--resume")
    assert "not a run" in refused("train", tmp_path, "--resume")
    assert "--resume needs" in refused("train", "--resume")
    assert "--out" in refused("train", tables.semi)
    assert "no table" in refused("train", "--out", tmp_path / "r")
    run = tmp_path / "unfinished"
    shutil.copytree(trained, run)
    state = json.loads((run / "state.json").read_text())
    table = shutil.copy(tables.semi, tmp_path / "moving.csv")
    (run / "run.toml").write_text((run / "run.toml").read_text().replace(str(tables.semi), str(table)))
    (run / "state.json").write_text(json.dumps({**state, "status": "training"}))
    (tmp_path / "moving.csv").write_text("id\n")
    assert "has changed" in refused("train", run, "--resume")
    (tmp_path / "moving.csv").unlink()
    assert "is gone" in refused("train", run, "--resume")
    (run / "state.json").write_text(json.dumps({**state, "format": 99}))
    assert "99" in refused("train", run, "--resume")
    (run / "state.json").write_text("{")
    assert "state.json" in refused("train", run, "--resume")


def test_a_run_killed_before_its_first_checkpoint_starts_again(lw, trained, tmp_path):
    run = tmp_path / "killed"
    run.mkdir()
    shutil.copy(trained / "run.toml", run)
    state = json.loads((trained / "state.json").read_text())
    (run / "state.json").write_text(json.dumps({**state, "status": "training"}))
    assert lw("train", run, "--resume").exit_code == 0
    first, second = ((place / "model" / "weights.safetensors").read_bytes() for place in (trained, run))
    assert first == second


def test_a_run_that_another_process_trains_is_left_alone(refused, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "busy")
    state = json.loads((run / "state.json").read_text())
    (run / "state.json").write_text(json.dumps({**state, "status": "training"}))
    with claim_lock(run / ".lock"):
        line = refused("train", run, "--resume")
    assert f"{run} is being trained by process {os.getpid()} on " in line
    assert json.loads((run / "state.json").read_text())["status"] == "training"


def test_a_mistake_found_after_a_checkpoint_keeps_the_run(monkeypatch, refused, lw, tables, tmp_path):
    from labelwise.errors import UserError

    def full(*args: object) -> None:
        raise UserError("the model could not be written: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("labelwise.classifier.MultiLabelClassifier.save", full)
        assert "No space left" in refused("train", tables.semi, "--out", tmp_path / "r", *FAST)
    assert not (tmp_path / "r" / "model").exists()
    assert lw("train", tmp_path / "r", "--resume").exit_code == 0
    assert (tmp_path / "r" / "model" / "model.json").is_file()

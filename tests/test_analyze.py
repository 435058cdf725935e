"""The experiments' commands, tiny; and the README against the JSON files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

import analyze
import report
from analyze import in_parallel
from settings import Blobs, read_command_line, run


@pytest.fixture(autouse=True)
def leave_the_environment_alone(monkeypatch):
    """A sweep tells its workers by the environment; later tests must not see it."""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore::UserWarning")


TINY = ["--seeds", "2", "--autoencoder-steps", "2", "--flow-steps", "2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "figures"),
    [
        (["blobs", "--dims", "1", "--sweep-dims", "1", "2"], ["blobs.png", "dims.png"]),
        (["geometry", "--ranges", "0.6", "--no-overlap"], ["geometry.png"]),
        (["commitment", "--dims", "1", "2", "--scales", "2", "--lengths", "1"], ["commitment.png"]),
        (["superposition", "--dims", "1", "--sweep-dims", "1"], ["superposition.png"]),
    ],
)
def test_the_command_writes_figures_and_the_same_numbers_twice(
    tmp_path, monkeypatch, capfd, command, figures
):
    monkeypatch.chdir(tmp_path)
    written = []
    checkpoints = tmp_path / "checkpoints"  # workers may stand in an earlier test's folder
    for _ in range(1 if command[0] == "superposition" else 2):  # it takes long
        arguments = [*command, *TINY, "--checkpoint-dir", str(checkpoints)]
        monkeypatch.setattr(sys, "argv", ["analyze.py", *arguments])
        run(analyze.main, read_command_line(analyze.Command))
        folder = tmp_path / "figures"
        numbers = f"{command[0]}.json"
        assert sorted(p.name for p in folder.iterdir()) == sorted(["costs.json", numbers, *figures])
        written.append((folder / numbers).read_text())
        out, err = capfd.readouterr()
        for table in report.tables(command[0], json.loads(written[-1])).values():
            assert table in out
        trained = len(list(checkpoints.glob("*.pt"))) if len(written) == 1 else 0
        assert ("training" in err) == (trained > 0)  # the second run finds all it needs
        if trained:
            cost = json.loads((folder / "costs.json").read_text())[command[0]]
            assert cost.startswith(f"{trained} trainings, ")
    assert written[0] == written[-1]


@pytest.mark.slow
def test_the_opening_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["analyze.py", "opening", *TINY])
    run(analyze.main, read_command_line(analyze.Command))
    with Image.open(tmp_path / "figures" / "opening.gif") as gif:
        assert gif.n_frames == 51 and gif.width > 600


# ---------------------------------------------------------------- the README's numbers


def test_the_readme_says_what_the_json_files_say():
    """If this fails, `python analyze.py readme` fills them in again."""
    text = (ROOT / "README.md").read_text()
    assert report.filled(text, ROOT / "figures") == text
    assert len(report.MARKED.findall(text)) > 30


def test_a_number_is_found_and_put_in(tmp_path):
    (tmp_path / "one.json").write_text(
        '{"a b": {"mean": [1, 0.25], "std": [0, 0.5]}, "c": [1, 7], "d": {"mean": 2, "std": 1}}'
    )
    told = [
        ("one/a b/1", "0.250 (0.500)"),
        ("one/a b/1 = %.1f", "0.2"),
        ("one/c/1", "7"),
        ("one/d", "2.000 (1.000)"),
        ("one/d = %d %%", "2 %"),
    ]
    for way, number in told:
        text = f"x <!--{way}-->old\nvalue<!--/--> y"
        assert report.filled(text, tmp_path) == f"x <!--{way}-->{number}<!--/--> y"
    for way in ("one/nothing", "two/a b", "one/c/9", "one/a b/1/1", "one/c/x"):
        with pytest.raises(ValueError, match="no JSON file holds"):
            report.filled(f"<!--{way}-->1<!--/-->", tmp_path)


def test_readme_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "one.json").write_text('{"a": 3}')
    monkeypatch.setattr(sys, "argv", ["analyze.py", "readme"])
    for text, told in (
        (None, "--readme README.md is not a file"),
        ("no marks", "has no marked places"),
        ("<!--one/b-->2<!--/-->", "which no JSON file holds"),
    ):
        if text:
            (tmp_path / "README.md").write_text(text)
        with pytest.raises(SystemExit) as stop:
            run(analyze.main, read_command_line(analyze.Command))
        assert stop.value.code == 2 and told in capsys.readouterr().err
        assert not text or (tmp_path / "README.md").read_text() == text
    (tmp_path / "README.md").write_text("<!--one/a-->2<!--/-->")
    run(analyze.main, read_command_line(analyze.Command))
    assert (tmp_path / "README.md").read_text() == "<!--one/a-->3<!--/-->"


def test_all_runs_everything_and_fills_in_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = []
    (tmp_path / "README.md").write_text(
        "<!--commitment/told-->2<!--/--> <!--costs/blobs-->?<!--/-->"
    )

    def pretend_benchmark(command, check):
        done.append(Path(command[1]).name)
        assert command[2:] == ["--seeds", "3", "--out", "figures/benchmark.json"]
        return subprocess.CompletedProcess(command, int(len(done) > 6))

    monkeypatch.setattr(subprocess, "run", pretend_benchmark)
    for kind in analyze.EXPERIMENTS:

        def pretend(settings):
            done.append(type(settings).__name__)
            assert settings.seeds == 3
            return {"told": 7}

        monkeypatch.setitem(analyze.EXPERIMENTS, kind, pretend)
    monkeypatch.setattr(report, "TABLES", {})
    monkeypatch.setattr(report, "tables", lambda name, numbers: {})
    monkeypatch.setattr(sys, "argv", ["analyze.py", "all", "--seeds", "3"])
    run(analyze.main, read_command_line(analyze.Command))
    assert done[0] == "benchmark.py" and len(done) == 6
    text = (tmp_path / "README.md").read_text()
    assert "-->7<!--/-->" in text and "0 trainings, 0 min" in text
    with pytest.raises(SystemExit) as stop:  # the second time it fails
        run(analyze.main, read_command_line(analyze.Command))
    assert stop.value.code == 2 and len(done) == 7


# ---------------------------------------------------------------- clusters and bad settings


@pytest.mark.slow
def test_training_on_a_dask_cluster(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    settings = Blobs(seeds=3, checkpoint_dir=tmp_path, autoencoder_steps=2, flow_steps=2)
    jobs = settings.flows(embed_dim=1)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        analyze.train_all(jobs, cluster.scheduler_address)
    assert len(list(tmp_path.glob("flow*.pt"))) == 3
    assert len(list(tmp_path.glob("autoencoder*.pt"))) == 3


def test_dask_needs_a_scheduler_that_answers():
    pytest.importorskip("distributed")
    with pytest.raises((OSError, ValueError)):
        in_parallel(abs, [1], "nothing", "tcp://127.0.0.1:9")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        [],
        ["blobs", "--seeds", "0"],
        ["blobs", "--seeds", "many"],
        ["blobs", "--dims", "0"],
        ["blobs", "--dims", "513"],
        ["blobs", "--dims"],
        ["geometry", "--ranges", "0.9"],
        ["geometry", "--ranges", "-1"],
        ["superposition", "--dims", "2.5"],
        ["commitment", "--scales", "0"],
        ["commitment", "--lengths", "0"],
        ["commitment", "--flow-steps", "0"],
        ["geometry", "--out-dir", "file"],
        ["geometry", "--checkpoint-dir", "file"],
        ["all", "--seeds", "0"],
        ["all", "--readme", "nothing.md"],
        ["readme", "--readme", "nothing.md"],
    ],
)
def test_bad_settings_are_one_line(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(sys, "argv", ["analyze.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        run(analyze.main, read_command_line(analyze.Command))
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]

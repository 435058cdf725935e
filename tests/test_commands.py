"""The command lines and the files between the stages: what they make, what they refuse, and what is
left when they are stopped."""

import ast
import contextlib
import dataclasses
import json
import os
import pickle
import re
import shlex
import shutil
import signal
import sys
import zipfile
from pathlib import Path

import imageio.v3 as iio
import joblib
import numpy as np
import pytest
import torch
import tyro
from conftest import FEW, ROOT, TINY, options, run_process, tiny_settings

import analyze
import autoencoder
import data
import flow
import sample
from autoencoder import (
    AutoencoderSettings,
    checkpoint_path,
    evaluate,
    shared_settings,
    trained_autoencoder,
)
from data import possible_orbits, render

STAGES = {
    "data": (data, data.DataSettings),
    "autoencoder": (autoencoder, AutoencoderSettings),
    "flow": (flow, flow.FlowSettings),
    "sample": (sample, sample.SampleSettings),
    "analyze": (analyze, analyze.COMMANDS),
}
FLOW = options(**TINY)
CODER = FLOW[:4]  # the autoencoder's options among them


@pytest.fixture
def command(monkeypatch, capfd, tmp_path):
    """Run a stage's command line in this process and an empty folder: status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run_here(stage, *arguments):
        module, settings_type = STAGES[stage]
        monkeypatch.setattr(sys, "argv", [f"{stage}.py", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        try:
            data.run(module.main, settings_type)
        except (SystemExit, KeyboardInterrupt) as stop:
            status = getattr(stop, "code", "interrupted")
        return status, *capfd.readouterr()

    return run_here


@pytest.fixture
def folder(checkpoints, tmp_path) -> Path:
    """A copy of the tiny checkpoints, to be spoilt."""
    return shutil.copytree(checkpoints, tmp_path / "checkpoints")


@pytest.fixture
def no_training(monkeypatch):
    def never(*_):
        pytest.fail("training has started")

    monkeypatch.setattr(autoencoder, "train", never)
    monkeypatch.setattr(flow, "train", never)
    monkeypatch.setattr(analyze, "measure", never)  # trains in other processes


@pytest.fixture
def unmeasured(monkeypatch):
    """Without what the commands measure, for tests of all the rest."""
    nothing = {name: [0.0] for name in ("t", "loss", "irreducible", "excess")}
    monkeypatch.setattr(flow, "loss_by_time", lambda network, space: nothing)
    monkeypatch.setattr(autoencoder, "evaluate", lambda model, settings: (0.0, 0.0))


def coder_settings(folder: Path) -> AutoencoderSettings:
    return shared_settings(tiny_settings(folder), AutoencoderSettings)


def listing(folder: Path) -> dict[str, bytes]:
    """All that is in a folder: to see whether anything was touched."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b""
        for p in sorted(folder.rglob("*"))
    }


def trained(out: str) -> list[str]:
    """What a command says that it trains, in this order: "flow missing", "autoencoder anew"..."""
    said = re.findall(
        r"^\S*?(autoencoder|flow)_dim\S* is (missing|trained anew)", out, re.MULTILINE
    )
    return [f"{stage} {why.removeprefix('trained ')}" for stage, why in said]


def notes(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("note:")]


# ---------------------------------------------------------------------------------------------
# What the commands make and say


def test_from_an_empty_folder_to_a_gif(tmp_path, command, few_orbits):
    """One command trains all that is missing, says so, and the next ones find it there."""
    few = [*FLOW, *options(num_videos=2, steps=2, gif="out.gif")]
    status, out, err = command("sample", *few)
    assert status == 0 and trained(out) == ["flow missing", "autoencoder missing"]
    assert "autoencoder: 100%" in err and "flow: 100%" in err and "loss=" in err
    assert notes(err) == []
    assert len(iio.imread(tmp_path / "out.gif", index=None)) == 8
    before = listing(tmp_path)
    made = ["autoencoder_dim1_autoencoder-steps=2.pt"]
    made += ["flow_dim1_autoencoder-steps=2_flow-steps=2.pt"]
    assert list(before) == ["checkpoints", *(f"checkpoints/{name}" for name in made), "out.gif"]
    for stage, arguments in {"autoencoder": CODER, "flow": FLOW, "sample": few}.items():
        status, out, err = command(stage, *arguments)
        assert status == 0 and trained(out) == [] and err == ""
    assert listing(tmp_path) == before


def test_data_writes_a_gif(command, tmp_path):
    files = []
    for arguments in ([], [], ["--half-width", "0.1"], ["--hard-edges"], ["--turns", "2"]):
        status, out, err = command("data", *arguments)
        assert status == 0 and err == ""
        assert "data.gif shows 16 videos of 8 frames" in out and out.count("\n") == 1
        files.append((tmp_path / "data.gif").read_bytes())
    assert "90° counter-clockwise." in out and "45°" not in out
    assert len(iio.imread(tmp_path / "data.gif", index=None)) == 8
    assert files[0] == files[1] and len(set(files)) == 4


def test_data_writes_the_futures(command, tmp_path):
    status, out, _ = command("data", "--png", "futures.png", "--turns", "1", "-1", "2", "-2")
    assert status == 0 and "futures.png" in out and "4 possible videos" in out
    assert iio.imread(tmp_path / "futures.png").shape[1] > 500


def test_the_autoencoder_tells_its_error_and_the_trivial_one(command, folder, tiny):
    status, out, _ = command("autoencoder", *CODER, "--png", "drawn.png")
    assert status == 0
    error, trivial = evaluate(tiny[1].autoencoder, tiny[1].settings)
    assert f"{error:.1e}" != f"{trivial:.1e}"
    assert (
        f"squared error is {error:.1e}; drawing their mean each time would give {trivial:.1e}"
        in (" ".join(out.split()))
    )
    assert "with d = 1." in out and "drawn.png" in out.splitlines()[-1]
    assert iio.imread(folder.parent / "drawn.png").shape[1] > 500


@pytest.mark.filterwarnings("error::UserWarning")  # one would stand among the losses
def test_the_flow_tells_its_losses(command, folder, tiny):
    status, out, _ = command("flow", *FLOW, "--png", "losses.png")
    assert status == 0
    losses = flow.loss_by_time(*tiny)
    names = ["loss", "irreducible", "excess"]
    _, titles, *table, end, png = out.splitlines()
    assert re.search("network.*exact.*excess", titles) and re.search("network.*exact.*excess", end)
    told = np.array([[float(x) for x in line.split()] for line in table])
    expected = np.transpose([losses[name] for name in ["t", *names]])
    np.testing.assert_allclose(told, expected, atol=0.0051)
    assert re.findall(r"\d+\.\d{4}", end) == [f"{np.mean(losses[name]):.4f}" for name in names]
    assert "losses.png" in png
    assert iio.imread(folder.parent / "losses.png").shape[1] > 500


@pytest.fixture
def pretended(monkeypatch):
    """Let sample.py sample true videos: of the named turns in a row, and if a turn is None, of a
    square that leaves its way in one frame by three pixels."""

    def pretend(turns):
        def decoded(space, given_centers, latents):
            named = (turns * len(latents))[: len(latents)]
            ways = [
                possible_orbits(center[None, 0], [turn or 1])[0, 0]
                for center, turn in zip(given_centers, named, strict=True)
            ]
            for way, turn in zip(ways, named, strict=True):
                if turn is None:
                    way[5] *= 1 - 3 * data.PIXEL / np.hypot(*way[5])
            return render(np.stack(ways))

        monkeypatch.setattr(sample, "decode_videos", decoded)

    return pretend


def test_sample_counts_the_turns(command, folder, pretended, few_orbits):
    pretended([-1, 1, 2, 1, None, 1, None])
    few = [*FLOW, *options(num_videos=14, steps=1, npz="out.npz")]
    status, out, _ = command("sample", *few, "--turns", "-1", "1", "2", "1")
    assert status == 0
    assert out.splitlines()[-2] == "The learned flow wrote out.npz (arrays)."
    assert out.splitlines()[-1] == (
        "14 videos. 45° counter-clockwise: 6, 45° clockwise: 2, 90° counter-clockwise: 2, none of "
        "these (a frame more than 1.5 pixels off): 4."
    )
    # a turn that isn't possible is none of these
    status, out, _ = command("sample", *few, "--exact")
    assert "45° counter-clockwise: 6, 45° clockwise: 2, none" in out and "off): 6." in out
    assert "The exact flow wrote" in out


@pytest.fixture
def sweep(command, monkeypatch):
    """Run analyze.py in this process: without workers, and with one video in place of 40."""
    config, given = joblib.parallel_config, sample.random_given_centers
    monkeypatch.setattr(joblib, "parallel_config", lambda *_, **__: config("sequential"))
    monkeypatch.setattr(analyze, "random_given_centers", lambda s, n, rng: given(s, 1, rng))

    def run_small(what, *more):
        flow = options(flow_steps=2) if what == "blobs" else []  # the geometry trains no flow
        return command("analyze", what, *more, *flow, *options(autoencoder_steps=2, seeds=2))

    return run_small


def test_blobs_writes_a_figure_and_numbers(sweep, tmp_path, few_orbits):
    status, out, err = sweep("blobs", "--dims", "1")
    assert status == 0 and notes(err) == []
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["blobs.json", "blobs.png"]
    assert iio.imread(tmp_path / "out/blobs.png").shape[1] > 300
    assert len(list((tmp_path / "checkpoints").glob("flow*.pt"))) == 2  # each seed has its own
    numbers = json.loads((tmp_path / "out/blobs.json").read_text())
    assert list(numbers) == ["1", "cost"] and 0 < numbers["cost"]["minutes"] < 60
    assert all(len(runs["seeds"]) == 2 for runs in numbers["1"].values())
    # what the jobs say is dropped; the table has a row for each d, with its numbers
    assert trained(out) == [] and "exactly one square" in out and "decoded noise" in out
    [row] = [line for line in out.splitlines() if line.strip().startswith("1 ")]
    one = np.array(numbers["1"]["state"]["mean"])[:, 1]
    printed = [float(x) for x in row.split()[-4:]]
    shown = [one[0], one[20], one[50], one.min()]
    np.testing.assert_allclose(printed, shown, rtol=1e-3, atol=0.0051)  # both are rounded
    assert "out/blobs.png and .json" in out.splitlines()[-1]


def test_analyze_says_beforehand_whose_code_is_old(sweep, folder, few_orbits, monkeypatch):
    """The jobs are quiet, but this must be heard."""

    def load(settings):
        flow.trained_flow(settings)
        shares = np.zeros((51, 4))
        return {"state": shares, "posterior mean": shares, "picture": np.zeros((3, 8, 51, 51))}

    monkeypatch.setattr(analyze, "measure_blobs", load)
    monkeypatch.setattr(analyze, "draw_blobs", lambda *_: data.new_figure(1, 1))
    status, _, err = sweep("blobs", "--dims", "1")
    assert status == 0 and notes(err) == []
    edited = sorted(folder.glob("flow*.pt"))
    assert len(edited) == 2
    for count, path in enumerate(edited, 1):
        checkpoint = torch.load(path, weights_only=True)
        checkpoint["sources"][0]["autoencoder.py"] += "\nLEAK = 7\n"
        torch.save(checkpoint, path)
        status, _, err = sweep("blobs", "--dims", "1")
        assert status == 0 and len(notes(err)) == count
        assert err.splitlines()[:count] == notes(err)
        for line, named in zip(notes(err), edited, strict=False):
            assert "autoencoder.py edited" in line and named.name in line and "--retrain" in line
    # without a flow the autoencoder's own checkpoint is the one that is used
    edited[0].unlink()
    path = checkpoint_path(coder_settings(folder))
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["sources"][0]["data.py"] += "\nPIXEL = 7\n"
    torch.save(checkpoint, path)
    status, _, err = sweep("blobs", "--dims", "1")
    assert status == 0 and path.name in notes(err)[0] and "data.py edited" in notes(err)[0]
    status, _, err = sweep("blobs", "--dims", "1", "--retrain")
    assert status == 0 and notes(err) == []


# ---------------------------------------------------------------------------------------------
# How the files belong together


def test_a_stage_imports_only_from_stages_before_it():
    order = [*STAGES, "study", "explorer"]
    for i, stage in enumerate(STAGES):
        for node in ast.walk(ast.parse((ROOT / f"{stage}.py").read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name.split(".")[0] not in order[i:], f"{stage} imports {name}"


def understood(line: str):
    """Exits if a command line of the text isn't understood."""
    name, *arguments = shlex.split(line.replace("ADDRESS", "tcp://10.0.0.1:8786"))
    if name == "-m":
        assert (ROOT / (arguments[0].replace(".", "/") + ".py")).is_file(), line
    else:
        tyro.cli(STAGES[name.removesuffix(".py")][1], args=arguments)


COMMAND = re.compile(r"(?:^ *|`)python3? ((?:\w+\.py|-m study\.\w+)[^`\n#]*)", re.MULTILINE)


def test_readme_commands_are_understood(tmp_path, monkeypatch):
    """But for those that set up an environment or a cluster."""
    monkeypatch.chdir(tmp_path)
    found = COMMAND.findall((ROOT / "README.md").read_text())
    assert len(set(found)) > 10
    for line in found:
        understood(line)


@pytest.mark.parametrize("stage", STAGES)
def test_the_commands_at_the_top_of_a_stage_are_understood(stage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = COMMAND.findall(STAGES[stage][0].__doc__)
    assert len(found) >= 2
    for line in found:
        assert line.startswith(f"{stage}.py")
        understood(line)


@pytest.mark.parametrize("stage", STAGES)
def test_every_line_of_a_help_text_is_a_sentence(stage):
    """For --help breaks it where the source does."""
    texts = [
        node.value.value
        for settings in ast.walk(ast.parse((ROOT / f"{stage}.py").read_text()))
        if isinstance(settings, ast.ClassDef) and settings.name.endswith("Settings")
        for node in settings.body[1:]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    assert len(texts) >= 3
    for text in texts:
        for line in text.splitlines():
            assert line.endswith("."), line


KEPT_OUT = {"checkpoint_dir", "retrain", "png"}  # settings that don't change a network


@pytest.mark.parametrize(
    "name", [f.name for f in dataclasses.fields(flow.FlowSettings) if f.name not in KEPT_OUT]
)
def test_every_setting_has_an_effect_and_a_file_of_its_own(name, tiny, tmp_path, few_orbits):
    value = getattr(tiny_settings(tmp_path), name)
    other = value / 2 if isinstance(value, float) else None
    if isinstance(value, int):
        other = type(value)(value + 1)
    others = {"turns": (1, -1, 2), "unseen_radii": (0.3, 0.5)}
    settings = tiny_settings(tmp_path, **{name: others.get(name, other)})
    network, space = flow.trained_flow(settings)
    changed = []
    for model, usual in ((network, tiny[0]), (space.autoencoder, tiny[1].autoencoder)):
        new, old = (torch.cat([w.flatten() for w in m.parameters()]) for m in (model, usual))
        changed.append(new.shape != old.shape or not torch.equal(new, old))
    assert changed == [True, hasattr(AutoencoderSettings, name)]
    assert checkpoint_path(settings).is_file()
    assert checkpoint_path(settings).name != checkpoint_path(tiny_settings(tmp_path)).name


def test_the_same_bits_twice(tmp_path, few_orbits):
    for name in "ab":
        flow.trained_flow(tiny_settings(tmp_path / name, autoencoder_steps=5, flow_steps=5))
    assert listing(tmp_path / "a") == listing(tmp_path / "b")


def test_one_thread_whatever_the_machine(checkpoints, tmp_path):
    """More make a training slower on a busy machine; and these are the same bits."""
    code = f"""
import autoencoder, flow, torch
print(torch.get_num_threads())
flow.NUM_ORBITS = {FEW}
flow.trained_flow(flow.FlowSettings(**{TINY}))
"""
    path = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "8"}
    done = run_process(tmp_path, "-c", code, **path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "1"
    assert listing(tmp_path / "checkpoints") == listing(checkpoints)


# ---------------------------------------------------------------------------------------------
# Bad command lines


# There are a file called "file" and a folder called "folder.gif".
BAD = """
data        --gif out.png                        | must be the name of a .gif file
data        --gif folder.gif                     | must be the name of a .gif file
data        --gif missing/out.gif                | No such file or directory
data        --png out.gif                        | must be the name of a .png file
data        --png missing/out.png                | No such file or directory
data        --center-range 0.01                  | --center-range must lie in
data        --half-width nan                     | --half-width must lie in
data        --center-range 0.9 --half-width 0.2  | leave the frame
data        --turns 5                            | --turns must lie in -3 to 4, not 5
data        --turns                              | --turns needs 1 to 50 turns, not 0
autoencoder --embed-dim 0                        | --embed-dim must lie in 1 to 512, not 0
autoencoder --hidden-layers 9                    | --hidden-layers must lie
autoencoder --blur -1                            | --blur must lie
autoencoder --autoencoder-steps 0                | --autoencoder-steps must lie
autoencoder --seed 4294967296                    | --seed must lie
autoencoder --png out.gif                        | must be the name of a .png file
autoencoder --checkpoint-dir file                | file
flow        --latent-scale 0                     | --latent-scale must lie
flow        --flow-steps 0                       | --flow-steps must lie
flow        --given-frames 3                     | --given-frames
flow        --turns 5                            | --turns must lie in -3 to 4, not 5
flow        --turns 1 -4                         | --turns must lie in -3 to 4, not -4
flow        --turns 1.5                          | 1.5
flow        --turns                              | --turns needs 1 to 50 turns, not 0
flow        --unseen-radii 0.6 0.4               | smaller radius first
flow        --unseen-radii 0.4 0.4               | smaller radius first
flow        --unseen-radii 0.2 0.8               | a part of all radii
flow        --unseen-radii 0.1 0.4               | which lie in 0.2 to 0.8; not 0.1 0.4
flow        --unseen-radii 0.4 0.9               | which lie in 0.2 to 0.8; not 0.4 0.9
flow        --unseen-radii nan 0.4               | --unseen-radii
flow        --png missing/out.png                | No such file or directory
sample      --num-videos 2                       | nothing to write
sample      --gif out.png                        | must be the name of a .gif file
sample      --png out.gif                        | must be the name of a .png file
sample      --steps-gif out.png                  | must be the name of a .gif file
sample      --steps-gif folder.gif               | must be the name of a .gif file
sample      --npz out.npy                        | must be the name of a .npz file
sample      --gif out.gif --npz missing/out.npz  | No such file or directory
sample      --npz out.npz --num-videos 401       | must lie in 1 to 400, not 401
sample      --gif out.gif --sample-seed -1       | --sample-seed must lie in 0
sample      --gif out.gif --steps 201            | --steps must lie in 1 to 200
sample      --gif out.gif --show-steps 0 51      | --show-steps must lie in 0 to 50
sample      --gif out.gif --turns 5              | --turns must lie in -3 to 4, not 5
sample      --gif out.gif --unseen-radii 0.6 0.4 | smaller radius first
sample      --gif o.gif --steps-gif ./o.gif      | --gif and --steps-gif need two different files
sample      --gif LONG.gif                       | File name too long
sample      --gif out.gif --first-center 0.05 0  | radius 0.05; circles have radii from 0.2 to 0.8
sample      --gif out.gif --first-center 0.9 0.9 | radius 1.27
sample      --gif out.gif --first-center nan 0.5 | --first-center
analyze     blobs --seeds 0                      | --seeds must lie
analyze     blobs --dims                         | nothing to measure
analyze     blobs --dims 2 513                   | --embed-dim must lie
analyze     blobs --flow-steps 0                 | --flow-steps must lie
analyze     blobs --out-dir file                 | File exists
analyze     geometry --ranges 0.9                | leave the frame
analyze     geometry --ranges                    | at least one range
analyze     geometry --ranges 0.8 0.8            | each only once
analyze     geometry --dims 2                    | --dims
analyze                                          | {blobs, geometry}
""".strip()


@pytest.mark.parametrize("line", BAD.splitlines())
def test_bad_command_line(line, command, tmp_path, no_training):
    """It is told before anything is trained, and nothing is touched."""
    (tmp_path / "folder.gif").mkdir()
    for name in ("file", "out.gif", "out.npz"):
        (tmp_path / name).write_text("mine")
    before = listing(tmp_path)
    arguments, named = line.replace("LONG", 240 * "n").split("|")
    status, out, err = command(*arguments.split())
    assert status == 2 and out == "" and "Traceback" not in err
    assert named.strip() in re.sub(r"[\s│]+", " ", err)  # tyro breaks long lines
    assert listing(tmp_path) == before


@pytest.mark.parametrize("line", ["data", "sample --gif out.gif", "autoencoder", "analyze blobs"])
def test_a_folder_that_cannot_be_written_to(line, command, monkeypatch, no_training):
    """Found out by trying: for root, permission bits say nothing."""

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refused)
    status, _, err = command(*line.split())
    assert status == 2 and "Permission denied" in err and err.count("\n") == 1


def test_an_error_in_the_code_keeps_its_traceback(command, monkeypatch):
    """As when a reader changes it: one line would hide where it is."""
    monkeypatch.setattr(data, "possible_orbits", lambda centers, turns: centers.reshape(7, -1))
    with pytest.raises(ValueError, match="reshape"):
        command("data")


def test_the_same_turns_find_the_same_checkpoint(command, folder, no_training, unmeasured):
    before = listing(folder)
    status, out, err = command("flow", *FLOW, "--turns", "-1", "1")
    assert status == 0 and trained(out) == [] and err == ""
    assert listing(folder) == before


# ---------------------------------------------------------------------------------------------
# Checkpoints: what is in them, and what is left when something goes wrong


def test_the_flow_carries_its_autoencoder(folder, tiny, no_training):
    """So that the two can't disagree: the autoencoder's own file isn't needed any more."""
    own = trained_autoencoder(coder_settings(folder))
    checkpoint_path(coder_settings(folder)).unlink()
    _, space = flow.trained_flow(tiny_settings(folder))
    weights, usual = space.autoencoder.state_dict(), own.state_dict()
    assert usual and all(torch.equal(w, weights[k]) for k, w in usual.items())
    assert torch.equal(space.mean, tiny[1].mean) and torch.equal(space.std, tiny[1].std)


class Hostile:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def damaged(how: str, whole: bytes) -> bytes:
    at = whole.rindex(b"archive/data/0") + 3  # a name in the table at the end of the archive
    flipped = {"bit": (len(whole) // 2, 1), "first byte": (0, 1), "name": (at, 128)}
    flipped["compression"] = (
        whole.rindex(b"PK\x01\x02") + 10,
        8,
    )  # what isn't compressed is said to be
    if how in flipped:
        changed = bytearray(whole)
        place, bits = flipped[how]
        changed[place] ^= bits
        return bytes(changed)
    return {"cut": whole[:5000], "last byte": whole[:-1], "empty": b"", "text": b"mine"}[how]


DAMAGE = ["bit", "name", "compression", "first byte", "cut", "last byte", "empty", "text"]
FOREIGN = ["a zip", "a list", "no settings", "another version"]
HOSTILE = ["hostile weights", "hostile settings", "bare pickle"]


def write_bad_checkpoint(kind: str, settings: AutoencoderSettings, victim: Path):
    """Write a file of one of these kinds where the checkpoint of these settings is."""
    path = checkpoint_path(settings)
    whole = torch.load(path, weights_only=True)
    if kind in DAMAGE:
        path.write_bytes(damaged(kind, path.read_bytes()))
    elif kind == "a zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("holiday.txt", "photos")
    elif kind == "a list":
        torch.save([1, 2, 3], path)
    elif kind == "no settings":
        torch.save({"weights": whole["weights"]}, path)
    elif kind == "another version":
        torch.save({name: whole[name] for name in whole if name != "sources"}, path)
    elif kind == "hostile weights":
        torch.save(whole | {"weights": Hostile(victim)}, path)
    elif kind == "hostile settings":
        torch.save(Hostile(victim), path)
    else:
        path.write_bytes(pickle.dumps(Hostile(victim)))


@pytest.mark.parametrize("kind", DAMAGE + FOREIGN + HOSTILE)
def test_a_bad_checkpoint_is_refused_and_left_alone(kind, command, folder, tmp_path, no_training):
    """And what would run if it were unpickled doesn't run."""
    settings, victim = tiny_settings(folder), tmp_path / "victim"
    write_bad_checkpoint(kind, settings, victim)
    before = listing(tmp_path)
    status, out, err = command("flow", *FLOW)
    assert status == 2 and out == "" and err.count("\n") == 1
    assert err.startswith("error:") and checkpoint_path(settings).name in err
    assert "delete it" in err and "--retrain" in err
    assert listing(tmp_path) == before


def test_retrain_writes_over_a_damaged_checkpoint(command, folder, few_orbits, unmeasured):
    whole = listing(folder)
    for path in folder.iterdir():
        path.write_bytes(b"damaged")
    status, out, err = command("flow", *FLOW, "--retrain")
    assert status == 0 and trained(out) == ["flow anew", "autoencoder anew"] and notes(err) == []
    assert listing(folder) == whole


def test_the_hostile_file_would_work(tmp_path):
    """Else the tests above would show nothing."""
    victim = tmp_path / "victim"
    torch.save(Hostile(victim), tmp_path / "hostile.pt")
    with contextlib.suppress(Exception):
        torch.load(tmp_path / "hostile.pt", weights_only=False).close()
    assert victim.exists()


def test_a_checkpoint_of_other_settings_is_refused(command, folder, no_training):
    """As when a file is renamed, or moved from a folder of another experiment."""
    settings = coder_settings(folder)
    other = dataclasses.replace(settings, center_range=0.5)
    shutil.copy(checkpoint_path(settings), checkpoint_path(other))
    before = listing(folder)
    status, out, err = command("autoencoder", *CODER, "--center-range", "0.5")
    assert status == 2 and out == "" and err.count("\n") == 1 and "other settings" in err
    assert listing(folder) == before
    moved = shutil.copytree(folder, folder.with_name("moved"))  # where it lies doesn't matter
    trained_autoencoder(coder_settings(moved))


@pytest.mark.parametrize("stage", ["autoencoder", "flow"])
@pytest.mark.parametrize("spoilt", ["shape", "name"])
def test_weights_that_do_not_fit_are_refused(stage, spoilt, command, folder, no_training):
    """As after an edit of a network's layers."""
    settings = {"autoencoder": coder_settings, "flow": tiny_settings}[stage](folder)
    path = checkpoint_path(settings)
    checkpoint = torch.load(path, weights_only=True)
    first = next(iter(checkpoint["weights"]))
    weight = checkpoint["weights"].pop(first)
    checkpoint["weights"][first if spoilt == "shape" else "other"] = weight[:-1]
    torch.save(checkpoint, path)
    before = listing(folder)
    status, out, err = command(stage, *(CODER if stage == "autoencoder" else FLOW))
    assert status == 2 and out == "" and err.count("\n") == 1
    assert err.startswith("error:") and path.name in err and "--retrain" in err
    assert listing(folder) == before


@pytest.mark.parametrize("stage", ["autoencoder", "flow"])
def test_a_diverged_training_saves_nothing(
    stage, command, folder, monkeypatch, few_orbits, unmeasured
):
    """A rate far too high; one step is enough to make the weights huge, a few to make them NaN."""
    usual = autoencoder.optimizer_and_schedule

    def far_too_fast(model, rate, *more, **others):
        return usual(model, 1e30, *more, **others)

    monkeypatch.setattr(STAGES[stage][0], "optimizer_and_schedule", far_too_fast)
    before = listing(folder)
    arguments = CODER if stage == "autoencoder" else FLOW[:4]
    status, _, err = command(stage, *arguments, f"--{stage}-steps", "6")
    assert status == 2 and "diverged" in err and "Traceback" not in err
    assert listing(folder) == before
    # nor does it write over one that is good
    usual_steps = [*arguments, f"--{stage}-steps", "6", "--retrain"]
    monkeypatch.setattr(STAGES[stage][0], "optimizer_and_schedule", usual)
    assert command(stage, *usual_steps)[0] == 0
    before = listing(folder)
    monkeypatch.setattr(STAGES[stage][0], "optimizer_and_schedule", far_too_fast)
    assert command(stage, *usual_steps)[0] == 2
    assert listing(folder) == before


def test_a_single_number_that_is_not_finite_is_enough(tmp_path):
    settings = coder_settings(tmp_path)
    weights = {"good": torch.ones(3), "bad": torch.tensor([1.0, float("inf"), 1.0])}
    with pytest.raises(FloatingPointError, match="diverged"):
        autoencoder.save_checkpoint(settings, [{}], {"weights": weights})
    assert listing(tmp_path) == {}


def write_over(kind: str, settings: flow.FlowSettings, folder: Path):
    """Write a file of this kind where one is already."""
    if kind == "pt":
        flow.trained_flow(settings)
    elif kind == "json":
        new = {"n": list(range(9999))}, data.new_figure(1, 1)
        analyze.write(lambda settings: new, analyze.SweepSettings(out_dir=folder), "out")
    else:
        few = {"num_videos": 4, "steps": 2}
        path = {kind: folder / f"out.{kind.removeprefix('steps_')}"}
        sample.main(sample.SampleSettings(**dataclasses.asdict(settings) | few | path))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", ["gif", "png", "steps_gif", "npz", "json", "pt"])
def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(
    kind, checkpoints, tmp_path, few_orbits
):
    """Killed for real, by the system, when the file that it writes reaches 2000 bytes."""
    import resource

    folder = tmp_path / "checkpoints"
    if kind == "pt":
        shutil.copytree(checkpoints, folder)
        path, settings = checkpoint_path(tiny_settings(folder)), tiny_settings(folder, retrain=True)
    else:
        path, settings = tmp_path / f"out.{kind.removeprefix('steps_')}", tiny_settings(checkpoints)
        path.write_bytes(b"old")
    old = path.read_bytes()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        write_over(kind, settings, tmp_path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGXFSZ
    assert path.read_bytes() == old
    if kind == "pt":
        flow.trained_flow(settings)  # nothing lies in the way


def test_ctrl_c_is_one_line(folder, command, monkeypatch, few_orbits):
    """A real signal, in the middle of a training step."""

    def pressed(n):
        signal.raise_signal(signal.SIGINT)
        return torch.rand(n, 1)

    # Where a shell runs the tests in the background, Ctrl-C is ignored.
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(flow, "random_times", pressed)
    before = listing(folder)
    status, _, err = command("flow", *FLOW[:4], "--flow-steps", "9")
    signal.signal(signal.SIGINT, usual)
    assert status == 130 and "Traceback" not in err
    assert err.splitlines()[-1] == "interrupted; what was finished is kept"
    assert listing(folder) == before


# ---------------------------------------------------------------------------------------------
# An edit is never silently ignored


NOT_CODE = {
    "a comment": (r"^LEAK = 0.01", "LEAK = 0.01  # a comment:"),
    "a line": (r"^(class ResidualBlock)", r"\n\n# a comment\n\n\n\1"),
    "a function's docstring": (r'^(def train\([^"]*""")', r"\1In other words. "),
    "a class's": (r'^(class ResidualBlock[^"]*""")', r"\1In other words. "),
    "a method's": (r'^(    def decode\([^"]*""")', r"\1In other words. "),
    "an option's": (r'^(    embed_dim[^"]*""")', r"\1In other words. "),
    "the file's": (r'\A"""', '"""In other words. '),
}
CODE = {
    "a constant": (r"^LEAK = 0.01", "LEAK = 0.02"),
    "a function": (r"(return min\()rise, ", r"\1"),
    "a default": (r"embed_dim: int = 2", "embed_dim: int = 3"),
    "a text that isn't a docstring": (r'"autoencoder training"', '"autoencoder test"'),
}


@pytest.mark.parametrize("edit", [*NOT_CODE, *CODE])
def test_what_counts_as_an_edit(edit, folder, monkeypatch):
    """Code, and neither comments nor docstrings."""
    source = autoencoder.SOURCES["autoencoder.py"]
    pattern, new = (NOT_CODE | CODE)[edit]
    edited, times = re.subn(pattern, new, source, count=1, flags=re.MULTILINE)
    assert times == 1 and edited != source
    monkeypatch.setitem(autoencoder.SOURCES, "autoencoder.py", edited)
    files = ["autoencoder.py"] if edit in CODE else []
    assert autoencoder.edited_files(coder_settings(folder)) == files
    assert autoencoder.edited_files(tiny_settings(folder)) == files


@pytest.fixture
def edit(monkeypatch):
    """Let this process have been started with another version of a file."""
    return lambda file: monkeypatch.setitem(autoencoder.SOURCES, file, "edited = True")


@pytest.mark.parametrize(
    ("file", "anew"),
    [
        ("data.py", ["flow anew", "autoencoder anew"]),
        ("autoencoder.py", ["flow anew", "autoencoder anew"]),
        ("flow.py", ["flow anew"]),
        (None, ["flow anew"]),  # a stage's own network always
    ],
)
def test_an_edit_is_told_and_retrain_takes_it_up(
    file, anew, command, folder, edit, few_orbits, unmeasured
):
    before = listing(folder)
    if file:
        edit(file)
        for stage, arguments in {"autoencoder": CODER, "flow": FLOW}.items():
            status, out, err = command(stage, *arguments)
            assert status == 0 and trained(out) == []
            if stage == "autoencoder" and file == "flow.py":
                assert err == ""  # the autoencoder knows nothing of it
            else:
                [line] = err.splitlines()
                assert line.startswith(f"note: {file} edited since") and "--retrain" in line
                assert f"{stage}_dim1" in line
    assert listing(folder) == before
    status, out, err = command("flow", *FLOW, "--retrain")
    assert (status, trained(out), notes(err)) == (0, anew, [])
    assert command("flow", *FLOW)[2] == ""


def test_retrain_of_the_autoencoder_leaves_the_flow(command, folder, edit, unmeasured):
    """It carries the one that it was trained on."""
    edit("autoencoder.py")
    status, out, err = command("autoencoder", *CODER, "--retrain")
    assert (status, trained(out), notes(err)) == (0, ["autoencoder anew"], [])
    assert command("autoencoder", *CODER)[2] == ""
    assert "note: autoencoder.py edited since" in command("flow", *FLOW)[2]


def test_a_flow_on_top_of_an_older_autoencoder_remains_flagged(
    command, folder, edit, few_orbits, unmeasured
):
    edit("data.py")
    edit("autoencoder.py")
    checkpoint_path(tiny_settings(folder)).unlink()
    status, out, err = command("flow", *FLOW)
    assert status == 0 and trained(out) == ["flow missing"]
    assert len(notes(err)) == 1 and "autoencoder.py and data.py edited" in err
    status, out, err = command("flow", *FLOW)
    assert status == 0 and trained(out) == [] and "autoencoder.py and data.py edited" in err
    assert command("flow", *FLOW, "--retrain")[0] == 0
    assert command("flow", *FLOW)[2] == ""


def test_the_code_that_trained_is_the_one_that_was_imported(tmp_path):
    """Whatever is saved while the training runs; and links to the files are as good as they are."""
    code, links = tmp_path / "code", tmp_path / "links"
    for folder in (code, links):
        folder.mkdir()
    for stage in ("data", "autoencoder", "flow"):
        shutil.copy(ROOT / f"{stage}.py", code)
    (links / "flow.py").symlink_to(code / "flow.py")
    first = f"""
import pathlib, runpy, sys
sys.path.insert(0, {str(code)!r})
import flow
flow.NUM_ORBITS = {FEW}
half_saved = pathlib.Path(flow.__file__).read_text().replace("FLOOR = 0.2", "FLOOR = (0.4")
pathlib.Path(flow.__file__).write_text(half_saved)
flow.trained_flow(flow.FlowSettings(**{TINY}))
"""
    done = run_process(tmp_path, "-c", first)
    assert done.returncode == 0, done.stderr
    half_saved = (code / "flow.py").read_text()
    (code / "flow.py").write_text(half_saved.replace("FLOOR = (0.4", "FLOOR = (0.4)"))
    done = run_process(tmp_path, links / "flow.py", *FLOW)
    assert done.returncode == 0, done.stderr
    assert trained(done.stdout) == [] and len(notes(done.stderr)) == 1
    assert done.stderr.startswith("note: flow.py edited since")


# ---------------------------------------------------------------------------------------------
# What surrounds the commands doesn't change what they do


def test_a_full_disk_is_one_line(command, folder, tmp_path, monkeypatch, few_orbits, unmeasured):
    usual = Path.write_bytes

    def full(path, content):
        usual(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    outputs = {"gif": "o.gif", "png": "o.png", "steps_gif": "s.gif", "npz": "o.npz"}
    for name in outputs.values():
        (tmp_path / name).write_text("mine")
    before = listing(tmp_path)
    monkeypatch.setattr(Path, "write_bytes", full)
    few = options(num_videos=1, steps=1)
    lines = [["sample", *FLOW, *few, *options(**{kind: outputs[kind]})] for kind in outputs]
    lines += [["data", "--gif", "o.gif"], ["autoencoder", *CODER, "--png", "o.png"]]
    lines += [["flow", *FLOW, "--png", "o.png"], ["flow", *FLOW, "--retrain"]]
    for line in lines:
        status, _, err = command(*line)
        assert status == 2, line
        problem = err.splitlines()[-1]
        assert problem.endswith("can't be written: No space left on device"), line
        assert "Traceback" not in err and "Exception" not in err
        assert listing(tmp_path) == before, line


def test_pictures_do_not_depend_on_a_matplotlibrc(command, folder, tmp_path):
    """Least of all on one that turns them upside down, and so the videos around."""
    import matplotlib

    lines = {
        "data": ["--png", "o.png"],
        "autoencoder": [*CODER, "--png", "o.png"],
        "flow": [*FLOW, "--png", "o.png"],
        "sample": [*FLOW, *options(num_videos=1, steps=1, png="o.png", steps_gif="o.gif")],
    }
    drawn = []
    for settings in ({}, {"image.origin": "lower", "font.size": 30, "savefig.facecolor": "red"}):
        for stage, arguments in lines.items():
            matplotlib.rcParams.update(settings)
            assert command(stage, *arguments)[0] == 0
            pictures = sorted(tmp_path.glob("o.*"))
            drawn += [path.read_bytes() for path in pictures]
            for path in pictures:
                path.unlink()
    assert len(drawn) == 2 * 5 and drawn[: len(drawn) // 2] == drawn[len(drawn) // 2 :]


def test_pictures_can_be_written_in_a_notebooks_terminal(tmp_path):
    """Which tells matplotlib to draw with something that may not be installed here."""
    done = run_process(tmp_path, ROOT / "data.py", "--png", "o.png", MPLBACKEND="inline")
    assert done.returncode == 0 and done.stderr == ""
    assert iio.imread(tmp_path / "o.png").shape[1] > 500

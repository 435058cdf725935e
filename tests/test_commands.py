"""The command lines and the files between the stages: what they make, what they refuse, and what is
left when they are stopped."""

import ast
import dataclasses
import hashlib
import io
import os
import pickle
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import imageio.v3 as iio
import pytest
import torch
import tyro
from conftest import ROOT, TINY, options, run_process, tiny_settings
from matplotlib.figure import Figure

import analyze
import autoencoder
import data
import flow
import sample
from autoencoder import AutoencoderSettings, checkpoint_path, load_or_train, restrict

STAGES = {
    "data": (data, data.DataSettings),
    "autoencoder": (autoencoder, AutoencoderSettings),
    "flow": (flow, flow.FlowSettings),
    "sample": (sample, sample.SampleSettings),
    "analyze": (analyze, analyze.AnalyzeSettings),
}
FLOW = options(**TINY)


@pytest.fixture
def command(monkeypatch, capfd, tmp_path):
    """Run a stage's command line in this process and an empty folder: status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run_here(stage, *arguments):
        module, settings_type = STAGES[stage]
        monkeypatch.setattr(sys, "argv", [f"{stage}.py", *arguments])
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


def coder_settings(folder: Path) -> AutoencoderSettings:
    return restrict(tiny_settings(folder), AutoencoderSettings)


def listing(folder: Path) -> dict[str, bytes]:
    """All that is in a folder: to see whether anything was touched."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b""
        for p in sorted(folder.rglob("*"))
    }


def test_from_an_empty_folder_to_a_gif(tmp_path, command):
    """One command trains all that is missing, says so, and the next ones find it there."""
    few = [*FLOW, *options(num_videos=2, steps=2, gif="out.gif")]
    first = run_process(tmp_path, ROOT / "sample.py", *few)
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("is missing: training it") == 2
    assert "autoencoder: 100%" in first.stderr and "flow: 100%" in first.stderr
    assert len(iio.imread(tmp_path / "out.gif", index=None)) == 8
    before = listing(tmp_path)
    made = ["autoencoder_dim1_autoencoder-steps=2.pt"]
    made += ["flow_dim1_autoencoder-steps=2_flow-steps=2.pt"]
    assert list(before) == ["checkpoints", *(f"checkpoints/{name}" for name in made), "out.gif"]
    told = {"autoencoder": "mean squared error", "flow": "irreducible", "sample": "out.gif"}
    for stage, arguments in {"autoencoder": FLOW[:4], "flow": FLOW, "sample": few}.items():
        status, out, err = command(stage, *arguments)
        assert status == 0 and told[stage] in out and "missing" not in out and err == ""
    assert listing(tmp_path) == before


def test_data_writes_a_gif(command, tmp_path):
    files = []
    for arguments in ([], [], ["--half-width", "0.1"]):
        assert command("data", *arguments)[0] == 0
        files.append((tmp_path / "data.gif").read_bytes())
    assert len(iio.imread(tmp_path / "data.gif", index=None)) == 8
    assert files[0] == files[1] != files[2]


def test_a_stage_imports_only_from_stages_before_it():
    order = [*STAGES, "study", "explorer"]
    for i, stage in enumerate(STAGES):
        for node in ast.walk(ast.parse((ROOT / f"{stage}.py").read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name.split(".")[0] not in order[i:], f"{stage} imports {name}"


def test_readme_commands_are_understood(tmp_path, monkeypatch):
    """But for those that set up an environment or a cluster."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text()
    found = re.findall(r"(?:^    |`)python ((?:\w+\.py|-m study\.\w+)[^`\n#]*)", text, re.MULTILINE)
    assert len(set(found)) > 10
    for line in found:
        name, *arguments = shlex.split(line.replace("ADDRESS", "tcp://10.0.0.1:8786"))
        if name == "-m":
            assert (ROOT / (arguments[0].replace(".", "/") + ".py")).is_file(), line
        else:  # exits if it isn't understood
            tyro.cli(STAGES[name.removesuffix(".py")][1], args=arguments)


@pytest.mark.parametrize(
    "name", [f.name for f in dataclasses.fields(flow.FlowSettings) if f.name != "checkpoint_dir"]
)
def test_every_setting_has_an_effect_and_a_file_of_its_own(name, tiny, tmp_path, few_orbits):
    value = getattr(tiny_settings(tmp_path), name)
    other = value / 2 if isinstance(value, float) else type(value)(value + 1)
    settings = tiny_settings(tmp_path, **{name: other})
    network, space = flow.load_or_train(settings)
    changed = []
    for model, usual in ((network, tiny[0]), (space.coder, tiny[1].coder)):
        new, old = (torch.cat([w.flatten() for w in m.parameters()]) for m in (model, usual))
        changed.append(new.shape != old.shape or not torch.equal(new, old))
    assert changed == [True, hasattr(AutoencoderSettings, name)]
    assert checkpoint_path(settings).is_file()
    assert checkpoint_path(settings).name != checkpoint_path(tiny_settings(tmp_path)).name


def test_the_same_bits_twice(tmp_path, few_orbits):
    for name in "ab":
        flow.load_or_train(tiny_settings(tmp_path / name, autoencoder_steps=5, flow_steps=5))
    assert listing(tmp_path / "a") == listing(tmp_path / "b")


# There are a file called "file" and a folder called "folder.gif".
BAD = """
data        --gif out.png                        | must be the name of a .gif file
data        --gif folder.gif                     | must be the name of a .gif file
data        --gif missing/out.gif                | No such file or directory
data        --range 0.01                         | --range must lie in
data        --half-width nan                     | --half-width must lie in
data        --range 0.9 --half-width 0.2         | leaves the frame
autoencoder --embed-dim 0                        | --embed-dim must lie in 1 to 512, not 0
autoencoder --hidden-layers 9                    | --hidden-layers must lie
autoencoder --blur -1                            | --blur must lie
autoencoder --autoencoder-steps 0                | --autoencoder-steps must lie
autoencoder --seed 4294967296                    | --seed must lie
autoencoder --checkpoint-dir file                | file
flow        --latent-scale 0                     | --latent-scale must lie
flow        --flow-steps 0                       | --flow-steps must lie
flow        --ccw-share 1.1                      | --ccw-share must lie
sample      --num-videos 2                       | nothing to write
sample      --npz out.npy                        | must be the name of a .npz file
sample      --gif out.gif --npz missing/out.npz  | No such file or directory
sample      --npz out.npz --num-videos 401       | must lie in 1 to 400, not 401
sample      --gif out.gif --sample-seed -1       | --sample-seed must lie in 0
sample      --gif out.gif --steps 201            | --steps must lie in 1 to 200
sample      --gif out.gif --show-steps 0 51      | --show-steps must lie in 0 to 50
analyze     blobs --seeds 0                      | --seeds must lie
analyze     blobs --out-dir file                 | File exists
analyze     geometry --ranges 0.9                | leaves the frame
analyze     geometry --ranges                    | nothing to measure
""".strip()


@pytest.mark.parametrize("line", BAD.splitlines())
def test_bad_command_line(line, command, tmp_path, no_training):
    """It is told before anything is trained, and nothing is touched."""
    (tmp_path / "folder.gif").mkdir()
    for name in ("file", "out.gif", "out.npz"):
        (tmp_path / name).write_text("mine")
    before = listing(tmp_path)
    arguments, named = line.split("|")
    status, out, err = command(*arguments.split())
    assert status == 2 and out == "" and "Traceback" not in err
    assert named.strip() in re.sub(r"[\s│]+", " ", err)  # tyro breaks long lines
    assert listing(tmp_path) == before


@pytest.mark.parametrize("line", ["data", "sample --gif out.gif", "autoencoder", "analyze"])
def test_a_folder_that_cannot_be_written_to(line, command, monkeypatch, no_training):
    """Found out by trying: for root, permission bits say nothing."""

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(data.tempfile, "TemporaryFile", refused)
    status, _, err = command(*line.split())
    assert status == 2 and "Permission denied" in err


def test_an_error_in_the_code_keeps_its_traceback(command, monkeypatch):
    """As when a reader changes it: one line would hide where it is."""
    monkeypatch.setattr(data, "orbits", lambda centers: centers.reshape(7, -1))
    with pytest.raises(ValueError, match="reshape"):
        command("data")


def test_the_flow_carries_its_autoencoder(folder, tiny, no_training):
    """So that the two can't disagree: the autoencoder's own file isn't needed any more."""
    checkpoint_path(coder_settings(folder)).unlink()
    _, space = flow.load_or_train(tiny_settings(folder))
    weights = space.coder.state_dict()
    assert all(torch.equal(w, weights[k]) for k, w in tiny[1].coder.state_dict().items())
    assert torch.equal(space.mean, tiny[1].mean) and torch.equal(space.unit, tiny[1].unit)


def signed(content) -> bytes:
    """A checkpoint file of this content: its SHA-256 behind it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest()


@pytest.mark.parametrize("damage", ["bit", "cut", "empty"])
def test_a_damaged_checkpoint_is_refused_and_left_alone(damage, command, folder, no_training):
    path = checkpoint_path(tiny_settings(folder))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    damaged = {"bit": bytes(whole), "cut": bytes(whole[:5000]), "empty": b""}
    path.write_bytes(damaged[damage])
    before = listing(folder)
    status, out, err = command("flow", *FLOW)
    assert status == 2 and out == "" and err.count("\n") == 1
    assert path.name in err and "delete it" in err
    assert listing(folder) == before


def test_a_checkpoint_of_other_settings_is_refused(folder):
    """As when a file is renamed, or moved from a folder of another experiment."""
    settings = coder_settings(folder)
    other = dataclasses.replace(settings, range=0.5)
    shutil.copy(checkpoint_path(settings), checkpoint_path(other))
    with pytest.raises(OSError, match="other settings"):
        load_or_train(other)
    moved = shutil.copytree(folder, folder.with_name("moved"))  # where it lies doesn't matter
    load_or_train(coder_settings(moved))


class Hostile:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_hostile_checkpoint_is_refused_without_running(folder, tmp_path):
    victim, settings = tmp_path / "victim", coder_settings(folder)
    checkpoint_path(settings).write_bytes(signed({"weights": Hostile(victim)}))
    with pytest.raises(OSError, match="delete it"):
        load_or_train(settings)
    assert not victim.exists()
    # The pickle does work when it is run, else the test would show nothing.
    pickle.loads(pickle.dumps(Hostile(victim))).close()
    assert victim.exists()


@pytest.mark.parametrize("stage", ["autoencoder", "flow"])
def test_a_diverged_training_saves_nothing(stage, command, folder, monkeypatch, few_orbits):
    """A rate far too high; one step is enough to make the weights huge, a few to make them NaN."""
    usual = autoencoder.optimizer_and_schedule

    def far_too_fast(model, rate, *more, **others):
        return usual(model, 1e30, *more, **others)

    monkeypatch.setattr(autoencoder, "optimizer_and_schedule", far_too_fast)
    before = listing(folder)
    status, _, err = command(stage, *FLOW[:4], f"--{stage}-steps", "20")
    assert status == 2 and "diverged" in err and "Traceback" not in err
    assert listing(folder) == before


def write_over(kind: str, settings: flow.FlowSettings, folder: Path):
    """Write a file of this kind where one is already."""
    if kind == "json":
        new = {"n": list(range(9999))}, Figure()
        analyze.write(lambda settings: new, analyze.AnalyzeSettings(out_dir=folder), "out")
    else:
        path = {kind: folder / f"out.{kind}"}
        sample.main(sample.SampleSettings(**dataclasses.asdict(settings) | path))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", ["gif", "png", "npz", "json", "pt"])
def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(kind, checkpoints, tmp_path):
    """Killed for real, by the system, when the file that it writes reaches 2000 bytes."""
    import resource

    path = tmp_path / f"out.{kind}"
    path.write_bytes(b"old")
    settings = tiny_settings(tmp_path if kind == "pt" else checkpoints)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        load_or_train(settings) if kind == "pt" else write_over(kind, settings, tmp_path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGXFSZ
    assert path.read_bytes() == b"old"
    if kind == "pt":
        load_or_train(settings)  # nothing lies in the way


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

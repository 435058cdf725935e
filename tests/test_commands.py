"""The command lines and the files between the stages: what they make, what they refuse, and what is
left when they are stopped."""

import ast
import hashlib
import io
import itertools
import os
import pickle
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import pytest
import torch
import tyro
from conftest import ROOT, TINY, listing, options, run_process, tiny_settings

import analyze
import autoencoder
import data
import flow
import sample
from autoencoder import AutoencoderSettings, checkpoint_path, load_or_train, restrict, save

STAGES = {
    "data": (data, data.DataSettings),
    "autoencoder": (autoencoder, AutoencoderSettings),
    "flow": (flow, flow.FlowSettings),
    "sample": (sample, sample.SampleSettings),
    "analyze": (analyze, analyze.AnalyzeSettings),
}
CODER = options(embed_dim=1, autoencoder_steps=2)
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
        except SystemExit as stop:
            status = stop.code
        return status, *capfd.readouterr()

    return run_here


@pytest.fixture
def folder(checkpoints, tmp_path) -> Path:
    """A copy of the tiny checkpoints, to be spoilt."""
    return shutil.copytree(checkpoints, tmp_path / "checkpoints")


def coder_settings(folder: Path) -> AutoencoderSettings:
    return restrict(tiny_settings(folder), AutoencoderSettings)


# ---------------------------------------------------------------- they work


def test_from_an_empty_folder_to_a_gif(tmp_path):
    """One command trains all that is missing, says so, and the next ones find it there."""
    few = [*FLOW, *options(num_videos=2, steps=2, gif="out.gif")]
    first = run_process(tmp_path, ROOT / "sample.py", *few)
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("is missing: training it") == 2
    assert "autoencoder: 100%" in first.stderr and "flow: 100%" in first.stderr
    assert len(iio.imread(tmp_path / "out.gif", index=None)) == 8
    before = listing(tmp_path)
    assert [name for name in before if name != "out.gif"] == [
        "checkpoints",
        "checkpoints/autoencoder_dim1_autoencoder-steps=2.pt",
        "checkpoints/flow_dim1_autoencoder-steps=2_flow-steps=2.pt",
    ]
    for stage, arguments, said in (
        ("autoencoder", CODER, "mean squared error"),
        ("flow", FLOW, "irreducible"),
        ("sample", few, "out.gif"),
    ):
        again = run_process(tmp_path, ROOT / f"{stage}.py", *arguments)
        assert again.returncode == 0 and said in again.stdout
        assert "missing" not in again.stdout and again.stderr == ""
    assert listing(tmp_path) == before


def test_data_writes_a_gif(command, tmp_path):
    assert command("data", "--num-videos", "3")[0] == 0
    one = (tmp_path / "data.gif").read_bytes()
    assert len(iio.imread(tmp_path / "data.gif", index=None)) == 8
    assert command("data", "--num-videos", "3", "--sample-seed", "1")[0] == 0
    assert (tmp_path / "data.gif").read_bytes() != one


def test_a_stage_imports_only_from_stages_before_it():
    order = [*STAGES, "study"]
    for i, stage in enumerate(STAGES):
        for node in ast.walk(ast.parse((ROOT / f"{stage}.py").read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name.split(".")[0] not in order[i:], f"{stage} imports {name}"


SETTINGS = [
    *({name: value} for name, value in {"half_width": 0.1, "range": 0.5}.items()),
    *({name: value} for name, value in {"hard_edges": True, "plain": True, "blur": 3.0}.items()),
    *({name: value} for name, value in {"hidden_layers": 1, "embed_dim": 2, "seed": 1}.items()),
    {"autoencoder_steps": 3},
    *({name: value} for name, value in {"ccw_share": 0.1, "given_frames": 2}.items()),
    *({name: value} for name, value in {"latent_scale": 2.0, "flow_steps": 3}.items()),
]


@pytest.mark.parametrize("change", SETTINGS, ids=lambda change: next(iter(change)))
def test_every_setting_has_an_effect_and_a_file_of_its_own(change, tiny, tmp_path, few_orbits):
    settings = tiny_settings(tmp_path, **change)
    network, space, _ = flow.load_or_train(settings)
    stage = AutoencoderSettings if hasattr(AutoencoderSettings, next(iter(change))) else None
    for model, usual in ((network, tiny[0]), (space.autoencoder, tiny[1].autoencoder)):
        new, old = (torch.cat([w.flatten() for w in m.parameters()]) for m in (model, usual))
        same = new.shape == old.shape and torch.equal(new, old)
        assert same == (model is space.autoencoder and stage is None)
    assert len(set(tmp_path.glob("*.pt")) & {checkpoint_path(settings)}) == 1
    assert checkpoint_path(settings).name != checkpoint_path(tiny_settings(tmp_path)).name


def test_the_same_bits_twice(tmp_path, few_orbits):
    one, two = (
        flow.load_or_train(tiny_settings(tmp_path / name, autoencoder_steps=5, flow_steps=5))
        for name in "ab"
    )
    for a, b in zip(one[0].state_dict().values(), two[0].state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert one[2] == two[2]
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_flow_carries_its_autoencoder(folder, tiny):
    """So that the two can't disagree: the autoencoder's own file isn't needed any more."""
    checkpoint_path(coder_settings(folder)).unlink()
    _, space, _ = flow.load_or_train(tiny_settings(folder))
    weights = space.autoencoder.state_dict()
    assert all(torch.equal(w, weights[k]) for k, w in tiny[1].autoencoder.state_dict().items())
    assert torch.equal(space.mean, tiny[1].mean) and torch.equal(space.std, tiny[1].std)


def readme_commands() -> list[str]:
    """The README's commands, without those that set up an environment or a cluster."""
    text = (ROOT / "README.md").read_text()
    found = re.findall(r"(?:^    |`)python ((?:\w+\.py|-m study\.\w+)[^`\n#]*)", text, re.MULTILINE)
    return sorted({line.strip() for line in found})


def test_readme_commands_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = readme_commands()
    assert len(commands) > 10
    for line in commands:
        name, *arguments = shlex.split(line.replace("ADDRESS", "tcp://10.0.0.1:8786"))
        if name == "-m":
            assert (ROOT / (arguments[0].replace(".", "/") + ".py")).is_file(), line
            continue
        _, settings_type = STAGES[name.removesuffix(".py")]
        tyro.cli(settings_type, args=arguments)  # exits if it isn't understood


# ---------------------------------------------------------------- bad command lines

# Files called "file" and folders called "folder.gif" ... lie around.
BAD = """
data        --nonsense 3
data        --gif out.png
data        --gif missing/out.gif
data        --gif file/out.gif
data        --gif folder.gif
data        --gif LONG.gif
data        --num-videos 0
data        --num-videos 401
data        --sample-seed -1
data        --range 0
data        --range 0.81
data        --range nan
data        --half-width 0.01
data        --half-width nan
data        --range 0.9 --half-width 0.2
autoencoder --embed-dim 0
autoencoder --embed-dim 513
autoencoder --embed-dim two
autoencoder --hidden-layers -1
autoencoder --hidden-layers 9
autoencoder --blur -1
autoencoder --blur 26
autoencoder --autoencoder-steps 0
autoencoder --seed -1
autoencoder --seed 4294967296
autoencoder --range 0.9
autoencoder --checkpoint-dir file
autoencoder --checkpoint-dir file/inside
autoencoder --flow-steps 5
flow        --given-frames 3
flow        --latent-scale 0
flow        --latent-scale nan
flow        --flow-steps 0
flow        --ccw-share 2
flow        --ccw-share -0.1
flow        --embed-dim 1000
sample      --num-videos 2
sample      --gif out.png
sample      --png out.gif
sample      --npz out.npy
sample      --gif out.gif --npz missing/out.npz
sample      --gif out.gif --num-videos 0
sample      --gif out.gif --num-videos 401
sample      --npz out.npz --num-videos 1000001
sample      --npz out.npz --num-videos 1000000
sample      --gif out.gif --steps 0
sample      --gif out.gif --steps 1001
sample      --gif out.gif --show-steps 51
sample      --gif out.gif --show-steps 0 3 --steps 2
sample      --gif out.gif --sample-seed -1
sample      --gif out.gif --checkpoint-dir file
analyze     lines
analyze     blobs --seeds 0
analyze     blobs --dims 0
analyze     blobs --out-dir file
analyze     geometry --ranges 0.9
analyze     geometry --flow-steps 0
""".strip()


def never(*_, **__):
    pytest.fail("training has started")


@pytest.mark.parametrize("line", BAD.splitlines())
def test_bad_command_line(line, command, tmp_path, monkeypatch):
    for name in ("folder.gif", "folder.png"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("mine")
    for name in ("gif", "png", "npz"):
        (tmp_path / f"out.{name}").write_text("old")
    monkeypatch.setattr(autoencoder, "train", never)
    monkeypatch.setattr(flow, "train", never)
    before = listing(tmp_path)
    status, out, err = command(*line.replace("LONG", 300 * "x").split())
    assert status == 2
    assert len(err) > 30 and "Traceback" not in err and out == ""
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    "line, named",
    [
        ("data --range 0.9", "leaves the frame"),
        ("data --gif out.png", "must be the name of a .gif file"),
        ("autoencoder --embed-dim 0", "--embed-dim must lie in 1 to 512, not 0"),
        ("sample", "nothing to write"),
        ("sample --gif missing/o.gif", "No such file or directory"),
        ("sample --npz o.npz --num-videos 1000000", "GB of disk"),
        ("autoencoder --checkpoint-dir file", "file"),
    ],
)
def test_the_message_says_what_is_wrong(line, named, command, tmp_path):
    (tmp_path / "file").write_text("mine")
    _, _, err = command(*line.split())
    assert named in re.sub(r"[\s│]+", " ", err)  # tyro breaks long lines


def test_a_folder_that_cannot_be_written_to(command, tmp_path, monkeypatch):
    """Found out by trying: for root, permission bits say nothing."""

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(data.tempfile, "TemporaryFile", refused)
    monkeypatch.setattr(autoencoder, "train", never)
    for line in ("data", "sample --gif out.gif", "autoencoder"):
        status, _, err = command(*line.split())
        assert status == 2 and "Permission denied" in err


# ---------------------------------------------------------------- checkpoints


def signed(content) -> bytes:
    """A checkpoint file of this content: its SHA-256 behind it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest()


@pytest.mark.parametrize("damage", ["bit", "cut", "empty", "text", "list", "no settings"])
def test_a_damaged_checkpoint_is_refused_and_left_alone(damage, command, folder, monkeypatch):
    path = checkpoint_path(tiny_settings(folder))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(
        {
            "bit": bytes(whole),
            "cut": bytes(whole[:5000]),
            "empty": b"",
            "text": b"hello" * 100,
            "list": signed([1, 2]),
            "no settings": signed({"weights": {}}),
        }[damage]
    )
    monkeypatch.setattr(autoencoder, "train", never)
    monkeypatch.setattr(flow, "train", never)
    before = listing(folder)
    status, out, err = command("flow", *FLOW)
    assert status == 2 and out == "" and err.count("\n") == 1
    assert path.name in err and "delete it" in err
    assert listing(folder) == before


def test_a_checkpoint_of_other_settings_is_refused(folder):
    """As when a file is renamed, or moved from a folder of another experiment."""
    settings = coder_settings(folder)
    other = restrict(tiny_settings(folder, range=0.5), AutoencoderSettings)
    shutil.copy(checkpoint_path(settings), checkpoint_path(other))
    with pytest.raises(ValueError, match="other settings"):
        load_or_train(other)
    shutil.copy(checkpoint_path(tiny_settings(folder)), checkpoint_path(settings))
    with pytest.raises(ValueError, match="other settings"):  # of another stage
        load_or_train(settings)


class Hostile:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_hostile_checkpoint_is_refused_without_running(folder, tmp_path):
    victim, settings = tmp_path / "victim", coder_settings(folder)
    content = {"settings": autoencoder.identity(settings), "weights": Hostile(victim), "error": 0.0}
    checkpoint_path(settings).write_bytes(signed(content))
    with pytest.raises(ValueError, match="delete it"):
        load_or_train(settings)
    assert not victim.exists()
    # The pickle does work when it is run, else the test would show nothing.
    pickle.loads(pickle.dumps(Hostile(victim))).close()
    assert victim.exists()


@pytest.mark.parametrize("stage", [autoencoder, flow])
def test_a_diverged_training_saves_nothing(stage, command, folder, monkeypatch, few_orbits):
    """A rate far too high; one step is enough to make the weights huge, a few to make them NaN."""
    usual = autoencoder.optimizer_and_schedule

    def far_too_fast(model, rate, *more, **others):
        return usual(model, 1e30, *more, **others)

    monkeypatch.setattr(autoencoder, "optimizer_and_schedule", far_too_fast)
    before = listing(folder)
    steps = {"autoencoder_steps": 2, "flow_steps": 2} | {f"{stage.__name__}_steps": 20}
    status, _, err = command(
        stage.__name__, *options(embed_dim=1, **steps)[: 4 + 2 * (stage is flow)]
    )
    assert status == 2 and "diverged" in err and "Traceback" not in err
    assert listing(folder) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path):
    """Killed right before its n-th operation on a file, for every n."""
    settings = coder_settings(tmp_path)
    old, new = (autoencoder.Autoencoder(settings) for _ in range(2))
    save(settings, new)
    path = checkpoint_path(settings)
    whole = [path.read_bytes()]
    survived = killed = 0
    for die_at in range(1, 20):
        save(settings, old)
        whole[1:] = [path.read_bytes()]
        child = os.fork()
        if child == 0:
            operations = itertools.count(1)

            def watch(event, details, die_at=die_at, operations=operations):
                touches = event in ("open", "os.rename", "os.remove")
                ours = touches and str(tmp_path) in str(details[0])
                if ours and next(operations) == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(watch)
            save(settings, new)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        killed, survived = killed + (status == -signal.SIGKILL), survived + (status == 0)
        assert path.read_bytes() in whole
        assert status != 0 or path.read_bytes() == whole[0]
    assert killed >= 2 and survived >= 1 and whole[0] != whole[1]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["autoencoder", "flow"])
def test_ctrl_c_is_one_line(stage, folder, tmp_path):
    before = listing(folder)
    # If a shell runs the tests in the background, they ignore Ctrl-C, and so would the run.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = options(**TINY | {f"{stage}_steps": 10**6})
    run = subprocess.Popen(
        [sys.executable, ROOT / f"{stage}.py", *arguments[: 4 if stage == "autoencoder" else None]],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        os.set_blocking(run.stderr.fileno(), False)
        told, deadline = b"", time.monotonic() + 120
        while not re.search(rb" [1-9]\d*/1000000", told):
            told += run.stderr.read() or b""
            assert time.monotonic() < deadline
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        os.set_blocking(run.stderr.fileno(), True)
        told += run.stderr.read()
        assert run.wait(60) == 130
    finally:
        run.kill()
    assert told.decode().splitlines()[-1] == "interrupted; what was finished is kept"
    assert b"Traceback" not in told
    assert listing(folder) == before


def test_a_write_that_fails_keeps_the_old_output(checkpoints, tmp_path, monkeypatch, command):
    (tmp_path / "out.npz").write_bytes(b"old")

    def no_space(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sample.np, "savez", no_space)
    line = [*FLOW, *options(num_videos=2, steps=2, npz="out.npz", checkpoint_dir=checkpoints)]
    status, _, err = command("sample", *line)
    assert status == 2 and "No space left" in err and err.count("\n") == 1
    assert listing(tmp_path) == {"out.npz": b"old"}

"""The command lines: what they make, and the one line they say when something is wrong."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import ROOT, TINY, digest, listing, run_process, tiny_settings, visible

import autoencoder
import data
import files
import flow
import sample
from settings import AutoencoderSettings, DataSettings, FlowSettings, SampleSettings

STAGES = {
    "data": (data, DataSettings),
    "autoencoder": (autoencoder, AutoencoderSettings),
    "flow": (flow, FlowSettings),
    "sample": (sample, SampleSettings),
}
NAMES = [
    f"{stage}_dim1_autoencoder-steps=2{more}.pt"
    for stage, more in [("autoencoder", ""), ("flow", "_flow-steps=2")]
]
FEW = [*TINY, "--num-videos", "2", "--steps", "2"]


def one_line(err: str) -> str:
    """The single line that an error is told in; progress bars before it end in a carriage return or a line of their own."""
    lines = [line for line in re.split("[\r\n]+", err) if line and "step/s" not in line]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ") and len(lines[0]) > 15
    return lines[0]


# ---------------------------------------------------------------- they work


@pytest.mark.slow
def test_from_an_empty_folder_to_a_gif(tmp_path):
    """One command trains all that is missing, says so, and the next ones find it there."""
    first = run_process(tmp_path, "sample", *FEW, "--gif", "out.gif")
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("is missing: training it") == 2
    assert visible(tmp_path) == ["checkpoints", "out.gif"]
    assert visible(tmp_path / "checkpoints") == NAMES
    gif = iio.imread(tmp_path / "out.gif", index=None)
    assert len(gif) == 8 and gif.std() > 1

    before = listing(tmp_path)
    for stage, said in [("autoencoder", "IoU"), ("flow", "irreducible")]:
        again = run_process(tmp_path, stage, *TINY[: 4 if stage != "flow" else None])
        assert again.returncode == 0 and said in again.stdout
        assert "missing" not in again.stdout and again.stderr == ""
    again = run_process(tmp_path, "sample", *FEW, "--gif", "out.gif")
    assert again.returncode == 0 and again.stderr == ""
    assert listing(tmp_path) == before


@pytest.mark.slow
def test_data_writes_a_gif(tmp_path):
    run = run_process(tmp_path, "data", "--num-videos", "4")
    assert run.returncode == 0 and run.stderr == ""
    gif = iio.imread(tmp_path / "data.gif", index=None, mode="L")
    rng = np.random.default_rng(0)
    expected = files.tile(data.render(data.random_videos(4, rng)), across=2)
    assert np.abs(gif[:, 1::3, 1::3].astype(int) - expected).max() <= 2


@pytest.mark.parametrize("stage", STAGES)
def test_help(command, stage):
    status, out, _ = command(*STAGES[stage], "--help")
    assert status == 0
    named = {"data": "--gif", "autoencoder": "--embed-dim"}
    assert named.get(stage, "--given-frames") in out


@pytest.mark.parametrize("stage", [*STAGES, "analyze"])
def test_help_comes_before_torch(stage, tmp_path):
    """Settings are read, and bad ones refused, before anything heavy is imported."""
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    for argument, status in (("--help", 0), ("--nonsense", 2)):
        program = f"import runpy, sys; sys.argv = ['{stage}.py', '{argument}']; "
        program += f"sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; "
        program += f"runpy.run_path({str(ROOT / f'{stage}.py')!r}, run_name='__main__')"
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert "torch was imported" not in done.stderr


def test_progress_is_shown(command, tmp_path):
    status, _, err = command(*STAGES["autoencoder"], *TINY[:4], "--checkpoint-dir", str(tmp_path))
    assert status == 0 and "autoencoder: 100%" in err


# ---------------------------------------------------------------- bad command lines

# Files called "file", "file.gif" and folders called "folder", "folder.gif" ... lie around.
BAD = {
    "data": """
        extra
        --nonsense
        --nonsense 3
        --gif
        --gif out.png
        --gif out
        --gif .gif/
        --gif missing/out.gif
        --gif file/out.gif
        --gif folder
        --gif folder.gif
        --gif LONG.gif
        --num-videos 0
        --num-videos -1
        --num-videos 401
        --num-videos 2.5
        --num-videos many
        --num-videos
        --seed -1
        --seed 0.5
        --range 0
        --range -0.5
        --range 0.81
        --range 2
        --range nan
        --range inf
        --range far
        --half-width 0
        --half-width 0.01
        --half-width 0.21
        --half-width nan
        --half-width -0.2
        --range 0.9 --half-width 0.2
        --hard-edges maybe
        --ccw-share -0.1
        --ccw-share 1.1
        --ccw-share nan
        --embed-dim 2
    """,
    "autoencoder": """
        extra
        --embed-dim 0
        --embed-dim -2
        --embed-dim 513
        --embed-dim 2.0
        --embed-dim two
        --hidden-layers -1
        --hidden-layers 9
        --blur -1
        --blur 26
        --blur nan
        --autoencoder-steps 0
        --autoencoder-steps -5
        --autoencoder-steps 1e3
        --seed -1
        --seed 4294967296
        --range 0.9
        --half-width 0.3
        --checkpoint-dir
        --checkpoint-dir file
        --checkpoint-dir file/inside
        --checkpoint-dir LONG
        --flow-steps 5
        --gif out.gif
    """,
    "flow": """
        extra
        --given-frames 0
        --given-frames 3
        --given-frames one
        --latent-scale 0
        --latent-scale 0.001
        --latent-scale 101
        --latent-scale nan
        --latent-scale -1
        --flow-steps 0
        --flow-steps x
        --autoencoder-seed -1
        --autoencoder-seed 4294967296
        --ccw-share 2
        --embed-dim 1000
        --checkpoint-dir file
        --steps 50
    """,
    "sample": """
        --num-videos 2
        --gif out.png
        --png out.gif
        --npz out.npy
        --gif folder.gif
        --png folder.png
        --npz folder.npz
        --gif missing/out.gif
        --gif out.gif --npz missing/out.npz
        --png LONG.png
        --gif out.gif --num-videos 0
        --gif out.gif --num-videos 401
        --npz out.npz --num-videos 1000001
        --gif out.gif --steps 0
        --gif out.gif --steps 10001
        --gif out.gif --steps -3
        --gif out.gif --show-steps 51
        --gif out.gif --show-steps -1
        --gif out.gif --show-steps 0 3 --steps 2
        --gif out.gif --show-steps a
        --gif out.gif --flow perfect
        --gif out.gif --flow-seed -1
        --gif out.gif --flow-seed 4294967296
        --gif out.gif --seed -1
        --gif out.gif --embed-dim 0
        --gif out.gif --checkpoint-dir file
        --gif out.gif --range 0.9
        --gif out.gif --ccw-share -1
    """,
}
TABLE = [
    (stage, line.strip()) for stage, lines in BAD.items() for line in lines.strip().splitlines()
]


@pytest.fixture
def cluttered(tmp_path, monkeypatch):
    """The current folder, with files and folders in the way."""
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "folder.gif", "folder.png", "folder.npz"):
        (tmp_path / name).mkdir()
    for name in ("file", "file.gif"):
        (tmp_path / name).write_text("mine")
    return tmp_path


def never(*_, **__):
    pytest.fail("training or sampling has started")


@pytest.mark.parametrize("stage, line", TABLE)
def test_bad_command_line(stage, line, command, cluttered, monkeypatch):
    monkeypatch.setattr(autoencoder, "train", never)
    monkeypatch.setattr(flow, "train", never)
    before = listing(cluttered)
    arguments = line.replace("LONG", 300 * "x").split()
    status, out, err = command(*STAGES[stage], *arguments)
    assert status == 2
    assert err.count("\n") == 1 and err.startswith("error: ") and len(err) > 30
    assert "Traceback" not in err and out == ""
    assert listing(cluttered) == before


def test_the_table_is_long_enough():
    assert len(set(TABLE)) == len(TABLE) >= 60


@pytest.mark.parametrize(
    "stage, line, named",
    [
        ("data", "--range 0.9", "leaves the frame"),
        ("data", "--gif out.png", "must end in .gif"),
        ("autoencoder", "--embed-dim 0", "--embed-dim must lie in 1 to 512, not 0"),
        ("flow", "--autoencoder-seed -1", "--autoencoder-seed must lie"),
        ("sample", "--gif o.gif --flow-seed -1", "--flow-seed must lie"),
        ("sample", "", "nothing to write"),
        ("sample", "--gif missing/o.gif", "there is no folder missing"),
        ("data", "--nonsense 3", "--nonsense"),
    ],
)
def test_the_line_names_what_is_wrong(stage, line, named, command, cluttered):
    _, _, err = command(*STAGES[stage], *line.split())
    assert named in err


def test_bad_command_line_in_a_process_of_its_own(tmp_path):
    run = run_process(tmp_path, "data", "--range", "0.9")
    assert run.returncode == 2 and run.stdout == ""
    assert "leaves the frame" in one_line(run.stderr)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- checkpoints that are none


@pytest.mark.parametrize(
    "stage, which",
    [("autoencoder", NAMES[0])]
    + [(stage, which) for stage in ("flow", "sample") for which in NAMES],
)
@pytest.mark.parametrize("spoil", ["damaged", "empty", "foreign", "folder"])
def test_bad_checkpoint(stage, which, spoil, command, checkpoints, tmp_path, monkeypatch):
    """Told before any training starts, even if the other checkpoint is missing; and nothing is touched."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    path, whole = folder / which, (checkpoints / which).read_bytes()
    if spoil == "damaged":
        path.write_bytes(whole[:5000] + b"?" + whole[5001:])
    elif spoil == "empty":
        path.touch()
    elif spoil == "foreign":
        shutil.copy(checkpoints / NAMES[which == NAMES[0]], path)
    else:
        path.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(autoencoder, "train", never)
    monkeypatch.setattr(flow, "train", never)
    before = listing(tmp_path)
    outputs = ["--gif", "out.gif"] if stage == "sample" else []
    tiny = TINY[:4] if stage == "autoencoder" else TINY
    status, out, err = command(*STAGES[stage], *tiny, *outputs)
    assert status == 2 and out == ""
    assert which in one_line(err)
    after = {name: b for name, b in listing(tmp_path).items() if "lock" not in name}
    assert after == before


# ---------------------------------------------------------------- Ctrl-C


def wait_for(condition, seconds=60):
    """Wait until condition() is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["autoencoder", "flow"])
def test_ctrl_c(stage, checkpoints, tmp_path):
    """One line, status 130; checkpoints that were finished stay."""
    shutil.copytree(checkpoints, tmp_path / "checkpoints")
    before = visible(tmp_path / "checkpoints")
    # If a shell runs the tests in the background, they ignore Ctrl-C, and so would the run.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    long = f"--{stage}-steps"
    arguments = [*(TINY[:4] if stage == "autoencoder" else TINY), long, "1000000"]
    run = subprocess.Popen(
        [sys.executable, ROOT / f"{stage}.py", *arguments],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        os.set_blocking(run.stderr.fileno(), False)
        told = b""

        def trains():
            nonlocal told
            told += run.stderr.read() or b""
            return re.search(rb" [1-9]\d*/1000000", told)

        wait_for(trains)
        run.send_signal(signal.SIGINT)
        os.set_blocking(run.stderr.fileno(), True)
        told += run.stderr.read()
        assert run.wait(60) == 130
    finally:
        run.kill()
    # The progress bar ends in the middle of a line; the message has a line of its own.
    last = told.decode().splitlines()[-1]
    assert last == "error: interrupted; what was finished is kept"
    assert "Traceback" not in told.decode()
    assert visible(tmp_path / "checkpoints") == before


def test_ctrl_c_while_sampling(command, checkpoints, tmp_path, monkeypatch):
    out = tmp_path / "out.npz"
    out.write_bytes(b"old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "sample", interrupted)
    status, _, err = command(
        *STAGES["sample"], *FEW, "--checkpoint-dir", str(checkpoints), "--npz", str(out)
    )
    assert status == 130
    assert one_line(err) == "error: interrupted; what was finished is kept"
    assert listing(tmp_path) == {"out.npz": digest(b"old")}


# ---------------------------------------------------------------- disks


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("stage", ["autoencoder", "flow"])
def test_full_disk_while_saving(stage, command, checkpoints, tmp_path, monkeypatch, quick_flow):
    folder = shutil.copytree(checkpoints, tmp_path / "checkpoints")
    before = visible(folder)
    monkeypatch.setattr(Path, "write_bytes", no_space)
    tiny = TINY[:4] if stage == "autoencoder" else TINY
    status, _, err = command(*STAGES[stage], *tiny, "--seed", "3", "--checkpoint-dir", str(folder))
    assert status == 2
    assert "No space left on device" in one_line(err)
    assert visible(folder) == before


def limited(size: int):
    """A process start-up that lets no file grow beyond so many bytes: the kernel's own refusal to write."""
    resource = pytest.importorskip("resource")
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.slow
@pytest.mark.parametrize("kind, size", [("gif", 3000), ("png", 3000), ("npz", 700_000)])
def test_write_that_fails_half_way_keeps_the_old_output(kind, size, checkpoints, tmp_path):
    shutil.copytree(checkpoints, tmp_path / "checkpoints")
    (tmp_path / f"out.{kind}").write_bytes(b"old")
    before = listing(tmp_path)
    run = run_process(
        tmp_path, "sample", *FEW, f"--{kind}", f"out.{kind}", preexec_fn=limited(size)
    )
    assert run.returncode == 2
    assert "too large" in one_line(run.stderr)
    assert listing(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gif", "npz"])
def test_full_disk_while_writing_the_output(kind, checkpoints, tmp_path):
    """A real full disk, where memory maps fail otherwise than writes do."""
    disk = tmp_path / "disk"
    disk.mkdir()
    # In a mount name space of its own, so that nothing has to be unmounted.
    mount = "mount -t tmpfs -o size=100k tmpfs disk || exit 77; echo old > disk/out.$0;"
    script = f'{mount} "$@"; status=$?; ls -A disk; cat disk/out.$0; exit $status'
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, kind]
    few = [*FEW[:-3], "100" if kind == "gif" else "2"]
    stage = [sys.executable, ROOT / "sample.py", *few, f"--{kind}", f"disk/out.{kind}"]
    try:
        run = subprocess.run(
            [*unshare, *stage, "--checkpoint-dir", checkpoints],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no unshare")
    if run.returncode == 77 or "unshare failed" in run.stderr:
        pytest.skip("no mounting here")
    assert run.returncode == 2
    assert "No space left on device" in one_line(run.stderr)
    assert run.stdout == f"out.{kind}\nold\n"


def test_folder_that_cannot_be_written_to(command, tmp_path, monkeypatch):
    """Asked of the system, as root may write everywhere."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    monkeypatch.setattr(flow, "train", never)
    monkeypatch.setattr(autoencoder, "train", never)
    for stage in ("data", "sample"):
        status, out, err = command(*STAGES[stage], "--gif", str(tmp_path / "out.gif"))
        assert status == 2 and "can't be written to" in one_line(err) and out == ""
    assert list(tmp_path.iterdir()) == []


def test_missing_checkpoint_folder_is_made(command, tmp_path):
    folder = tmp_path / "a" / "b"
    status, _, _ = command(*STAGES["autoencoder"], *TINY[:4], "--checkpoint-dir", str(folder))
    assert status == 0 and visible(folder) == NAMES[:1]


def test_old_output_is_replaced_and_leftovers_are_cleaned_up(command, checkpoints, tmp_path):
    for name in ("out.npz", ".out.npz.99999999.tmp"):  # no process has this id
        (tmp_path / name).write_bytes(b"old")
    status, _, _ = command(
        *STAGES["sample"],
        *(*FEW, "--checkpoint-dir", str(checkpoints)),
        *("--npz", str(tmp_path / "out.npz")),
    )
    assert status == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "out.npz"]
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["frames"].shape[0] == 2


def test_tiny_arguments_are_the_tiny_settings(checkpoints):
    """Else the tests above would train anew and see nothing."""
    assert visible(checkpoints) == NAMES
    assert tiny_settings(checkpoints).flow_steps == 2

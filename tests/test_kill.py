"""Kills without warning (SIGKILL): what is on disk afterwards is the old file or the new one, whole."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, TINY, digest, visible

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

OUTPUTS = ["out.gif", "out.npz", "out.png"]
SAMPLE = [*TINY, "--num-videos", "2", "--steps", "2"]
for output in OUTPUTS:
    SAMPLE += [f"--{output[-3:]}", output]


class Server:
    """Starts command lines in processes that needn't import torch first."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("kill_server.py")],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, folder, stage, arguments, die_at=None) -> None:
        """Start a run; end it by wait() or kill()."""
        self.say(json.dumps([stage, arguments, str(folder), die_at]))

    def say(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait(self) -> int:
        """Wait until the run has ended and return its exit status, -9 if it was killed."""
        self.say("wait")
        return int(self.process.stdout.readline())

    def kill(self) -> int:
        """Kill the run, if it has not ended yet, and return its exit status."""
        self.say("kill")
        return int(self.process.stdout.readline())

    def run(self, *arguments, **options) -> int:
        self.start(*arguments, **options)
        return self.wait()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()  # kills a run that a failed test has left


def contents(path: Path):
    """What a file holds, as digests: of each array of an npz, else of the bytes."""
    if path.suffix != ".npz":
        return digest(path.read_bytes())
    with np.load(path, allow_pickle=False) as arrays:
        return {name: digest(array.tobytes()) for name, array in arrays.items()}


def whole_files(folder: Path) -> dict:
    """All files that count, by name: checkpoints and outputs."""
    paths = [*folder.glob("checkpoints/*.pt"), *folder.glob("out.*")]
    return {path.name: contents(path) for path in paths}


@pytest.fixture(scope="module")
def finished(server, tmp_path_factory) -> Path:
    """A folder where nothing was killed. Runs are repeatable, so it tells what a new file has to hold."""
    folder = tmp_path_factory.mktemp("finished")
    assert server.run(folder, "sample", SAMPLE) == 0
    assert len(list(folder.glob("checkpoints/*.pt"))) == 2
    return folder


@pytest.fixture(scope="module")
def others(server, finished, tmp_path_factory) -> Path:
    """The same with older outputs, of another seed."""
    folder = tmp_path_factory.mktemp("others")
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    assert server.run(folder, "sample", [*SAMPLE, "--seed", "5"]) == 0
    return folder


def check(folder: Path, new: dict, old: dict) -> None:
    """Each file is the old one or the new one; no old one is missing."""
    found = whole_files(folder)
    assert found.keys() >= old.keys()
    for name, content in found.items():
        assert content == new[name] or content == old.get(name), name


def finish(server, folder, new) -> None:
    """The next run ends well, with all files new, and leaves nothing else behind."""
    assert server.run(folder, "sample", SAMPLE) == 0
    assert whole_files(folder) == new
    assert visible(folder) == sorted(["checkpoints", *OUTPUTS])
    assert visible(folder / "checkpoints") == sorted(n for n in new if n.endswith(".pt"))


def test_kill_while_training_at_random_moments(server, finished, tmp_path):
    new = whole_files(finished)
    begin = time.monotonic()
    assert server.run(tmp_path, "sample", SAMPLE) == 0
    duration = time.monotonic() - begin
    killed, seen = 0, set()
    chance = random.Random(0)
    for i in range(24):
        shutil.rmtree(tmp_path / "checkpoints", ignore_errors=True)
        for name in OUTPUTS:
            (tmp_path / name).unlink(missing_ok=True)
        server.start(tmp_path, "sample", SAMPLE)
        time.sleep(duration * (i + chance.random()) / 24)
        killed += server.kill() == -signal.SIGKILL
        check(tmp_path, new, {})
        seen.add(len(whole_files(tmp_path)))
    assert killed >= 15  # the others had just ended
    assert len(seen) >= 2  # kills came before and after the first save
    finish(server, tmp_path, new)


def test_kill_inside_a_save(server, finished, tmp_path):
    """Shortly after a temporary file has appeared."""
    new = whole_files(finished)
    chance = random.Random(1)
    for i in range(12):
        shutil.rmtree(tmp_path / "checkpoints", ignore_errors=True)
        (tmp_path / "checkpoints").mkdir()
        if i % 2:  # every other time only the outputs are left to be written
            shutil.copytree(finished / "checkpoints", tmp_path / "checkpoints", dirs_exist_ok=True)
        old = whole_files(tmp_path)
        server.start(tmp_path, "sample", SAMPLE)
        deadline = time.monotonic() + 60
        before = {p.name for p in tmp_path.rglob(".*.tmp")}
        while not {p.name for p in tmp_path.rglob(".*.tmp")} - before:
            if len(whole_files(tmp_path)) == len(new) or time.monotonic() > deadline:
                break
        time.sleep(chance.random() * 0.003)
        server.kill()
        check(tmp_path, new, {k: v for k, v in old.items() if k.endswith(".pt")})
    finish(server, tmp_path, new)


@pytest.mark.parametrize("start", ["empty", "old outputs"])
def test_kill_before_every_operation_on_a_file(server, finished, others, tmp_path, start):
    """Not at random: before each time that a file is opened to be written, renamed or removed."""
    new = whole_files(finished)

    def fresh(name):
        folder = tmp_path / name
        if start == "empty":
            folder.mkdir()
            return folder
        return shutil.copytree(others, folder)

    folder = fresh("count")
    old = whole_files(folder)
    assert server.run(folder, "sample", SAMPLE, die_at=0) == 0
    operations = int((folder / "operations").read_text())
    assert operations >= 8
    for n in range(1, operations + 1):
        folder = fresh(str(n))
        status = server.run(folder, "sample", SAMPLE, die_at=n)
        assert status == -signal.SIGKILL
        check(folder, new, old)
        if n % 4 == 0:
            finish(server, folder, new)
        shutil.rmtree(folder)


@pytest.mark.parametrize("stage", ["autoencoder", "flow"])
def test_two_processes_want_the_same_checkpoint(stage, tmp_path):
    """Both end well, with one whole file, trained once."""
    tiny = TINY[:4] if stage == "autoencoder" else TINY
    command = [sys.executable, ROOT / f"{stage}.py", *tiny]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runs = [subprocess.Popen(command, cwd=tmp_path, **pipes) for _ in range(2)]
    outputs = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    said = "".join(out for out, _ in outputs)
    expected = 1 if stage == "autoencoder" else 2
    assert said.count("is missing: training it") == expected
    assert len(visible(tmp_path / "checkpoints")) == expected
    # And both loaded it: they print the same figures.
    figures = [
        [line for line in out.splitlines() if "training it" not in line] for out, _ in outputs
    ]
    assert figures[0] == figures[1] and figures[0]


def test_two_processes_write_the_same_arrays(finished, tmp_path):
    """Both end well, and the file is one of the two, whole."""
    shutil.copytree(finished / "checkpoints", tmp_path / "checkpoints")
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}

    def start(seed, name):
        few = [*TINY, "--num-videos", "60", "--steps", "20"]
        command = [sys.executable, ROOT / "sample.py", *few]
        return subprocess.Popen([*command, "--seed", seed, "--npz", name], cwd=tmp_path, **pipes)

    for names in [("1.npz", "2.npz"), ("both.npz", "both.npz")]:
        runs = [start(seed, name) for seed, name in zip("12", names)]
        told = [run.communicate(timeout=120)[1].decode() for run in runs]
        assert [run.returncode for run in runs] == [0, 0], told
    one, two, both = [contents(tmp_path / f"{name}.npz") for name in ("1", "2", "both")]
    assert one != two and both in (one, two)


def test_killed_holder_of_the_lock_does_not_block_the_next(server, tmp_path):
    """The lock dies with its process, though its file stays."""
    long = [*TINY[:4], "--autoencoder-steps", "1000000"]
    server.start(tmp_path, "autoencoder", long)
    lock = tmp_path / "checkpoints"
    deadline = time.monotonic() + 60
    while not list(lock.glob(".*.lock")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.kill() == -signal.SIGKILL
    assert list(lock.glob(".*.lock"))
    lock_of_other = next(lock.glob(".*.lock")).name
    short = lock / lock_of_other.replace("=1000000", "=2")
    (lock / lock_of_other).rename(short)
    assert server.run(tmp_path, "autoencoder", TINY[:4]) == 0
    assert len(list(lock.glob("*.pt"))) == 1

"""What several test files share: tiny settings, tiny trained checkpoints, command lines."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported; subprocesses inherit it

import pytest
import torch

import flow
from settings import FlowSettings, read_command_line, run

ROOT = Path(__file__).parent.parent
# Seconds instead of minutes: the tests are about the code, not about good videos.
TINY = ["--embed-dim", "1", "--autoencoder-steps", "2", "--flow-steps", "2"]

torch.set_num_threads(1)


def tiny_settings(folder: Path, **changes) -> FlowSettings:
    """The settings that the command line arguments TINY stand for."""
    tiny = {"embed_dim": 1, "autoencoder_steps": 2, "flow_steps": 2}
    return FlowSettings(**tiny | changes, checkpoint_dir=folder)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> Path:
    """A folder with the checkpoints of both stages, trained for two steps. Copy it to change it."""
    folder = tmp_path_factory.mktemp("trained") / "checkpoints"
    flow.load_or_train(tiny_settings(folder))
    return folder


@pytest.fixture
def quick_flow(monkeypatch):
    """Train flows on a few rings only: encoding thousands is most of a two-step training."""
    monkeypatch.setattr(flow, "NUM_RINGS", 64)


def digest(data: bytes) -> str:
    """Stands for large content in comparisons, so that a failure can be read."""
    return hashlib.sha256(data).hexdigest()


def listing(folder: Path) -> dict[str, str | None]:
    """All that is in a folder, with the digests of the files: to see whether anything was touched."""
    return {
        str(path.relative_to(folder)): digest(path.read_bytes()) if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def visible(folder: Path) -> list[str]:
    """Names in a folder, without the lock files."""
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def run_process(folder: Path, stage: str, *arguments: str, **options):
    """Run `python <stage>.py <arguments>` in a folder, as a user would."""
    return subprocess.run(
        [sys.executable, ROOT / f"{stage}.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


@pytest.fixture
def command(monkeypatch, capfd):
    """Run a stage's command line in this process: (module, settings class, *arguments) -> exit status, stdout, stderr."""

    def run_here(stage, settings_type, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{stage.__name__}.py", *arguments])
        capfd.readouterr()
        status = 0
        try:
            run(stage.main, read_command_line(settings_type))
        except SystemExit as stop:
            status = stop.code
        out, err = capfd.readouterr()
        return status, out, err

    return run_here

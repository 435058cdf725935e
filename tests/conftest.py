"""What several test files share: real and tiny trained networks, and command lines."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from filelock import FileLock

import flow
from flow import FlowSettings

ROOT = Path(__file__).parent.parent
# Two steps and one number a frame: for tests of the code, not of what it learns.
TINY = {"embed_dim": 1, "autoencoder_steps": 2, "flow_steps": 2}
FEW = 64  # circles: encoding many is most of a two-step training

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


def options(**settings) -> list[str]:
    """Settings as command line arguments."""
    return [str(x) for name in settings for x in (f"--{name.replace('_', '-')}", settings[name])]


def tiny_settings(folder: Path, **changes) -> FlowSettings:
    """TINY, with its checkpoints in this folder."""
    return FlowSettings(**TINY | {"checkpoint_dir": folder} | changes)


def changed(space: flow.LatentSpace, **changes) -> flow.LatentSpace:
    """The same latents seen by a flow of other settings."""
    return dataclasses.replace(space, settings=dataclasses.replace(space.settings, **changes))


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> Path:
    """A folder with both tiny networks. Copy it to change it."""
    folder = tmp_path_factory.mktemp("trained") / "checkpoints"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "NUM_ORBITS", FEW)
        flow.trained_flow(tiny_settings(folder))
    return folder


@pytest.fixture(scope="session")
def tiny(checkpoints):
    """Network and latent space of the tiny flow."""
    return flow.trained_flow(tiny_settings(checkpoints))


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """Train a flow for real, or load it if another worker of this run of the tests has trained it;
    one that comes while it is being trained waits."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a folder of its own in this one
        shared = shared.parent

    def trained(**settings):
        with FileLock(shared / f"{settings.get('embed_dim', 2)}.lock"):
            return flow.trained_flow(FlowSettings(checkpoint_dir=shared / "real", **settings))

    return trained


@pytest.fixture(scope="session")
def learned(trained_once):
    """d = 2 with default settings, trained for real: network and latent space."""
    return trained_once()


@pytest.fixture(scope="session")
def space_100(trained_once):
    """The latent space of d = 100: its autoencoder is trained for real, its flow for one step."""
    return trained_once(embed_dim=100, flow_steps=1)[1]


@pytest.fixture
def few_orbits(monkeypatch):
    """Train flows on few circles, as the tiny one was."""
    monkeypatch.setattr(flow, "NUM_ORBITS", FEW)


def centroid(frames: np.ndarray) -> np.ndarray:
    """Centre of light (..., 2), x and y, of frames (..., 51, 51)."""
    light, axis = frames.clip(0, 1).astype(float), np.linspace(-1, 1, 51)
    x, y = (light * axis).sum((-2, -1)), (light * -axis[:, None]).sum((-2, -1))
    return np.stack([x, y], axis=-1) / light.sum((-2, -1))[..., None]


def run_process(folder: Path, *command: str | Path, **environment: str):
    """Run python with these arguments in a folder, as a user would; with these environment
    variables besides the present ones."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

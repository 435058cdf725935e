"""Time to quality: how long from nothing to a GIF, and how good are the videos?

    python -m study.benchmark      # figures/benchmark.json and .png; d = 2 and 100, five seeds

For each dimension and seed `python sample.py` runs in an empty folder, as a user would run it, one
after the other on all cores; then the result is measured over 256 fresh first frames.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

import autoencoder
import flow
from analyze import BLUE, GREEN, SweepSettings, count_blobs, over_seeds
from data import FRAME_SIZE, PIXEL, orbits, render
from flow import FlowSettings
from sample import decode_videos, sample
from study import command
from study.representing import APART
from study.superposition import FRAMES


def centroids(frames: np.ndarray) -> np.ndarray:
    """Centre of brightness of each frame, (..., 51, 51) -> (..., 2), x and y in [-1, 1]."""
    light = np.clip(frames, 0, 1) + 1e-12
    axis = np.linspace(-1, 1, FRAME_SIZE)
    total = light.sum((-2, -1))
    x, y = (light.sum(-2) * axis).sum(-1), (light.sum(-1) * axis[::-1]).sum(-1)
    return np.stack([x / total, y / total], axis=-1)


def center_errors(frames: np.ndarray, true_orbits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each frame's centroid to where the square should be, on the nearer orbit.

    Args:
        frames: (n, f, 51, 51).
        true_orbits: both right answers, (n, 2, f, 2).

    Returns:
        Errors (n, f) in pixels, and the chosen direction (n,), one for the whole video.
    """
    distance = np.linalg.norm(centroids(frames)[:, None] - true_orbits, axis=-1) / PIXEL
    direction = distance.mean(-1).argmin(1)
    return distance[np.arange(len(frames)), direction], direction


def flatness(settings: FlowSettings) -> float:
    """Standard deviation of the brightness inside decoded squares, one pixel away from their
    edges, on 1000 fresh frames."""
    model = autoencoder.load_or_train(settings)
    rng = np.random.default_rng((settings.seed, 10))
    centers = rng.uniform(-settings.range, settings.range, (1000, 2))
    frames = torch.from_numpy(render(centers, settings))
    decoded = model.decode(model.encode(frames)).detach().numpy()
    inner = replace(settings, half_width=settings.half_width - PIXEL)
    return float(decoded[render(centers, inner) == 1].std())


def quality(settings: FlowSettings, n: int = 256) -> dict[str, Any]:
    """How good the trained networks are, over n fresh first frames (squares at every step: 64)."""
    network, space = flow.load_or_train(settings)

    def count(latents: Tensor) -> np.ndarray:
        return count_blobs(space.decode(latents).numpy())  # (n, 7)

    result: dict[str, Any] = {
        "mean squared error": autoencoder.evaluate(space.coder, settings),
        "spread inside squares": flatness(settings),
    }
    result["mean excess loss"] = np.mean(flow.loss_by_time(network, space)["excess"])
    for name, used in (("exact", None), ("learned", network)):
        samples = sample(used, space, n, np.random.default_rng((settings.seed, 11)))
        both = orbits(samples.given_centers[:, 0])
        frames = decode_videos(space, samples.given_centers, samples.states[-1])
        errors, direction = center_errors(frames[:, 1:], both[:, :, 1:])
        apart = np.linalg.norm(samples.given_centers[:, 0], axis=1) > APART
        first = count(samples.posterior_means[0])[apart]
        result |= {
            f"{name}: videos right": (errors < 1.5).all(1).mean(),
            f"{name}: median centre error, px": np.median(errors),
            f"{name}: counter-clockwise": (direction == 0).mean(),
            f"{name}: step 0, two squares": (first[:, [i - 1 for i in FRAMES]] == 2).mean(),
            f"{name}: step 0, one in frame 4": (first[:, 3] == 1).mean(),
        }
    one_square = [(count(x[:64]) == 1).mean() for x in samples.states]
    return result | {"one square, worst step": min(one_square), "one square, end": one_square[-1]}


def from_nothing(settings: FlowSettings) -> dict[str, Any]:
    """Seconds that `python sample.py` takes in an empty folder, and quality()."""
    names = ("embed_dim", "seed", "autoencoder_steps", "flow_steps")
    same = {name: getattr(settings, name) for name in names}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in same.items()]
    script = Path(__file__).resolve().parent.parent / "sample.py"
    line = [sys.executable, str(script), *options, "--gif", "out.gif"]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(line, cwd=folder, check=True, capture_output=True)
        seconds = time.perf_counter() - start
        trained = FlowSettings(**same, checkpoint_dir=Path(folder) / "checkpoints")
        return {"seconds to GIF": seconds} | quality(trained)


def analysis(settings: SweepSettings) -> tuple[dict[str, Any], Figure]:
    """Time and quality, and a figure of the times."""
    numbers = {}
    for dim in (2, 100):
        jobs = tqdm(settings.flows(embed_dim=dim), desc=f"d = {dim}", unit="seed")
        numbers[f"d = {dim}"] = over_seeds([from_nothing(job) for job in jobs])
    return numbers, draw(numbers)


def draw(numbers: dict[str, Any]) -> Figure:
    """The time of each seed."""
    figure = Figure((8.3, 2), layout="constrained")
    plot = figure.subplots()
    for (name, value), color in zip(numbers.items(), (GREEN, BLUE)):
        seconds = value["seconds to GIF"]["seeds"]
        plot.plot(seconds, [name] * len(seconds), "o", color=color)
    plot.set(xlabel="seconds, each seed", xlim=(0, None), ylim=(-0.5, 1.5))
    plot.set_title("From an empty folder to a GIF")
    return figure


if __name__ == "__main__":
    command(analysis, "benchmark")

"""Time to quality: how long from nothing to a GIF, and how good are the videos?

    python -m study.benchmark      # out/benchmark.json and .png; d = 2 and 100, five seeds

For each dimension and seed `python sample.py` runs in an empty folder, as a user would run it, one
run after the other. Its networks are kept, unless there are some of these settings already, and
then measured over 256 fresh first frames. (The same settings give the same networks, bit for bit.)
"""

import shutil
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

from analyze import BLUE, GREEN, SweepSettings, count_blobs, measure
from autoencoder import Autoencoder, AutoencoderSettings, evaluate
from data import PIXEL, new_figure, possible_orbits, render
from flow import FlowNetwork, FlowSettings, LatentSpace, loss_by_time, trained_flow
from sample import (
    decode_videos,
    is_right,
    nearest_orbits,
    random_given_centers,
    random_noise,
    sample,
)
from study.measures import APART, FRAMES, both_flows, study_stream
from study.question import Numbers, Pictures, Runs, command, markdown_table, percent, spread


@torch.no_grad()
def flatness(model: Autoencoder, settings: AutoencoderSettings) -> float:
    """Standard deviation of the brightness inside decoded squares, one pixel away from their edges,
    on 1000 fresh frames. All of it should be white, so 0 is best."""
    rng = study_stream(settings.seed, "flatness")
    centers = rng.uniform(-settings.center_range, settings.center_range, (1000, 2))
    frames = torch.from_numpy(render(centers, settings))
    decoded = model.decode(model.encode(frames)).numpy()
    inner = replace(settings, half_width=settings.half_width - PIXEL)
    return float(decoded[render(centers, inner) == 1].std())


def quality(network: FlowNetwork, space: LatentSpace, n: int = 256) -> dict[str, Any]:
    """How good the trained networks are, over n fresh first frames (for the squares at every step
    the first 64 of them)."""
    settings = space.settings

    def count(latents: Tensor) -> np.ndarray:
        return count_blobs(space.decode(latents).numpy())  # (videos, 7)

    error, _ = evaluate(space.autoencoder, settings)
    result: dict[str, Any] = {
        "mean squared error": error,
        "spread inside squares": flatness(space.autoencoder, settings),
        "mean excess loss": np.mean(loss_by_time(network, space)["excess"]),
    }
    rng = study_stream(settings.seed, "benchmark")
    given_centers = random_given_centers(settings, n, rng)
    noise = random_noise(space, n, rng)
    both = possible_orbits(given_centers[:, 0])
    apart = np.linalg.norm(given_centers[:, 0], axis=1) > APART
    flows = both_flows(network, space, given_centers)
    for name in ("exact", "learned"):
        samples = sample(flows[name], noise)
        frames = decode_videos(space, given_centers, samples.states[-1])
        direction, distance = nearest_orbits(frames[:, 1:], both[:, :, 1:])
        at_0 = count(samples.posterior_means[0][apart])
        where_they_differ = at_0[:, [frame - 1 for frame in FRAMES]]
        result |= {
            f"{name}: videos right": is_right(distance).mean(),
            f"{name}: median centre error, px": np.median(distance),
            f"{name}: counter-clockwise": (direction == 0).mean(),
            f"{name}: step 0, two squares": (where_they_differ == 2).mean(),
            f"{name}: step 0, one in frame 4": (at_0[:, 4 - 1] == 1).mean(),
        }
    one_square = [
        (count(state[:64]) == 1).mean() for state in samples.states
    ]  # of the learned flow
    return result | {"one square, worst step": min(one_square), "one square, end": one_square[-1]}


def seconds_from_nothing(settings: FlowSettings) -> float:
    """Seconds that `python sample.py` takes in an empty folder. Its networks are kept in the folder
    of these settings, unless there are some already."""
    names = ("embed_dim", "seed", "autoencoder_steps", "flow_steps")
    same = {name: getattr(settings, name) for name in names}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in same.items()]
    script = Path(__file__).resolve().parent.parent / "sample.py"
    line = [sys.executable, str(script), *options, "--gif", "out.gif"]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(line, cwd=folder, check=True, capture_output=True)
        seconds = time.perf_counter() - start
        settings.checkpoint_dir.mkdir(parents=True, exist_ok=True)
        for network in (Path(folder) / "checkpoints").iterdir():
            if not (settings.checkpoint_dir / network.name).exists():
                shutil.copy(network, settings.checkpoint_dir)
    return seconds


def measure_quality(settings: FlowSettings) -> dict[str, Any]:
    """quality() of the networks of these settings."""
    return quality(*trained_flow(settings))


def analysis(settings: SweepSettings) -> Runs:
    """Time and quality of each seed. The times come first, one by one, with nothing beside them."""
    cases = {f"d = {dim}": settings.flows(embed_dim=dim) for dim in (2, 100)}
    seconds = {
        case: [seconds_from_nothing(job) for job in tqdm(jobs, desc=case, unit="seed")]
        for case, jobs in cases.items()
    }
    runs = measure(measure_quality, cases, settings.dask)
    for case, seeds in runs.items():
        for seed, time_taken in zip(seeds, seconds[case], strict=True):
            seed["seconds to GIF"] = time_taken
    return runs


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """The time of each seed."""
    figure = new_figure(8.3, 2)
    plot = figure.subplots()
    for (name, value), color in zip(numbers.items(), (GREEN, BLUE), strict=True):
        seconds = value["seconds to GIF"]["seeds"]
        plot.plot(seconds, [name] * len(seconds), "o", color=color)
    plot.set(xlabel="seconds, each seed", xlim=(0, None), ylim=(-0.5, 1.5))
    plot.set_title("From an empty folder to a GIF")
    return figure


def texts(numbers: Numbers) -> dict[str, str]:
    """The times, and a table of the quality."""
    two, hundred = numbers["d = 2"], numbers["d = 100"]
    rows = []
    for label, name, form in (
        ("seconds from an empty folder to the GIF", "seconds to GIF", "%.0f"),
        ("mean squared error of the autoencoder", "mean squared error", "%.1e"),
        ("spread of the brightness inside squares", "spread inside squares", "%.4f"),
        ("mean excess loss of the flow", "mean excess loss", "%.4f"),
        ("videos right, learned flow", "learned: videos right", "%.4f"),
        (
            "median error of a square's centre, learned, px",
            "learned: median centre error, px",
            "%.3f",
        ),
        ("the same with the exact flow, px", "exact: median centre error, px", "%.3f"),
        ("one square, the step with the fewest", "one square, worst step", "%.3f"),
    ):
        rows.append([label, spread(two[name], form), spread(hundred[name], form)])
    return {
        "table": markdown_table(["", "d = 2", "d = 100"], rows),
        "seconds, d = 2": f"{two['seconds to GIF']['mean']:.0f}",
        "seconds, d = 100": f"{hundred['seconds to GIF']['mean']:.0f}",
        "videos right, d = 2": percent(two["learned: videos right"]),
        "videos right, d = 100": percent(hundred["learned: videos right"]),
    }


if __name__ == "__main__":
    command("benchmark", analysis, draw)

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
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from analyze import BLUE, GREEN, SweepSettings, count_blobs
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
from study.measures import both_flows, study_stream
from study.question import (
    Key,
    Numbers,
    Pictures,
    command,
    markdown_table,
    measured,
    percent,
    spread,
)


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
    rng = study_stream(settings.seed, "benchmark")
    given_centers = random_given_centers(settings, n, rng)
    noise = random_noise(space, n, rng)
    both = possible_orbits(given_centers[:, 0])
    result: dict[str, Any] = {
        "mean squared error": evaluate(space.autoencoder, settings)[0],
        "spread inside squares": flatness(space.autoencoder, settings),
        "mean excess loss": np.mean(loss_by_time(network, space)["excess"]),
    }
    flows = both_flows(network, space, given_centers)
    for name in ("exact", "learned"):
        states = sample(flows[name], noise).states
        frames = decode_videos(space, given_centers, states[-1])
        _, distance = nearest_orbits(frames[:, 1:], both[:, :, 1:])
        result[name] = {
            "videos right": is_right(distance).mean(),
            "median centre error, px": np.median(distance),
        }
        if name == "learned":
            squares = [count_blobs(space.decode(state[:64]).numpy()) for state in states]
            result[name]["one square, worst step"] = min((each == 1).mean() for each in squares)
    return result


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


def analysis(settings: SweepSettings) -> tuple[Numbers, Pictures]:
    """d -> time and quality. The times come first, one by one, with nothing beside them."""
    jobs = {dim: settings.flows(embed_dim=dim) for dim in (2, 100)}
    seconds = {
        dim: [seconds_from_nothing(job) for job in tqdm(seeds, desc=f"d = {dim}", unit="seed")]
        for dim, seeds in jobs.items()
    }
    cases: dict[tuple[Key, ...], list[Any]] = {(dim,): seeds for dim, seeds in jobs.items()}
    numbers, pictures = measured(measure_quality, cases, settings.dask)
    for dim, times in seconds.items():
        numbers[str(dim)]["seconds to GIF"] = np.array(times)
    return numbers, pictures


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """The time of each seed."""
    figure = new_figure(8.3, 2)
    plot = figure.subplots()
    for dim, color in (("2", GREEN), ("100", BLUE)):
        seconds = numbers[dim]["seconds to GIF"]
        plot.plot(seconds, [f"d = {dim}"] * len(seconds), "o", color=color)
    plot.set(xlabel="seconds, each seed", xlim=(0, None), ylim=(-0.5, 1.5))
    plot.set_title("From an empty folder to a GIF")
    return figure


def texts(numbers: Numbers) -> dict[str, str]:
    """The times, and a table of the quality."""
    two, hundred = numbers["2"], numbers["100"]

    def row(label: str, form: str, *names: str) -> list[str]:
        """The result of this name, or of these nested names, for both d."""
        values = [reduce(getitem, names, value) for value in (two, hundred)]
        return [label, *(spread(value, form) for value in values)]

    rows = [
        row("seconds from an empty folder to the GIF", "%.0f", "seconds to GIF"),
        row("mean squared error of the autoencoder", "%.1e", "mean squared error"),
        row("spread of the brightness inside squares", "%.4f", "spread inside squares"),
        row("mean excess loss of the flow", "%.4f", "mean excess loss"),
        row("videos right, learned flow", "%.4f", "learned", "videos right"),
        row(
            "median error of a centre, learned flow, px",
            "%.3f",
            "learned",
            "median centre error, px",
        ),
        row("the same with the exact flow, px", "%.3f", "exact", "median centre error, px"),
        row("one square, step with the fewest", "%.3f", "learned", "one square, worst step"),
    ]
    return {
        "table": markdown_table(["", "d = 2", "d = 100"], rows),
        "seconds, d = 2": f"{two['seconds to GIF'].mean():.0f}",
        "seconds, d = 100": f"{hundred['seconds to GIF'].mean():.0f}",
        "videos right, d = 2": percent(two["learned"]["videos right"]),
        "videos right, d = 100": percent(hundred["learned"]["videos right"]),
    }


if __name__ == "__main__":
    command("benchmark", analysis, draw)

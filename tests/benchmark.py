"""Time to quality: how long from nothing to a GIF, and how good are the videos?

    python tests/benchmark.py                       # both dims, five seeds; about ten minutes
    python tests/benchmark.py --dims 2 --seeds 1

Not a test: it asserts nothing. For each dimension and seed it runs `python sample.py` in an empty
folder, as a user would, and measures the result over 256 fresh first frames. Then it measures what
each stage costs, and how well eight trainings fill all cores.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from settings import FlowSettings, SampleSettings, check_output, read_command_line, run, within


@dataclass(frozen=True)
class BenchmarkSettings:
    """Measure time and quality from nothing."""

    dims: tuple[int, ...] = (2, 100)
    """Embedding dimensions."""
    seeds: int = 5
    """How many seeds; each trains an autoencoder and a flow."""
    out: Path | None = None
    """JSON file to write the numbers to."""

    def __post_init__(self) -> None:
        within(self, 1, 100, "seeds")
        for dim in self.dims:
            FlowSettings(embed_dim=dim)
        if self.out is not None:
            check_output(self.out, ".json")


if __name__ == "__main__":
    settings = read_command_line(BenchmarkSettings)  # first, since importing torch takes a second

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import autoencoder
import flow
import report
from analyze import each_over_seeds, quietly, rounded, train_all, train_one, write_json
from data import NUM_FRAMES, orbits, random_first_centers, render
from experiments import fresh_samples
from flow import true_law
from measures import center_errors, count_blobs
from sample import predictor, sample, sample_batches, videos

VIDEOS = 256
MATRIX_PRODUCTS = (
    "aten::mm",
    "aten::addmm",
    "aten::mkldnn_convolution",
    "aten::_convolution",  # the transposed ones, which have no name of their own
    "aten::convolution_backward",
)


# ---------------------------------------------------------------- time to quality

# Runs a command and prints its peak memory. A process of its own, because Linux counts
# the memory of the process that starts a command as the command's.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def run_stage(script: str, dim: int, folder: Path, *options: str) -> tuple[float, float]:
    """Run a stage in the folder as a user would: seconds, and peak memory in MiB."""
    stage = [sys.executable, str(ROOT / script), "--embed-dim", str(dim), *options]
    start = time.perf_counter()
    command = [sys.executable, "-c", MEASURED, *stage]
    told = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, int(told.stdout) / 1024


def quality(settings: FlowSettings) -> dict[str, float]:
    """The measures of the quality table, on fresh first frames."""
    fresh, exact = fresh_samples(settings, VIDEOS), fresh_samples(settings, VIDEOS, "exact")

    def blobs(latents: Tensor) -> np.ndarray:
        return count_blobs(fresh.space.decode(latents).numpy())  # (n, 7)

    def ends(samples: Tensor) -> tuple[np.ndarray, np.ndarray]:
        frames = fresh.space.decode(samples[-1]).numpy()
        return center_errors(frames, orbits(fresh.centers)[:, :, 1:])

    one_square = [float((blobs(x) == 1).mean()) for x in fresh.states]
    errors, direction = ends(fresh.states)
    exact_errors, exact_direction = ends(exact.states)
    apart = np.linalg.norm(fresh.centers, axis=1) > 0.4
    result = {
        "videos right, %": 100 * (errors < 1.5).all(1).mean(),
        "videos right, exact flow, %": 100 * (exact_errors < 1.5).all(1).mean(),
        "median centre error, px": np.median(errors),
        "one square at step 50, %": 100 * one_square[-1],
        "one square, state, mean of all steps, %": 100 * np.mean(one_square),
        "one square, state, worst step, %": 100 * min(one_square),
        "counter-clockwise, %": 100 * (direction == 0).mean(),
        "counter-clockwise, exact flow from the same noise, %": 100 * (exact_direction == 0).mean(),
    }
    for name, samples in (("exact", exact), ("learned", fresh)):
        counts = blobs(samples.means[0])[apart]
        two, four = counts[:, [0, 1, 2, 4, 5, 6]] == 2, counts[:, 3] == 1
        result[f"step 0, {name} posterior mean: two squares, %"] = 100 * two.mean()
        result[f"step 0, {name} posterior mean: one in frame 4, %"] = 100 * four.mean()
    return {name: float(value) for name, value in result.items()}


def from_nothing(dim: int, seed: int) -> dict[str, float]:
    """Quality, seconds and memory of `python sample.py` in an empty folder."""
    seeds = {"flow_seed": seed, "autoencoder_seed": seed}
    options = [str(x) for name in seeds for x in (f"--{name.replace('_', '-')}", seed)]
    with tempfile.TemporaryDirectory() as name:
        seconds, peak = run_stage("sample.py", dim, Path(name), *options, "--gif", "out.gif")
        folder = Path(name) / "checkpoints"
        settings = FlowSettings(
            embed_dim=dim, seed=seed, autoencoder_seed=seed, checkpoint_dir=folder
        )
        return quality(settings) | {"seconds to GIF": seconds, "peak memory, MiB": peak}


# ---------------------------------------------------------------- what each stage costs


def matrix_peak() -> float:
    """Floating-point operations a second of a 2048 x 2048 matrix product, best of 10."""
    a, times = torch.randn(2048, 2048), []
    for _ in range(10):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(times)


def step_cost(model: nn.Module, draw_loss: Callable[[], Tensor]) -> dict[str, float]:
    """What a training step costs, and how near its matrix products and convolutions
    come to the matrix peak."""
    optimizer, schedule = autoencoder.optimizer_and_schedule(model, 1e-3, 1000, 0.95, 0.0)

    def step() -> None:
        autoencoder.take_step(draw_loss(), optimizer, schedule)

    with FlopCounterMode(display=False) as counter:
        step()
    operations, peak, times = counter.get_total_flops(), matrix_peak(), []
    for _ in range(200):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    seconds = float(np.median(times))
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(30):
            step()
    events = [event for event in profiler.key_averages() if event.key in MATRIX_PRODUCTS]
    products = sum(event.self_cpu_time_total for event in events) / 30 / 1e6
    return {
        "ms a step": 1e3 * seconds,
        "GFLOP a step": operations / 1e9,
        "matrix peak, GFLOP a second": peak / 1e9,
        "a step's share of the peak": operations / seconds / peak,
        "share of the step in products": products / seconds,
        "their share of the peak": operations / products / peak,
    }


def training_costs(settings: FlowSettings) -> list[dict[str, float]]:
    """What a training step of the autoencoder and of the flow costs, its data included."""
    coder, network = autoencoder.Autoencoder(settings), flow.FlowNetwork(settings)
    rng = np.random.default_rng(0)
    rings = torch.randn(flow.NUM_RINGS, NUM_FRAMES, settings.embed_dim)

    def autoencoder_loss() -> Tensor:
        centers = rng.uniform(-0.8, 0.8, (autoencoder.BATCH_SIZE, 2))
        frames = torch.from_numpy(render(centers, settings, blur=4.0))
        return F.mse_loss(coder.decode(coder.encode(frames)), frames)

    def flow_loss() -> Tensor:
        video = flow.random_latent_videos(rings, flow.BATCH_SIZE, 0.5)
        given, z = video[:, 0], video[:, 1:].flatten(1)
        t = flow.random_times(flow.BATCH_SIZE)
        x = flow.interpolate(z, torch.randn_like(z), t)
        return (((network(x, given, t) - z) / (1 - t).clamp_min(0.2)) ** 2).mean()

    return [
        {"steps": settings.autoencoder_steps} | step_cost(coder, autoencoder_loss),
        {"steps": settings.flow_steps} | step_cost(network, flow_loss),
    ]


@torch.no_grad()
def sampling_cost(settings: SampleSettings) -> dict[str, float]:
    """How long 1024 videos take, and the sampler's time over that of its bare network
    calls, decoding apart: median of 9, taken in turns."""
    network, space, _ = flow.load_or_train(settings.flow_settings())
    start = time.perf_counter()
    for given, path in sample_batches(settings, network, space):
        videos(space, given, path[settings.steps][0])
    seconds, ratios = time.perf_counter() - start, []
    n = settings.num_videos // 4
    centers = random_first_centers(n, np.random.default_rng(0), settings.range)
    law = true_law(space, centers, torch.zeros(n, dtype=torch.long))
    noise, t = torch.randn_like(law.z_ccw), torch.full((n, 1), 0.5)
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(4 * settings.steps):
            network(noise, law.given, t)
        middle = time.perf_counter()
        for _ in range(4):
            for _ in sample(predictor("learned", network, law), noise, settings.steps):
                pass
        ratios.append((time.perf_counter() - middle) / (middle - start))
    return {"seconds": seconds, "over network calls": float(np.median(ratios))}


def stage_costs(dim: int) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """What each stage costs, its memory included; and what 1024 videos cost."""
    with tempfile.TemporaryDirectory() as name:
        folder, memory = Path(name), []
        for script in ("autoencoder.py", "flow.py", "sample.py"):
            options = ["--gif", "out.gif"] if script == "sample.py" else []
            memory.append({"peak memory, MiB": run_stage(script, dim, folder, *options)[1]})
        coder, network = training_costs(FlowSettings(embed_dim=dim))
        sampling = sampling_cost(
            SampleSettings(
                embed_dim=dim,
                num_videos=1024,
                npz=folder / "unused.npz",
                checkpoint_dir=folder / "checkpoints",
            )
        )
    stages = {"autoencoder": coder | memory[0], "flow": network | memory[1], "sampling": memory[2]}
    return stages, sampling


def sweep_efficiency() -> dict[str, float]:
    """How well eight trainings fill all cores: the time one after the other on one
    thread, over cores times the time in parallel."""
    seconds = []
    for parallel in (True, False):
        with tempfile.TemporaryDirectory() as name:
            jobs = [
                FlowSettings(seed=i, autoencoder_seed=i, checkpoint_dir=Path(name))
                for i in range(8)
            ]
            start = time.perf_counter()
            if parallel:
                train_all(jobs, None)
            else:
                for job in jobs:
                    quietly(train_one, job)
            seconds.append(time.perf_counter() - start)
    cores = os.cpu_count() or 1
    efficiency = seconds[1] / cores / seconds[0]
    return {"one core": seconds[1], "cores": cores, "all": seconds[0], "efficiency": efficiency}


# ---------------------------------------------------------------- the command


def main(settings: BenchmarkSettings) -> None:
    """Measure, print the tables, and write the numbers."""
    numbers: dict[str, Any] = {"quality": {}, "stages": {}, "1024 videos": {}}
    for dim in settings.dims:
        runs = [from_nothing(dim, seed) for seed in range(settings.seeds)]
        numbers["quality"][f"{dim}"] = each_over_seeds(runs)
        numbers["stages"][f"{dim}"], numbers["1024 videos"][f"{dim}"] = stage_costs(dim)
    numbers = rounded(numbers | {"8 trainings": sweep_efficiency()})
    for table in report.tables("benchmark", numbers).values():
        print(f"\n{table}")
    for name in ("1024 videos", "8 trainings"):
        print(f"\n{name}: {numbers[name]}")
    if settings.out is not None:
        write_json(settings.out, numbers)


if __name__ == "__main__":
    run(main, settings)

"""Time to quality: how long from nothing to a GIF, and how good are the videos?

    python tests/benchmark.py                # both dims, five seeds; six minutes
    python tests/benchmark.py --dims 2 --seeds 1

Not a test: it asserts nothing. For each dimension and seed it runs `python sample.py` in
an empty folder, as a user would, and then measures the result over 256 fresh first
frames. The table gives the mean over the seeds and the worst seed.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import autoencoder
import flow
from analyze import center_errors, count_blobs, fresh_samples
from data import PIXEL, orbits, require, run_command
from flow import FlowSettings

VIDEOS = 256


@dataclass(frozen=True)
class BenchmarkSettings:
    """Measure time and quality from nothing."""

    dims: tuple[int, ...] = (2, 100)
    """Embedding dimensions."""
    seeds: int = 5
    """How many seeds; each trains an autoencoder and a flow."""

    def __post_init__(self) -> None:
        require(self.seeds >= 1, f"--seeds must be at least 1, not {self.seeds}")
        for dim in self.dims:
            FlowSettings(embed_dim=dim)


def from_nothing(dim: int, seed: int, folder: Path) -> dict[str, float]:
    """Seconds from empty checkpoints to a GIF, and the process's peak memory in MiB."""
    command = [sys.executable, str(ROOT / "sample.py"), "--embed-dim", str(dim)]
    command += [
        "--flow-seed",
        str(seed),
        "--autoencoder-seed",
        str(seed),
        "--gif",
        "out.gif",
    ]
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"seconds to GIF": seconds, "peak memory, MiB": peak}


def quality(settings: FlowSettings) -> dict[str, float]:
    """The measures of the quality table, on fresh first frames."""
    fresh, exact = (
        fresh_samples(settings, VIDEOS),
        fresh_samples(settings, VIDEOS, "exact"),
    )

    def blobs(latents: torch.Tensor) -> np.ndarray:
        return count_blobs(fresh.space.decode(latents).numpy())  # (n, 7)

    def ends(samples: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        frames = fresh.space.decode(samples[-1]).numpy()
        return center_errors(frames, orbits(fresh.centers)[:, :, 1:])

    one_square = [float((blobs(x) == 1).mean()) for x in fresh.states]
    errors, direction = ends(fresh.states)
    exact_errors, _ = ends(exact.states)
    apart = np.linalg.norm(fresh.centers, axis=1) > 0.4
    result = {
        "videos right, %": 100 * (errors < 1.5).all(1).mean(),
        "videos right, exact flow, %": 100 * (exact_errors < 1.5).all(1).mean(),
        "median centre error, px": np.median(errors),
        "one square at step 50, %": 100 * one_square[-1],
        "one square, state, mean of all steps, %": 100 * np.mean(one_square),
        "one square, state, worst step, %": 100 * min(one_square),
        "counter-clockwise, %": 100 * (direction == 0).mean(),
    }
    for name, samples in (("exact", exact), ("learned", fresh)):
        counts = blobs(samples.means[0])[apart]
        two, four = counts[:, [0, 1, 2, 4, 5, 6]] == 2, counts[:, 3] == 1
        result[f"step 0, {name} posterior mean: two squares, %"] = 100 * two.mean()
        result[f"step 0, {name} posterior mean: one in frame 4, %"] = 100 * four.mean()
    return result


def matrix_peak() -> float:
    """Floating-point operations a second of a 2048 x 2048 matrix product, best of 10."""
    a, times = torch.randn(2048, 2048), []
    for _ in range(10):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(times)


def step_cost(model: nn.Module, forward: Callable[[], Tensor]) -> tuple[float, float]:
    """Seconds (median of 50) and floating-point operations of one training step."""
    optimizer, _ = autoencoder.optimizer_and_schedule(model, 1e-3, 1, 0.9, 0.0)

    def step() -> None:
        optimizer.zero_grad()
        forward().square().mean().backward()
        optimizer.step()

    with FlopCounterMode(display=False) as counter:
        step()
    times = []
    for _ in range(50):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return float(np.median(times)), counter.get_total_flops()


def print_stage_costs(settings: FlowSettings) -> None:
    """Print what a training step of each stage costs, and its share of the matrix peak."""
    coder = autoencoder.Autoencoder(settings)
    network = flow.FlowNetwork(settings)
    frames = torch.rand(autoencoder.BATCH_SIZE, 51, 51)
    given, t = (
        torch.randn(flow.BATCH_SIZE, settings.embed_dim),
        torch.rand(flow.BATCH_SIZE, 1),
    )
    x = given.repeat(1, 7)
    costs = {
        f"autoencoder, {settings.autoencoder_steps} steps": step_cost(
            coder, lambda: coder.decode(coder.encode(frames))
        ),
        f"flow, {settings.flow_steps} steps": step_cost(
            network, lambda: network(x, given, t)
        ),
    }
    peak = matrix_peak()
    print(
        f"matrix peak {peak / 1e9:.0f} GFLOP/s on {torch.get_num_threads()} threads; a training step:"
    )
    for stage, (seconds, operations) in costs.items():
        share = 100 * operations / seconds / peak
        print(
            f"  {stage}: {1e3 * seconds:.2f} ms, {operations / 1e9:.2f} GFLOP, {share:.0f} % of the peak"
        )


def main(settings: BenchmarkSettings) -> None:
    """Print the table."""
    for dim in settings.dims:
        runs = []
        for seed in range(settings.seeds):
            with tempfile.TemporaryDirectory() as folder:
                cost = from_nothing(dim, seed, Path(folder))
                checkpoints = Path(folder) / "checkpoints"
                flow_settings = FlowSettings(
                    embed_dim=dim,
                    seed=seed,
                    autoencoder_seed=seed,
                    checkpoint_dir=checkpoints,
                )
                runs.append(quality(flow_settings) | cost)
        print(
            f"\nembed dim {dim}, {settings.seeds} seeds, {VIDEOS} fresh first frames each (pixel {PIXEL})"
        )
        print(f"{'':55s} {'mean':>9s} {'lowest':>9s} {'highest':>9s}")
        for name in runs[0]:
            values = [run[name] for run in runs]
            print(
                f"{name:55s} {np.mean(values):9.2f} {min(values):9.2f} {max(values):9.2f}",
                flush=True,
            )
        print_stage_costs(FlowSettings(embed_dim=dim))


if __name__ == "__main__":
    run_command(main, BenchmarkSettings)

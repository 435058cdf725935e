"""Stage 5 of 5: counting squares, and looking at the plane of latents, over several seeds.

    python analyze.py blobs        # figures/blobs.png and .json: squares per frame, step by step
    python analyze.py geometry     # figures/geometry.png and .json: a grid of 21 x 21 squares,
                                   # encoded (d = 2), over ranges of centres

What is missing is trained first, one thread each, on all cores or on a Dask cluster. The pictures
show seed 0. What goes further stands in study/ and uses the same tools.
"""

import contextlib
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import joblib
import numpy as np
import torch
import tyro
from matplotlib.figure import Figure
from scipy import ndimage
from torch import Tensor
from tqdm import tqdm

import autoencoder
import flow
from autoencoder import AutoencoderSettings, encode_centers
from data import FRAME_SIZE, PIXEL, check_output, check_range, grid_centers, replacing, run
from flow import FlowSettings
from sample import decode_videos, draw_film_strip, sample

# This repo's recipe without and with blur, and an ordinary decoder as a control
RECIPES: dict[str, dict[str, Any]] = {
    "no blur": {"blur": 0.0},
    "blur": {},
    "plain": {"plain": True, "blur": 0.0},
}
# Okabe and Ito's colours, told apart by colour-blind readers too
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#888888"


@dataclass(frozen=True)
class SweepSettings:
    """What all measurements over seeds share."""

    seeds: int = 5
    """How many seeds, 1 to 100."""
    out_dir: Path = Path("figures")
    """Folder for the figure and the JSON file; made if missing."""
    checkpoint_dir: Path = Path("checkpoints")
    """Folder of the trained networks; on a cluster, shared by the workers."""
    autoencoder_steps: int = AutoencoderSettings.autoencoder_steps
    """Training steps of each autoencoder."""
    flow_steps: int = FlowSettings.flow_steps
    """Training steps of each flow."""
    dask: str | None = None
    """Address of a Dask scheduler to work on, such as tcp://10.0.0.1:8786. It and its workers need
    these files on their path, and the checkpoint folder."""

    def __post_init__(self) -> None:
        check_range(1, 100, seeds=self.seeds)
        self.flows()  # made now, so that bad settings are told before any work

    def flows(self, **changes: Any) -> list[FlowSettings]:
        """The settings of a flow, for each seed."""
        names = ("checkpoint_dir", "autoencoder_steps", "flow_steps")
        shared = {name: getattr(self, name) for name in names} | changes
        return [FlowSettings(seed=seed, **shared) for seed in range(self.seeds)]


@dataclass(frozen=True)
class AnalyzeSettings(SweepSettings):
    """Count the squares in every frame, or look at the grid of squares in the latent plane."""

    what: tyro.conf.Positional[Literal["blobs", "geometry"]] = "blobs"
    """Which of the two."""
    dims: tuple[int, ...] = (2, 100)
    """Embedding dimensions, for blobs."""
    ranges: tuple[float, ...] = (0.2, 0.4, 0.8)
    """Ranges of centres, for geometry."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.cases():
            raise ValueError("nothing to measure: name --dims or --ranges")

    def cases(self) -> dict[str, list[FlowSettings]]:
        """What is measured: the settings of the networks, one for each seed (geometry trains the
        autoencoders only)."""
        if self.what == "blobs":
            return {f"{dim}": self.flows(embed_dim=dim) for dim in self.dims}
        return {
            f"{recipe}, range {range_}": self.flows(range=range_, **RECIPES[recipe])
            for recipe in RECIPES
            for range_ in self.ranges
        }


def find_blobs(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the separate bright blobs of frames (n, 51, 51).

    Clip to [0, 1]; a frame whose maximum is under 0.15 has no blobs; keep the pixels of at least
    half of the maximum; a blob is a connected piece (corners connect) of at least 4 pixels. Squares
    that touch are one blob.

    Returns:
        For each blob the index of its frame (blobs,), and its middle (blobs, 2) as x and y.
    """
    peak = np.clip(frames, 0, 1).max(axis=(1, 2), keepdims=True)
    bright = (frames >= peak / 2) & (peak >= 0.15)
    # pieces of the same frame only
    within_a_frame = np.stack([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))])
    labels, n = ndimage.label(bright, within_a_frame)
    size = ndimage.sum_labels(bright, labels, np.arange(1, n + 1))
    large = 1 + np.flatnonzero(size >= 4)
    middles = ndimage.center_of_mass(bright, labels, large)
    frame, row, column = np.reshape(middles, (-1, 3)).T
    return frame.round().astype(int), np.stack([column * PIXEL - 1, 1 - row * PIXEL], axis=-1)


def count_blobs(frames: np.ndarray) -> np.ndarray:
    """How many blobs each frame shows: (..., 51, 51) -> integers (...)."""
    stack = frames.reshape(-1, FRAME_SIZE, FRAME_SIZE)
    return np.bincount(find_blobs(stack)[0], minlength=len(stack)).reshape(frames.shape[:-2])


def measure_blobs(settings: FlowSettings) -> dict[str, Any]:
    """Shares of the frames 1 to 7 of 40 videos with 0, 1, 2, and 3 or more squares, at each of the
    steps 0 to 50, (51, 4), in the "state" (at step 0 that is decoded noise, the null) and in the
    "posterior mean"; and, as "picture", the first video at steps 0, 20 and 50, (3, 8, 51, 51)."""
    network, space = flow.load_or_train(settings)
    samples = sample(network, space, 40, np.random.default_rng((settings.seed, 5)))

    def shares(latents: Tensor) -> np.ndarray:
        counts = np.minimum(count_blobs(space.decode(latents).numpy()), 3)
        return np.bincount(counts.ravel(), minlength=4) / counts.size

    given = samples.given_centers[[0, 0, 0]]  # of the first video
    return {
        "state": [shares(x) for x in samples.states],
        "posterior mean": [shares(mean) for mean in samples.posterior_means],
        "picture": decode_videos(space, given, samples.states[[0, 20, 50], 0]),
    }


def draw_blobs(numbers: dict[str, Any], strips: dict[str, np.ndarray]) -> Figure:
    """For each dimension a film strip, and the shares of frames with 0, 1, 2, 3+ squares, the means
    over the seeds with a band of one standard deviation."""
    labels = {"no square": GREY, "1 square": BLUE, "2 squares": ORANGE, "3 or more": RED}
    rows: list[Any] = []  # for each dimension a strip, and below it two plots
    for dim in strips:
        rows += [[f"film {dim}"] * 2, [f"state {dim}", f"posterior mean {dim}"]]
    figure = Figure(figsize=(8.5, 5.5 * len(strips)), layout="constrained")
    axes = figure.subplot_mosaic(rows)
    for dim, strip in strips.items():
        draw_film_strip(axes[f"film {dim}"], strip, (0, 20, 50), f"d = {dim}: the state, decoded")
        for readout in ("state", "posterior mean"):
            plot = axes[f"{readout} {dim}"]
            shares = (numbers[dim][readout][kind].T for kind in ("mean", "std"))
            for mean, std, (label, color) in zip(*shares, labels.items()):
                plot.plot(mean, color=color, label=label)
                band = (mean - std, mean + std)
                plot.fill_between(range(len(mean)), *band, color=color, alpha=0.25, lw=0)
            plot.set(xlabel="sampling step", ylabel="share of frames 1 to 7", ylim=(-0.02, 1.05))
            plot.set_title(f"d = {dim}: squares in the {readout}")
        axes[f"state {dim}"].set_xlabel("sampling step (at 0: decoded noise)")
    plot.legend(loc="center right")
    return figure


def cell_areas(latents: np.ndarray) -> np.ndarray:
    """Signed area of each cell of a latent grid, half the cross product of its diagonals:
    (side, side, 2) -> (side - 1, side - 1)."""
    one, other = (latents[1:, 1:] - latents[:-1, :-1], latents[1:, :-1] - latents[:-1, 1:])
    return (one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]) / 2


def grid_measures(latents: np.ndarray, centers: np.ndarray) -> dict[str, float]:
    """How far a grid of latents (side, side, 2) is from an affine image of its centres, (..., 2).

    Returns:
        warp: 1 - R^2 of the best affine map from centres to latents, 0 to 1.
        fold: share of grid cells whose signed area has the rarer sign, 0 to 0.5.
        tear: the longest grid edge over the median one, at least 1.
    """
    flat = latents.reshape(-1, 2)
    inputs = np.column_stack([centers.reshape(-1, 2), np.ones(len(flat))])
    residual = flat - inputs @ np.linalg.lstsq(inputs, flat)[0]
    warp = (residual**2).sum() / ((flat - flat.mean(0)) ** 2).sum()
    area = cell_areas(latents)
    fold = min((area > 0).mean(), (area < 0).mean())
    edges = [np.diff(latents, axis=axis).reshape(-1, 2) for axis in (0, 1)]
    lengths = np.linalg.norm(np.concatenate(edges), axis=1)
    return {"warp": warp, "fold": fold, "tear": lengths.max() / np.median(lengths)}


def measure_grid(settings: AutoencoderSettings) -> dict[str, Any]:
    """grid_measures() of the latents of the grid of centres, and the latents as "picture"."""
    model = autoencoder.load_or_train(settings)
    centers = grid_centers(settings.range)
    latents = encode_centers(model, centers, settings).numpy()
    return {"picture": latents} | grid_measures(latents, centers)


def draw_geometry(numbers: dict[str, Any], grids: dict[str, np.ndarray]) -> Figure:
    """Latent grids of each recipe (down) and range (across); below, their warp and fold."""
    ranges = len(grids) // len(RECIPES)
    figure = Figure((max(2.77 * ranges, 4), 6.4), layout="constrained")
    title = "Latents of a grid of squares, seed 0\n(left of each two: coloured by x, right: by y)"
    figure.suptitle(title, fontsize=11)
    pairs = figure.subplots(len(RECIPES), 2 * ranges).reshape(-1, 2)
    for pair, (name, latents) in zip(pairs, grids.items(), strict=True):
        pair[0].set_title(name, fontsize=10, loc="left")
        for axis, (plot, key) in enumerate(zip(pair, ("warp", "fold"))):
            for lines in (latents, latents.swapaxes(0, 1)):
                plot.plot(lines[..., 0], lines[..., 1], color=GREY, lw=0.4, zorder=1)
            color = grid_centers(1)[..., axis]
            plot.scatter(latents[..., 0], latents[..., 1], c=color, s=3, zorder=2)
            plot.set_xlabel(f"{key} {numbers[name][key]['seeds'][0]:.3f}")
            plot.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
    return figure


def measure(
    function: Callable[[Any], Any], cases: dict[str, Any], dask: str | None
) -> dict[str, list[Any]]:
    """Call the function on the settings of each network (it trains what is missing), one thread
    each, on all cores or on a Dask cluster. Cases and results: name -> one for each seed."""

    def quietly(job: Any) -> Any:
        torch.set_num_threads(1)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return function(job)  # the one progress bar below is enough

    cluster: Any = contextlib.nullcontext()
    if dask is not None:
        from distributed import Client

        cluster = Client(dask, timeout=10)
    with cluster, joblib.parallel_config("dask" if dask else "loky", n_jobs=-1):
        jobs = [joblib.delayed(quietly)(job) for seeds in cases.values() for job in seeds]
        runs = joblib.Parallel(return_as="generator")(jobs)
        results = iter(list(tqdm(runs, function.__name__, len(jobs))))
    return {name: [next(results) for _ in seeds] for name, seeds in cases.items()}


def over_seeds(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The results of several seeds, all but "picture", as mean, standard deviation, and values."""
    numbers = {}
    for name in [name for name in runs[0] if name != "picture"]:
        array = np.array([run[name] for run in runs], dtype=float)
        std = array.std(0, ddof=1) if len(runs) > 1 else 0 * array[0]
        numbers[name] = {"mean": array.mean(0), "std": std, "seeds": array}
    return numbers


def write(
    analysis: Callable[..., tuple[dict[str, Any], Figure]], settings: SweepSettings, name: str
) -> None:
    """Run an analysis; write its numbers, the minutes that it took, and its figure."""
    settings.out_dir.mkdir(parents=True, exist_ok=True)
    check_output(settings.out_dir / f"{name}.png", ".png")
    start = time.monotonic()
    numbers, figure = analysis(settings)
    numbers["cost"] = {"minutes": (time.monotonic() - start) / 60, "cores": joblib.cpu_count()}
    text = json.dumps(numbers, default=lambda array: array.tolist())  # NumPy arrays
    # floats get 4 significant digits, by reading them back
    short = json.loads(text, parse_float=lambda digits: float(f"{float(digits):.4g}"))
    with replacing(settings.out_dir / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(short) + "\n")
    with replacing(settings.out_dir / f"{name}.png") as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    print(f"{settings.out_dir}/{name}.png and .json: {numbers['cost']['minutes']:.1f} minutes")


def analyze(settings: AnalyzeSettings) -> tuple[dict[str, Any], Figure]:
    """Numbers and figure of blobs or geometry."""
    blobs = settings.what == "blobs"
    runs = measure(measure_blobs if blobs else measure_grid, settings.cases(), settings.dask)
    numbers = {name: over_seeds(seeds) for name, seeds in runs.items()}
    pictures = {name: seeds[0]["picture"] for name, seeds in runs.items()}
    return numbers, (draw_blobs if blobs else draw_geometry)(numbers, pictures)


def main(settings: AnalyzeSettings) -> None:
    """Write the figure and the numbers."""
    write(analyze, settings, settings.what)


if __name__ == "__main__":
    run(main, AnalyzeSettings)

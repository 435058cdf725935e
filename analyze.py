"""Stage 5 of 5: counting squares, and looking at the latents of a grid of squares.

    python analyze.py blobs              # out/blobs.png and .json: squares per frame, step by step
    python analyze.py geometry           # out/geometry.png and .json: the latent plane at d = 2
    python analyze.py blobs --seeds 1    # a quick look: one seed in place of five

You need to have read sample.py.

The post says two things that can be measured. First, with d = 2 there is always exactly one square,
at every sampling step; with d = 100 there are several at intermediate steps. So we count the
squares in each frame: bright pieces ("blobs") that hang together. One trap has to be avoided. The
state of step 0 is nothing but decoded noise. If the decoder draws one square whatever it is given,
then "always one square" says something about the decoder and nothing about the flow. So decoded
noise is what the later steps have to be compared with (in statistics, the null). You will see that
with d = 100 it shows several squares most often, and later steps ever less; study/ asks what that
says about the post's step 20.

Second, take a grid of squares and encode it with d = 2. One would expect that the latents form a
grid again. The post finds that they do so if all centres lie in a small range; in a larger range
the grid is warped, and in the largest torn. So we encode such a grid for three ranges of centres,
and measure how far the latents are from a clean grid.

A single trained network is an anecdote. So everything is done for five seeds, each with networks of
its own. Networks that are missing are trained first, one on each core of the machine. The folder
study/ goes further, with the same tools.
"""

import asyncio
import contextlib
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import joblib
import numpy as np
import tyro
from scipy import ndimage
from torch import Tensor
from tqdm import tqdm

from autoencoder import (
    AutoencoderSettings,
    checkpoint_path,
    draw_latent_grid,
    encode_squares,
    note_edits,
    shared_settings,
    trained_autoencoder,
)
from data import (
    FRAME_SIZE,
    PIXEL,
    check_output,
    check_range,
    draw_film_strip,
    grid_centers,
    new_figure,
    random_stream,
    run,
    write_figure,
    write_file,
)
from flow import FlowSettings, trained_flow
from sample import decode_videos, learned_flow, random_given_centers, random_noise, sample

# Okabe and Ito's colours, which colour-blind readers can tell apart, too
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#888888"


@dataclass(frozen=True)
class SweepSettings:
    """What all measurements over several seeds share."""

    seeds: int = 5
    """How many seeds, 1 to 100."""
    out_dir: Path = Path("out")
    """Folder for the figure and the numbers; made if it is missing."""
    checkpoint_dir: Path = Path("checkpoints")
    """Folder of the trained networks. On a cluster it must be shared by the workers."""
    autoencoder_steps: int = AutoencoderSettings.autoencoder_steps
    """Training steps of each autoencoder."""
    flow_steps: int = FlowSettings.flow_steps
    """Training steps of each flow."""
    retrain: bool = False
    """Train the networks anew even if they are trained already.
    Below a flow the autoencoder is trained anew, too, if its code was edited since."""
    dask: str | None = None
    """Address of a Dask scheduler to work on, such as tcp://10.0.0.1:8786.
    It and its workers need these files on their path, and the checkpoint folder.
    A worker must have a single thread, or its random numbers aren't those of the seed."""

    def __post_init__(self) -> None:
        check_range(1, 100, seeds=self.seeds)
        self.flows()  # raises ValueError now, before any work, if one of the settings is bad

    def flows(self, **changes: Any) -> list[FlowSettings]:
        """The settings of one flow for each seed, with these changes."""
        return [
            FlowSettings(
                **{
                    "seed": seed,
                    "checkpoint_dir": self.checkpoint_dir,
                    "autoencoder_steps": self.autoencoder_steps,
                    "flow_steps": self.flow_steps,
                    "retrain": self.retrain,
                    **changes,
                }
            )
            for seed in range(self.seeds)
        ]


# ---------------------------------------------------------------------------------------------
# Blobs: how many squares does a frame show?


@dataclass(frozen=True)
class BlobsSettings(SweepSettings):
    """Count the squares in every frame, at every sampling step."""

    dims: tuple[int, ...] = (2, 100)
    """Embedding dimensions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.dims:
            raise ValueError("nothing to measure: name one of --dims")
        for dim in self.dims:
            self.flows(embed_dim=dim)


def find_blobs(frame: np.ndarray) -> np.ndarray:
    """Find the bright pieces of one frame (51, 51).

    Clip it to [0, 1]. A frame whose brightest pixel is under 0.15 is unreadable: it has none. Else
    keep the pixels that are at least half as bright as the brightest one. Pixels that touch, also
    at a corner, belong together, and a blob is such a piece of at least 4 pixels. So two squares
    that touch are one blob. (The three numbers are choices. A true square has 100 pixels and the
    brightness 1.)

    Returns:
        The middle of each blob, (blobs, 2), as x and y.
    """
    clipped = np.clip(frame, 0, 1)
    brightest = clipped.max()
    if brightest < 0.15:
        return np.zeros((0, 2))
    pieces, _ = ndimage.label(clipped >= brightest / 2, structure=np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel())  # of the dark rest, which has number 0, and of each piece
    middles = []
    for piece in range(1, len(sizes)):
        if sizes[piece] >= 4:
            row, column = np.nonzero(pieces == piece)
            middles.append([column.mean() * PIXEL - 1, 1 - row.mean() * PIXEL])
    return np.array(middles).reshape(-1, 2)


def count_blobs(frames: np.ndarray) -> np.ndarray:
    """How many blobs each frame shows: (..., 51, 51) -> integers (...)."""
    flat = frames.reshape(-1, FRAME_SIZE, FRAME_SIZE)
    counts = np.array([len(find_blobs(frame)) for frame in flat], dtype=int)
    return counts.reshape(frames.shape[:-2])


def measure_blobs(settings: FlowSettings) -> dict[str, Any]:
    """Sample 40 videos and count the squares in their frames 1 to 7.

    Returns:
        "state" and "posterior mean": for each of the steps 0 to 50 the shares of the frames with 0,
        1, 2, and 3 or more squares, (51, 4). Step 0 of the state is decoded noise, the null.
        "picture": the first video, its state at steps 0, 20 and 50, (3, 8, 51, 51).
    """
    network, space = trained_flow(settings)
    rng = random_stream(settings.seed, "counting")
    given_centers = random_given_centers(settings, 40, rng)
    flow = learned_flow(network, space, given_centers)
    samples = sample(flow, random_noise(space, len(given_centers), rng))

    def shares(latents: Tensor) -> np.ndarray:
        counts = count_blobs(space.decode(latents).numpy())
        return np.array(
            [(counts == 0).mean(), (counts == 1).mean(), (counts == 2).mean(), (counts > 2).mean()]
        )

    given = given_centers[:1].repeat(3, axis=0)
    return {
        "state": np.array([shares(state) for state in samples.states]),
        "posterior mean": np.array([shares(mean) for mean in samples.posterior_means]),
        "picture": decode_videos(space, given, samples.states[[0, 20, 50], 0]),
    }


def draw_blobs(numbers: dict[str, Any], pictures: dict[str, np.ndarray]) -> Any:
    """For each d the first video, and below it the shares of frames with 0, 1, 2, 3+ squares over
    the steps: means over the seeds, with a band of one standard deviation to either side.

    Args:
        numbers: d -> "state" or "posterior mean" -> "mean" or "std" over the seeds, (51, 4), as
            over_seeds() gives them.
        pictures: d -> the state of one video at three steps, (3, 8, 51, 51).
    """
    kinds = {"no square": GREY, "1 square": BLUE, "2 squares": ORANGE, "3 or more": RED}
    figure = new_figure(8.5, 5.5 * len(pictures))
    for part, (dim, picture) in zip(
        figure.subfigures(len(pictures), squeeze=False)[:, 0], pictures.items(), strict=True
    ):
        film, curves = part.subfigures(2)
        rows = ["step 0", "step 20", "step 50"]
        draw_film_strip(film.subplots(), picture, rows, f"d = {dim}: the state, decoded (seed 0)")
        plots = curves.subplots(1, 2)
        for plot, readout in zip(plots, ("state", "posterior mean"), strict=True):
            mean, std = numbers[dim][readout]["mean"], numbers[dim][readout]["std"]  # (51, 4)
            steps = np.arange(len(mean))
            for i, (kind, color) in enumerate(kinds.items()):
                low, high = mean[:, i] - std[:, i], mean[:, i] + std[:, i]
                plot.plot(steps, mean[:, i], color=color, label=kind)
                plot.fill_between(steps, low, high, color=color, alpha=0.25, lw=0)
            plot.set(xlabel="sampling step", ylabel="share of frames 1 to 7", ylim=(-0.02, 1.05))
            plot.set_title(f"d = {dim}: squares in the {readout}", fontsize=10)
        plots[0].set_xlabel("sampling step (0 is decoded noise, the null)")
        plots[1].legend(loc="center right")
    return figure


def blobs(settings: BlobsSettings) -> tuple[dict[str, Any], Any]:
    """Count the squares for each d: the numbers, and a figure. (measure() and over_seeds() stand at
    the end of the file: the first calls a function for each network, on all cores, the second
    averages over the seeds.)"""
    cases = {str(dim): settings.flows(embed_dim=dim) for dim in settings.dims}
    runs = measure(measure_blobs, cases, settings.dask)
    numbers = {dim: over_seeds(seeds) for dim, seeds in runs.items()}
    print("share of frames 1 to 7 with exactly one square (mean over the seeds)")
    print("     d   decoded noise   step 20   step 50   fewest at any step")
    for dim, value in numbers.items():
        one = value["state"]["mean"][:, 1]
        print(f"{dim:>6}{one[0]:16.2f}{one[20]:10.2f}{one[50]:10.2f}{one.min():21.2f}")
    return numbers, draw_blobs(numbers, {dim: seeds[0]["picture"] for dim, seeds in runs.items()})


# ---------------------------------------------------------------------------------------------
# Geometry: what becomes of a grid of squares in the latent plane?

# This repo's autoencoder without and with the blur, and as a control an ordinary one, as the post's
# probably is (without blur, therefore)
RECIPES: dict[str, dict[str, Any]] = {
    "no blur": {"blur": 0.0},
    "blur": {},
    "plain": {"plain": True, "blur": 0.0},
}


@dataclass(frozen=True)
class GeometrySettings(SweepSettings):
    """Look at the latents of a grid of squares, at d = 2 (only autoencoders are trained)."""

    ranges: tuple[float, ...] = (0.2, 0.4, 0.8)
    """Ranges of the squares' centres."""
    flow_steps: tyro.conf.Suppress[int] = 1  # not offered as an option, since no flow is trained

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.ranges or len(set(self.ranges)) < len(self.ranges):
            raise ValueError("--ranges needs at least one range, and each only once")
        for center_range in self.ranges:
            self.flows(center_range=center_range)


def cell_areas(latents: np.ndarray) -> np.ndarray:
    """Signed area of each cell of a grid of latents: (side, side, 2) -> (side - 1, side - 1). It is
    half the cross product of the cell's two diagonals (in the unit square these are (1, 1) and
    (-1, 1), and the area is 1), and its sign changes when the cell is turned over, as a sheet of
    paper is where it is folded."""
    diagonal = latents[1:, 1:] - latents[:-1, :-1]
    other = latents[1:, :-1] - latents[:-1, 1:]
    return (diagonal[..., 0] * other[..., 1] - diagonal[..., 1] * other[..., 0]) / 2


def grid_measures(latents: np.ndarray, centers: np.ndarray) -> dict[str, float]:
    """How far the latents (side, side, 2) of a grid of squares are from a clean grid.

    Returns:
        warp: 1 - R^2 of the best affine map from centres (side, side, 2) to latents. 0 means that
            they are the centres themselves, but for an affine map: a shift, and a matrix that
            rotates, reflects, scales or shears.
        fold: the share of the cells that are turned over, 0 to 0.5. All areas have one sign where
            the sheet lies flat, positive or negative. So the cells whose sign is the rarer one are
            those that are turned over.
        tear: the longest edge of the grid over the median one, at least 1. Where the grid is torn,
            neighbours lie far apart.
    """
    flat = latents.reshape(-1, 2)
    inputs = np.column_stack([centers.reshape(-1, 2), np.ones(len(flat))])
    affine, *_ = np.linalg.lstsq(inputs, flat)
    residual = flat - inputs @ affine
    warp = (residual**2).sum() / ((flat - flat.mean(0)) ** 2).sum()
    area = cell_areas(latents)
    fold = min((area > 0).mean(), (area < 0).mean())
    down, across = np.diff(latents, axis=0), np.diff(latents, axis=1)
    edges = np.concatenate([down.reshape(-1, 2), across.reshape(-1, 2)])
    length = np.linalg.norm(edges, axis=1)
    return {"warp": warp, "fold": fold, "tear": length.max() / np.median(length)}


def measure_grid(settings: AutoencoderSettings) -> dict[str, Any]:
    """grid_measures() of a grid of 21 x 21 squares, and its latents as "picture"."""
    model = trained_autoencoder(settings)
    centers = grid_centers(settings.center_range)
    latents = encode_squares(model, centers, settings).numpy()
    return {"picture": latents} | grid_measures(latents, centers)


def draw_geometry(
    numbers: dict[str, Any], pictures: dict[str, np.ndarray], ranges: Sequence[float]
) -> Any:
    """The latents of the grid for each recipe (down) and range (across), seed 0.

    Args:
        numbers: recipe and range -> "warp", "fold" or "tear" -> "seeds", one number for each seed.
        pictures: recipe and range -> the latents of seed 0, (21, 21, 2).
        ranges: those of the columns.
    """
    figure = new_figure(max(2.77 * len(ranges), 4), 6.6)
    title = "Latents of a grid of squares, seed 0\n(left of each two: coloured by x, right: by y)"
    figure.suptitle(title, fontsize=11)
    pairs = figure.subplots(len(RECIPES), 2 * len(ranges)).reshape(-1, 2)
    for pair, (name, latents) in zip(pairs, pictures.items(), strict=True):
        draw_latent_grid(pair, latents)
        pair[0].set_title(name, fontsize=10, loc="left")
        pair[0].set_xlabel(f"warp {numbers[name]['warp']['seeds'][0]:.3f}")
        pair[1].set_xlabel(f"fold {numbers[name]['fold']['seeds'][0]:.3f}")
    return figure


def geometry(settings: GeometrySettings) -> tuple[dict[str, Any], Any]:
    """Measure the latent grid for each recipe and range: the numbers, and a figure."""
    cases = {
        f"{recipe}, range {center_range}": [
            shared_settings(flow_settings, AutoencoderSettings)
            for flow_settings in settings.flows(center_range=center_range, **changes)
        ]
        for recipe, changes in RECIPES.items()
        for center_range in settings.ranges
    }
    runs = measure(measure_grid, cases, settings.dask)
    numbers = {name: over_seeds(seeds) for name, seeds in runs.items()}
    print("mean over the seeds         warp    fold    tear   (a clean grid: 0, 0, 1)")
    for name, value in numbers.items():
        warp, fold, tear = (value[key]["mean"] for key in ("warp", "fold", "tear"))
        print(f"{name:<24}{warp:8.3f}{fold:8.3f}{tear:8.2f}")
    pictures = {name: seeds[0]["picture"] for name, seeds in runs.items()}
    return numbers, draw_geometry(numbers, pictures, settings.ranges)


# ---------------------------------------------------------------------------------------------
# Plumbing, from here on: jobs over the cores, files, and the command line. A first reading can skip
# it.


def measure(
    function: Callable[[Any], dict[Any, Any]], cases: dict[Any, list[Any]], dask: str | None
) -> dict[Any, list[dict[Any, Any]]]:
    """Call a function on the settings of each network, on all cores or on a Dask cluster. (It
    trains the networks that are missing.)

    Args:
        function: from the settings of one network to its results.
        cases: name -> a list of settings, one for each seed.

    Returns:
        name -> a list of results, one for each seed.
    """

    def quietly(job: Any) -> dict[Any, Any]:
        """The results. What the job prints is dropped: the progress bar below is enough."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return function(job)

    jobs = [job for seeds in cases.values() for job in seeds]
    for job in jobs:
        # A flow's checkpoint holds its autoencoder. Only without one the autoencoder's own is used.
        networks = [job, shared_settings(job, AutoencoderSettings)]
        trained = [network for network in networks if checkpoint_path(network).exists()]
        if trained and not job.retrain:
            note_edits(trained[0])
    with dask_cluster(dask), joblib.parallel_config("dask" if dask else "loky", n_jobs=-1):
        runs = joblib.Parallel(return_as="generator")(map(joblib.delayed(quietly), jobs))
        results = list(tqdm(runs, function.__name__, len(jobs), unit="network"))
    by_case, start = {}, 0
    for name, seeds in cases.items():
        by_case[name] = results[start : start + len(seeds)]
        start += len(seeds)
    return by_case


PATIENCE = 8  # seconds to wait for an answer of a cluster


def dask_cluster(address: str | None) -> Any:
    """The cluster at this address, as a context manager; without an address, nothing. Raises
    OSError if no scheduler answers there within PATIENCE."""
    if address is None:
        return contextlib.nullcontext()
    from distributed import Client, rpc

    async def ask() -> None:
        async with rpc(address) as found:
            answer = await found.identity()
        if answer["type"] != "Scheduler":
            raise ValueError

    try:  # Client() itself would wait without end if something else listens there
        asyncio.run(asyncio.wait_for(ask(), PATIENCE))
    except Exception as problem:  # an address can be wrong in many ways
        raise OSError(f"--dask {address}: no Dask scheduler answers there") from problem
    return Client(address)


def over_seeds(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each result but "picture": its mean and standard deviation over the seeds, and the value
    of each seed."""
    numbers = {}
    for name in runs[0]:
        if name != "picture":
            values = np.array([run[name] for run in runs], dtype=float)
            std = values.std(0, ddof=1) if len(runs) > 1 else 0 * values[0]
            numbers[name] = {"mean": values.mean(0), "std": std, "seeds": values}
    return numbers


def rounded(numbers: Any) -> Any:
    """The same numbers with four significant digits, and as lists in place of NumPy arrays, which
    JSON doesn't know."""
    if isinstance(numbers, dict):
        return {name: rounded(value) for name, value in numbers.items()}
    if isinstance(numbers, np.ndarray | np.generic):
        return rounded(numbers.tolist())
    if isinstance(numbers, list | tuple):
        return [rounded(value) for value in numbers]
    return float(f"{numbers:.4g}") if isinstance(numbers, float) else numbers


def write(
    analysis: Callable[[Any], tuple[dict[str, Any], Any]], settings: SweepSettings, name: str
) -> None:
    """Run an analysis, and write its numbers, how long it took, and its figure."""
    settings.out_dir.mkdir(parents=True, exist_ok=True)
    for suffix in (".png", ".json"):
        check_output(settings.out_dir / f"{name}{suffix}", suffix)
    start = time.monotonic()
    numbers, figure = analysis(settings)
    minutes = (time.monotonic() - start) / 60
    numbers["cost"] = {"minutes": minutes, "cores": joblib.cpu_count()}
    content = json.dumps(rounded(numbers)) + "\n"
    write_file(settings.out_dir / f"{name}.json", content.encode())
    write_figure(settings.out_dir / f"{name}.png", figure)
    print(f"{settings.out_dir}/{name}.png and .json: {minutes:.1f} minutes")


COMMANDS = (
    Annotated[BlobsSettings, tyro.conf.subcommand("blobs")]
    | Annotated[GeometrySettings, tyro.conf.subcommand("geometry")]
)


def main(settings: BlobsSettings | GeometrySettings) -> None:
    """Run one of the two analyses."""
    if isinstance(settings, BlobsSettings):
        write(blobs, settings, "blobs")
    else:
        write(geometry, settings, "geometry")


if __name__ == "__main__":
    run(main, COMMANDS)

"""Stage 5 of 5: the experiments. Each sub-command makes one figure and one JSON file.

    python analyze.py blobs           # how many squares does a frame show, step by step?
    python analyze.py geometry        # is a grid of squares a grid in latent space?
    python analyze.py superposition   # are extra squares the other direction?
    python analyze.py commitment      # when is the direction decided?

A sub-command trains the checkpoints it lacks, one thread each on all cores, measures
them in parallel, writes figures/NAME.png and figures/NAME.json, and prints a table. An
interrupted run goes on where it stopped. Every number is over several seeds (each with
its own autoencoder and flow), every claim has a null or a control beside it.
"""

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import joblib
import matplotlib
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from tqdm import tqdm

import autoencoder
import flow
from autoencoder import AutoencoderSettings, checkpoint_path, encode_centers
from data import (
    FRAME_SIZE,
    PIXEL,
    grid_centers,
    orbits,
    random_first_centers,
    render,
    replacing,
    require,
    run_command,
    tile,
)
from flow import FlowNetwork, FlowSettings, LatentSpace, TrueLaw, interpolate, true_law
from sample import predictor, sample

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# Okabe and Ito's colours, told apart by colour-blind readers too
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#888888"


@dataclass(frozen=True)
class AnalysisSettings:
    """What all sub-commands share."""

    seeds: int = 5
    """How many seeds, 1 to 100; each trains its own autoencoder and flow."""
    out_dir: Path = Path("figures")
    """Folder for the figure and the JSON file; made if missing."""
    checkpoint_dir: Path = Path("checkpoints")
    """Folder of the checkpoints; on a cluster, shared by the workers."""
    autoencoder_steps: int = AutoencoderSettings.autoencoder_steps
    """Training steps of each autoencoder."""
    flow_steps: int = FlowSettings.flow_steps
    """Training steps of each flow."""
    dask: str | None = None
    """Address of a Dask scheduler to train on, such as tcp://10.0.0.1:8786."""

    def __post_init__(self) -> None:
        require(
            1 <= self.seeds <= 100, f"--seeds must lie in 1 to 100, not {self.seeds}"
        )
        folder = self.out_dir
        require(
            folder.is_dir() or not folder.exists(),
            f"--out-dir {folder} is not a folder",
        )
        self.flow_of(embed_dim=2, seed=0)

    def autoencoder_of(self, seed: int, **changes: Any) -> AutoencoderSettings:
        """The settings of an autoencoder of this analysis."""
        return AutoencoderSettings(
            seed=seed,
            autoencoder_steps=self.autoencoder_steps,
            checkpoint_dir=self.checkpoint_dir,
            **changes,
        )

    def flow_of(self, seed: int, **changes: Any) -> FlowSettings:
        """The settings of a flow of this analysis, on the autoencoder of the same seed."""
        defaults = {
            "flow_steps": self.flow_steps,
            "autoencoder_steps": self.autoencoder_steps,
        }
        return FlowSettings(
            seed=seed,
            autoencoder_seed=seed,
            checkpoint_dir=self.checkpoint_dir,
            **defaults | changes,
        )


# ---------------------------------------------------------------- measures


def find_blobs(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the separate bright blobs of frames (n, 51, 51).

    Clip to [0, 1]; a frame whose maximum is under 0.15 is unreadable and has no blobs;
    keep the pixels of at least half of the maximum; a blob is a connected piece
    (corners connect) of at least 4 pixels.

    Returns:
        For each blob its frame's index (blobs,), and its middle (blobs, 2) as x and y.
    """
    peak = np.clip(frames, 0, 1).max(axis=(1, 2), keepdims=True)
    bright = (frames >= peak / 2) & (peak >= 0.15)
    within_a_frame = np.zeros((3, 3, 3))
    within_a_frame[1] = 1
    labels, _ = ndimage.label(bright, within_a_frame)
    frame, row, column = np.nonzero(labels)
    label = labels[frame, row, column]
    size = np.bincount(label)
    large = np.flatnonzero(size >= 4)
    middle = [
        np.bincount(label, place)[large] / size[large] for place in (frame, column, row)
    ]
    center = np.stack([middle[1] * PIXEL - 1, 1 - middle[2] * PIXEL], axis=-1)
    return middle[0].round().astype(int), center


def count_blobs(frames: np.ndarray) -> np.ndarray:
    """How many blobs each frame shows: (..., 51, 51) -> integers (...)."""
    stack = frames.reshape(-1, FRAME_SIZE, FRAME_SIZE)
    return np.bincount(find_blobs(stack)[0], minlength=len(stack)).reshape(
        frames.shape[:-2]
    )


def blob_near(frames: np.ndarray, places: np.ndarray, tolerance: float) -> np.ndarray:
    """Is there a blob whose middle is closer than the tolerance to a place?

    Args:
        frames: (..., 51, 51).
        places: (..., k, 2), for each frame k places.

    Returns:
        (..., k) booleans.
    """
    stack, flat = (
        frames.reshape(-1, FRAME_SIZE, FRAME_SIZE),
        places.reshape(-1, *places.shape[-2:]),
    )
    frame, center = find_blobs(stack)
    near = np.linalg.norm(flat[frame] - center[:, None], axis=-1) < tolerance
    found = np.zeros(flat.shape[:2], dtype=bool)
    np.logical_or.at(found, frame, near)
    return found.reshape(places.shape[:-1])


def shares(counts: np.ndarray) -> np.ndarray:
    """Shares of the frames with 0, 1, 2, and 3 or more blobs, (4,)."""
    return np.bincount(np.minimum(counts, 3).ravel(), minlength=4) / counts.size


def centroids(frames: np.ndarray) -> np.ndarray:
    """Centre of brightness of each frame, (..., 51, 51) -> (..., 2), x and y in [-1,
    1]."""
    light = np.clip(frames, 0, 1) + 1e-12
    axis = np.linspace(-1, 1, FRAME_SIZE)
    total = light.sum((-2, -1))
    x, y = (light.sum(-2) * axis).sum(-1), (light.sum(-1) * axis[::-1]).sum(-1)
    return np.stack([x / total, y / total], axis=-1)


def center_errors(
    frames: np.ndarray, true_orbits: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each frame's centroid to where the square should be, on the nearer
    orbit.

    Args:
        frames: (n, f, 51, 51).
        true_orbits: both right answers, (n, 2, f, 2).

    Returns:
        Errors (n, f) in pixels, and the chosen direction (n,), one for the whole video.
    """
    distance = np.linalg.norm(centroids(frames)[:, None] - true_orbits, axis=-1) / PIXEL
    direction = distance.mean(-1).argmin(1)
    return distance[np.arange(len(frames)), direction], direction


def grid_measures(latents: np.ndarray, centers: np.ndarray) -> dict[str, float]:
    """How far a latent grid is from a plain one.

    Args:
        latents, centers: (side, side, 2), indexed alike.

    Returns:
        warp: 1 - R^2 of the best affine map from centres to latents, 0 to 1.
        fold: share of grid cells whose signed area has the rarer sign, 0 to 0.5.
        tear: the longest grid edge over the median one, at least 1.
    """
    flat = latents.reshape(-1, 2)
    inputs = np.column_stack([centers.reshape(-1, 2), np.ones(len(flat))])
    residual = flat - inputs @ np.linalg.lstsq(inputs, flat)[0]
    warp = (residual**2).sum() / ((flat - flat.mean(0)) ** 2).sum()
    one, other = (
        latents[1:, 1:] - latents[:-1, :-1],
        latents[1:, :-1] - latents[:-1, 1:],
    )
    area = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]  # twice the cell's
    fold = min((area > 0).mean(), (area < 0).mean())
    edges = [
        np.linalg.norm(np.diff(latents, axis=axis), axis=-1).ravel() for axis in (0, 1)
    ]
    lengths = np.concatenate(edges)
    return {
        "warp": float(warp),
        "fold": float(fold),
        "tear": float(lengths.max() / np.median(lengths)),
    }


# ---------------------------------------------------------------- running many trainings

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_parallel(
    function: Callable[[Job], Result], jobs: Sequence[Job], what: str, dask: str | None
) -> list[Result]:
    """Call the function on each job, one thread each, on all cores or on a Dask
    cluster; show the progress."""
    # for the workers: one progress bar is enough, and a Ctrl-C needs no second message
    os.environ |= {"TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore::UserWarning"}
    with contextlib.ExitStack() as stack:
        if dask is None:
            backend: Any = {"backend": "loky", "inner_max_num_threads": 1}
        else:
            try:
                from distributed import Client
            except ImportError:
                mend = "--dask needs Dask: pip install 'dask[distributed]'"
                raise ValueError(mend) from None
            stack.enter_context(Client(dask, timeout=10))
            backend = {"backend": "dask"}
        stack.enter_context(joblib.parallel_config(n_jobs=-1, **backend))
        calls = (joblib.delayed(quietly)(function, job) for job in jobs)
        results = joblib.Parallel(return_as="generator")(calls)
        return list(tqdm(results, desc=what, total=len(jobs), disable=False))


def quietly(function: Callable[[Job], Result], job: Job) -> Result:
    """Call the function on one thread, its prints thrown away."""
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        return function(job)


def train_one(settings: AutoencoderSettings) -> None:
    """Train an autoencoder or a flow, unless its checkpoint is there."""
    if isinstance(settings, FlowSettings):
        flow.load_or_train(settings)
    else:
        autoencoder.load_or_train(settings)


def train_all(wanted: Iterable[AutoencoderSettings], dask: str | None) -> None:
    """Train what is missing: first the autoencoders, then the flows on them."""
    wanted = list(dict.fromkeys(wanted))
    flows = [job for job in wanted if isinstance(job, FlowSettings)]
    autoencoders = [job for job in wanted if not isinstance(job, FlowSettings)]
    autoencoders += [job.autoencoder_settings() for job in flows]
    for stage, jobs in (("autoencoder", dict.fromkeys(autoencoders)), ("flow", flows)):
        missing = [job for job in jobs if not checkpoint_path(stage, job).exists()]
        if missing:
            in_parallel(train_one, missing, f"training {stage}s", dask)


def over_seeds(values: Any) -> dict[str, Any]:
    """Mean and standard deviation over the first axis, the seeds, as plain lists."""
    array = np.asarray(values, dtype=float)
    spread = array.std(0, ddof=1) if len(array) > 1 else np.zeros_like(array[0])
    return {
        "mean": array.mean(0).tolist(),
        "std": spread.tolist(),
        "seeds": array.tolist(),
    }


def save(
    settings: AnalysisSettings, name: str, figure: Any, numbers: dict[str, Any] | None
) -> None:
    """Write figures/NAME.png and, if there are numbers of its own, figures/NAME.json."""
    settings.out_dir.mkdir(parents=True, exist_ok=True)
    with replacing(settings.out_dir / f"{name}.png") as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})
    plt.close(figure)
    if numbers is not None:
        with replacing(settings.out_dir / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(numbers, indent=1) + "\n")
    print(f"wrote {settings.out_dir / name}.png{' and .json' if numbers else ''}")


# ---------------------------------------------------------------- blobs


@dataclass(frozen=True)
class Blobs(AnalysisSettings):
    """Count the squares in every frame at every sampling step, and over the dimension."""

    dims: tuple[int, ...] = (2, 100)
    """Embedding dimensions to show step by step."""
    sweep_dims: tuple[int, ...] = (2, 3, 4, 8, 16, 32, 64, 100)
    """Embedding dimensions of the sweep."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.dims) > 0, "--dims must name at least one dimension")
        for dim in (*self.dims, *self.sweep_dims):
            self.flow_of(embed_dim=dim, seed=0)


@dataclass(frozen=True)
class FreshSamples:
    """Videos sampled from first frames that were not trained on."""

    space: LatentSpace
    network: FlowNetwork
    law: TrueLaw
    centers: np.ndarray  # (n, 2), of the first frames
    states: Tensor  # (steps + 1, n, D)
    means: Tensor  # (steps + 1, n, D), posterior means


@torch.no_grad()
def fresh_samples(
    settings: FlowSettings, n: int, which: Literal["learned", "exact"] = "learned"
) -> FreshSamples:
    """Sample n videos in 50 steps with the "learned" or the "exact" flow."""
    network, space, _ = flow.load_or_train(settings)
    rng = np.random.default_rng((settings.seed, 5))
    torch.manual_seed(settings.seed)
    centers = random_first_centers(n, rng, settings.range)
    direction = (torch.rand(n) >= settings.ccw_share).long()
    law = true_law(space, centers, direction)
    states, means = sample(
        predictor(which, network, law), torch.randn_like(law.z_ccw), 50
    )
    return FreshSamples(space, network, law, centers, states, means)


def measure_blobs(settings: FlowSettings) -> dict[str, Any]:
    """One seed: shares of frames with 0, 1, 2, 3+ squares at each of 50 steps (32
    videos), the null (decoded noise, drawn anew), and a film strip at steps 0, 20 and
    50."""
    fresh = fresh_samples(settings, 32)

    def count(latents: Tensor) -> list[float]:
        return shares(count_blobs(fresh.space.decode(latents).numpy())).tolist()

    first = render(fresh.centers[0], settings)
    strips = [fresh.space.decode(fresh.states[k, :1])[0].numpy() for k in (0, 20, 50)]
    return {
        "state": [count(x) for x in fresh.states],
        "posterior_mean": [count(x) for x in fresh.means],
        "null": count(torch.randn_like(fresh.states[0])),
        "strips": [np.concatenate([first[None], strip]) for strip in strips],
    }


def measure_one_square(settings: FlowSettings) -> list[float]:
    """One seed: share of frames with one square in the state at steps 0, 5, ... 50 (40
    videos)."""
    fresh = fresh_samples(settings, 40)
    states = fresh.states[::5]
    return [
        float((count_blobs(fresh.space.decode(x).numpy()) == 1).mean()) for x in states
    ]


def analyze_blobs(settings: Blobs) -> None:
    """Draw figures/blobs.png (step by step) and figures/dims.png (over the dimension)."""
    seeds = range(settings.seeds)
    shown = [
        settings.flow_of(embed_dim=d, seed=s) for d in settings.dims for s in seeds
    ]
    swept = [
        settings.flow_of(embed_dim=d, seed=s)
        for d in settings.sweep_dims
        for s in seeds
    ]
    train_all(shown + swept, settings.dask)
    details = by_group(
        settings.dims, in_parallel(measure_blobs, shown, "counting squares", None)
    )
    ones = by_group(
        settings.sweep_dims, in_parallel(measure_one_square, swept, "sweeping", None)
    )

    numbers: dict[str, Any] = {"steps": 50, "videos_per_seed": 32, "dims": {}}
    sweep: dict[str, Any] = {}
    figure, axes = plt.subplots(
        len(settings.dims), 3, figsize=(15, 3.4 * len(settings.dims)), layout="constrained",
        width_ratios=[2.2, 1, 1], squeeze=False,
    )  # fmt: skip
    for (film, *plots), (dim, runs) in zip(axes, details.items(), strict=True):
        show_strips(film, runs[0]["strips"], [f"step {k}" for k in (0, 20, 50)])
        film.set_title(f"embed dim {dim}: the state, decoded (frame 0 is given)")
        numbers["dims"][dim] = {"null": over_seeds([run["null"] for run in runs])}
        for plot, readout in zip(plots, ("state", "posterior_mean"), strict=True):
            share = over_seeds([run[readout] for run in runs])
            numbers["dims"][dim][readout] = share
            draw_shares(plot, share)
            null = numbers["dims"][dim]["null"]["mean"][1]
            plot.axhline(
                null, color=GREY, ls=":", label="1 square, null: decoded noise"
            )
            plot.set_title(f"embed dim {dim}, {readout.replace('_', ' ')}")
    axes[0, 1].legend(fontsize=8, loc="center right")
    save(settings, "blobs", figure, numbers)

    print(
        "share of frames with exactly one square, mean over seeds (standard deviation)"
    )
    print("  dim   state, steps 0/5/10           worst step              step 50")
    figure, plot = plt.subplots(figsize=(7, 4), layout="constrained")
    for dim, run in ones.items():
        array = np.array(run)
        table = {
            "steps_0_5_10": array[:, :3].mean(1),
            "worst_step": array.min(1),
            "step_50": array[:, -1],
        }
        sweep[dim] = {name: over_seeds(values) for name, values in table.items()}
        cells = [f"{v['mean']:11.4f} ({v['std']:.4f}) " for v in sweep[dim].values()]
        print(f"{dim:5d}", *cells)
    for (name, label), color in zip(SWEEP_LABELS.items(), (BLUE, GREEN), strict=True):
        points = [sweep[dim][name] for dim in ones]
        mean, std = [p["mean"] for p in points], [p["std"] for p in points]
        plot.errorbar(
            list(ones), mean, std, fmt="o-", capsize=3, color=color, label=label
        )
    plot.set(
        xscale="log",
        xlabel="embedding dimension",
        ylabel="share of frames with one square",
    )
    plot.set_xticks(list(ones), [str(dim) for dim in ones])
    plot.set(ylim=(-0.02, 1.05), title="Where does 'one square always' end?")
    plot.legend()
    save(settings, "dims", figure, sweep)


SWEEP_LABELS = {
    "steps_0_5_10": "state, steps 0, 5 and 10",
    "step_50": "finished video, step 50",
}


def by_group(groups: Sequence[Any], results: list[Result]) -> dict[Any, list[Result]]:
    """Split the results of group-by-group jobs: group -> its results, one per seed."""
    each = len(results) // len(groups)
    return {group: results[i * each : (i + 1) * each] for i, group in enumerate(groups)}


def show_strips(plot: Any, strips: Sequence[np.ndarray], labels: Sequence[str]) -> None:
    """Film strips (8, 51, 51) below each other, each with its label."""
    plot.imshow(
        tile(np.concatenate(strips), across=len(strips[0])), cmap="gray", aspect="equal"
    )
    height = FRAME_SIZE + 1
    plot.set_yticks([height * (i + 0.5) for i in range(len(strips))], labels)
    frames = range(len(strips[0]))
    plot.set_xticks(
        [height * (i + 0.5) for i in frames], [f"frame {i}" for i in frames]
    )
    plot.tick_params(length=0)


def draw_shares(plot: Any, share: dict[str, Any]) -> None:
    """Lines over the steps: share of frames with 0, 1, 2, 3+ squares, with their
    spread."""
    mean, std = np.array(share["mean"]), np.array(share["std"])
    for k, (label, color) in enumerate(
        zip(("0", "1", "2", "3 or more"), (GREY, BLUE, ORANGE, RED), strict=True)
    ):
        plot.plot(mean[:, k], color=color, label=f"{label} square{'s' * (k != 1)}")
        plot.fill_between(
            range(len(mean)),
            mean[:, k] - std[:, k],
            mean[:, k] + std[:, k],
            color=color,
            alpha=0.25,
            lw=0,
        )
    plot.set(
        xlabel="sampling step", ylabel="share of frames 1 to 7", ylim=(-0.02, 1.05)
    )


# ---------------------------------------------------------------- geometry


@dataclass(frozen=True)
class Geometry(AnalysisSettings):
    """Look at a 21 x 21 grid of squares in the latent plane, three recipes."""

    ranges: tuple[float, ...] = (0.2, 0.4, 0.8)
    """Ranges of centres to draw."""
    overlap: bool = True
    """Also test if range / half width decides, and not the range."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.ranges) > 0, "--ranges must name at least one range")
        for range_ in self.ranges:
            self.autoencoder_of(embed_dim=2, seed=0, range=range_)


# This repo's recipe without and with blur, and an ordinary decoder as a control
RECIPES: dict[str, dict[str, Any]] = {
    "no blur": {"blur": 0.0},
    "blur": {},
    "plain": {"plain": True, "blur": 0.0},
}
# (range, half width): each row has the same overlap number range / half width
OVERLAPS = [
    [(0.1, 0.1), (0.2, 0.2), (0.4, 0.4)],
    [(0.2, 0.1), (0.4, 0.2), (0.6, 0.3)],
    [(0.3, 0.1), (0.45, 0.15), (0.6, 0.2)],
    [(0.4, 0.1), (0.6, 0.15), (0.8, 0.2)],
]


def measure_grid(settings: AutoencoderSettings) -> tuple[np.ndarray, dict[str, float]]:
    """One seed: the latents of the grid of centres, (21, 21, 2), and their measures."""
    model, _ = autoencoder.load_or_train(settings)
    centers = grid_centers(settings.range)
    latents = encode_centers(model, centers, settings).numpy()
    return latents, grid_measures(latents, centers)


def analyze_geometry(settings: Geometry) -> None:
    """Draw figures/geometry.png (the grids) and figures/overlap.png (warp, fold, tear)."""
    cases = [(recipe, r, 0.2) for recipe in RECIPES for r in settings.ranges]
    if settings.overlap:
        pairs = [pair for row in OVERLAPS for pair in row]
        cases += [(recipe, *pair) for recipe in ("no blur", "plain") for pair in pairs]
    cases = list(dict.fromkeys(cases))
    jobs = [
        settings.autoencoder_of(
            embed_dim=2, seed=seed, range=r, half_width=half_width, **RECIPES[recipe]
        )
        for recipe, r, half_width in cases
        for seed in range(settings.seeds)
    ]
    train_all(jobs, settings.dask)
    grids = by_group(cases, in_parallel(measure_grid, jobs, "measuring grids", None))
    numbers: dict[str, Any] = {}
    print("mean over seeds (standard deviation), and how many seeds fold")
    print(
        "recipe   range half-width           warp           fold           tear  folded"
    )
    for case, runs in grids.items():
        measures = {
            name: over_seeds([run[1][name] for run in runs])
            for name in ("warp", "fold", "tear")
        }
        numbers["{}, range {}, half width {}".format(*case)] = measures
        cells = [f"{m['mean']:6.3f} ({m['std']:.3f})" for m in measures.values()]
        folded = sum(fold > 0 for fold in measures["fold"]["seeds"])
        print("{:8s}{:5} {:10}".format(*case), *cells, f"{folded:3d}/{len(runs)}")

    columns = len(settings.ranges)
    figure, axes = plt.subplots(
        len(RECIPES),
        2 * columns,
        figsize=(5 * columns, 2.8 * len(RECIPES)),
        layout="constrained",
        squeeze=False,
    )
    for i, (case, runs) in enumerate(list(grids.items())[: len(RECIPES) * columns]):
        row, column = divmod(i, columns)
        for j, name in enumerate("xy"):
            plot = axes[row, 2 * column + j]
            draw_grid(plot, runs[0][0], grid_centers(case[1])[..., j])
            plot.set_title(
                f"{case[0]}, range {case[1]}, colour: true {name}", fontsize=9
            )
    save(settings, "geometry", figure, numbers)
    if settings.overlap:
        draw_overlap(settings, grids)


def draw_grid(plot: Any, latents: np.ndarray, color: np.ndarray) -> None:
    """A latent grid (21, 21, 2) with its lines, the points coloured by a true
    coordinate."""
    for lines in (latents, latents.swapaxes(0, 1)):
        plot.plot(lines[..., 0], lines[..., 1], color=GREY, lw=0.4, zorder=1)
    plot.scatter(
        latents[..., 0], latents[..., 1], c=color, s=7, cmap="viridis", zorder=2
    )
    plot.set(xlabel="latent 0", ylabel="latent 1", xticks=[], yticks=[])


def draw_overlap(settings: Geometry, grids: dict[Any, Any]) -> None:
    """Warp, fold and tear against the overlap number (above) and against the range
    (below)."""
    figure, axes = plt.subplots(2, 3, figsize=(11, 6), layout="constrained")
    pairs = [pair for row in OVERLAPS for pair in row]
    for column, name in enumerate(("warp", "fold", "tear")):
        values = [[run[1][name] for run in grids["no blur", *pair]] for pair in pairs]
        mean, std = (
            np.mean(values, axis=1),
            np.array(over_seeds(np.transpose(values))["std"]),
        )
        for row, label in enumerate(("range / half width", "range")):
            x = [r if label == "range" else r / half_width for r, half_width in pairs]
            scale = "log" if name == "tear" else "linear"
            axes[row, column].errorbar(
                x, mean, std, fmt="o", color=BLUE, capsize=3, alpha=0.7
            )
            axes[row, column].set(xlabel=label, ylabel=name, yscale=scale)
    figure.suptitle(
        "No blur: does range / half width decide (above), or the range (below)?"
    )
    save(settings, "overlap", figure, None)


# ---------------------------------------------------------------- superposition

OTHER_FRAMES = [0, 1, 2, 4, 5, 6]  # frames 1, 2, 3, 5, 6, 7: the two directions differ
STEPS = [0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50]
# A blob "is at" a place within a quarter of a side. Control places are 22.5 degrees off,
# and from radius 0.55 on the neighbourhoods of places and controls don't touch.
TOLERANCE, MIN_RADIUS = 0.1, 0.55


@dataclass(frozen=True)
class Superposition(AnalysisSettings):
    """Are the extra squares the other direction? Contrast, calibration, decoder
    control."""

    dims: tuple[int, ...] = (2, 100)
    """Embedding dimensions to compare."""
    sweep_dims: tuple[int, ...] = (2, 3, 4, 8, 16, 32, 64, 100)
    """Embedding dimensions of the decoder measure."""

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct = len(set(self.dims)) == len(self.dims)
        require(
            len(self.dims) in (1, 2) and distinct, "--dims takes one or two dimensions"
        )
        for dim in (*self.dims, *self.sweep_dims):
            self.flow_of(embed_dim=dim, seed=0)


def turned(places: np.ndarray, degrees: float) -> np.ndarray:
    """Places (..., 2) turned around the origin."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return places @ np.array([[c, s], [-s, c]])


def contrast(space: LatentSpace, latents: Tensor, orbit: np.ndarray) -> list[float]:
    """Shares of frames 1-3, 5-7 with a blob at the other direction's place, and at the
    two controls beside it (mean of both); then the share of frames 4 with two or more
    blobs.

    Args:
        latents: (n, 7 d).
        orbit: places in the direction that the video does not take, (n, 7, 2).
    """
    frames = space.decode(latents).numpy()
    places = np.stack([orbit, turned(orbit, 22.5), turned(orbit, -22.5)], axis=2)
    near = blob_near(frames[:, OTHER_FRAMES], places[:, OTHER_FRAMES], TOLERANCE).mean(
        (0, 1)
    )
    return [near[0], near[1:].mean(), (count_blobs(frames[:, 3]) > 1).mean()]


def measure_contrast(settings: FlowSettings) -> dict[str, Any]:
    """One seed: contrast over the steps, both flows and readouts, and the null."""
    result: dict[str, Any] = {}
    flows: tuple[Literal["learned", "exact"], ...] = ("learned", "exact")
    for which in flows:
        fresh = fresh_samples(settings, 200, which)
        far = np.flatnonzero(np.linalg.norm(fresh.centers, axis=1) > MIN_RADIUS)
        to_ccw = (fresh.states[-1] - fresh.law.z_ccw).norm(dim=1)
        other = (
            (to_ccw < (fresh.states[-1] - fresh.law.z_cw).norm(dim=1)).long().numpy()
        )
        orbit = orbits(fresh.centers)[np.arange(len(other)), other, 1:][far]
        for readout, samples in (
            ("state", fresh.states),
            ("posterior_mean", fresh.means),
        ):
            values = [contrast(fresh.space, samples[k, far], orbit) for k in STEPS]
            result[f"{which} {readout}"] = values
    result["null"] = contrast(
        fresh.space, torch.randn_like(fresh.states[0, far]), orbit
    )
    return result


@torch.no_grad()
def measure_calibration(settings: FlowSettings) -> dict[str, Any]:
    """One seed: 1000 noisy videos x_t with known direction, t uniform up to twice t_S.

    Returns:
        Arrays (1000,): "label" (1 is counter-clockwise), the "exact" posterior, the
        learned share "q" = (posterior mean - z_cw).delta / |delta|^2, and the share of
        "brightness" at the counter-clockwise places of the decoded posterior mean; and
        "at_0", the means of q and brightness at t = 0 (no light counts as 1/2), and
        "lit", the share of videos with light at either place then.
    """
    network, space, _ = flow.load_or_train(settings)
    rng = np.random.default_rng((settings.seed, 7))
    torch.manual_seed(settings.seed)
    first = random_first_centers(4000, rng, settings.range)
    centers = first[np.linalg.norm(first, axis=1) > MIN_RADIUS][:1000]
    n = len(centers)
    label = (torch.rand(n) < settings.ccw_share).long()
    law = true_law(space, centers, 1 - label)
    delta = law.z_ccw - law.z_cw
    t_signal = 1 / (1 + delta.norm(dim=1, keepdim=True) / 2)
    noise = torch.randn_like(delta)
    t = 2 * t_signal.clamp_max(0.45) * torch.rand(n, 1)

    def shares_of(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = interpolate(law.continuation(1 - label), noise, t)
        mean = network(x, law.given, t)
        q = ((mean - law.z_cw) * delta).sum(1) / (delta**2).sum(1)
        return (
            law.posterior(x, t)[:, 0],
            q,
            brightness_share(space, mean, orbits(centers)[:, :, 1:]),
        )

    exact, q, brightness = shares_of(t)
    _, q_at_0, brightness_at_0 = shares_of(torch.zeros(n, 1))
    return {
        "label": label.numpy(), "exact": exact.numpy(), "q": q.numpy(), "brightness": brightness.numpy(),
        "at_0": [q_at_0.mean().item(), brightness_at_0.nan_to_num(0.5).mean().item()],
        "lit": brightness_at_0.isfinite().float().mean().item(),
    }  # fmt: skip


def measure_second_square(settings: FlowSettings) -> list[list[float]]:
    """One seed, learned posterior mean at STEPS, frames where the directions differ,
    radius above 0.4: shares with one square, and with two or more, (steps, 2)."""
    fresh = fresh_samples(settings, 100)
    far = np.linalg.norm(fresh.centers, axis=1) > 0.4
    frames = [
        i - settings.given_frames + 1
        for i in OTHER_FRAMES
        if i + 1 >= settings.given_frames
    ]
    counts = [
        count_blobs(fresh.space.decode(fresh.means[k, far]).numpy()[:, frames])
        for k in STEPS
    ]
    return [
        [float((count == 1).mean()), float((count >= 2).mean())] for count in counts
    ]


def brightness_share(space: LatentSpace, latents: Tensor, both: np.ndarray) -> Tensor:
    """Light at the counter-clockwise places over the light at both, (n,), frames 1-3,
    5-7; NaN where there is less than one pixel of light.

    Args:
        both: (n, 2, 7, 2), the places of both directions; light is summed over a
        square there.
    """
    frames = space.decode(latents).clamp(0, 1)[:, OTHER_FRAMES]
    masks = torch.from_numpy(render(both[:, :, OTHER_FRAMES], space.settings))
    light = torch.stack([(frames * masks[:, i]).sum((1, 2, 3)) for i in (0, 1)], dim=1)
    return torch.where(light.sum(1) > 1, light[:, 0] / light.sum(1), torch.nan)


@torch.no_grad()
def measure_additivity(settings: AutoencoderSettings) -> list[float]:
    """One seed, the decoder alone: relative additivity error of the midpoint of two
    codes, |D(a/2 + b/2) - D(a)/2 - D(b)/2|^2 / |D(a)/2 - D(b)/2|^2, for squares of the
    two directions (radius > 0.4), and the share of midpoints that show two squares.
    """
    model, _ = autoencoder.load_or_train(settings)
    first = random_first_centers(
        400, np.random.default_rng((settings.seed, 8)), settings.range
    )
    first = first[np.linalg.norm(first, axis=1) > 0.4]
    both = orbits(first)[:, :, [1, 2, 3]].swapaxes(0, 1).reshape(2, -1, 2)
    a, b = encode_centers(model, both, settings)
    middle, half_a, half_b = (
        model.decode((a + b) / 2),
        model.decode(a) / 2,
        model.decode(b) / 2,
    )
    error = ((middle - half_a - half_b) ** 2).sum((1, 2)) / (
        (half_a - half_b) ** 2
    ).sum((1, 2))
    return [error.mean().item(), float((count_blobs(middle.numpy()) == 2).mean())]


def reliability(
    runs: list[dict[str, Any]], name: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """Ten bins of the predicted share: (10, 2) mean prediction and frequency of the
    label, all seeds together; and the expected calibration error over seeds."""

    def binned(predicted: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, float]:
        known = np.isfinite(predicted)  # there may be no light to tell
        bins = np.clip((10 * predicted[known]).astype(int), 0, 9)
        count = np.bincount(bins, minlength=10)
        sums = [
            np.bincount(bins, values[known], minlength=10)
            for values in (predicted, label)
        ]
        error = np.abs(sums[0] - sums[1]).sum() / max(count.sum(), 1)
        return np.stack(sums, axis=1) / np.maximum(count, 1)[:, None], float(error)

    errors = [binned(run[name], run["label"])[1] for run in runs]
    pooled = [np.concatenate([run[key] for run in runs]) for key in (name, "label")]
    return binned(*pooled)[0], over_seeds(errors)


def analyze_superposition(settings: Superposition) -> None:
    """Draw figures/superposition.png."""
    seeds = range(settings.seeds)

    def flows(dim: int, **changes: Any) -> list[FlowSettings]:
        return [settings.flow_of(seed=seed, embed_dim=dim, **changes) for seed in seeds]

    variants = {f"dim {dim}": flows(dim) for dim in settings.dims}
    variants |= {
        "dim 100, two hidden layers": flows(100, hidden_layers=2),
        "dim 100, plain recipe": flows(100, **RECIPES["plain"]),
    }
    variants |= {
        f"dim {dim}, two given frames": flows(dim, given_frames=2)
        for dim in settings.dims
    }
    skewed = {
        f"dim {dim}, 80 % ccw": flows(dim, ccw_share=0.8) for dim in settings.dims
    }
    decoders = {
        f"dim {dim}": [f.autoencoder_settings() for f in flows(dim)]
        for dim in settings.sweep_dims
    }
    for name in ("dim 100, two hidden layers", "dim 100, plain recipe"):
        decoders[name] = [f.autoencoder_settings() for f in variants[name]]
    train_all(
        [
            job
            for group in (variants, skewed, decoders)
            for jobs in group.values()
            for job in jobs
        ],
        settings.dask,
    )

    def measure(
        function: Callable[[Any], Any], group: dict[str, list[Any]], what: str
    ) -> dict[str, Any]:
        jobs = [job for each in group.values() for job in each]
        return by_group(list(group), in_parallel(function, jobs, what, None))

    one_given = {
        name: jobs for name, jobs in variants.items() if "two given" not in name
    }
    contrasts = measure(measure_contrast, one_given, "contrast")
    seconds = measure(measure_second_square, variants, "second squares")
    calibrations = measure(
        measure_calibration,
        {**{f"dim {d}": flows(d) for d in settings.dims}, **skewed},
        "calibration",
    )
    additivity = measure(measure_additivity, decoders, "decoders")

    numbers: dict[str, Any] = {
        "steps": STEPS,
        "tolerance": TOLERANCE,
        "min_radius": MIN_RADIUS,
    }
    numbers["contrast"] = {
        name: {key: over_seeds([run[key] for run in runs]) for key in runs[0]}
        for name, runs in contrasts.items()
    }
    numbers["second_square"] = {
        name: over_seeds(runs) for name, runs in seconds.items()
    }
    numbers["additivity"] = {
        name: over_seeds(runs) for name, runs in additivity.items()
    }
    curves: dict[str, Any] = {}
    numbers["calibration"] = {}
    for name, runs in calibrations.items():
        curves[name] = {
            key: reliability(runs, key) for key in ("exact", "q", "brightness")
        }
        numbers["calibration"][name] = {
            key: {"curve": curve.tolist(), "expected calibration error": error}
            for key, (curve, error) in curves[name].items()
        } | {
            "at t = 0: q, brightness": over_seeds([run["at_0"] for run in runs]),
            "at t = 0: lit": over_seeds([run["lit"] for run in runs]),
        }

    figure, axes = plt.subplots(2, 3, figsize=(15, 8), layout="constrained")
    for row, dim in zip(axes, settings.dims, strict=False):
        for plot, readout in zip(row, ("state", "posterior_mean"), strict=False):
            draw_contrast(plot, numbers["contrast"][f"dim {dim}"], readout)
            plot.set_title(f"embed dim {dim}, {readout.replace('_', ' ')}")
    axes[0, 0].legend(fontsize=8)
    plot = axes[0, 2]
    plot.plot([0, 1], [0, 1], color=GREY, lw=1)
    last = f"dim {settings.dims[-1]}"
    for name, marker in ((last, "o"), (f"{last}, 80 % ccw", "s")):
        for key, color in (("exact", GREY), ("q", BLUE), ("brightness", ORANGE)):
            curve, _ = curves[name][key]
            plot.plot(
                *curve[curve.any(1)].T,
                marker,
                color=color,
                ms=4,
                label=f"{key}, {name}",
            )
    plot.set(
        xlabel="predicted share of counter-clockwise",
        ylabel="frequency of the label",
        title="Calibration",
    )
    plot.legend(fontsize=8)
    plot = axes[1, 2]
    for name, value in numbers["additivity"].items():
        mean, std = np.array(value["mean"]), np.array(value["std"])
        dim, _, network = name.removeprefix("dim ").partition(", ")
        looks = {"": ("o", BLUE), "two hidden layers": ("s", RED)}
        marker, color = looks.get(network, ("D", GREEN))
        plot.errorbar(int(dim), mean[0], std[0], fmt=marker, color=color, capsize=3)
    plot.set(
        xscale="log", xlabel="embedding dimension", ylabel="relative additivity error"
    )
    plot.set_title("Decoder alone (red: hidden layers, green: plain)")
    save(settings, "superposition", figure, numbers)
    print_superposition(numbers)


def draw_contrast(plot: Any, values: dict[str, Any], readout: str) -> None:
    """Blobs at the other direction's place and at control places, over the steps."""
    for which, color in (("learned", BLUE), ("exact", ORANGE)):
        mean = np.array(values[f"{which} {readout}"]["mean"])
        std = np.array(values[f"{which} {readout}"]["std"])
        for column, style, label in (
            (0, "-", "at the other direction's place"),
            (1, ":", "at a control place"),
        ):
            plot.errorbar(
                STEPS,
                mean[:, column],
                std[:, column],
                ls=style,
                color=color,
                label=f"{which}: {label}",
            )
    null = values["null"]["mean"]
    plot.axhline(
        null[0], color=GREY, lw=1, label="null, decoded noise: at the other place"
    )
    plot.set(
        xlabel="sampling step",
        ylabel="share of frames 1-3, 5-7 with a blob there",
        ylim=(-0.02, 1.02),
    )


def print_superposition(numbers: dict[str, Any]) -> None:
    """The table: contrast at a few steps, second squares, calibration, decoders."""

    def cell(value: dict[str, Any], *index: int) -> str:
        mean, std = np.array(value["mean"])[index], np.array(value["std"])[index]
        return f"{mean:.3f} ({std:.3f})"

    print(
        "share of frames 1-3, 5-7 with a blob at the other direction's place / at control"
    )
    print("places / share of frames 4 with two or more; mean over seeds (std)")
    for name, group in numbers["contrast"].items():
        for key in (k for k in group if k != "null"):
            print(f"  {name}, {key}")
            for k in (0, 2, 5, 10, 20):
                index = STEPS.index(k)
                row = [cell(group[key], index, column) for column in (0, 1, 2)]
                print(f"    step {k:2d}:", " / ".join(row))
        row = [cell(group["null"], column) for column in (0, 1, 2)]
        print(f"  {name}, null (decoded noise):", " / ".join(row))
    print("learned posterior mean at step 0, frames 1-3, 5-7: one square, two or more")
    for name, value in numbers["second_square"].items():
        print(f"  {name}: {cell(value, 0, 0)}, {cell(value, 0, 1)}")
    print("expected calibration error; q, brightness, share of videos lit at t = 0")
    for name, group in numbers["calibration"].items():
        errors = [
            f"{key} {cell(group[key]['expected calibration error'])}"
            for key in ("exact", "q", "brightness")
        ]
        start = group["at t = 0: q, brightness"]
        lit = group["at t = 0: lit"]
        print(f"  {name}:", ", ".join(errors))
        print(f"    at t = 0: {cell(start, 0)}, {cell(start, 1)}, {cell(lit)}")
    print("decoder alone: additivity error, share of midpoints with two squares")
    for name, value in numbers["additivity"].items():
        print(f"  {name}: {cell(value, 0)}, {cell(value, 1)}")


# ---------------------------------------------------------------- commitment


@dataclass(frozen=True)
class Commitment(AnalysisSettings):
    """When is the direction decided? Over dimension, latent scale and training length."""

    dims: tuple[int, ...] = (2, 8, 32, 100)
    """Embedding dimensions at latent scale 1."""
    scales: tuple[float, ...] = (0.5, 2.0)
    """More latent scales, at the smallest and the largest of the dimensions."""
    lengths: tuple[int, ...] = (100, 300, 1000)
    """More training lengths of the flow, in steps, at the same two dimensions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.dims) > 0, "--dims must name at least one dimension")
        for dim in self.dims:
            self.flow_of(embed_dim=dim, seed=0)
        for scale in self.scales:
            self.flow_of(embed_dim=2, seed=0, latent_scale=scale)
        for length in self.lengths:
            self.flow_of(embed_dim=2, seed=0, flow_steps=length)


TIMES = [k / 50 for k in range(45)]


def entropy(p: Tensor) -> Tensor:
    """Entropy of a coin with probability p, in bits."""
    p = p.clamp(1e-12, 1 - 1e-7)
    return -(p * p.log2() + (1 - p) * (1 - p).log2())


def halfway(times: Sequence[float], values: Sequence[float]) -> float:
    """The first time at which the curve is below 1/2 bit, interpolated; 1 if never."""
    below = int(np.argmax(np.array(values) < 0.5))
    if values[below] >= 0.5:
        return 1.0
    if below == 0:
        return times[0]
    return float(
        np.interp(
            0.5, [values[below], values[below - 1]], [times[below], times[below - 1]]
        )
    )


@torch.no_grad()
def measure_commitment(settings: FlowSettings) -> dict[str, Any]:
    """One seed: H(direction | x_t) over t, exact and learned, on 1000 noisy videos
    whose label made them; t_S; and how late the generated videos still show two
    squares."""
    network, space, checkpoint = flow.load_or_train(settings)
    rng, n = np.random.default_rng((settings.seed, 9)), 1000
    torch.manual_seed(settings.seed)
    direction = (torch.rand(n) >= settings.ccw_share).long()
    law = true_law(space, random_first_centers(n, rng, settings.range), direction)
    delta, noise = law.z_ccw - law.z_cw, torch.randn_like(law.z_ccw)
    curves: dict[str, list[float]] = {"exact": [], "learned": []}
    for time in TIMES:
        t = torch.full((n, 1), time)
        x = interpolate(law.continuation(direction), noise, t)
        q = ((network(x, law.given, t) - law.z_cw) * delta).sum(1) / (delta**2).sum(1)
        curves["exact"].append(entropy(law.posterior(x, t)).mean().item())
        curves["learned"].append(entropy(q).mean().item())
    fresh = fresh_samples(settings, 100)
    two = [
        float(
            (count_blobs(fresh.space.decode(fresh.means[k]).numpy()[:, :2]) >= 2).mean()
        )
        for k in (0, 5, 10, 20)
    ]
    late = count_blobs(fresh.space.decode(fresh.states[20]).numpy()) >= 2
    return {
        "t_S": (1 / (1 + delta.norm(dim=1) / 2)).mean().item(),
        "curves": [curves["exact"], curves["learned"]],
        "halfway": [halfway(TIMES, curves["exact"]), halfway(TIMES, curves["learned"])],
        "two_squares": two,
        "state_step_20": [float(late[:, :2].mean()), float(late[:, 3].mean())],
        "excess": checkpoint["metrics"]["excess"],
    }


def analyze_commitment(settings: Commitment) -> None:
    """Draw figures/commitment.png."""
    ends = sorted({min(settings.dims), max(settings.dims)})
    cases: dict[str, dict[str, Any]]
    cases = {f"dim {dim}": {"embed_dim": dim} for dim in settings.dims}
    cases |= {
        f"dim {d}, scale {s}": {"embed_dim": d, "latent_scale": s}
        for d in ends
        for s in settings.scales
    }
    cases |= {
        f"dim {d}, {n} steps": {"embed_dim": d, "flow_steps": n}
        for d in ends
        for n in settings.lengths
    }
    jobs = [
        settings.flow_of(seed=seed, **case)
        for case in cases.values()
        for seed in range(settings.seeds)
    ]
    train_all(jobs, settings.dask)
    runs = by_group(
        list(cases), in_parallel(measure_commitment, jobs, "commitment", None)
    )
    numbers: dict[str, Any] = {"times": TIMES, "two_squares_at_steps": [0, 5, 10, 20]}
    print(
        "mean over seeds (standard deviation). t_S and the measured times, in steps of 50;"
    )
    print(
        "frames with two squares or more at step 20: posterior mean, frames 1 and 2; state,"
    )
    print("frames 1 and 2; state, frame 4; then the mean excess loss")
    for name, group in runs.items():
        values = {key: over_seeds([run[key] for run in group]) for key in group[0]}
        numbers[name] = values
        half, two, state = (
            values["halfway"],
            values["two_squares"],
            values["state_step_20"],
        )
        print(
            f"{name:19s}{50 * values['t_S']['mean']:6.2f}",
            *[
                f"{50 * half['mean'][i]:6.2f} ({50 * half['std'][i]:.2f})"
                for i in (0, 1)
            ],
            f"{two['mean'][3]:6.3f} ({two['std'][3]:.3f})",
            *[f"{state['mean'][i]:6.3f} ({state['std'][i]:.3f})" for i in (0, 1)],
            f"{np.mean(values['excess']['mean']):7.4f}",
        )

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.4), layout="constrained")
    for dim, color in zip(ends, (BLUE, ORANGE), strict=False):
        mean, std = (
            np.array(numbers[f"dim {dim}"]["curves"][key]) for key in ("mean", "std")
        )
        for i, (label, style) in enumerate((("exact", "--"), ("learned", "-"))):
            axes[0].errorbar(
                TIMES,
                mean[i],
                std[i],
                ls=style,
                color=color,
                label=f"dim {dim}, {label}",
            )
        axes[0].axvline(
            numbers[f"dim {dim}"]["t_S"]["mean"],
            color=color,
            ls=":",
            label=f"dim {dim}, predicted $t_S$",
        )
    axes[0].set(
        xlabel="t",
        ylabel="H(direction | $x_t$), bits",
        title="Open at t = 0, decided later at small d",
    )
    axes[0].legend(fontsize=8)
    plot = axes[1]
    for name, case in cases.items():
        if "flow_steps" in case:
            continue
        t_s, half = numbers[name]["t_S"]["mean"], numbers[name]["halfway"]
        for i, (marker, color) in enumerate((("s", GREY), ("o", BLUE))):
            plot.errorbar(
                t_s,
                half["mean"][i],
                half["std"][i],
                fmt=marker,
                color=color,
                capsize=3,
                alpha=0.8,
            )
    plot.plot([0, 0.5], [0, 0.5], color=GREY, lw=1)
    plot.set(
        xlabel="predicted $t_S = 1 / (1 + |\\Delta| / 2)$",
        ylabel="measured: H falls to 1/2 bit",
    )
    plot.set_title("All dims and latent scales (square exact, circle learned)")
    plot = axes[2]
    for dim, color in zip(ends, (BLUE, ORANGE), strict=False):
        names = [f"dim {dim}, {n} steps" for n in settings.lengths] + [f"dim {dim}"]
        late = [numbers[name]["halfway"] for name in names]
        plot.errorbar(
            [*settings.lengths, settings.flow_steps], [h["mean"][1] for h in late], [h["std"][1] for h in late],
            fmt="o-", color=color, capsize=3, label=f"dim {dim}, learned",
        )  # fmt: skip
        plot.axhline(
            late[-1]["mean"][0], color=color, ls="--", label=f"dim {dim}, exact"
        )
    plot.set(
        xscale="log",
        xlabel="training steps of the flow",
        ylabel="measured: H falls to 1/2 bit",
    )
    plot.set_title("Does an under-trained flow decide late?")
    plot.legend(fontsize=8)
    save(settings, "commitment", figure, numbers)


def main(settings: Blobs | Geometry | Superposition | Commitment) -> None:
    """Run one sub-command."""
    if isinstance(settings, Blobs):
        analyze_blobs(settings)
    elif isinstance(settings, Geometry):
        analyze_geometry(settings)
    elif isinstance(settings, Superposition):
        analyze_superposition(settings)
    else:
        analyze_commitment(settings)


if __name__ == "__main__":
    run_command(main, Blobs | Geometry | Superposition | Commitment)

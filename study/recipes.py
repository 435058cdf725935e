"""Which recipe made the post's pictures? A part of study/states.py, which measures it.

Question. Latents of the scale 0.3 give such pictures, but that number was found by looking at them.
The post says that it adopts the Stable Diffusion framework. The code of that, as published,
multiplies its latents by 0.18215 and does nothing else to them. There the number is one over the
spread of its own latents; copied to other latents it is just a number. That it was copied is a
guess, but nothing was fitted. So is it an autoencoder as one writes it in a notebook, and this
factor? It has no free number.

Measure. All that study/pictures.py measures of the post's videos and that samples have, too, by the
same code. Told is how dense the recipe's videos are at the post's value, as a share of their
density where it is largest: 1 says that the post shows what the recipe shows most often. Under 1/20
it rejects the recipe. All seeds count as one mixture; how many of them reject by themselves is told
beside it. The statistics depend on each other, and so no product of them is formed.

Controls: latents as they are, "raw"; divided by their own spread, the other reading of that code;
standardised to 0.3; an autoencoder with Stable Diffusion's KL term, one seed at d = 100; "long
plain", whose 2500 steps were chosen after a look at what they give.

Fixed beforehand: all of this, the statistics and the widths of the kernels; seeds 0 to 3 of a
prototype had been seen, and 5 to 9 are measured. Expected: the notebook with this factor is
rejected at d = 100 by the extra pixels that stand in other frames, too; with the exact flow and
ours, at both d, by the errors of the finished videos; and by nothing else. Anything else refutes
that it is the recipe, and then the finding is that pictures don't tell it. Raw latents, and those
of one spread, are rejected at d = 100 by the squares of step 20, the scale 0.3 at both d by the
pixels in other frames, and the KL term by several statistics. A velocity MLP brings the finished
errors to the post's, and beyond them for the long plain. However it ends, no more is searched.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from analyze import SweepSettings
from autoencoder import LEAK, Autoencoder, AutoencoderSettings, encode_squares, trained_autoencoder
from data import FRAME_SIZE, random_stream, render
from flow import (
    LEARNING_RATE,
    FlowNetwork,
    FlowSettings,
    LatentSpace,
    latent_space,
    latent_videos,
    train,
    training_circles,
)
from sample import (
    Flow,
    decode_videos,
    exact_flow,
    learned_flow,
    random_given_centers,
    random_noise,
    sample,
)
from study.measures import MIN_RADIUS, stretched
from study.pictures import STEPS, measure_sample, post
from study.question import Key, Numbers, Pictures, markdown_table, measured, spread
from study.velocities import FromVelocity, OrdinaryMLP

FACTOR = 0.18215  # of Stable Diffusion's latents
FIRST_SEED = 5  # no prototype had this one or those after it
REJECTS = 1 / 20
FIRST_FRAMES, VIDEOS = 400, 125  # for each seed: the first 125 of 400 that are on a large circle

# Training steps, as long as the autoencoder's and the flow's own are the usual ones; with other
# numbers of these they change in proportion
NOTEBOOK_STEPS, LONG_STEPS, MLP_STEPS = 4000, 2500, 1000
NOTEBOOK_BATCH, NOTEBOOK_RATE = 64, 1e-3
KL_WEIGHT = 1e-6
MLP_RATE = 1e-3  # that of study/odds.py, which has this network, too


# ---------------------------------------------------------------------------------------------
# Autoencoders as one writes them in a notebook


class Notebook(Autoencoder):
    """Three convolutions that halve the frame, a linear layer, and the same backwards. The decoder
    ends on a convolution, without a clip or a sigmoid: the post's pictures go below 0."""

    def __init__(self, settings: AutoencoderSettings) -> None:
        nn.Module.__init__(self)  # without the layers of our autoencoder
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),  # 51 x 51 -> 26 x 26
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),  # 26 x 26 -> 13 x 13
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),  # 13 x 13 -> 7 x 7
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, settings.embed_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(settings.embed_dim, 64 * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1),  # 7 x 7 -> 13 x 13
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1),  # -> 26 x 26
            nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1),  # 26 x 26 -> 51 x 51
        )

    def decode(self, latents: Tensor, leak: float = LEAK) -> Tensor:
        """Latents (n, d) -> frames (n, 51, 51), about [0, 1]. There is no clip that could leak."""
        return self.decoder(latents)[:, 0]

    def latents_in_training(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Of frames (n, 51, 51) the latents (n, d) that the decoder is trained with, and what the
        loss holds against them, a number."""
        return self.encode(frames), torch.zeros(())


class NotebookWithKL(Notebook):
    """The same as a variational autoencoder. The encoder gives a normal distribution; in training
    the decoder gets a sample of it, and afterwards its mean."""

    def __init__(self, settings: AutoencoderSettings) -> None:
        super().__init__(settings)
        self.log_variance = nn.Linear(64 * 7 * 7, settings.embed_dim)

    def latents_in_training(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """A sample (n, d), and the KL divergence of each distribution from the normal one, summed
        over the d numbers: the mean over the frames."""
        features = self.encoder[:-1](frames[:, None])
        mean, log_variance = self.encoder[-1](features), self.log_variance(features)
        sampled = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return sampled, divergence.mean()


def in_proportion(steps: int, given: int, usual: int) -> int:
    """Training steps, if a training that usually has so many steps is given another number."""
    return max(1, steps * given // usual)


def train_notebook(kind: type[Notebook], settings: FlowSettings) -> Notebook:
    """Train such an autoencoder on squares at random centres, a fresh batch each step."""
    torch.manual_seed(settings.seed)
    rng = random_stream(settings.seed, "autoencoder training")
    model = kind(settings)
    optimizer = torch.optim.Adam(model.parameters(), NOTEBOOK_RATE)
    usual = AutoencoderSettings.autoencoder_steps
    for _ in range(in_proportion(NOTEBOOK_STEPS, settings.autoencoder_steps, usual)):
        centers = rng.uniform(-settings.center_range, settings.center_range, (NOTEBOOK_BATCH, 2))
        frames = torch.from_numpy(render(centers, settings))
        latents, divergence = model.latents_in_training(frames)
        # Stable Diffusion adds the errors of all pixels of a picture up, and so the divergence has
        # this weight beside their sum. Here the error is the mean over the pixels.
        error = F.mse_loss(model.decode(latents), frames)
        loss = error + KL_WEIGHT * divergence / FRAME_SIZE**2

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


# ---------------------------------------------------------------------------------------------
# What is done to the latents, and the flows in them


def treated(autoencoder: Autoencoder, settings: FlowSettings, treatment: str) -> LatentSpace:
    """The latent space with these latents "x 0.18215", "raw", divided by their "one spread", the
    standard deviation of all numbers over the training circles, or standardised to "scale 0.3"."""
    if treatment == "scale 0.3":
        return latent_space(autoencoder, replace(settings, latent_scale=0.3))[0]
    own = encode_squares(autoencoder, training_circles(settings), settings)
    divisor = {"x 0.18215": 1 / FACTOR, "raw": 1.0, "one spread": own.std().item()}[treatment]
    zero = torch.zeros(settings.embed_dim)
    return LatentSpace(autoencoder, zero, torch.full_like(zero, divisor), settings)


def train_networks(space: LatentSpace) -> dict[str, nn.Module]:
    """Two networks in this space: "learned", our own, and "MLP", an ordinary one that predicts the
    velocity."""
    settings = space.settings
    circles = space.encode(training_circles(settings))

    def trained(kind: Callable[[FlowSettings], nn.Module], steps: int, rate: float) -> nn.Module:
        torch.manual_seed(settings.seed)
        network = kind(settings)
        train(network, latent_videos(circles, settings), replace(settings, flow_steps=steps), rate)
        return network

    mlp_steps = in_proportion(MLP_STEPS, settings.flow_steps, FlowSettings.flow_steps)
    return {
        "learned": trained(FlowNetwork, settings.flow_steps, LEARNING_RATE),
        "MLP": trained(velocity_mlp, mlp_steps, MLP_RATE),
    }


def velocity_mlp(settings: FlowSettings) -> nn.Module:
    """An ordinary network, 1024 wide, that predicts the velocity."""
    return FromVelocity(OrdinaryMLP(settings))


def flow_of(network: nn.Module | None, space: LatentSpace, given_centers: np.ndarray) -> Flow:
    """The flow of a network for frames 0 with squares at given_centers (n, 1, 2); without a network
    the exact one."""
    if network is None:
        return exact_flow(space, given_centers)
    return learned_flow(network, space, given_centers)  # type: ignore[arg-type]


def on_large_circles(settings: FlowSettings, rng: np.random.Generator) -> np.ndarray:
    """Given centres (125, 1, 2), on circles whose places have hardly any light in common. (Of few
    random ones there may be less.)"""
    given = random_given_centers(settings, FIRST_FRAMES, rng)
    return given[np.linalg.norm(given[:, 0], axis=1) > MIN_RADIUS][:VIDEOS]


@torch.no_grad()
def from_the_posts_frame(space: LatentSpace, networks: dict[str, nn.Module | None]) -> np.ndarray:
    """One video from the post's own frame 0, at STEPS, of each network from the same noise,
    stretched: (3 * networks, 8, 51, 51)."""
    blob = post()[str(space.settings.embed_dim)]["blobs"]["0"][0][0]
    given = np.array([[blob["center"]]])
    noise = random_noise(space, 1, random_stream(space.settings.seed, "sampling"))
    flows = [flow_of(network, space, given) for network in networks.values()]
    rows = torch.cat([sample(flow, noise).states[list(STEPS), 0] for flow in flows])
    return stretched(decode_videos(space, given.repeat(len(rows), axis=0), rows))


# ---------------------------------------------------------------------------------------------
# Statistics of a video, and how dense they are
#
# A value is rounded to the nearest cell, which is half a kernel wide, and for each network it is
# kept how many of its videos fall into each cell. What lies beyond the ends counts at the ends.

# Lowest and highest cell, and the width of the kernel; None is a count, which needs none
STATISTICS: dict[str, tuple[float, float, float | None]] = {
    "frames with several squares, step 0": (0, 7, None),
    "frames with several squares, step 20": (0, 7, None),
    "frames with one square, step 0": (0, 7, None),
    "frames with one square, step 20": (0, 7, None),
    "frames with one square, step 50": (0, 7, None),
    "squares in frame 4, step 20": (0, 15, None),
    "frames with a square at the taken place, step 20": (0, 6, None),
    "extra pixels, bright at step 0": (0, 1, 0.05),
    "extra pixels, bright in other frames": (0, 1, 0.05),
    "extra pixels in a frame": (0, 600, 10),
    "likeness to step 0": (-0.5, 1, 0.05),
    "likeness to other frames": (-0.5, 1, 0.05),
    "light at the other place, frames 1 and 2": (0, 1, 0.05),
    "light at the other place, all six": (0, 1, 0.05),
    "px off": (0, 15, 0.3),
    "ghosts": (0, 1, 0.1),
}


def statistics(video: dict[str, Any]) -> dict[str, float]:
    """STATISTICS of what pictures.measure_sample() gives of a video, or pictures.json of the
    post's."""
    squares = {step: np.array(counts) for step, counts in video["squares"].items()}
    values = {
        "frames with several squares, step 0": (squares["0"] >= 2).sum(),
        "frames with several squares, step 20": (squares["20"] >= 2).sum(),
        "frames with one square, step 0": (squares["0"] == 1).sum(),
        "frames with one square, step 20": (squares["20"] == 1).sum(),
        "frames with one square, step 50": (squares["50"] == 1).sum(),
        "squares in frame 4, step 20": squares["20"][3],
        "frames with a square at the taken place, step 20": video["at the taken place"]["20"],
        "extra pixels, bright at step 0": video["extra pixels"]["at step 0"],
        "extra pixels, bright in other frames": video["extra pixels"]["in other frames"],
        "extra pixels in a frame": video["extra pixels"]["in a frame"],
        "likeness to step 0": video["likeness"]["at step 0"],
        "likeness to other frames": video["likeness"]["in other frames"],
        "light at the other place, frames 1 and 2": video["light"]["frames 1 and 2"][
            "at the other place"
        ],
        "light at the other place, all six": video["light"]["all six"]["at the other place"],
        "px off": video["px off"],
        "ghosts": video["ghosts"],
    }
    return {name: float(value) for name, value in values.items()}


def cells(statistic: str) -> np.ndarray:
    """The middles of the cells of a statistic."""
    low, high, kernel = STATISTICS[statistic]
    width = 1 if kernel is None else kernel / 2
    return low + width * np.arange(round((high - low) / width) + 1)


def tally(statistic: str, values: np.ndarray) -> np.ndarray:
    """How many of these values (n,) fall into each of the cells()."""
    middles = cells(statistic)
    nearest = np.rint((values - middles[0]) / (middles[1] - middles[0])).astype(int)
    return np.bincount(nearest.clip(0, len(middles) - 1), minlength=len(middles))


def density(statistic: str, tallied: np.ndarray, at: np.ndarray) -> np.ndarray:
    """How dense values are at some points (k,), from their tally(), which may lack empty cells at
    its end. Of a count it is the probability, after half a video was added to each possible count,
    so that none is impossible."""
    kernel, middles = STATISTICS[statistic][2], cells(statistic)
    tallied = np.pad(tallied, (0, len(middles) - len(tallied)))
    if kernel is None:
        probability = (tallied + 0.5) / (tallied + 0.5).sum()
        return probability[np.rint(at - middles[0]).astype(int)]
    near = np.exp(-(((at[:, None] - middles) / kernel) ** 2) / 2)
    return near @ tallied / tallied.sum() / (kernel * (2 * np.pi) ** 0.5)


def ratio(statistic: str, tallied: np.ndarray, shown: float) -> float:
    """The density at the value shown, as a share of the largest density."""
    low, high, kernel = STATISTICS[statistic]
    points = cells(statistic) if kernel is None else np.arange(low, high, kernel / 20)
    here = density(statistic, tallied, np.array([shown]))[0]
    return float(here / max(density(statistic, tallied, points).max(), here))


# ---------------------------------------------------------------------------------------------
# Of each network


@torch.no_grad()
def statistics_of(space: LatentSpace, networks: dict[str, nn.Module | None]) -> dict[str, Any]:
    """Flow -> statistic -> its "mean" and its "tally" over 125 videos. And how wide the latents are
    beside the noise, which has 1: "spread", the standard deviation of their numbers over the
    training circles, the root of the mean square over all numbers."""
    rng = random_stream(space.settings.seed, "counting")
    given = on_large_circles(space.settings, rng)
    noise = random_noise(space, len(given), rng)
    latents = space.encode(training_circles(space.settings)).flatten(0, 1)
    results: dict[str, Any] = {"spread": latents.var(0).mean().sqrt()}
    for name, network in networks.items():
        walked = sample(flow_of(network, space, given), noise).states[list(STEPS)]  # (3, n, D)
        steps = [stretched(decode_videos(space, given, state)) for state in walked]
        videos = [statistics(measure_sample(*video)) for video in zip(*steps, strict=True)]
        values = {which: np.array([video[which] for video in videos]) for which in STATISTICS}
        results[name] = {
            which: {"mean": x.mean(), "tally": tally(which, x)} for which, x in values.items()
        }
    return results


@dataclass(frozen=True)
class RecipeSettings(FlowSettings):
    """Flows in the latents of one of MEASURES."""

    recipe: str = "notebook"


def measure_notebook(settings: RecipeSettings) -> dict[str, Any]:
    """Treatment -> statistics_of() the notebook's autoencoder; networks for its factor only. And
    "picture": from_the_posts_frame(), of the exact flow, ours and the MLP."""
    autoencoder = train_notebook(Notebook, settings)
    space = treated(autoencoder, settings, "x 0.18215")
    networks = {"exact": None, **train_networks(space)}
    results = {"x 0.18215": statistics_of(space, networks)}
    for treatment in ("raw", "one spread"):
        other = treated(autoencoder, settings, treatment)
        results[treatment] = statistics_of(other, {"exact": None})
    return {**results, "picture": from_the_posts_frame(space, networks)}


def measure_kl(settings: RecipeSettings) -> dict[str, Any]:
    """The same with a KL term, and the exact flow alone."""
    space = treated(train_notebook(NotebookWithKL, settings), settings, "x 0.18215")
    return {"x 0.18215": statistics_of(space, {"exact": None})}


def measure_long(settings: RecipeSettings) -> dict[str, Any]:
    """An autoencoder of ours with the factor, the exact flow and both networks."""
    space = treated(trained_autoencoder(settings), settings, "x 0.18215")
    return {"x 0.18215": statistics_of(space, {"exact": None, **train_networks(space)})}


def measure_narrow(settings: RecipeSettings) -> dict[str, Any]:
    """An autoencoder of ours with the scale 0.3, and the exact flow."""
    space = treated(trained_autoencoder(settings), settings, "scale 0.3")
    return {"scale 0.3": statistics_of(space, {"exact": None})}


MEASURES = {
    "notebook": measure_notebook,
    "KL": measure_kl,
    "long plain": measure_long,
    "ours": measure_narrow,
    "plain": measure_narrow,
}


def measure_recipe(settings: RecipeSettings) -> dict[str, Any]:
    """Treatment -> statistics_of() the recipe of these settings."""
    return MEASURES[settings.recipe](settings)


def analysis(settings: SweepSettings) -> tuple[Numbers, Pictures]:
    """Recipe -> d -> treatment -> statistics_of()."""
    plain = {"plain": True, "blur": 0.0}
    long_steps = in_proportion(
        LONG_STEPS, settings.autoencoder_steps, AutoencoderSettings.autoencoder_steps
    )
    changes: dict[str, dict[str, Any]] = {
        "notebook": {"hard_edges": True},
        "KL": {"hard_edges": True},
        "long plain": {**plain, "hard_edges": True, "autoencoder_steps": long_steps},
        "ours": {},
        "plain": plain,
    }
    cases: dict[tuple[Key, ...], list[Any]] = {
        (recipe, d): [
            RecipeSettings(**vars(each) | {"seed": each.seed + FIRST_SEED}, recipe=recipe)
            for each in settings.flows(embed_dim=d, **changes[recipe])
        ]
        for recipe in MEASURES
        for d in (100, 2)
    }
    del cases["KL", 2], cases["KL", 100][1:]  # to save time: it doesn't do it
    numbers, pictures = measured(measure_recipe, cases, settings.dask)
    return whole(numbers), pictures


def whole(numbers: Any) -> Any:
    """The same with tallies (seeds, cells) as integers and without the cells at their end that are
    empty in all seeds: so they take less room in a file."""
    if not isinstance(numbers, dict):
        return numbers
    return {
        name: value[:, : 1 + np.flatnonzero(value.any(0)).max()].astype(int)
        if name == "tally"
        else whole(value)
        for name, value in numbers.items()
    }


# ---------------------------------------------------------------------------------------------
# What rejects a recipe, and the texts

# The rows of the tables: autoencoder and treatment
ROWS: dict[str, tuple[str, str]] = {
    "notebook × 0.18215": ("notebook", "x 0.18215"),
    "long plain × 0.18215": ("long plain", "x 0.18215"),
    "notebook, raw": ("notebook", "raw"),
    "notebook, one spread": ("notebook", "one spread"),
    "ours, scale 0.3": ("ours", "scale 0.3"),
    "plain, scale 0.3": ("plain", "scale 0.3"),
    "notebook with KL × 0.18215": ("KL", "x 0.18215"),
}
FLOWS = {"exact": "the exact flow", "learned": "ours", "MLP": "a velocity MLP"}
FINISHED = {"px off", "ghosts", "frames with one square, step 50"}
# By what the notebook with the factor was expected to be rejected, with the exact flow and ours
EXPECTED = {"100": {"extra pixels, bright in other frames", *FINISHED}, "2": FINISHED}


def ratio_to_the_post(found: Numbers, dim: str, which: str) -> float:
    """Of a statistic of a recipe and a flow, {statistic: {"mean", "tally"}}, the ratio() of the
    post's value, all seeds together."""
    return ratio(which, found[which]["tally"].sum(0), statistics(post()[dim])[which])


def rejections(found: Numbers, dim: str) -> list[str]:
    """The statistics that reject it."""
    return [which for which in STATISTICS if ratio_to_the_post(found, dim, which) < REJECTS]


def rejecting_seeds(found: Numbers, dim: str, which: str) -> int:
    """How many seeds a statistic rejects by themselves."""
    shown, tallies = statistics(post()[dim])[which], found[which]["tally"]
    return sum(ratio(which, each, shown) < REJECTS for each in tallies)


def unexpected(numbers: Numbers) -> list[str]:
    """The verdict: what rejects the notebook with the factor though it was expected not to. If
    there is nothing, it is the recipe without a free number."""
    told = []
    for dim, expected in EXPECTED.items():
        for flow in ("exact", "learned"):
            rejecting = rejections(numbers["notebook"][dim]["x 0.18215"][flow], dim)
            told += [f"{x} (d = {dim}, {FLOWS[flow]})" for x in rejecting if x not in expected]
    return told


def listed(names: list[str]) -> str:
    """Names, some of which have a comma, as text."""
    return "; ".join(names) or "nothing"


# The columns of the tables; the names of all statistics would be too many
COLUMNS: dict[str, str] = {
    "frames with several squares, step 0": "several squares, of 7, step 0",
    "frames with several squares, step 20": "several, step 20",
    "frames with one square, step 20": "one square, step 20",
    "frames with a square at the taken place, step 20": "at the taken place, of 6",
    "extra pixels, bright at step 0": "extra pixels: bright at step 0",
    "extra pixels, bright in other frames": "in other frames",
    "likeness to step 0": "likeness to step 0",
    "light at the other place, frames 1 and 2": "light, frames 1 and 2",
}


def cell(found: Numbers, dim: str, which: str) -> str:
    """Of the table: the mean of a statistic, its standard deviation over the seeds if there are
    several, the ratio, and the number of seeds that are rejected by themselves if there are any;
    bold if all together are."""
    means, value = found[which]["mean"], ratio_to_the_post(found, dim, which)
    mean = spread(means) if len(means) > 1 else f"{means[0]:.2f}"
    seeds = rejecting_seeds(found, dim, which)
    text = f"{mean}; {value:.2f}" + (f", {seeds}" if seeds else "")
    return f"**{text}**" if value < REJECTS else text


def table(numbers: Numbers) -> str:
    """What the recipes show at d = 100 with the exact flow, a row for each, and the post above."""
    head = ["d = 100, exact flow", *COLUMNS.values(), f"rejected by, of {len(STATISTICS)}"]
    shown = statistics(post()["100"])
    rows = [["the post", *(f"{shown[which]:.3g}" for which in COLUMNS), ""]]
    for label, (autoencoder, treatment) in ROWS.items():
        found = numbers[autoencoder]["100"][treatment]["exact"]
        row = [cell(found, "100", which) for which in COLUMNS]
        rows.append([label, *row, str(len(rejections(found, "100")))])
    return markdown_table(head, rows)


def rejection_list(numbers: Numbers, dim: str) -> str:
    """By what each recipe is rejected at this d, with each flow. As Markdown, a line each."""
    lines = []
    for label, (autoencoder, treatment) in ROWS.items():
        flows = numbers[autoencoder].get(dim, {}).get(treatment, {})  # there is no KL at d = 2
        for flow in (flow for flow in FLOWS if flow in flows):
            lines.append(f"- {label}, {FLOWS[flow]}: {listed(rejections(flows[flow], dim))}")
    return "\n".join(lines)


# What the pages tell in words: how far off the videos of a velocity MLP are, by recipe and d
PX_OFF: dict[str, tuple[str, str]] = {
    "notebook, d = 100, MLP, px off": ("notebook", "100"),
    "notebook, d = 2, MLP, px off": ("notebook", "2"),
    "long plain, d = 100, MLP, px off": ("long plain", "100"),
    "long plain, d = 2, MLP, px off": ("long plain", "2"),
}


def texts(numbers: Numbers) -> dict[str, str]:
    """What the pages tell: the tables, what rejects which recipe, the verdict, and how wide the
    latents of the notebook are with the factor, beside the noise."""

    def mlp(autoencoder: str, dim: str) -> Numbers:
        return numbers[autoencoder][dim]["x 0.18215"]["MLP"]

    hundred, two = (numbers["notebook"][dim]["x 0.18215"] for dim in ("100", "2"))
    extra = [hundred[flow]["extra pixels in a frame"]["mean"] for flow in ("exact", "learned")]
    return {
        "recipes": table(numbers),
        "rejections at d = 100": rejection_list(numbers, "100"),
        "rejections at d = 2": rejection_list(numbers, "2"),
        "notebook, rejected by, not expected": listed(unexpected(numbers)),
        "notebook, d = 2, MLP, rejected by": listed(rejections(mlp("notebook", "2"), "2")),
        **{name: spread(mlp(*which)["px off"]["mean"]) for name, which in PX_OFF.items()},
        "extra pixels, post": f"{post()['100']['extra pixels']['in a frame']:.0f}",
        "extra pixels, notebook, at most": f"{np.max(extra):.0f}",
        "notebook, d = 100, scale": spread(hundred["spread"]),
        "notebook, d = 2, scale": spread(two["spread"]),
    }

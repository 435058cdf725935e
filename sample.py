"""Stage 4 of 5: sampling. It generates videos from first frames, and shows the steps on the way.

    python sample.py --gif out.gif            # sixteen videos; trains first what is missing
    python sample.py --png strip.png          # the first of them, at steps 0, 20 and 50 of 50
    python sample.py --steps-gif steps.gif    # the same one, over all of its steps

Add --embed-dim 100 to any of them: the finished videos look much as with d = 2, and the steps on
the way to them don't.

You need to have read flow.py: it explains where the velocity comes from.

The sampler draws noise, which is x at t = 0, and follows the velocity to t = 1. The velocity
changes with x and with t, so the way is a curve. The sampler goes it in 50 short straight steps
(Euler steps): at each it asks the flow for the velocity where it is, and keeps to this velocity for
a 50th of the time.

The interesting part is not the finished video but the way to it, and so every step is kept. There
are two ways to look at a step:

    state            the decoder draws x itself. At first this is decoded noise: it shows what the
                     decoder makes of random numbers, and nothing yet of what the flow has in mind.
    posterior mean   the decoder draws E[z | x_t = x], the mean of all videos that may be hidden in
                     this x. This is what the flow has in mind: at first the mean of both futures,
                     in the end a single one.

The post seems to show states. Frame 0 is never generated: it is given, and drawn as it is.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from torch import Tensor, nn

from data import (
    NUM_FRAMES,
    PIXEL,
    PIXEL_CENTERS,
    check_output,
    check_range,
    distinct_turns,
    draw_film_strip,
    new_figure,
    possible_orbits,
    random_first_centers,
    random_stream,
    random_videos,
    render,
    run,
    turn_name,
    write_figure,
    write_file,
    write_gif,
)
from flow import FlowSettings, LatentSpace, possible_futures, posterior_mean, trained_flow


@dataclass(frozen=True)
class SampleSettings(FlowSettings):
    """Generate videos (and first train what is missing)."""

    gif: Path | None = None
    """Write all videos as one looping GIF."""
    png: Path | None = None
    """Write the first video as film strips, state and posterior mean: frames across, steps down."""
    steps_gif: Path | None = None
    """Write the first video as a GIF over its sampling steps, state and posterior mean."""
    npz: Path | None = None
    """Write NumPy arrays.
    They are frames, first_centers, show_steps, state_frames and posterior_mean_frames."""
    num_videos: int = 16
    """How many videos, 1 to 400."""
    first_center: tuple[float, float] | None = None
    """Start all videos with a square at this x and y, instead of at random places."""
    steps: int = 50
    """Euler steps, 1 to 200."""
    show_steps: tuple[int, ...] = ()
    """Steps that the film strips and the arrays show.
    If none is named, they are 0, 2/5 of all, and all: 0, 20 and 50 of 50, as in the post."""
    exact: bool = False
    """Sample with the exact posterior mean instead of the network's.
    The network is trained all the same."""
    sample_seed: int = 0
    """Seed of all that is drawn for the videos, such as first frames and noise.
    The networks have --seed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(1, 400, num_videos=self.num_videos)
        check_range(1, 200, steps=self.steps)
        for step in self.show_steps:
            check_range(0, self.steps, show_steps=step)
        check_range(0, 2**32 - 1, sample_seed=self.sample_seed)
        if self.first_center is not None:
            radius, smallest = np.hypot(*self.first_center), self.center_range / 4
            if not smallest - 1e-9 <= radius <= self.center_range + 1e-9:
                raise ValueError(
                    f"--first-center has radius {radius:.3g}; circles have radii from {smallest:g} "
                    f"to {self.center_range:g}"
                )
        if not (self.gif or self.png or self.steps_gif or self.npz):
            raise ValueError("nothing to write: give --gif, --png, --steps-gif or --npz")
        if self.gif and self.steps_gif and self.gif.resolve() == self.steps_gif.resolve():
            raise ValueError("--gif and --steps-gif need two different files")
        check_output(self.gif, ".gif")
        check_output(self.steps_gif, ".gif")
        check_output(self.npz, ".npz")


# ---------------------------------------------------------------------------------------------
# Two flows
#
# The sampler needs the velocity, and that follows from the posterior mean (step 3 in flow.py). So
# to the sampler a flow is just this: the posterior mean as a function of x (n, D) and t (n, 1), for
# the given frames of n videos. The network has learned such a function, and the formula is one.

Flow = Callable[[Tensor, Tensor], Tensor]


def learned_flow(network: nn.Module, space: LatentSpace, given_centers: np.ndarray) -> Flow:
    """The posterior mean as the network predicts it. It sees the latents of the given frames, whose
    squares are at given_centers (n, given_frames, 2), and nothing of the futures."""
    given = space.encode(given_centers).flatten(1)
    return lambda x, t: network(x, t, given)


def exact_flow(space: LatentSpace, given_centers: np.ndarray) -> Flow:
    """The posterior mean as it is, by Bayes' rule. It is told what may follow the given frames."""
    futures, prior = possible_futures(space, given_centers)
    return lambda x, t: posterior_mean(x, t, futures, prior)


# ---------------------------------------------------------------------------------------------
# The sampler


def random_noise(space: LatentSpace, n: int, rng: np.random.Generator) -> Tensor:
    """Where n videos begin, at t = 0: normal random numbers (n, D)."""
    settings = space.settings
    size = (NUM_FRAMES - settings.given_frames) * settings.embed_dim
    return torch.from_numpy(rng.standard_normal((n, size), dtype=np.float32))


def euler_steps(
    flow: Flow, x: Tensor, steps: int, start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Walk from x to t = 1, and yield the state and the posterior mean of each step, (n, D) both.

    Written with the velocity, step k is

        t = k / steps
        x = x + velocity / steps,      velocity = (mean - x) / (1 - t)

    Since 1 - t = (steps - k) / steps, the two divisions by steps cancel, and it is a step towards
    the posterior mean: a share 1 / (steps - k) of what is left. The last step, k = steps - 1, takes
    all that is left. So the walk ends on the last posterior mean, and at t = 1 state and posterior
    mean are the same.

    Args:
        flow: learned_flow() or exact_flow().
        x: where to start, (n, D): noise.
        steps: how many equal steps lead from t = 0 to t = 1.
        start: the number of the first step, if x isn't noise but the state of a later step. (Only
            the study in study/ uses this.)
    """
    for k in range(start, steps):
        t = torch.full((len(x), 1), k / steps)
        mean = flow(x, t)
        yield x, mean
        x = x + (mean - x) / (steps - k)
    yield x, x


@dataclass(frozen=True)
class Samples:
    """n videos that were sampled, and all the steps on the way."""

    states: Tensor  # (steps + 1, n, D)
    posterior_means: Tensor  # (steps + 1, n, D)


@torch.no_grad()
def sample(flow: Flow, noise: Tensor, steps: int = 50) -> Samples:
    """Walk from noise (n, D) to n videos, and keep all the steps on the way."""
    states, means = [], []
    for state, mean in euler_steps(flow, noise, steps):
        states.append(state)
        means.append(mean)
    return Samples(torch.stack(states), torch.stack(means))


def random_given_centers(settings: FlowSettings, n: int, rng: np.random.Generator) -> np.ndarray:
    """Where the squares of the given frames are, (n, given_frames, 2), for n random videos. The
    circles have any radius, also those left out of the training."""
    first_centers = random_first_centers(n, rng, settings.center_range)
    return given_centers_from(first_centers, settings, rng)


def given_centers_from(
    first_centers: np.ndarray, settings: FlowSettings, rng: np.random.Generator
) -> np.ndarray:
    """Where the squares of the given frames are, (n, given_frames, 2), for n videos that begin at
    first_centers (n, 2). If a second frame is given, a random turn leads to it."""
    centers, _ = random_videos(first_centers, *distinct_turns(settings.turns), rng)
    return centers[:, : settings.given_frames]


def decode_videos(space: LatentSpace, given_centers: np.ndarray, latents: Tensor) -> np.ndarray:
    """Frames (n, 8, 51, 51), about [0, 1]: first the given ones, drawn at their centres (n,
    given_frames, 2), then the others, decoded from latents (n, D)."""
    given = render(given_centers, space.settings)
    return np.concatenate([given, space.decode(latents).numpy()], axis=1)


# ---------------------------------------------------------------------------------------------
# Which way did it go?


def centers_of_light(frames: np.ndarray) -> np.ndarray:
    """The mean place of the light in each frame: (..., 51, 51) -> (..., 2), x and y in [-1, 1]. For
    a frame with one square that is the square's centre (with hard edges up to 0.7 pixels off)."""
    light = np.clip(frames, 0, 1) + 1e-12  # so that there is some in a black frame, too
    total = light.sum((-2, -1))
    x = (light.sum(-2) * PIXEL_CENTERS).sum(-1) / total
    y = (light.sum(-1) * PIXEL_CENTERS[::-1]).sum(-1) / total  # the top row is y = 1
    return np.stack([x, y], axis=-1)


def nearest_orbits(frames: np.ndarray, orbits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of its possible ways each video took.

    Args:
        frames: (n, f, 51, 51).
        orbits: (n, k, f, 2), where the square would be in these frames, for each possible way.

    Returns:
        Which of the k ways is nearest on average, (n,); and how far off it the centre of light is
        in each frame, in pixels, (n, f).
    """
    centers = centers_of_light(frames)[:, None]  # (n, 1, f, 2)
    distance = np.linalg.norm(centers - orbits, axis=-1) / PIXEL  # (n, k, f)
    nearest = distance.mean(2).argmin(1)
    return nearest, distance[np.arange(len(frames)), nearest]


def is_right(distance: np.ndarray) -> np.ndarray:
    """Whether no frame is more than 1.5 pixels off: distances (n, f) in pixels -> (n,). (A square
    is 10 pixels wide; good videos are about a tenth of a pixel off, and bad ones many.)"""
    return np.all(distance <= 1.5, axis=1)


def describe(frames: np.ndarray, given_centers: np.ndarray, turns: np.ndarray) -> str:
    """How many of the videos (n, 8, 51, 51) took each turn, and how many none, in words."""
    orbits = possible_orbits(given_centers[:, 0], turns)
    nearest, distance = nearest_orbits(frames, orbits)
    right = is_right(distance)
    parts = [f"{turn_name(t)}: {(right & (nearest == i)).sum()}" for i, t in enumerate(turns)]
    parts.append(f"none of these (a frame more than 1.5 pixels off): {(~right).sum()}")
    return f"{len(frames)} videos. {', '.join(parts)}."


# ---------------------------------------------------------------------------------------------
# Plumbing, from here on: the files and the command line. A first reading can skip it, but for the
# first lines of main(), which put together what is above.


def write_film_strips(
    path: Path, readouts: dict[str, np.ndarray], show_steps: Sequence[int]
) -> None:
    """Write one video as a PNG.

    Args:
        readouts: "state" and "posterior mean" -> frames (shown steps, 8, 51, 51).
    """
    figure = new_figure(9, 2 * (0.6 + len(show_steps)))
    labels = [f"step {step}" for step in show_steps]
    for plot, (name, rows) in zip(figure.subplots(2), readouts.items(), strict=True):
        draw_film_strip(plot, rows, labels, name)
    write_figure(path, figure)


def write_steps_gif(path: Path, states: np.ndarray, means: np.ndarray) -> None:
    """Animate one video over its sampling steps: states and posterior means, both (steps + 1, 8,
    51, 51), one above the other."""
    steps = len(states) - 1
    images = []
    for step in range(steps + 1):
        figure = new_figure(9, 2.9)
        rows = np.stack([states[step], means[step]])
        title = f"step {step} of {steps}"
        draw_film_strip(figure.subplots(), rows, ["state", "posterior\nmean"], title)
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=80)
        images.append(iio.imread(png.getvalue(), mode="RGB"))
    durations = [1500] + [150] * (steps - 1) + [2500]  # milliseconds: hold the first and the last
    gif = iio.imwrite("<bytes>", np.stack(images), extension=".gif", duration=durations, loop=0)
    write_file(path, gif)


def main(settings: SampleSettings) -> None:
    """Sample the videos, write what was asked for, and say which way they went."""
    network, space = trained_flow(settings)
    rng = random_stream(settings.sample_seed, "sampling")
    n = settings.num_videos
    if settings.first_center is None:
        given_centers = random_given_centers(settings, n, rng)
    else:
        first_centers = np.tile(settings.first_center, (n, 1))
        given_centers = given_centers_from(first_centers, settings, rng)
    if settings.exact:
        flow = exact_flow(space, given_centers)
    else:
        flow = learned_flow(network, space, given_centers)
    samples = sample(flow, random_noise(space, n, rng), settings.steps)
    frames = decode_videos(space, given_centers, samples.states[-1])  # (n, 8, 51, 51)

    show_steps = settings.show_steps or sorted({0, 2 * settings.steps // 5, settings.steps})

    def decode_steps(latents: Tensor, which: Sequence[int], videos: int) -> np.ndarray:
        """Decode some steps of the first videos: (shown steps, videos, 8, 51, 51)."""
        given = given_centers[:videos]
        return np.stack([decode_videos(space, given, latents[k, :videos]) for k in which])

    written: list[str] = []
    if settings.gif:
        write_gif(settings.gif, frames)
        written.append(f"{settings.gif} (all videos)")
    if settings.png:
        readouts = {
            "state": decode_steps(samples.states, show_steps, 1)[:, 0],
            "posterior mean": decode_steps(samples.posterior_means, show_steps, 1)[:, 0],
        }
        write_film_strips(settings.png, readouts, show_steps)
        shown = ", ".join(map(str, show_steps))
        written.append(f"{settings.png} (the first video at steps {shown} of {settings.steps})")
    if settings.steps_gif:
        every = range(settings.steps + 1)
        states = decode_steps(samples.states, every, 1)[:, 0]
        means = decode_steps(samples.posterior_means, every, 1)[:, 0]
        write_steps_gif(settings.steps_gif, states, means)
        written.append(f"{settings.steps_gif} (the first video, step by step)")
    if settings.npz:
        arrays = io.BytesIO()
        np.savez(
            arrays,
            frames=frames,
            first_centers=given_centers[:, 0],
            show_steps=np.array(show_steps),
            state_frames=decode_steps(samples.states, show_steps, n),
            posterior_mean_frames=decode_steps(samples.posterior_means, show_steps, n),
        )
        write_file(settings.npz, arrays.getvalue())
        written.append(f"{settings.npz} (arrays)")
    print(f"The {'exact' if settings.exact else 'learned'} flow wrote {', '.join(written)}.")

    turns, _ = distinct_turns(settings.turns)
    if settings.unseen_radii is None:
        print(describe(frames, given_centers, turns))
        return
    low, high = settings.unseen_radii
    radius = np.linalg.norm(given_centers[:, 0], axis=1)
    unseen = (low <= radius) & (radius < high)
    for name, which in (("trained on", ~unseen), ("never seen in training", unseen)):
        if which.any():
            print(f"Circles {name}: {describe(frames[which], given_centers[which], turns)}")


if __name__ == "__main__":
    run(main, SampleSettings)

"""Stage 4 of 5: sampling. It generates videos from first frames, and shows the steps on the way.

    python sample.py --gif out.gif                      # videos; trains first what is missing
    python sample.py --embed-dim 100 --png strip.png    # one video at steps 0, 20 and 50 of 50
    python sample.py --steps-gif steps.gif              # the same video over all of its steps

You need to have read flow.py: it explains where the velocity comes from.

The sampler draws noise, which is x at t = 0, and follows the velocity to t = 1. The velocity changes
from place to place and from time to time, so the way is a curve. The sampler goes it in 50 short
straight steps (Euler steps): at each it asks the flow for the velocity where it is, and keeps to this
velocity for a 50th of the time.

The interesting part is not the finished video but the way to it, and so every step is kept. There are
two ways to look at a step:

    state            the decoder draws x itself. At first this is decoded noise: it shows what the
                     decoder makes of random numbers, and nothing yet of what the flow has in mind.
    posterior mean   the decoder draws E[z | x_t = x], the mean of all videos that this x could still
                     become. This is what the flow has in mind: at first the mean of both futures, in
                     the end a single one.

The post seems to show states. Frame 0 is never generated: it is given, and drawn as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from torch import Tensor

from data import (
    NUM_FRAMES,
    PIXEL,
    PIXEL_CENTERS,
    check_output,
    check_range,
    distinct_turns,
    draw_film_strip,
    possible_orbits,
    random_first_centers,
    random_stream,
    render,
    replacing,
    run,
    turn_name,
    write_figure,
    write_gif,
)
from flow import (
    FlowNetwork,
    FlowSettings,
    LatentSpace,
    possible_futures,
    posterior_mean,
    trained_flow,
)


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
    """Write NumPy arrays: frames, first_centers, show_steps, state_frames, posterior_mean_frames."""
    num_videos: int = 16
    """How many videos, 1 to 400."""
    first_center: tuple[float, float] | None = None
    """Start all videos with a square at this x and y, instead of at random places."""
    steps: int = 50
    """Euler steps, 1 to 200."""
    show_steps: tuple[int, ...] = ()
    """Steps that the film strips and the arrays show. If none is named: 0, 2/5 of all, and all, which
    are 0, 20 and 50 of 50, as in the post."""
    exact: bool = False
    """Sample with the exact posterior mean instead of the network's."""
    sample_seed: int = 0
    """Seed of the first frames and of the noise. (The networks have --seed.)"""

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
        check_output(self.gif, ".gif")
        check_output(self.steps_gif, ".gif")
        check_output(self.npz, ".npz")


# ---------------------------------------------------------------------------------------------
# The sampler


def euler_steps(
    mean_at: Callable[[Tensor, Tensor], Tensor], x: Tensor, steps: int, start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Walk from x to t = 1, and yield the state and the posterior mean of each step, (n, D) both.

    Written with the velocity, step k is

        t = k / steps
        x = x + velocity / steps,      velocity = (mean - x) / (1 - t)

    Since 1 - t = (steps - k) / steps, the two divisions by steps cancel, and it is a step towards the
    posterior mean: a share 1 / (steps - k) of what is left. The last step, k = steps - 1, takes all
    that is left. So the walk ends on the last posterior mean, and at t = 1 state and posterior mean are
    the same.

    Args:
        mean_at: the posterior mean, as a function of x (n, D) and t (n, 1).
        x: where to start, (n, D): noise.
        steps: how many equal steps lead from t = 0 to t = 1.
        start: the number of the first step, if x isn't noise but the state of a later step. (Only the
            study in study/ uses this.)
    """
    for k in range(start, steps):
        t = torch.full((len(x), 1), k / steps)
        mean = mean_at(x, t)
        yield x, mean
        x = x + (mean - x) / (steps - k)
    yield x, x


@dataclass(frozen=True)
class Samples:
    """n videos that were sampled, and all the steps on the way."""

    given_centers: np.ndarray  # (n, given_frames, 2), where the squares of the given frames are
    states: Tensor  # (steps + 1, n, D)
    posterior_means: Tensor  # (steps + 1, n, D)


@torch.no_grad()
def sample(
    network: FlowNetwork | None,
    space: LatentSpace,
    given_centers: np.ndarray,
    rng: np.random.Generator,
    steps: int = 50,
) -> Samples:
    """Sample a video for each row of given_centers (n, given_frames, 2): with the network or, if it
    is None, with the exact flow. rng draws the noise."""
    n, given_frames = given_centers.shape[:2]
    size = (NUM_FRAMES - given_frames) * space.settings.embed_dim
    noise = torch.from_numpy(rng.standard_normal((n, size), dtype=np.float32))
    if network is None:
        futures, prior = possible_futures(space, given_centers)
        walk = euler_steps(lambda x, t: posterior_mean(x, t, futures, prior), noise, steps)
    else:  # the network sees the given frames' latents, and nothing of the futures
        given = space.encode(given_centers).flatten(1)
        walk = euler_steps(lambda x, t: network(x, t, given), noise, steps)
    states, means = [], []
    for state, mean in walk:
        states.append(state)
        means.append(mean)
    return Samples(given_centers, torch.stack(states), torch.stack(means))


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
    turns, probability = distinct_turns(settings.turns)
    n = len(first_centers)
    taken = rng.choice(len(turns), size=n, p=probability)
    orbits = possible_orbits(first_centers, turns)[np.arange(n), taken]  # (n, 8, 2)
    return orbits[:, : settings.given_frames]


def decode_videos(space: LatentSpace, given_centers: np.ndarray, latents: Tensor) -> np.ndarray:
    """Frames (n, 8, 51, 51), about [0, 1]: first the given ones, drawn at their centres (n,
    given_frames, 2), then the others, decoded from latents (n, D)."""
    given = render(given_centers, space.settings)
    return np.concatenate([given, space.decode(latents).numpy()], axis=1)


# ---------------------------------------------------------------------------------------------
# Which way did it go?


def centers_of_light(frames: np.ndarray) -> np.ndarray:
    """The mean place of the light in each frame: (..., 51, 51) -> (..., 2), x and y in [-1, 1]. For
    a frame with one square that is the square's centre."""
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
    """Whether no frame is more than 1.5 pixels off: distances (n, f) in pixels -> (n,). (A square is 10
    pixels wide; good videos are about a tenth of a pixel off, and bad ones many.)"""
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
# Plumbing, from here on: the files and the command line. A first reading can skip it.


def write_film_strips(
    path: Path, readouts: dict[str, np.ndarray], show_steps: Sequence[int]
) -> None:
    """Write one video as a PNG: for "state" and "posterior mean" frames (shown steps, 8, 51, 51)."""
    from matplotlib.figure import Figure  # here, because it takes as long as a small GIF

    figure = Figure(figsize=(9, 2 * (0.6 + len(show_steps))), layout="constrained")
    labels = [f"step {step}" for step in show_steps]
    for plot, (name, rows) in zip(figure.subplots(2), readouts.items(), strict=True):
        draw_film_strip(plot, rows, labels, name)
    write_figure(path, figure)


def write_steps_gif(path: Path, states: np.ndarray, means: np.ndarray) -> None:
    """Animate one video over its sampling steps: states and posterior means, both (steps + 1, 8, 51,
    51), one above the other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = len(states) - 1
    images = []
    for step in range(steps + 1):
        figure = Figure(figsize=(9, 2.9), layout="constrained", dpi=80)
        canvas = FigureCanvasAgg(figure)
        rows = np.stack([states[step], means[step]])
        title = f"step {step} of {steps}"
        draw_film_strip(figure.subplots(), rows, ["state", "posterior\nmean"], title)
        canvas.draw()
        images.append(np.asarray(canvas.buffer_rgba())[..., :3])
    durations = [1500] + [150] * (steps - 1) + [2500]  # milliseconds: hold the first and the last
    with replacing(path) as temporary:
        iio.imwrite(temporary, np.stack(images), extension=".gif", duration=durations, loop=0)


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
    used = None if settings.exact else network
    samples = sample(used, space, given_centers, rng, settings.steps)
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
        with replacing(settings.npz) as temporary, temporary.open("wb") as file:
            np.savez(  # given an open file, because it would add .npz to the name of a path
                file,
                frames=frames,
                first_centers=given_centers[:, 0],
                show_steps=np.array(show_steps),
                state_frames=decode_steps(samples.states, show_steps, n),
                posterior_mean_frames=decode_steps(samples.posterior_means, show_steps, n),
            )
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

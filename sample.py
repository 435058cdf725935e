"""Stage 4 of 5: sampling. Generates videos from first frames (training first what is missing).

    python sample.py --gif out.gif                     # looping videos; seconds, if all is trained
    python sample.py --embed-dim 100 --png strip.png   # one video at steps 0, 20 and 50

The sampler walks from noise (t = 0) to a video (t = 1) in Euler steps along the flow's velocity and
keeps every step. Each can be looked at in two ways:

    state            decode x_t: what the original post shows; decoded noise at first
    posterior mean   decode E[z | x_t]: what the flow believes the video to be
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import data
import flow
from data import FRAME_SIZE, NUM_FRAMES, check_range, orbits, random_first_centers, render, tile
from flow import ExactFlow, FlowNetwork, FlowSettings, LatentSpace, exact_flow


@dataclass(frozen=True)
class SampleSettings(FlowSettings):
    """Generate videos (and train what is missing first)."""

    gif: Path | None = None
    """Write the videos as one looping GIF."""
    png: Path | None = None
    """Write the first video as film strips, state and posterior mean: frames across, steps down."""
    npz: Path | None = None
    """Write arrays: frames, first_centers, show_steps, state_frames, posterior_mean_frames."""
    num_videos: int = 16
    """How many videos, 1 to 400."""
    steps: int = 50
    """Euler steps, 1 to 200."""
    show_steps: tuple[int, ...] = ()
    """Steps that the film strip and the arrays show; none named means 0, 2/5 of all, and all."""
    exact: bool = False
    """Sample with the exact posterior mean in place of the network's."""
    sample_seed: int = 0
    """Seed of the given frames and of the noise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(1, 400, num_videos=self.num_videos)
        check_range(1, 200, steps=self.steps)
        for step in self.show_steps:
            check_range(0, self.steps, show_steps=step)
        check_range(0, 2**32 - 1, sample_seed=self.sample_seed)
        outputs = [(self.gif, ".gif"), (self.png, ".png"), (self.npz, ".npz")]
        if not any(path for path, _ in outputs):
            raise ValueError("nothing to write: give --gif, --png or --npz")
        for path, suffix in outputs:
            if path is not None:
                data.check_output(path, suffix)


def euler_steps(
    posterior_mean: Callable[[Tensor, Tensor], Tensor], x: Tensor, steps: int, start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Integrate dx/dt = v(x, t) = (posterior mean - x) / (1 - t) up to t = 1 in equal Euler steps,
    and yield state and posterior mean, (n, D), at each. The last step lands on the posterior mean,
    so at t = 1 the two are the same.

    posterior_mean maps x (n, D) and t (n, 1) to E[z | x_t = x]; x is the state to start with: noise
    or, for a later start, the state of that step. D = 7 d, or 6 d if two frames are given.
    """
    for k in range(start, steps):
        t = torch.full((len(x), 1), k / steps)
        mean = posterior_mean(x, t)
        yield x, mean
        # x + (mean - x) / (steps - k), which is x + v / steps, because 1 - t = (steps - k) / steps
        x = torch.lerp(x, mean, 1 / (steps - k))
    yield x, x


@dataclass(frozen=True)
class Samples:
    """n videos, sampled from n first frames, and all the steps on the way."""

    given_centers: np.ndarray  # (n, given_frames, 2)
    exact: ExactFlow  # their optimal flow: latents of the given frames, both continuations
    states: Tensor  # (steps + 1, n, D)
    posterior_means: Tensor  # (steps + 1, n, D)


@torch.no_grad()
def sample(
    network: FlowNetwork | None,
    space: LatentSpace,
    n: int,
    rng: np.random.Generator,
    steps: int = 50,
) -> Samples:
    """Sample n videos from random first frames, with the network or, if None, the exact flow."""
    settings = space.settings
    centers = random_first_centers(n, rng, settings.range)
    direction = (rng.random(n) >= settings.ccw_share).astype(int)  # used if two frames are given
    exact = exact_flow(space, centers, torch.from_numpy(direction))
    size = exact.continuations.shape[2]
    noise = torch.from_numpy(rng.standard_normal((n, size), dtype=np.float32))

    def posterior_mean(x: Tensor, t: Tensor) -> Tensor:
        return network(x, exact.given, t) if network else exact.posterior_mean(x, t)

    states, means = zip(*euler_steps(posterior_mean, noise, steps))
    given = orbits(centers)[np.arange(n), direction, : settings.given_frames]
    return Samples(given, exact, torch.stack(states), torch.stack(means))


def decode_videos(space: LatentSpace, given_centers: np.ndarray, latents: Tensor) -> np.ndarray:
    """Frames (n, 8, 51, 51), about [0, 1]: the given ones, drawn at their centres (n, given_frames,
    2), and the others, decoded from latents (n, D)."""
    given = render(given_centers, space.settings)
    return np.concatenate([given, space.decode(latents).numpy()], axis=1)


def draw_film_strip(plot: Any, frames: np.ndarray, steps: Sequence[int], title: str) -> None:
    """Draw frames (steps, 8, 51, 51), about [0, 1], into an Axes: frames across, steps down."""
    image = tile(frames.reshape(-1, FRAME_SIZE, FRAME_SIZE), NUM_FRAMES)
    plot.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    middle = (FRAME_SIZE + 1) * (np.arange(max(NUM_FRAMES, len(steps))) + 0.5)
    plot.set_xticks(middle[:NUM_FRAMES], [f"frame {i}" for i in range(NUM_FRAMES)])
    plot.set_yticks(middle[: len(steps)], [f"step {step}" for step in steps])
    plot.tick_params(length=0)
    plot.set_title(title)


def write_film_strip(path: Path, readouts: dict[str, np.ndarray], steps: Sequence[int]) -> None:
    """Write one video as a PNG: for each readout frames (steps, 8, 51, 51)."""
    from matplotlib.figure import Figure  # only here: its import takes as long as a small GIF

    height = 0.6 + len(steps)
    figure = Figure(figsize=(8.5, height * len(readouts)), layout="constrained")
    axes = figure.subplots(len(readouts))
    for plot, (name, frames) in zip(axes, readouts.items(), strict=True):
        draw_film_strip(plot, frames, steps, name)
    with data.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def main(settings: SampleSettings) -> None:
    """Sample the videos and write what was asked for."""
    network, space = flow.load_or_train(settings)
    rng = np.random.default_rng((settings.sample_seed, 4))
    used = None if settings.exact else network
    samples = sample(used, space, settings.num_videos, rng, settings.steps)
    frames = decode_videos(space, samples.given_centers, samples.states[-1])
    how = f"{len(frames)} videos by the {'exact' if settings.exact else 'learned'} flow"
    if settings.gif:
        data.write_gif(settings.gif, frames)
        print(f"{settings.gif}: {how}; their first frames were given")
    show_steps = settings.show_steps or sorted({0, 2 * settings.steps // 5, settings.steps})

    def shown(latents: Tensor, n: int) -> np.ndarray:  # of the first n: (shown steps, n, 8, 51, 51)
        given = samples.given_centers[:n]
        return np.stack([decode_videos(space, given, latents[step, :n]) for step in show_steps])

    if settings.png:
        readouts = {"state": samples.states, "posterior mean": samples.posterior_means}
        first = {name: shown(latents, 1)[:, 0] for name, latents in readouts.items()}
        write_film_strip(settings.png, first, show_steps)
        print(f"{settings.png}: the first of {how}, at steps {show_steps} of {settings.steps}")
    if settings.npz:
        with data.replacing(settings.npz) as temporary, temporary.open("wb") as file:
            np.savez(  # to a file, because it would add .npz to a path
                file,
                frames=frames,
                first_centers=samples.given_centers[:, 0],
                show_steps=np.array(show_steps),
                state_frames=shown(samples.states, len(frames)),
                posterior_mean_frames=shown(samples.posterior_means, len(frames)),
            )
        print(f"{settings.npz}: {how}, at steps {show_steps} of {settings.steps}")


if __name__ == "__main__":
    data.run(main, SampleSettings)

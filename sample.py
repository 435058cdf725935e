"""Stage 4 of 5: sampling. Generates videos from first frames (training first what is missing).

    python sample.py --gif out.gif                     # looping videos; seconds, if all is trained
    python sample.py --embed-dim 100 --png strip.png   # one video at steps 0, 20 and 50

The sampler walks from noise (t = 0) to a video (t = 1) in Euler steps along the flow's velocity and
shows every step, because the steps are what the project is about. Each step can be looked at in
two ways:

    state            decode x_t: probably what the original post shows; noise at first
    posterior mean   decode E[z | x_t]: what the flow believes the video to be
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import imageio.v3 as iio
import numpy as np
from tqdm import tqdm

from settings import SampleSettings, read_command_line, run

if __name__ == "__main__":
    settings = read_command_line(SampleSettings)  # first, since importing torch takes a second

import torch
from torch import Tensor

import flow
from data import FRAME_SIZE, NUM_FRAMES, orbits, random_first_centers, render
from files import growing_npz, replacing, tile, write_gif
from flow import FlowNetwork, LatentSpace, TrueLaw, true_law

BATCH_SIZE = 256  # videos sampled at a time: memory doesn't grow with their number


# ---------------------------------------------------------------- the sampler


def sample(
    posterior_mean: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Integrate dx/dt = v(x, t) = (posterior mean - x) / (1 - t) from 0 to 1, by Euler.

    Args:
        posterior_mean: maps x (n, D) and t (n, 1) to E[z | x_t = x], (n, D).
        noise: x at t = 0, (n, D); D = 7 d, or 6 d if two frames are given.
        steps: how many equal steps; the last one lands on the posterior mean itself.

    Yields:
        The state x and the posterior mean at each step 0, 1, ... steps, both (n, D). At
        the last, t = 1, the two are the same.
    """
    x = noise
    for k in range(steps):
        t = torch.full((len(x), 1), k / steps)
        mean = posterior_mean(x, t)
        yield x, mean
        # x + velocity / steps is x + (mean - x) / (steps - k), because 1 - t = (steps - k) / steps
        x = torch.lerp(x, mean, 1 / (steps - k))
    yield x, x


def predictor(
    which: Literal["learned", "exact"], network: FlowNetwork, law: TrueLaw
) -> Callable[[Tensor, Tensor], Tensor]:
    """The posterior mean as a function of x (n, D), t (n, 1): the network's, or the exact one."""
    if which == "exact":
        return law.posterior_mean
    return lambda x, t: network(x, law.given, t)


@torch.no_grad()
def sample_batches(
    settings: SampleSettings, network: FlowNetwork, space: LatentSpace
) -> Iterator[tuple[np.ndarray, dict[int, tuple[Tensor, Tensor]]]]:
    """Generate all videos, batch by batch, from fresh first frames.

    Yields:
        The true centres of the given frames (n, given_frames, 2); and a dict from each step to
        show, and the last, to the state and the posterior mean there, both (n, D).
    """
    kept = {*settings.shown(), settings.steps}
    rng = np.random.default_rng((settings.seed, 4))
    torch.manual_seed(settings.seed)
    starts = range(0, settings.num_videos, BATCH_SIZE)
    for start in tqdm(starts, desc="sampling", unit="batch", disable=len(starts) < 4):
        n = min(BATCH_SIZE, settings.num_videos - start)
        centers = random_first_centers(n, rng, settings.range)
        direction = (torch.rand(n) >= settings.ccw_share).long()
        law = true_law(space, centers, direction)
        noise = torch.randn_like(law.z_ccw)
        posterior_mean = predictor(settings.flow, network, law)
        given = orbits(centers)[np.arange(n), direction, : settings.given_frames]
        steps = enumerate(sample(posterior_mean, noise, settings.steps))
        yield given, {k: pair for k, pair in steps if k in kept}


# ---------------------------------------------------------------- outputs


def videos(space: LatentSpace, given: np.ndarray, latents: Tensor) -> np.ndarray:
    """Centres of the given frames (n, g, 2), which are drawn, and latents of the rest (n, D), which
    are decoded -> frames (n, 8, 51, 51), about [0, 1]."""
    rest = space.decode(latents).numpy()
    return np.concatenate([render(given, space.settings), rest], axis=1)


def film_strip(
    space: LatentSpace,
    given: np.ndarray,
    by_step: dict[int, tuple[Tensor, Tensor]],
    shown: Sequence[int],
) -> np.ndarray:
    """The first video of a batch as an image (height, width) uint8: frames across; down, first the
    state at the shown steps, then the posterior mean at the same steps."""
    rows = [videos(space, given[:1], by_step[k][kind][:1])[0] for kind in (0, 1) for k in shown]
    return tile(np.concatenate(rows), across=NUM_FRAMES).repeat(2, axis=0).repeat(2, axis=1)


def write_npz(
    settings: SampleSettings, network: FlowNetwork, space: LatentSpace, out: Path
) -> None:
    """Write all videos as arrays: first_centers (n, 2); frames (n, 8, 51, 51), about [0, 1];
    show_steps (k,); state_frames and posterior_mean_frames (k, n, 8, 51, 51) at those steps."""
    shown, n = settings.shown(), settings.num_videos
    video = (NUM_FRAMES, FRAME_SIZE, FRAME_SIZE)
    shapes = {
        "frames": (n, *video),
        "state_frames": (len(shown), n, *video),
        "posterior_mean_frames": (len(shown), n, *video),
    }
    with growing_npz(out, shapes) as (put, small):
        centers: list[np.ndarray] = []
        for given, by_step in sample_batches(settings, network, space):
            done = len(centers)
            centers += list(given[:, 0])
            put("frames", done, videos(space, given, by_step[settings.steps][0]))
            for i, k in enumerate(shown):
                state, mean = by_step[k]
                put("state_frames", i * n + done, videos(space, given, state))
                put("posterior_mean_frames", i * n + done, videos(space, given, mean))
        small["first_centers"], small["show_steps"] = np.array(centers), np.array(shown)


def main(settings: SampleSettings) -> None:
    """Generate the videos and write what was asked for."""
    network, space, _ = flow.load_or_train(settings.flow_settings())
    shown = ", ".join(map(str, settings.shown()))
    if settings.gif:
        batches = [
            videos(space, given, by_step[settings.steps][0])
            for given, by_step in sample_batches(settings, network, space)
        ]
        write_gif(settings.gif, np.concatenate(batches))
        print(
            f"{settings.gif}: {settings.num_videos} generated videos; their first frames were given"
        )
    if settings.png:
        strip = film_strip(space, *next(sample_batches(settings, network, space)), settings.shown())
        with replacing(settings.png) as temporary:
            temporary.write_bytes(iio.imwrite("<bytes>", strip, extension=".png"))
        print(
            f"{settings.png}: one video, frames 0 to 7 across; down, the state at steps {shown} and the posterior mean at the same"
        )
    if settings.npz:
        write_npz(settings, network, space, settings.npz)
        print(
            f"{settings.npz}: {settings.num_videos} videos, and both readouts at steps {shown} of {settings.steps}"
        )


if __name__ == "__main__":
    run(main, settings)

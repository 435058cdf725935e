"""Stage 4 of 5: sampling. Generates videos from given first frames and shows them.

    python sample.py --gif out.gif                     # looping videos; a second
    python sample.py --embed-dim 100 --png strip.png   # one video at steps 0, 20, 50

The sampler walks from noise (t = 0) to a video (t = 1) in Euler steps along the flow's
velocity and keeps every step, because the steps are what the project is about. Each
step can be looked at in two ways:

    state            decode x_t: what the original post shows; noise at first
    posterior mean   decode E[z | x_t]: what the flow believes the video to be
"""

import contextlib
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import imageio.v3 as iio
import numpy as np
from tqdm import tqdm

from settings import SampleSettings, read_command_line, run

if __name__ == "__main__":
    settings = read_command_line(SampleSettings)  # before torch is imported: a second

import torch
from torch import Tensor

import flow
from data import FRAME_SIZE, NUM_FRAMES, orbits, random_first_centers, render
from files import replacing, tile, write_gif
from flow import FlowNetwork, LatentSpace, TrueLaw, true_law

BATCH_SIZE = 256  # videos sampled at a time: memory doesn't grow with their number


# ---------------------------------------------------------------- the sampler


def sample(
    posterior_mean: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Integrate dx/dt = v(x, t) = (posterior mean - x) / (1 - t) from 0 to 1, by Euler.

    Args:
        posterior_mean: maps x (n, D) and t (n, 1) to E[z | x_t = x], (n, D).
        noise: x at t = 0, (n, D).
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
        # x + v / steps: since 1 - t = (steps - k) / steps, this share of the way to the mean
        x = torch.lerp(x, mean, 1 / (steps - k))
    yield x, x


def predictor(
    which: Literal["learned", "exact"], network: FlowNetwork, law: TrueLaw
) -> Callable[[Tensor, Tensor], Tensor]:
    """The posterior mean as a function of x and t: the network's, or the exact one."""
    if which == "exact":
        return law.posterior_mean
    return lambda x, t: network(x, law.given, t)


@torch.no_grad()
def sample_batches(
    settings: SampleSettings, network: FlowNetwork, space: LatentSpace
) -> Iterator[tuple[np.ndarray, dict[int, tuple[Tensor, Tensor]]]]:
    """Generate all videos, batch by batch, from fresh first frames.

    Yields:
        The true centres of the given frames (n, given_frames, 2); and for each step to
        show, and the last, the state and the posterior mean, both (n, D).
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
        path = sample(posterior_mean, noise, settings.steps)
        given = orbits(centers)[np.arange(n), direction, : settings.given_frames]
        yield given, {k: pair for k, pair in enumerate(path) if k in kept}


# ---------------------------------------------------------------- outputs


def videos(space: LatentSpace, given: np.ndarray, latents: Tensor) -> np.ndarray:
    """Given centres (n, g, 2), latents of the rest (n, D) -> frames (n, 8, 51, 51)."""
    rest = space.decode(latents).numpy()
    return np.concatenate([render(given, space.settings), rest], axis=1)


def film_strip(
    space: LatentSpace,
    given: np.ndarray,
    path: dict[int, tuple[Tensor, Tensor]],
    shown: Sequence[int],
) -> np.ndarray:
    """The first video of a batch as an image: frames across; down, first the state at
    the shown steps, then the posterior mean at the same steps."""
    rows = [videos(space, given[:1], path[k][kind][:1])[0] for kind in (0, 1) for k in shown]
    return tile(np.concatenate(rows), across=NUM_FRAMES).repeat(2, axis=0).repeat(2, axis=1)


def write_npz(
    settings: SampleSettings, network: FlowNetwork, space: LatentSpace, out: Path
) -> None:
    """Write all videos as arrays: frames (n, 8, 51, 51), first_centers (n, 2),
    show_steps (k,), state_frames and posterior_mean_frames (k, n, 8, 51, 51).

    The big arrays grow on disk, batch by batch, so that memory stays small.
    """
    shown, n = settings.shown(), settings.num_videos
    video = (NUM_FRAMES, FRAME_SIZE, FRAME_SIZE)
    shapes = {
        "frames": (n, *video),
        "state_frames": (len(shown), n, *video),
        "posterior_mean_frames": (len(shown), n, *video),
    }
    with replacing(out) as temporary, contextlib.ExitStack() as cleanup:
        files, origin = {}, {}
        for name, shape in shapes.items():
            part = temporary.with_suffix(f".{name}.tmp")
            cleanup.callback(part.unlink, missing_ok=True)
            files[name] = file = cleanup.enter_context(part.open("w+b"))
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            origin[name] = file.tell()

        def put(name: str, row: int, frames: np.ndarray) -> None:
            """Write frames (videos, 8, 51, 51) behind that many videos of an array."""
            files[name].seek(origin[name] + row * frames[0].nbytes)
            files[name].write(frames.tobytes())

        centers: list[np.ndarray] = []
        for given, path in sample_batches(settings, network, space):
            done = len(centers)
            centers += list(given[:, 0])
            put("frames", done, videos(space, given, path[settings.steps][0]))
            for i, k in enumerate(shown):
                state, mean = path[k]
                put("state_frames", i * n + done, videos(space, given, state))
                put("posterior_mean_frames", i * n + done, videos(space, given, mean))
        with temporary.open("wb") as file:
            np.savez(file, first_centers=np.array(centers), show_steps=np.array(shown))
        with zipfile.ZipFile(temporary, "a") as archive:
            for name, file in files.items():
                entry = zipfile.ZipInfo(f"{name}.npy")
                with archive.open(entry, "w", force_zip64=True) as array:
                    file.seek(0)
                    shutil.copyfileobj(file, array, 2**20)


def main(settings: SampleSettings) -> None:
    """Generate the videos and write what was asked for."""
    network, space, _ = flow.load_or_train(settings.flow_settings())
    shown = ", ".join(map(str, settings.shown()))
    if settings.gif:
        batches = [
            videos(space, given, path[settings.steps][0])
            for given, path in sample_batches(settings, network, space)
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

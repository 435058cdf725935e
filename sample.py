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
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import imageio.v3 as iio
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import flow
from data import (
    FRAME_SIZE,
    NUM_FRAMES,
    check_output,
    orbits,
    random_first_centers,
    render,
    replacing,
    require,
    run_command,
    tile,
    write_gif,
)
from flow import FlowNetwork, FlowSettings, LatentSpace, TrueLaw, true_law

BATCH_SIZE = 256  # videos sampled at a time: memory doesn't grow with their number


@dataclass(frozen=True)
class SampleSettings(FlowSettings):
    """Generate videos (and train what is missing first)."""

    gif: Path | None = None
    """Write the videos as one looping GIF."""
    png: Path | None = None
    """Write the first video as a film strip: frames across, steps down."""
    npz: Path | None = None
    """Write the videos, their first centres and both readouts as NumPy arrays."""
    num_videos: int = 16
    """How many videos, 1 to 1000000; at most 400 for a GIF."""
    steps: int = 50
    """Euler steps, 1 to 10000."""
    show_steps: tuple[int, ...] = ()
    """Steps that the film strip and the arrays show (default: 0, 2/5, all)."""
    flow: Literal["learned", "exact"] = "learned"
    """The trained network, or the exact posterior mean in its place."""
    flow_seed: int = 0
    """Which flow to use: the seed that it was trained with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        most = 1_000_000 if self.gif is None else 400
        require(
            1 <= self.num_videos <= most,
            f"--num-videos must lie in 1 to {most}, not {self.num_videos}",
        )
        require(
            1 <= self.steps <= 10000,
            f"--steps must lie in 1 to 10000, not {self.steps}",
        )
        require(
            all(0 <= step <= self.steps for step in self.show_steps),
            f"--show-steps must lie in 0 to {self.steps}, not {self.show_steps}",
        )
        outputs = {".gif": self.gif, ".png": self.png, ".npz": self.npz}
        require(any(outputs.values()), "nothing to write: give --gif, --png or --npz")
        for suffix, path in outputs.items():
            if path is not None:
                check_output(path, suffix)
        require(
            0 <= self.flow_seed < 2**32,
            f"--flow-seed must lie in 0 to 2^32 - 1, not {self.flow_seed}",
        )
        self.flow_settings()

    def flow_settings(self) -> FlowSettings:
        """The settings of the flow that is sampled from."""
        shared = {
            field.name: getattr(self, field.name) for field in fields(FlowSettings)
        }
        return FlowSettings(**shared | {"seed": self.flow_seed})

    def shown(self) -> tuple[int, ...]:
        """The steps to show."""
        return self.show_steps or (0, 2 * self.steps // 5, self.steps)


# ---------------------------------------------------------------- the sampler


def sample(
    posterior_mean: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Integrate dx/dt = v(x, t) = (posterior mean - x) / (1 - t) from 0 to 1, by Euler.

    Args:
        posterior_mean: maps x (n, D) and t (n, 1) to E[z | x_t = x], (n, D).
        noise: x at t = 0, (n, D).
        steps: how many equal steps; the last one lands on the posterior mean itself.

    Returns:
        All states x and all posterior means, both (steps + 1, n, D). At t = 1 the two
        are the same.
    """
    x, states, means = noise, [noise], []
    for k in range(steps):
        t = torch.full((len(x), 1), k / steps)
        mean = posterior_mean(x, t)
        x = x + (mean - x) / (1 - t) / steps
        states.append(x)
        means.append(mean)
    return torch.stack(states), torch.stack([*means, x])


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
) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """Generate all videos, batch by batch, from fresh first frames.

    Yields:
        The true centres of the given frames (n, given_frames, 2), and all states and
        posterior means, (steps + 1, n, D).
    """
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
        states, means = sample(posterior_mean, noise, settings.steps)
        given = orbits(centers)[np.arange(n), direction, : settings.given_frames]
        yield given, states, means


# ---------------------------------------------------------------- outputs


def videos(space: LatentSpace, given: np.ndarray, latents: Tensor) -> np.ndarray:
    """Given centres (n, g, 2), latents of the rest (n, D) -> frames (n, 8, 51, 51)."""
    rest = space.decode(latents).numpy()
    return np.concatenate([render(given, space.settings), rest], axis=1)


def film_strip(
    space: LatentSpace,
    given: np.ndarray,
    states: Tensor,
    means: Tensor,
    shown: Sequence[int],
) -> np.ndarray:
    """The first video of a batch as an image: frames across; down, first the state at
    the shown steps, then the posterior mean at the same steps."""
    rows = [
        videos(space, given[:1], kind[k, :1])[0]
        for kind in (states, means)
        for k in shown
    ]
    return (
        tile(np.concatenate(rows), across=NUM_FRAMES)
        .repeat(2, axis=0)
        .repeat(2, axis=1)
    )


def write_npz(
    settings: SampleSettings, network: FlowNetwork, space: LatentSpace, path: Path
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
    with replacing(path) as temporary, contextlib.ExitStack() as cleanup:
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
        for given, states, means in sample_batches(settings, network, space):
            done = len(centers)
            centers += list(given[:, 0])
            put("frames", done, videos(space, given, states[-1]))
            for i, k in enumerate(shown):
                put("state_frames", i * n + done, videos(space, given, states[k]))
                mean_frames = videos(space, given, means[k])
                put("posterior_mean_frames", i * n + done, mean_frames)
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
        batches = sample_batches(settings, network, space)
        write_gif(
            settings.gif,
            np.concatenate(
                [videos(space, given, states[-1]) for given, states, _ in batches]
            ),
        )
        print(
            f"{settings.gif}: {settings.num_videos} generated videos; their first frames were given"
        )
    if settings.png:
        strip = film_strip(
            space, *next(sample_batches(settings, network, space)), settings.shown()
        )
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
    run_command(main, SampleSettings)

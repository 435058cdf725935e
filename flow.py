"""Stage 3 of 5: the flow. Learns to turn noise into the latents of frames 1 to 7, given frame 0.

    python flow.py --embed-dim 2        # checkpoints/flow_dim2.pt; about 10 s

Flow matching with straight paths (arXiv:2210.02747, arXiv:2209.03003). Throughout, t = 0 is noise
and t = 1 is data, and every expectation is given frame 0:

    x_t = t z + (1 - t) eps        eps ~ N(0, I), z = latents of frames 1 to 7, flat
    posterior mean = E[z | x_t]    what the video is, as far as x_t tells
    velocity = E[z - eps | x_t] = (posterior mean - x_t) / (1 - t)

(The last because eps = (x_t - t z) / (1 - t), so z - eps = (z - x_t) / (1 - t).) The network
outputs the posterior mean, and the velocity follows from it.

Here the best answer is known. Given frame 0 only the direction is open, so z is one of two points,
and the posterior mean is a weighted average of the two: class ExactFlow, the answer key. It isn't
used in the training. (It knows the centre of the square, the network only the latent of frame 0:
where different squares have the same latent, as with one number a frame, no network is as good.)
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import trange

import autoencoder
from autoencoder import Autoencoder, AutoencoderSettings, encode_centers, fully_connected
from data import NUM_FRAMES, check_range, orbits, random_first_centers, run

WIDTH = 128
TIME_FREQUENCIES = 4
LEARNING_RATE = 5e-3
BATCH_SIZE = 256
NUM_ORBITS = 1024  # circles that the training videos run on
LOSS_FLOOR = 0.2  # floor on 1 - t in the loss weight 1 / (1 - t)^2: else t near 1 dominates
METRIC_FLOOR = 0.05  # the same in loss_by_time(), smaller


@dataclass(frozen=True)
class FlowSettings(AutoencoderSettings):
    """Train the flow (and the autoencoder first, if it is missing)."""

    given_frames: Literal[1, 2] = 1
    """Frames that are given; with 2 the direction is known."""
    ccw_share: float = 0.5
    """Share of the videos that run counter-clockwise."""
    latent_scale: float = 1.0
    """Standard deviation that the latents are scaled to, 0.01 to 100; the noise has 1."""
    flow_steps: int = 1400
    """Training steps of the flow."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(0, 1, ccw_share=self.ccw_share)
        check_range(0.01, 100, latent_scale=self.latent_scale)
        check_range(1, 10**9, flow_steps=self.flow_steps)


@dataclass(frozen=True)
class LatentSpace:
    """The autoencoder's latents, moved and scaled so that each coordinate has mean 0 and standard
    deviation latent_scale over the training videos."""

    coder: Autoencoder
    mean: Tensor  # (d,), of the raw latents
    unit: Tensor  # (d,), their standard deviation, divided by latent_scale
    settings: FlowSettings

    def encode(self, centers: np.ndarray) -> Tensor:
        """Centres (..., 2), x and y in [-1, 1] -> latents (..., d) of their frames."""
        return (encode_centers(self.coder, centers, self.settings) - self.mean) / self.unit

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Video latents (n, frames * d) -> frames (n, frames, 51, 51), about [0, 1]."""
        flat = latents.reshape(-1, self.settings.embed_dim) * self.unit + self.mean
        frames = torch.cat([self.coder.decode(batch) for batch in flat.split(128)])
        return frames.reshape(len(latents), -1, 51, 51)


def random_latent_videos(orbit_latents: Tensor, n: int, ccw_share: float) -> Tensor:
    """Draw n videos (n, 8, d): an orbit, a frame to start with and a direction. orbit_latents
    (orbits, 8, d) holds each orbit counter-clockwise."""
    orbit = torch.randint(len(orbit_latents), (n, 1))
    start = torch.randint(NUM_FRAMES, (n, 1))
    direction = torch.where(torch.rand(n, 1) < ccw_share, 1, -1)
    return orbit_latents[orbit, (start + direction * torch.arange(NUM_FRAMES)) % NUM_FRAMES]


class FlowNetwork(nn.Module):
    """Predicts the posterior mean E[z | x_t, given frames].

    By Bayes' rule the log odds of the directions are t x_t . (z_ccw - z_cw) / (1 - t)^2, with one
    given frame and even prior odds (|z_ccw| = |z_cw|, because they hold the same frames). And
    z_ccw - z_cw depends on the given frame, which must thus multiply x_t: the context (given frame
    and time) scales and shifts the features of x_t, twice (FiLM, arXiv:1709.07871).
    """

    def __init__(self, settings: FlowSettings) -> None:
        super().__init__()
        self.scale = settings.latent_scale
        given = settings.embed_dim * settings.given_frames
        video = settings.embed_dim * (NUM_FRAMES - settings.given_frames)
        context = given + 1 + 2 * TIME_FREQUENCIES
        self.modulation = nn.Sequential(*fully_connected([context, WIDTH, WIDTH, 4 * WIDTH]))
        # The given frame reaches each unit with standard deviation 2, much more than by default:
        # for finer features of it (arXiv:2006.10739)
        first = self.modulation.get_parameter("0.weight")
        nn.init.normal_(first.data[:, :given], std=2 / given**0.5)
        self.input = nn.Linear(video + context, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.fc1, self.fc2 = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        nn.init.zeros_(self.fc2.weight)  # at first the block around it adds fc2's bias only
        self.out = nn.Linear(WIDTH + context, video)

    def forward(self, x: Tensor, given: Tensor, t: Tensor) -> Tensor:
        """x (n, D), given (n, given_frames * d), t (n, 1) -> posterior mean (n, D), where D is the
        size of a video latent, (8 - given_frames) * d."""
        angle = torch.pi * t * torch.arange(1, TIME_FREQUENCIES + 1)
        context = torch.cat([given / self.scale, t, angle.sin(), angle.cos()], dim=1)
        scale_1, shift_1, scale_2, shift_2 = self.modulation(context).chunk(4, dim=1)
        unit_x = x / (t * self.scale + 1 - t)  # of the order of 1 at any latent scale
        h = self.input(torch.cat([unit_x, context], dim=1))
        h = h + self.fc2(F.silu(self.fc1(self.norm(h) * (1 + scale_1) + shift_1)))
        h = self.norm(h) * (1 + scale_2) + shift_2
        return self.scale * self.out(torch.cat([h, context], dim=1))


def random_times(n: int) -> Tensor:
    """Training times (n, 1) in [0, 1]: a quarter crowds towards t = 0, where the direction is open,
    the others towards t = 1, where the loss weighs most (up to LOSS_FLOOR's limit)."""
    u = torch.rand(n, 1)
    return torch.where(torch.rand(n, 1) < 0.25, u**3, 1 - u**2)


def train(settings: FlowSettings, coder: Autoencoder) -> tuple[FlowNetwork, LatentSpace]:
    """Flow matching on latent videos. Weighted by 1 / (1 - t)^2 the loss of the posterior mean is
    that of the velocity, |v - (z - eps)|^2 = |mean - z|^2 / (1 - t)^2. Neither the floor nor the
    choice of times changes the best answer, which is E[z | x_t] at each t."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng((settings.seed, 2))
    first_centers = random_first_centers(NUM_ORBITS, rng, settings.range)
    orbit_latents = encode_centers(coder, orbits(first_centers)[:, 0], settings)  # (orbits, 8, d)
    mean = orbit_latents.mean((0, 1))
    unit = orbit_latents.std((0, 1)).clamp_min(1e-6) / settings.latent_scale
    orbit_latents = (orbit_latents - mean) / unit

    network = FlowNetwork(settings)
    optimizer, schedule = autoencoder.optimizer_and_schedule(
        network, LEARNING_RATE, settings.flow_steps, weight_decay=0.01
    )
    for _ in trange(settings.flow_steps, desc="flow", unit="step"):
        video = random_latent_videos(orbit_latents, BATCH_SIZE, settings.ccw_share)
        given = video[:, : settings.given_frames].flatten(1)
        z = video[:, settings.given_frames :].flatten(1)
        t, noise = random_times(BATCH_SIZE), torch.randn_like(z)
        x = t * z + (1 - t) * noise
        error = network(x, given, t) - z
        loss = (error**2 / (1 - t).clamp_min(LOSS_FLOOR) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network, LatentSpace(coder, mean, unit, settings)


@dataclass(frozen=True)
class ExactFlow:
    """The optimal flow of n videos: each has k possible continuations z_1 ... z_k."""

    given: Tensor  # (n, given_frames * d), latents of the given frames
    continuations: Tensor  # (n, k, D); here k = 2: counter-clockwise, clockwise
    prior: Tensor  # (n, k), their probabilities before x_t is seen

    def posterior(self, x: Tensor, t: Tensor) -> Tensor:
        """P(continuation | x_t = x), (n, k), by Bayes' rule for Gaussians N(t z_k, (1 - t)^2 I); x
        is (n, D), t is (n, 1) in [0, 1)."""
        distance = ((x[:, None] - t[:, None] * self.continuations) ** 2).sum(2)
        return torch.softmax(self.prior.log() - distance / (2 * (1 - t) ** 2), dim=1)

    def posterior_mean(self, x: Tensor, t: Tensor) -> Tensor:
        """E[z | x_t = x], (n, D): the best prediction of z by mean squared error."""
        return (self.posterior(x, t)[:, :, None] * self.continuations).sum(1)


def exact_flow(space: LatentSpace, first_centers: np.ndarray, direction: Tensor) -> ExactFlow:
    """The optimal flow of the videos that start at these centres (n, 2). Their directions (n,), 0
    counter-clockwise, 1 clockwise, are used only with two given frames, which tell them."""
    ccw = space.encode(orbits(first_centers)[:, 0])  # (n, 8, d)
    cw = ccw.flip(1).roll(1, dims=1)  # frames 0, 7, 6, ... 1
    both = torch.stack([ccw, cw], dim=1)
    g, share = space.settings.given_frames, space.settings.ccw_share
    prior = torch.tensor([share, 1 - share]).expand(len(both), 2)
    if g == 2:
        prior = F.one_hot(direction, 2).float()
    given = both[torch.arange(len(both)), direction, :g]
    return ExactFlow(given.flatten(1), both[:, :, g:].flatten(2), prior)


@torch.no_grad()
def loss_by_time(network: FlowNetwork, space: LatentSpace) -> dict[str, list[float]]:
    """Losses by bins of "t" in [0.025, 0.975], per coordinate, on 1024 fresh videos: the network's
    "loss"; the "irreducible" one, which even the exact flow has, because x_t doesn't tell all; and
    the "excess", the network's squared distance from the exact flow. Weighted by 1 / (1 - t)^2
    they are, but for METRIC_FLOOR, losses of the velocity. loss = irreducible + excess, but for
    chance."""
    settings, n = space.settings, 1024
    torch.manual_seed(settings.seed + 1)
    rng = np.random.default_rng((settings.seed, 3))
    direction = (torch.rand(n) >= settings.ccw_share).long()  # 0 is counter-clockwise
    exact = exact_flow(space, random_first_centers(n, rng, settings.range), direction)
    z = exact.continuations[torch.arange(n), direction]
    bins: dict[str, list[float]] = {"t": [], "loss": [], "irreducible": [], "excess": []}
    for low in [0.025 + 0.095 * i for i in range(10)]:
        t = low + 0.095 * torch.rand(n, 1)
        x = t * z + (1 - t) * torch.randn_like(z)
        predicted, mean = network(x, exact.given, t), exact.posterior_mean(x, t)
        weight = 1 / (1 - t).clamp_min(METRIC_FLOOR) ** 2
        bins["t"].append(low + 0.0475)
        pairs = {"loss": (predicted, z), "irreducible": (mean, z), "excess": (predicted, mean)}
        for name, (one, other) in pairs.items():
            bins[name].append(((one - other) ** 2 * weight).mean().item())
    return bins


def load_or_train(settings: FlowSettings) -> tuple[FlowNetwork, LatentSpace]:
    """The flow of these settings and its latent space, trained now if it is missing. Its checkpoint
    holds the autoencoder's weights too, so the two always match. Raises as load_or_make() does."""
    settings = autoencoder.restrict(settings, FlowSettings)

    def make() -> dict[str, Any]:
        network, space = train(settings, autoencoder.load_or_train(settings))
        parts = {"weights": network.state_dict(), "autoencoder": space.coder.state_dict()}
        return parts | {"mean": space.mean, "unit": space.unit}

    network, coder = FlowNetwork(settings), Autoencoder(settings)
    checkpoint = autoencoder.load_or_make(settings, make)
    network.load_state_dict(checkpoint["weights"])
    coder.load_state_dict(checkpoint["autoencoder"])
    return network, LatentSpace(coder, checkpoint["mean"], checkpoint["unit"], settings)


def main(settings: FlowSettings) -> None:
    """Train, or load what is there, and print loss_by_time()."""
    losses = loss_by_time(*load_or_train(settings))
    print(f"{autoencoder.checkpoint_path(settings)}: velocity loss, on videos not seen")
    print("     t     loss  irreducible   excess")
    for row in zip(*losses.values()):
        print("{:6.2f} {:8.4f} {:12.4f} {:8.4f}".format(*row))
    print(f"  mean excess {np.mean(losses['excess']):.4f}")


if __name__ == "__main__":
    run(main, FlowSettings)

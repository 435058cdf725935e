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
z_ccw and z_cw, and the posterior mean is a weighted average of the two: class TrueLaw. It can stand
in for the network everywhere.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import trange

from settings import FlowSettings, read_command_line, require, run

if __name__ == "__main__":
    settings = read_command_line(FlowSettings)  # first, since importing torch takes a second

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import autoencoder
from autoencoder import Autoencoder, encode_centers, optimizer_and_schedule, take_step
from checkpoints import checkpoint_path, load_checkpoint, only_one_process, save_checkpoint
from data import NUM_FRAMES, orbits, random_first_centers

WIDTH = 128
TIME_FREQUENCIES = 8
LEARNING_RATE = 5e-3
BATCH_SIZE = 128
NUM_RINGS = 2048
LOSS_CLAMP = 0.2  # 1 - t is not taken below this in the loss, or the last moments drown the rest,
CLAMP = 0.05  # nor below this in evaluate(); the sampler needs neither


# ---------------------------------------------------------------- latents of videos


@dataclass(frozen=True)
class LatentSpace:
    """The autoencoder's latents, moved and scaled so that each coordinate has mean 0 and standard
    deviation latent_scale over the training videos."""

    autoencoder: Autoencoder
    mean: Tensor  # (d,), of the raw latents
    std: Tensor  # (d,), of the raw latents, over latent_scale
    settings: FlowSettings

    def encode(self, centers: np.ndarray) -> Tensor:
        """Centres (..., 2), x and y in [-1, 1] -> latents (..., d) of their frames."""
        return (encode_centers(self.autoencoder, centers, self.settings) - self.mean) / self.std

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Video latents (n, frames * d) -> frames (n, frames, 51, 51), about [0, 1]."""
        flat = latents.reshape(-1, self.settings.embed_dim) * self.std + self.mean
        frames = torch.cat([self.autoencoder.decode(batch) for batch in flat.split(128)])
        return frames.reshape(len(latents), -1, 51, 51)


def random_latent_videos(rings: Tensor, n: int, ccw_share: float) -> Tensor:
    """Draw n videos (n, 8, d) from latent rings (rings, 8, d): any ring, any start on it, either
    direction."""
    ring = torch.randint(len(rings), (n, 1))
    start = torch.randint(NUM_FRAMES, (n, 1))
    direction = torch.where(torch.rand(n, 1) < ccw_share, 1, -1)
    return rings[ring, (start + direction * torch.arange(NUM_FRAMES)) % NUM_FRAMES]


# ---------------------------------------------------------------- the exact flow


@dataclass(frozen=True)
class TrueLaw:
    """What is true of n videos, given their first frame(s): two possible continuations, and their
    probabilities. Exact if the given frames are known; the network sees only their latents."""

    given: Tensor  # (n, given_frames * d), latents of the given frames
    z_ccw: Tensor  # (n, D), the rest if it runs counter-clockwise; D = (8 - given_frames) * d
    z_cw: Tensor  # (n, D), the same for clockwise
    prior: Tensor  # (n, 1), probability of counter-clockwise, given the given frames

    def posterior(self, x: Tensor, t: Tensor) -> Tensor:
        """p = P(counter-clockwise | x_t = x), (n, 1), by Bayes' rule for two Gaussians
        N(t z, (1 - t)^2 I); x is (n, D), t is (n, 1) in [0, 1).

        With delta = z_ccw - z_cw, p = sigmoid(log prior odds +
        [2 t x.delta - t^2 (|z_ccw|^2 - |z_cw|^2)] / [2 (1 - t)^2]).
        """
        along = (x * (self.z_ccw - self.z_cw)).sum(1, keepdim=True)
        lengths = (self.z_ccw**2 - self.z_cw**2).sum(1, keepdim=True)
        return torch.sigmoid(
            (2 * t * along - t**2 * lengths) / (2 * (1 - t) ** 2) + torch.logit(self.prior)
        )

    def posterior_mean(self, x: Tensor, t: Tensor) -> Tensor:
        """E[z | x_t = x] = p z_ccw + (1 - p) z_cw, (n, D): the best prediction of z by mean
        squared error; t in [0, 1)."""
        return torch.lerp(self.z_cw, self.z_ccw, self.posterior(x, t))

    def irreducible_loss(self, x: Tensor, t: Tensor) -> Tensor:
        """p (1 - p) |delta|^2 / (1 - t)^2 / D, (n,): the velocity loss that even the best
        prediction has. 1 - t is not taken below CLAMP."""
        p = self.posterior(x, t)
        return (p * (1 - p) * (self.z_ccw - self.z_cw) ** 2 / (1 - t).clamp_min(CLAMP) ** 2).mean(1)

    def share(self, mean: Tensor) -> Tensor:
        """q = (mean - z_cw).delta / |delta|^2, (n,): where on the line from z_cw (0) to z_ccw (1)
        a posterior mean (n, D) lies. The exact one lies at p."""
        delta = self.z_ccw - self.z_cw
        return ((mean - self.z_cw) * delta).sum(1) / (delta**2).sum(1)

    def signal_time(self) -> Tensor:
        """t_S = 1 / (1 + |delta| / 2), (n,): when t |delta| / 2 = 1 - t. Each answer then stands
        one standard deviation of the noise from the middle between the two."""
        return 1 / (1 + (self.z_ccw - self.z_cw).norm(dim=1) / 2)

    def continuation(self, direction: Tensor) -> Tensor:
        """The true rest of each video (n, D), for directions (n,): 0 counter-clockwise, 1
        clockwise."""
        return torch.where(direction[:, None] == 0, self.z_ccw, self.z_cw)


def true_law(space: LatentSpace, first_centers: np.ndarray, direction: Tensor) -> TrueLaw:
    """The law of the videos that start at these centres (n, 2). Their directions (n,) only matter
    if two frames are given, because the second one tells them."""
    ccw = space.encode(orbits(first_centers)[:, 0])  # (n, 8, d)
    cw = ccw[:, -torch.arange(NUM_FRAMES) % NUM_FRAMES]  # frames 0, 7, ... 1
    n_given, n = space.settings.given_frames, len(ccw)
    given = torch.where(direction[:, None, None] == 0, ccw, cw)[:, :n_given].flatten(1)
    prior = (
        torch.full((n, 1), space.settings.ccw_share)
        if n_given == 1
        else (direction[:, None] == 0).float()
    )
    return TrueLaw(given, ccw[:, n_given:].flatten(1), cw[:, n_given:].flatten(1), prior)


# ---------------------------------------------------------------- the network


class FlowNetwork(nn.Module):
    """Predicts the posterior mean E[z | x_t, given frames].

    Which direction x_t leans to is, roughly, the sign of x_t.(z_ccw - z_cw), and that difference
    depends on the given frame: a product of two inputs. So the context (given frame and time)
    scales and shifts the features of x_t, twice (FiLM, arXiv:1709.07871), instead of only standing
    beside them.
    """

    def __init__(self, settings: FlowSettings) -> None:
        super().__init__()
        self.scale = settings.latent_scale
        given = settings.embed_dim * settings.given_frames
        video = settings.embed_dim * (NUM_FRAMES - settings.given_frames)
        context = given + 1 + 2 * TIME_FREQUENCIES
        self.modulation = nn.Sequential(
            nn.Linear(context, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, 4 * WIDTH),
        )
        self.input = nn.Linear(video + context, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        nn.init.zeros_(self.last.weight)
        self.output = nn.Linear(WIDTH + context, video)

    def forward(self, x: Tensor, given: Tensor, t: Tensor) -> Tensor:
        """x (n, D), given (n, given_frames * d), t (n, 1) -> posterior mean (n, D)."""
        angle = torch.pi * t * torch.arange(1, TIME_FREQUENCIES + 1)
        context = torch.cat([given / self.scale, t, angle.sin(), angle.cos()], dim=1)
        scale_1, shift_1, scale_2, shift_2 = self.modulation(context).chunk(4, dim=1)
        unit_x = x / (t * self.scale + 1 - t)  # of the order of 1 at any latent scale
        h = self.input(torch.cat([unit_x, context], dim=1))
        h = h + self.last(F.silu(self.first(self.norm(h) * (1 + scale_1) + shift_1)))
        h = self.norm(h) * (1 + scale_2) + shift_2
        return self.scale * self.output(torch.cat([h, context], dim=1))


# ---------------------------------------------------------------- training


def interpolate(z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """The point x_t = t z + (1 - t) noise on the straight path from noise to data; z and noise are
    (n, D), t is (n, 1)."""
    return t * z + (1 - t) * noise


def random_times(n: int) -> Tensor:
    """Training times (n, 1) in [0, 1): seven of ten uniform, three crowded towards t = 0, where the
    direction is decided."""
    u = torch.rand(n, 1)
    return torch.where(torch.rand(n, 1) < 0.3, u**3, u)


def train(settings: FlowSettings, encoder: Autoencoder) -> tuple[FlowNetwork, LatentSpace]:
    """Flow matching on latent videos. The loss is that of the velocity, which is the posterior
    mean's over (1 - t)^2: |v - (z - eps)|^2 = |mean - z|^2 / (1 - t)^2, here at most 25 times the
    posterior mean's (LOSS_CLAMP)."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng((settings.seed, 2))
    first = random_first_centers(NUM_RINGS, rng, settings.range)
    rings = encode_centers(encoder, orbits(first)[:, 0], settings)  # (rings, 8, d)
    mean = rings.mean((0, 1))
    std = rings.std((0, 1)).clamp_min(1e-6) / settings.latent_scale
    rings = (rings - mean) / std

    network = FlowNetwork(settings)
    optimizer, schedule = optimizer_and_schedule(
        network, LEARNING_RATE, settings.flow_steps, beta2=0.98, weight_decay=0.01
    )
    for _ in trange(settings.flow_steps, desc="flow", unit="step"):
        video = random_latent_videos(rings, BATCH_SIZE, settings.ccw_share)
        given = video[:, : settings.given_frames].flatten(1)
        z = video[:, settings.given_frames :].flatten(1)
        t = random_times(BATCH_SIZE)
        x = interpolate(z, torch.randn_like(z), t)
        error = network(x, given, t) - z
        loss = (error**2 / (1 - t).clamp_min(LOSS_CLAMP) ** 2).mean()
        take_step(loss, optimizer, schedule)
    return network, LatentSpace(encoder, mean, std, settings)


@torch.no_grad()
def evaluate(network: FlowNetwork, space: LatentSpace) -> dict[str, list[float]]:
    """The velocity loss by bins of t in [0.025, 0.975], on 2048 fresh videos, per coordinate.

    Returns:
        For each of 10 bins its middle "t", the "loss", the "irreducible" part, and the "excess",
        the squared distance to the exact velocity. Loss = irreducible + excess, up to sampling
        error.
    """
    settings, n = space.settings, 2048
    torch.manual_seed(settings.seed + 1)
    rng = np.random.default_rng((settings.seed, 3))
    direction = (torch.rand(n) >= settings.ccw_share).long()
    law = true_law(space, random_first_centers(n, rng, settings.range), direction)
    z = law.continuation(direction)
    names = ("t", "loss", "irreducible", "excess")
    result: dict[str, list[float]] = {name: [] for name in names}
    for low in [0.025 + 0.095 * i for i in range(10)]:
        t = low + 0.095 * torch.rand(n, 1)
        x = interpolate(z, torch.randn_like(z), t)
        predicted, weight = network(x, law.given, t), 1 / (1 - t).clamp_min(CLAMP) ** 2
        result["t"].append(low + 0.0475)
        result["loss"].append(((predicted - z) ** 2 * weight).mean().item())
        result["irreducible"].append(law.irreducible_loss(x, t).mean().item())
        excess = (predicted - law.posterior_mean(x, t)) ** 2 * weight
        result["excess"].append(excess.mean().item())
    return result


def load_or_train(settings: FlowSettings) -> tuple[FlowNetwork, LatentSpace, dict[str, Any]]:
    """The flow of these settings, trained now if its checkpoint is missing, its latent space, and
    the checkpoint's content.

    Raises:
        ValueError: a checkpoint is damaged, of other settings, or made with another autoencoder
            than the one found, or the training diverged.
    """
    path = checkpoint_path("flow", settings)
    network = FlowNetwork(settings)
    like: dict[str, Any] = {  # what the rest of the checkpoint must look like
        "metrics": {name: [0.0] * 10 for name in ("t", "loss", "irreducible", "excess")},
        "mean": torch.zeros(settings.embed_dim),
        "std": torch.zeros(settings.embed_dim),
        "autoencoder_digest": "",
    }
    if path.exists():  # so that a bad file is reported before anything is trained
        load_checkpoint("flow", settings, network, **like)
    encoder, upstream = autoencoder.load_or_train(settings.autoencoder_settings())
    if not path.exists():
        with only_one_process(path):
            if not path.exists():  # another process may have trained it meanwhile
                print(f"{path} is missing: training it")
                trained, space = train(settings, encoder)
                content = {
                    "metrics": evaluate(trained, space),
                    "mean": space.mean,
                    "std": space.std,
                    "autoencoder_digest": upstream["digest"],
                }
                save_checkpoint("flow", settings, trained, **content)
    checkpoint = load_checkpoint("flow", settings, network, **like)
    same = checkpoint["autoencoder_digest"] == upstream["digest"]
    require(same, f"{path} was made with another autoencoder; delete it to train it again")
    return (
        network,
        LatentSpace(encoder, checkpoint["mean"], checkpoint["std"], settings),
        checkpoint,
    )


def main(settings: FlowSettings) -> None:
    """Train, or load what is there, and print the loss by bins of t, with the least possible."""
    _, _, checkpoint = load_or_train(settings)
    metrics = checkpoint["metrics"]
    print(f"{checkpoint_path('flow', settings)}: velocity loss per coordinate, on videos not seen")
    print("     t     loss  irreducible   excess")
    for row in zip(metrics["t"], metrics["loss"], metrics["irreducible"], metrics["excess"]):
        print("{:6.2f} {:8.4f} {:12.4f} {:8.4f}".format(*row))
    print(f"  mean excess {np.mean(metrics['excess']):.4f}")


if __name__ == "__main__":
    run(main, settings)

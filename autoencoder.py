"""Stage 2 of 5: the autoencoder. A small CNN squeezes each frame to d numbers and draws it again.

    python autoencoder.py --embed-dim 2        # checkpoints/autoencoder_dim2.pt; 10 to 20 s

One linear layer leads to the d numbers, and one leads away from them (--hidden-layers puts more).
The decoder's up-convolutions have no activations between them, and its residual blocks start as
the identity: at first it is linear, but for the leaky rectifier at its end, and it bends only as
far as the data make it. With 100 numbers it stays nearly additive (the mean of two codes decodes
as two half-bright squares), with 2 numbers it can't (one square in between). --plain is the
control: an ordinary decoder, with activations, the usual initialisation, and a gentler training.

Squares that don't overlap look equally different however far apart they are, so the loss doesn't
say which of them are near each other, and a 2-D code can end up torn. Blurring the training images
makes distant squares overlap; the blur fades to nothing over the first half of the training.
--blur 0 switches it off.
"""

import itertools
from typing import Any

import numpy as np
from tqdm import trange

from settings import AutoencoderSettings, FrameSettings, read_command_line, require, run

if __name__ == "__main__":
    settings = read_command_line(AutoencoderSettings)  # first, since importing torch takes a second

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkpoints import checkpoint_path, load_checkpoint, only_one_process, save_checkpoint
from data import render

CHANNELS = 32
MAP_SIZE = 7  # the feature map is 32 x 7 x 7
BATCH_SIZE = 32


# ---------------------------------------------------------------- the network


class ResidualBlock(nn.Module):
    """x + conv(SiLU(conv(SiLU(x)))), (n, 32, 7, 7) -> the same. Unless plain, the last convolution
    starts at zero, and so the block as the identity."""

    def __init__(self, plain: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.last = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        if not plain:
            for parameter in self.last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(F.silu(self.first(F.silu(x))))


class Autoencoder(nn.Module):
    """Frames (n, 51, 51) <-> latents (n, d)."""

    def __init__(self, settings: AutoencoderSettings) -> None:
        super().__init__()
        features = CHANNELS * MAP_SIZE**2
        activation = nn.SiLU if settings.plain else nn.Identity
        widths = [features] + [256] * settings.hidden_layers + [settings.embed_dim]
        self.encoder = nn.Sequential(
            nn.Conv2d(1, CHANNELS, 7, stride=4, padding=2),  # 51 -> 13
            nn.SiLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1),  # 13 -> 7
            nn.SiLU(),
            nn.Flatten(),
            *fully_connected(widths),
        )
        self.decoder = nn.Sequential(
            *fully_connected(widths[::-1]),
            nn.Unflatten(1, (CHANNELS, MAP_SIZE, MAP_SIZE)),
            *[ResidualBlock(settings.plain) for _ in range(4)],
            activation(),
            nn.ConvTranspose2d(CHANNELS, CHANNELS, 3, stride=2, padding=1),  # 7 -> 13
            activation(),
            nn.ConvTranspose2d(CHANNELS, 1, 7, stride=4, padding=2),  # 13 -> 51
            nn.LeakyReLU(0.02),  # presses the ripple of the dark background to nearly 0
        )

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (n, 51, 51) in [0, 1] -> latents (n, d), of any size (flow.py scales them)."""
        return self.encoder(frames[:, None])

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (n, d) -> frames (n, 51, 51), about [0, 1], not clipped."""
        return self.decoder(latents)[:, 0]


def fully_connected(widths: list[int]) -> list[nn.Module]:
    """Linear layers of these widths, a SiLU between each two: [a, b] is a single Linear."""
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        layers += ([nn.SiLU()] if i else []) + [nn.Linear(n_in, n_out)]
    return layers


@torch.no_grad()
def encode_centers(model: Autoencoder, centers: np.ndarray, settings: FrameSettings) -> Tensor:
    """Render squares at the centres (..., 2) and encode them: latents (..., d). In batches that
    fit the processor's cache: twice as fast."""
    flat = centers.reshape(-1, 2)
    batches = np.array_split(flat, max(1, len(flat) // 128))
    latents = [model.encode(torch.from_numpy(render(batch, settings))) for batch in batches]
    return torch.cat(latents).reshape(*centers.shape[:-1], -1)


# ---------------------------------------------------------------- training


def blur_at(step: int, settings: AutoencoderSettings) -> float:
    """Blur in pixels at a training step: --blur at first, falling as a square to 0 at half of the
    training."""
    return settings.blur * max(0.0, 1 - 2 * step / settings.autoencoder_steps) ** 2


def optimizer_and_schedule(
    model: nn.Module, learning_rate: float, steps: int, beta2: float, weight_decay: float
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW (arXiv:1711.05101), its learning rate warmed up over 100 steps and, at the same time,
    falling linearly to 0 at the end. For both trainings."""
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=learning_rate,
        betas=(0.9, beta2),
        weight_decay=weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1, (i + 1) / 100) * (1 - i / steps)
    )
    return optimizer, schedule


def take_step(
    loss: Tensor, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
) -> None:
    """One training step down the gradient of the loss.

    Raises:
        ValueError: the loss is not finite.
    """
    require(bool(loss.isfinite()), "the training diverged; nothing is saved")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()


def train(settings: AutoencoderSettings) -> Autoencoder:
    """Train on squares at random centres, x and y uniform in [-range, range], a fresh batch each
    step, mean squared error. The rates are the best of a few tried, over seeds, for both dims."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng((settings.seed, 1))  # each use of randomness has its own number
    model = Autoencoder(settings)
    steps = settings.autoencoder_steps
    learning_rate, weight_decay = (3e-3, 0.01) if settings.plain else (8e-3, 0.5)
    optimizer, schedule = optimizer_and_schedule(
        model, learning_rate, steps, beta2=0.95, weight_decay=weight_decay
    )
    for step in trange(steps, desc="autoencoder", unit="step"):
        centers = rng.uniform(-settings.range, settings.range, (BATCH_SIZE, 2))
        frames = torch.from_numpy(render(centers, settings, blur_at(step, settings)))
        loss = F.mse_loss(model.decode(model.encode(frames)), frames)
        take_step(loss, optimizer, schedule)
    return model


@torch.no_grad()
def evaluate(model: Autoencoder, settings: AutoencoderSettings) -> dict[str, float]:
    """Mean squared error and intersection over union (of the pixels above one half) on 1000 fresh
    frames."""
    rng = np.random.default_rng((settings.seed, 6))
    centers = rng.uniform(-settings.range, settings.range, (1000, 2))
    frames = torch.from_numpy(render(centers, settings))
    decoded = model.decode(model.encode(frames))
    true, drawn = frames > 0.5, decoded > 0.5
    iou = (true & drawn).sum((1, 2)) / (true | drawn).sum((1, 2)).clamp_min(1)
    return {"mse": F.mse_loss(decoded, frames).item(), "iou": iou.mean().item()}


def load_or_train(settings: AutoencoderSettings) -> tuple[Autoencoder, dict[str, Any]]:
    """The autoencoder of these settings, trained now if its checkpoint is missing, and the
    checkpoint's content.

    Raises:
        ValueError: the checkpoint is damaged or of other settings, or the training diverged.
    """
    path = checkpoint_path("autoencoder", settings)
    if not path.exists():
        with only_one_process(path):
            if not path.exists():  # another process may have trained it meanwhile
                print(f"{path} is missing: training it")
                model = train(settings)
                metrics = evaluate(model, settings)
                save_checkpoint("autoencoder", settings, model, metrics=metrics)
    model, form = Autoencoder(settings), {"mse": 0.0, "iou": 0.0}  # what metrics must look like
    return model, load_checkpoint("autoencoder", settings, model, metrics=form)


def main(settings: AutoencoderSettings) -> None:
    """Train, or load what is there, and print the quality."""
    _, checkpoint = load_or_train(settings)
    mse, iou = checkpoint["metrics"]["mse"], checkpoint["metrics"]["iou"]
    print(
        f"{checkpoint_path('autoencoder', settings)}: on frames not seen, mean squared error {mse:.2e}, IoU {iou:.3f}"
    )


if __name__ == "__main__":
    run(main, settings)

"""Stage 2 of 5: the autoencoder. A small CNN squeezes each frame to d numbers and draws it again.

    python autoencoder.py --embed-dim 2        # checkpoints/autoencoder_dim2.pt; about 10 s

A linear layer maps features to the d numbers, the latent, and another maps them back (more with
--hidden-layers). The decoder has no activations between its upsampling layers, and its residual
blocks start as the identity: without hidden layers it starts out affine and draws the mean of two
latents as the mean of two frames. A clip to [0, 1] at its end then lets black and white areas come
out flat. It leaks: outside a small slope remains.

Squares that don't overlap look equally different however far apart they are, so the loss doesn't
say which of them are near each other, and a 2-D latent space can end up folded or torn. Blurring
the training images makes distant squares overlap. Over the first 60 % of the training the blur
fades to nothing, and the leak shrinks (with a small leak from the start the error ends larger).
"""

import contextlib
import hashlib
import io
import itertools
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from tqdm import trange

from data import FrameSettings, check_output, check_range, render, replacing, run

CHANNELS = 32
LEAK = 0.01  # slope of the leaky clip outside [0, 1]
EARLY_LEAK = 0.15  # added to it at first, fading
MAP_SIZE = 7  # the feature map is 32 x 7 x 7
BATCH_SIZE = 32


@dataclass(frozen=True)
class AutoencoderSettings(FrameSettings):
    """Train the autoencoder."""

    embed_dim: int = 2
    """Numbers per frame, d, 1 to 512."""
    plain: bool = False
    """As a control: decoder with activations, usual first weights, learning rate, weight decay."""
    hidden_layers: int = 0
    """Hidden fully connected layers (256 wide) before the latent, and again behind it, 0 to 8."""
    blur: float = 9.0
    """Blur of the training images at first, in pixels, 0 to 25; gone after 60 % of the steps."""
    autoencoder_steps: int = 460
    """Training steps of the autoencoder."""
    seed: int = 0
    """Seed of both trainings, the autoencoder's and the flow's."""
    checkpoint_dir: Path = Path("checkpoints")
    """Folder of the trained networks; made if missing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(1, 512, embed_dim=self.embed_dim)
        check_range(0, 8, hidden_layers=self.hidden_layers)
        check_range(0, 25, blur=self.blur)
        check_range(1, 10**9, autoencoder_steps=self.autoencoder_steps)
        check_range(0, 2**32 - 1, seed=self.seed)


def fully_connected(widths: list[int]) -> list[nn.Module]:
    """Linear layers of these widths, with a SiLU between: [a, b] is a single Linear."""
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.SiLU(), nn.Linear(n_in, n_out)]
    return layers[1:]  # without the SiLU in front


class ResidualBlock(nn.Module):
    """x + conv(SiLU(conv(SiLU(x)))), (n, 32, 7, 7) -> the same. Unless plain, the second
    convolution starts at zero, and so the block as the identity."""

    def __init__(self, plain: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        if not plain:
            for parameter in self.conv2.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


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
            nn.Conv2d(CHANNELS, 16, 2, padding=1),  # 13 -> 14
            nn.PixelShuffle(4),  # the 16 numbers of a place are 4 x 4 pixels: 14 -> 56
        )

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (n, 51, 51) in [0, 1] -> latents (n, d), unscaled (flow.py scales them)."""
        return self.encoder(frames[:, None])

    def decode(self, latents: Tensor, leak: float = LEAK) -> Tensor:
        """Latents (n, d) -> frames (n, 51, 51), clipped to [0, 1] but for a small share, the leak,
        of what lies outside, which lets gradients through."""
        x = self.decoder(latents)[:, 0, 2:53, 2:53]  # cropped from 56 to 51
        clipped = x.clamp(0, 1)
        return clipped + leak * (x - clipped)


@torch.no_grad()
def encode_centers(model: Autoencoder, centers: np.ndarray, settings: FrameSettings) -> Tensor:
    """Render squares at the centres (..., 2) and encode them: latents (..., d)."""
    flat = centers.reshape(-1, 2)
    batches = np.array_split(flat, max(1, len(flat) // 128))  # in parts, to save memory
    latents = [model.encode(torch.from_numpy(render(batch, settings))) for batch in batches]
    return torch.cat(latents).reshape(*centers.shape[:-1], -1)


def optimizer_and_schedule(
    model: nn.Module, learning_rate: float, steps: int, weight_decay: float
) -> tuple[torch.optim.AdamW, LambdaLR]:
    """AdamW (arXiv:1711.05101), its learning rate warmed up over 100 steps, constant up to 40 % of
    the training, then falling linearly to 0. The flow is trained with it too."""
    optimizer = torch.optim.AdamW(
        model.parameters(), learning_rate, (0.9, 0.95), weight_decay=weight_decay, fused=True
    )
    return optimizer, LambdaLR(optimizer, lambda i: min(1, (i + 1) / 100, (1 - i / steps) / 0.6))


def train(settings: AutoencoderSettings) -> Autoencoder:
    """Train on squares at random centres, x and y uniform in [-range, range], a fresh batch each
    step, mean squared error. The weight decay grows with d, up to 1: with little decay, at large d,
    the latents of neighbouring centres jitter, and the flow fits them less well."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng((settings.seed, 1))  # 1: a stream of its own
    model = Autoencoder(settings)
    steps = settings.autoencoder_steps
    learning_rate, weight_decay = 7e-3, min(1, 0.1 + 0.01 * settings.embed_dim)
    if settings.plain:
        learning_rate, weight_decay = 3e-3, 0.01
    optimizer, schedule = optimizer_and_schedule(model, learning_rate, steps, weight_decay)
    for step in trange(steps, desc="autoencoder", unit="step"):
        early = max(0.0, 1 - step / (0.6 * steps))  # 1 at first, 0 over the last 40 %
        centers = rng.uniform(-settings.range, settings.range, (BATCH_SIZE, 2))
        frames = torch.from_numpy(render(centers, settings, blur=settings.blur * early**2))
        decoded = model.decode(model.encode(frames), leak=LEAK + EARLY_LEAK * early)
        loss = F.mse_loss(decoded, frames)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


@torch.no_grad()
def evaluate(model: Autoencoder, settings: AutoencoderSettings) -> float:
    """Mean squared error on 1000 fresh frames."""
    rng = np.random.default_rng((settings.seed, 6))
    centers = rng.uniform(-settings.range, settings.range, (1000, 2))
    frames = torch.from_numpy(render(centers, settings))
    return F.mse_loss(model.decode(model.encode(frames)), frames).item()


def restrict(settings: Any, settings_type: Any) -> Any:
    """The settings of an earlier stage, out of those of a later one."""
    names = [field.name for field in fields(settings_type)]
    return settings_type(**{name: getattr(settings, name) for name in names})


def checkpoint_path(settings: AutoencoderSettings) -> Path:
    """Where the network of these settings lies: the file's name states the stage, the embedding
    dimension, and what differs from the defaults."""
    name = f"{type(settings).__name__.removesuffix('Settings').lower()}_dim{settings.embed_dim}"
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name not in ("embed_dim", "checkpoint_dir") and value != field.default:
            name += f"_{field.name.replace('_', '-')}={value}"
    return settings.checkpoint_dir / f"{name}.pt"


def load_or_make(
    settings: AutoencoderSettings, make: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Load the checkpoint of these settings. If there is none, call make() and save what it gives,
    a dict of tensors and built-in types, among them "weights". The file is loaded as data, never as
    code, and ends with its SHA-256, because torch.load wouldn't notice a flipped bit. Raises
    OSError if it can't be read or written, is damaged, or of other settings (older defaults), and
    FloatingPointError if the training diverged."""
    path = checkpoint_path(settings)
    identity = asdict(settings) | {"checkpoint_dir": None}  # a moved file stays valid
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        check_output(path, ".pt")
        print(f"{path} is missing: training it")
        content, buffer = make(), io.BytesIO()
        if not all(bool(weight.isfinite().all()) for weight in content["weights"].values()):
            raise FloatingPointError(f"the training diverged; {path} is not written")
        torch.save(content | {"settings": identity}, buffer)
        with replacing(path) as temporary:
            temporary.write_bytes(buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest())
    file = path.read_bytes()
    data, digest = file[:-32], file[-32:]
    checkpoint: dict[str, Any] = {}
    if digest == hashlib.sha256(data).digest():
        with contextlib.suppress(pickle.UnpicklingError):
            checkpoint = torch.load(io.BytesIO(data), weights_only=True)
    if checkpoint.get("settings") != identity:
        raise OSError(f"{path} is damaged or of other settings; delete it to train it again")
    return checkpoint


def load_or_train(settings: AutoencoderSettings) -> Autoencoder:
    """The autoencoder of these settings, trained now if missing. Raises as load_or_make() does."""
    settings = restrict(settings, AutoencoderSettings)
    checkpoint = load_or_make(settings, lambda: {"weights": train(settings).state_dict()})
    model = Autoencoder(settings)
    model.load_state_dict(checkpoint["weights"])
    return model


def main(settings: AutoencoderSettings) -> None:
    """Train, or load what is there, and print the quality."""
    error = evaluate(load_or_train(settings), settings)
    print(f"{checkpoint_path(settings)}: mean squared error {error:.2e} on frames not seen")


if __name__ == "__main__":
    run(main, AutoencoderSettings)

"""Stage 2 of 5: the autoencoder. It squeezes each frame to d numbers and draws it again.

    python autoencoder.py --embed-dim 2             # trains d = 2; about 15 seconds
    python autoencoder.py --png reconstructions.png # the same network: what it draws

You need to know what a convolution is, and how a PyTorch training loop looks.

What it is for. A video model works on short descriptions of the frames, not on their 2601 pixels.
A network, the encoder, turns a frame into d numbers, its latent. A second one, the decoder, turns
these numbers back into a frame. They are trained together to give back the frame that went in. Two
numbers would be enough here, since a frame is settled by the x and y of its square. But nothing
says that the network has to choose x and y, and with d = 100 it has room for something else. What
difference that makes to the video model is the question of the whole project.

Two things are special here. Each can be switched off: the first by --plain (which changes more than
that), the second by --blur 0.

The decoder starts out affine. Later the video model will be undecided between two frames, and it
will hand the decoder the mean of their latents. What is drawn then is up to the decoder: both
squares, fainter, say, or one square halfway between them. Ours starts as an affine map, a matrix
and a shift, and clips to [0, 1] what comes out. An affine map takes the mean of two latents to the
mean of the two pictures, which shows both squares. (The clip can only make them brighter.) So as
long as the map is affine, a decoder that has learned to draw squares draws both. At first ours has
learned nothing, and draws nothing like a square. It has layers that can bend the map; they start at
zero, and the training uses them only as far as it has to. At d = 100 that is not far. At d = 2 it
is far, for there the mean of two latents is itself the latent of a square somewhere between, and
has to be drawn as that one square. (The layers that --hidden-layers adds bend the map from the
start.)

The training starts with blurred frames. Take a grid of squares and look where their latents lie in
the plane, at d = 2: one expects a grid again, like a sheet of paper that was moved, turned, and
perhaps bent. But squares that don't overlap look equally different, however far apart they are, and
so the squared error doesn't say which of them are neighbours. The sheet can come out folded over or
torn. Blurred squares overlap over longer distances. So the frames are blurred at first, and the
blur fades.

You will see a progress bar with the loss, the mean squared error of a pixel. It falls, rises for a
while, since the frames get sharper and harder to draw, and falls again. The last line says how
large the error is on frames that were not trained on, and how large that of a trivial answer would
be.
"""

import ast
import io
import itertools
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from data import (
    SOURCES,
    FrameSettings,
    check_output,
    check_range,
    grid_centers,
    new_figure,
    random_stream,
    render,
    run,
    write_figure,
    write_file,
)

# These networks are so small that a second thread gains little, and costs much as soon as the
# machine is busy with something else. With one thread the time doesn't depend on that, nor on the
# number of cores; and the numbers that come out are the same on any number of cores.
torch.set_num_threads(1)

CHANNELS = 32  # of the feature maps
MAP_SIZE = 7  # the smallest feature map has 7 x 7 places
HIDDEN_WIDTH = 256  # of the fully connected layers that --hidden-layers adds
LEAK = 0.01  # slope of the decoder's clip outside of [0, 1]; see Autoencoder.decode
EARLY_LEAK = 0.15  # is added to LEAK at the start of a training, and fades
BATCH_SIZE = 32


# tyro turns these fields into the options of the command line, as in data.py.
@dataclass(frozen=True)
class AutoencoderSettings(FrameSettings):
    """Train the autoencoder, or load it if it is trained already."""

    embed_dim: int = 2
    """Numbers per frame, d, 1 to 512."""
    plain: bool = False
    """As a control, a more ordinary recipe. The decoder has activations throughout.
    All first weights are PyTorch's usual ones, the learning rate is 0.003, the weight decay 0.01.
    The blur is left as it is; --blur 0 takes it away."""
    hidden_layers: int = 0
    """Fully connected layers, 256 wide, added before the latent and again behind it, 0 to 8."""
    blur: float = 9.0
    """Blur of the frames at the start of the training, in pixels, 0 to 25; gone after 60 %."""
    autoencoder_steps: int = 460
    """Training steps of the autoencoder."""
    seed: int = 0
    """Seed of all trainings."""
    checkpoint_dir: Path = Path("checkpoints")
    """Folder of the trained networks; it is made if it is missing."""
    retrain: bool = False
    """Train anew even if a trained network is there already.
    Below a flow the autoencoder is trained anew, too, if its code was edited since."""
    png: Path | None = None
    """Write a picture: frames and what the autoencoder makes of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(1, 512, embed_dim=self.embed_dim)
        check_range(0, 8, hidden_layers=self.hidden_layers)
        check_range(0, 25, blur=self.blur)
        check_range(1, 10**9, autoencoder_steps=self.autoencoder_steps)
        check_range(0, 2**32 - 1, seed=self.seed)
        check_output(self.png, ".png")


# ---------------------------------------------------------------------------------------------
# The network


def fully_connected(widths: Sequence[int]) -> list[nn.Module]:
    """Linear layers from each width to the next, with a SiLU between two of them."""
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        if layers:
            layers.append(nn.SiLU())
        layers.append(nn.Linear(n_in, n_out))
    return layers


class ResidualBlock(nn.Module):
    """x + conv(SiLU(conv(SiLU(x)))), on feature maps (n, 32, 7, 7).

    This is where the decoder can bend: SiLU isn't a straight line. But the second convolution
    starts as zero (unless plain). So at first the block passes x on unchanged, and the training
    adds to it what it needs.
    """

    def __init__(self, plain: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        if not plain:
            for parameter in self.conv2.parameters():  # its weight and its bias
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class Autoencoder(nn.Module):
    """Frames (n, 51, 51) to latents (n, d), and back.

    The sizes of the feature maps stand beside the layers. (A convolution turns size n into (n + 2
    padding - kernel) / stride + 1, rounded down; a transposed one into (n - 1) stride - 2 padding +
    kernel.)
    """

    def __init__(self, settings: AutoencoderSettings) -> None:
        super().__init__()
        features = CHANNELS * MAP_SIZE**2
        hidden = [HIDDEN_WIDTH] * settings.hidden_layers  # none by default
        self.encoder = nn.Sequential(
            nn.Conv2d(1, CHANNELS, 7, stride=4, padding=2),  # 51 x 51 -> 13 x 13
            nn.SiLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1),  # 13 x 13 -> 7 x 7
            nn.SiLU(),
            nn.Flatten(),
            *fully_connected([features, *hidden, settings.embed_dim]),
        )
        # There is no activation between the layers of the decoder (but for those that
        # --hidden-layers adds), and its residual blocks start as the identity: so it starts out
        # affine.
        activation = nn.SiLU if settings.plain else nn.Identity
        self.decoder = nn.Sequential(
            *fully_connected([settings.embed_dim, *hidden, features]),
            nn.Unflatten(1, (CHANNELS, MAP_SIZE, MAP_SIZE)),
            *[ResidualBlock(settings.plain) for _ in range(4)],
            activation(),
            nn.ConvTranspose2d(CHANNELS, CHANNELS, 3, stride=2, padding=1),  # 7 x 7 -> 13 x 13
            activation(),
            nn.Conv2d(CHANNELS, 16, 2, padding=1),  # 13 x 13 -> 14 x 14
            # The 16 numbers of each of the 14 x 14 places become a patch of 4 x 4 pixels. That
            # gives 56 x 56 pixels, a few more than a frame has; decode() cuts off the border.
            nn.PixelShuffle(4),
        )

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (n, 51, 51) in [0, 1] -> latents (n, d). (flow.py will bring them to mean 0 and
        standard deviation 1.)"""
        return self.encoder(frames[:, None])

    def decode(self, latents: Tensor, leak: float = LEAK) -> Tensor:
        """Latents (n, d) -> frames (n, 51, 51), nearly in [0, 1].

        The white of a square and the black around it are flat. Clipping to [0, 1] gives flat areas
        for free: the layers before it need only get beyond 0 and 1, not hit them. But behind a hard
        clip the gradient is zero, and a pixel that is wrong there would never learn. So the clip
        leaks: a small share of what lies outside passes.
        """
        x = self.decoder(latents)[:, 0, 2:53, 2:53]  # from 56 x 56 to 51 x 51
        clipped = x.clamp(0, 1)
        return clipped + leak * (x - clipped)


# ---------------------------------------------------------------------------------------------
# The training


def learning_rate_factor(step: int, steps: int) -> float:
    """The share of the full learning rate at a step: it rises over the first 100 steps, stays, and
    falls to zero over the last 60 % of the training. (A training of less than about 250 steps never
    gets to the full rate, because the fall begins first.)"""
    rise = (step + 1) / 100
    plateau = 1.0
    fall = (1 - step / steps) / 0.6
    return min(rise, plateau, fall)


def optimizer_and_schedule(
    model: nn.Module, learning_rate: float, steps: int, weight_decay: float
) -> tuple[torch.optim.AdamW, LambdaLR]:
    """AdamW (arXiv:1711.05101) with learning_rate_factor() as its schedule. The flow uses them
    too."""
    # The second beta is 0.95 in place of the usual 0.999, because the trainings are short. (With
    # 0.98 one of five trainings failed at d = 100.) fused=True takes the same steps, but updates
    # all weights in a single pass over them, which is faster.
    optimizer = torch.optim.AdamW(
        model.parameters(), learning_rate, (0.9, 0.95), weight_decay=weight_decay, fused=True
    )
    return optimizer, LambdaLR(optimizer, lambda step: learning_rate_factor(step, steps))


def train(settings: AutoencoderSettings) -> Autoencoder:
    """Train on squares at random centres, uniform in x and in y, a fresh batch each step."""
    torch.manual_seed(settings.seed)
    rng = random_stream(settings.seed, "autoencoder training")
    model = Autoencoder(settings)
    steps = settings.autoencoder_steps
    learning_rate = 7e-3
    # The weight decay grows with d, up to 1, which was found by trying: with little decay, at large
    # d the latents change less smoothly from one square to the next. Keep this in mind when you
    # compare different d: the decay differs, too. (With --plain it doesn't.)
    weight_decay = min(1, 0.1 + 0.01 * settings.embed_dim)
    if settings.plain:
        learning_rate, weight_decay = 3e-3, 0.01
    optimizer, schedule = optimizer_and_schedule(model, learning_rate, steps, weight_decay)

    progress = tqdm(range(steps), desc="autoencoder", unit="step")
    for step in progress:
        # Blur and leak start large and fade over the first 60 % of the training. The blur falls as
        # a square, so that wide blurs pass quickly and narrow ones slowly. The larger leak lets
        # more of the gradient through as long as much is wrong; the error ends about a sixth
        # smaller with it. It has to fade, because a clip that leaks much hardly clips, and then the
        # layers before it would have to hit 0 and 1 exactly.
        fading = max(0.0, 1 - step / (0.6 * steps))  # from 1 to 0
        blur = settings.blur * fading**2
        leak = LEAK + EARLY_LEAK * fading

        # What goes in is blurred, and so is what has to come out: it is the same array.
        centers = rng.uniform(-settings.center_range, settings.center_range, (BATCH_SIZE, 2))
        frames = torch.from_numpy(render(centers, settings, blur=blur))
        decoded = model.decode(model.encode(frames), leak=leak)
        loss = F.mse_loss(decoded, frames)

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.5f}", refresh=False)
    return model


@torch.no_grad()
def evaluate(model: Autoencoder, settings: AutoencoderSettings) -> tuple[float, float]:
    """Mean squared errors on 1000 frames that were not trained on: the autoencoder's, and that of
    drawing the mean of these frames each time, the best that one can do without looking."""
    rng = random_stream(settings.seed, "autoencoder test")
    centers = rng.uniform(-settings.center_range, settings.center_range, (1000, 2))
    frames = torch.from_numpy(render(centers, settings))
    error = F.mse_loss(model.decode(model.encode(frames)), frames).item()
    trivial = ((frames - frames.mean(0)) ** 2).mean().item()
    return error, trivial


@torch.no_grad()
def encode_squares(model: Autoencoder, centers: np.ndarray, settings: FrameSettings) -> Tensor:
    """Draw squares at the centres (..., 2) and encode the frames: latents (..., d)."""
    frames = torch.from_numpy(render(centers.reshape(-1, 2), settings))
    latents = torch.cat([model.encode(batch) for batch in frames.split(128)])  # to save memory
    return latents.reshape(*centers.shape[:-1], -1)


# ---------------------------------------------------------------------------------------------
# Pictures


def draw_latent_grid(plots: Sequence[Any], latents: np.ndarray) -> None:
    """Draw the latents (side, side, 2) of a grid of squares into two matplotlib Axes: a dot for
    each square, coloured by the square's true x on the left and by its true y on the right."""
    side = len(latents)
    for axis, plot in enumerate(plots):
        for i in range(side):  # the lines of the grid
            plot.plot(latents[i, :, 0], latents[i, :, 1], color="#888888", lw=0.4, zorder=1)
            plot.plot(latents[:, i, 0], latents[:, i, 1], color="#888888", lw=0.4, zorder=1)
        color = grid_centers(1.0, side)[:, :, axis]
        plot.scatter(latents[:, :, 0], latents[:, :, 1], c=color, s=3, zorder=2)
        plot.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")


@torch.no_grad()
def write_reconstructions(path: Path, model: Autoencoder, settings: AutoencoderSettings) -> None:
    """Write a PNG: eight frames, what the autoencoder makes of them, and the difference. At d = 2
    also the latent plane: where a grid of 21 x 21 squares comes to lie in it."""
    rng = random_stream(settings.seed, "autoencoder test")
    centers = rng.uniform(-settings.center_range, settings.center_range, (8, 2))
    frames = torch.from_numpy(render(centers, settings))
    decoded = model.decode(model.encode(frames))
    difference = (decoded - frames).abs()
    plane = settings.embed_dim == 2
    figure = new_figure(9.5, 8 if plane else 4)
    top, *below = figure.subfigures(1 + plane, 1, squeeze=False)[:, 0]
    top.suptitle(f"d = {settings.embed_dim}: frames, and what is left of them")
    plots = top.subplots(3, 8)
    for i in range(8):
        rows = {
            "original": frames[i].numpy(),
            "reconstruction": decoded[i].numpy(),
            "difference": difference[i].numpy(),
        }
        for plot, (name, image) in zip(plots[:, i], rows.items(), strict=True):
            plot.imshow(image, cmap="gray", vmin=0, vmax=1, origin="upper")
            plot.set(xticks=[], yticks=[])
            if i == 0:
                plot.set_ylabel(name)
        plot.set_xlabel(f"error {F.mse_loss(decoded[i], frames[i]):.1e}")
    if plane:
        below[0].suptitle("The latent plane: a grid of squares, coloured by true x and by true y")
        latents = encode_squares(model, grid_centers(settings.center_range), settings)
        draw_latent_grid(below[0].subplots(1, 2), latents.numpy())
    write_figure(path, figure)


# ---------------------------------------------------------------------------------------------
# Plumbing, from here on: checkpoints and the command line. A first reading can skip it.
#
# A trained network is kept in a file, a checkpoint, so that the next command finds it. This stage
# and the next use it in three steps:
#
#     if needs_training(settings):
#         ... train ...
#         save_checkpoint(settings, ...)
#     checkpoint = load_checkpoint(settings)
#
# The file holds the settings and the source files that the network was trained with. If its
# settings aren't those of the command, it is refused: its name tells only what differs from the
# defaults, and these may have been edited. If the code of a source file was edited since (comments
# and docstrings don't count), the command says so and goes on.

SOURCES["autoencoder.py"] = Path(__file__).read_text(encoding="utf-8")
NOT_TRAINED_WITH = ("checkpoint_dir", "retrain", "png")  # settings that don't change the network


def checkpoint_path(settings: AutoencoderSettings) -> Path:
    """Where the network of these settings is kept. The file's name holds the stage, d, and what
    differs from the default settings, such as flow_dim2_turns=1,-1,2.pt."""
    stage = type(settings).__name__.removesuffix("Settings").lower()  # "autoencoder" or "flow"
    name = f"{stage}_dim{settings.embed_dim}"
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name not in ("embed_dim", *NOT_TRAINED_WITH) and value != field.default:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            name += f"_{field.name.replace('_', '-')}={text}"
    return settings.checkpoint_dir / f"{name}.pt"


def shared_settings(settings: Any, settings_type: Any) -> Any:
    """The settings of an earlier stage: those of a later one that the earlier one has too."""
    names = [field.name for field in fields(settings_type)]
    return settings_type(**{name: getattr(settings, name) for name in names})


def training_settings(settings: AutoencoderSettings) -> dict[str, Any]:
    """The settings that make a difference to the trained network."""
    return {name: x for name, x in asdict(settings).items() if name not in NOT_TRAINED_WITH}


def needs_training(settings: AutoencoderSettings) -> bool:
    """Whether the network of these settings has to be trained, because it is missing or because of
    retrain. Says so; and if it is there, says which files were edited since. Raises OSError if a
    new checkpoint couldn't be written, or if the one that is there can't be read."""
    path = checkpoint_path(settings)
    if path.exists() and not settings.retrain:
        note_edits(settings)
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    check_output(path, ".pt")
    print(f"{path} is {'trained anew' if path.exists() else 'missing: training it'}")
    return True


def save_checkpoint(
    settings: AutoencoderSettings, sources: list[dict[str, str]], content: dict[str, Any]
) -> None:
    """Keep what was trained with these settings.

    Args:
        settings: those of the training.
        sources: the texts of the source files, by name; a dict for each training, since a flow's
            checkpoint also holds its autoencoder, which older code may have trained.
        content: tensors and dicts of tensors. "weights" are those of the network.

    Raises:
        FloatingPointError: the training diverged. Nothing is written then.
        OSError: the file can't be written.
    """
    path = checkpoint_path(settings)
    if not all(weight.isfinite().all() for weight in content["weights"].values()):
        raise FloatingPointError(f"the training diverged; {path} is not written")
    buffer = io.BytesIO()
    torch.save({"settings": training_settings(settings), "sources": sources} | content, buffer)
    write_file(path, buffer.getvalue())


def load_checkpoint(settings: AutoencoderSettings) -> dict[str, Any]:
    """Read the checkpoint of these settings: as data, never as code that could run. Raises OSError
    if it can't be read, isn't a checkpoint, or has other settings."""
    path = checkpoint_path(settings)
    try:
        if zipfile.ZipFile(path).testzip():  # a .pt file is a zip archive, with check sums
            raise ValueError
        checkpoint = torch.load(path, weights_only=True)
        if checkpoint["settings"] != training_settings(settings) or not checkpoint["sources"]:
            raise ValueError
    except Exception as problem:  # torch raises many kinds if a file isn't what it should be
        raise OSError(
            f"{path} can't be read, or was made with other settings (perhaps with other defaults) "
            "or by another version; delete it, or let --retrain write over it"
        ) from problem
    return checkpoint


def load_weights(module: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Put the weights of a checkpoint into a network. Raises OSError if they don't fit."""
    try:
        module.load_state_dict(weights)
    except RuntimeError:
        raise OSError(f"{path} doesn't fit today's code; --retrain trains it anew") from None


def code_of(source: str) -> str:
    """A source file without its comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            texts = [x for x in node.body if isinstance(x, ast.Expr)]
            texts = [x for x in texts if isinstance(x.value, ast.Constant)]
            node.body = [x for x in node.body if x not in texts]
    return ast.unparse(tree)


def edited_files(settings: AutoencoderSettings) -> list[str]:
    """The files whose code isn't the one any more that the network of these settings was trained
    with. Raises OSError as load_checkpoint() does."""
    edited = set()
    for sources in load_checkpoint(settings)["sources"]:
        for file, source in sources.items():
            today = SOURCES.get(file, "")
            if source != today and code_of(source) != code_of(today):
                edited.add(file)
    return sorted(edited)


def note_edits(settings: AutoencoderSettings) -> None:
    """Say in one line if the network of these settings was trained with other code."""
    if files := " and ".join(edited_files(settings)):
        path = checkpoint_path(settings)
        note = f"note: {files} edited since {path} was trained; --retrain trains it anew"
        print(note, file=sys.stderr)


def is_current(settings: AutoencoderSettings) -> bool:
    """Whether the network of these settings is there and was trained with today's code."""
    try:
        return not edited_files(settings)
    except OSError:
        return False


def trained_autoencoder(settings: AutoencoderSettings) -> Autoencoder:
    """The autoencoder of these settings. It is trained now if it is missing. Raises as
    needs_training(), save_checkpoint(), load_checkpoint() and load_weights() do."""
    settings = shared_settings(settings, AutoencoderSettings)
    if needs_training(settings):
        sources = {file: SOURCES[file] for file in ("data.py", "autoencoder.py")}
        save_checkpoint(settings, [sources], {"weights": train(settings).state_dict()})
    model = Autoencoder(settings)
    load_weights(model, load_checkpoint(settings)["weights"], checkpoint_path(settings))
    return model


def main(settings: AutoencoderSettings) -> None:
    """Train the autoencoder or load it, and say how good it is."""
    model = trained_autoencoder(settings)
    error, trivial = evaluate(model, settings)
    print(
        f"{checkpoint_path(settings)} holds an autoencoder with d = {settings.embed_dim}. "
        f"On frames that it hasn't seen its mean squared error is {error:.1e}; drawing "
        f"their mean each time would give {trivial:.1e}."
    )
    if settings.png:
        write_reconstructions(settings.png, model, settings)
        print(f"{settings.png} shows frames, and what the autoencoder makes of them.")


if __name__ == "__main__":
    run(main, AutoencoderSettings)

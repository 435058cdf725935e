"""The settings of all stages, and how the command lines are read. Nothing here is about
video models: look things up in it.

Each class is a command line: `--embed-dim 3` sets embed_dim, and --help shows the
sentences below the fields. A stage inherits the settings of the stages before it.
Importing this file is quick, and each stage reads its command line before it imports
torch (which takes a second), so --help and errors come at once.
"""

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NoReturn

import tyro

MAX_SEED = 2**32 - 1


def require(condition: bool, message: str) -> None:
    """Raise ValueError(message) unless the condition holds; run() prints it."""
    if not condition:
        raise ValueError(message)


def within(settings: Any, low: float, high: float, *names: str) -> None:
    """Raise ValueError unless these settings lie in low to high (NaN doesn't)."""
    for name in names:
        value, option = getattr(settings, name), name.replace("_", "-")
        require(low <= value <= high, f"--{option} must lie in {low} to {high}, not {value}")


def check_folder(settings: Any, name: str) -> None:
    """Raise ValueError if this setting, a folder to be made, is something else already."""
    folder, option = getattr(settings, name), name.replace("_", "-")
    require(folder.is_dir() or not folder.exists(), f"--{option} {folder} is not a folder")


def check_output(path: Path, suffix: str) -> None:
    """Raise ValueError unless a file of this type can be written at path, so that it is
    said before the work and not after it."""
    require(len(path.name) <= 200, f"{path.name[:20]}...: the name is too long")
    require(path.suffix.lower() == suffix, f"{path}: the name must end in {suffix}")
    require(path.parent.is_dir(), f"{path}: there is no folder {path.parent}")
    require(not path.is_dir(), f"{path} is a folder")
    require(
        os.access(path.parent, os.W_OK), f"{path}: the folder {path.parent} can't be written to"
    )


# ---------------------------------------------------------------- data.py


@dataclass(frozen=True)
class FrameSettings:
    """What a frame looks like."""

    range: float = 0.8
    """Centres lie in [-range, range] in x and y; circles have radii from range/4 to range."""
    half_width: float = 0.2
    """Half the side of the square; 0.2 is 5 pixels."""
    hard_edges: bool = False
    """Black and white pixels only, as in the original post; else grey ones at the edges."""

    def __post_init__(self) -> None:
        require(0 < self.range <= 1, f"--range must lie in (0, 1], not {self.range}")
        within(self, 0.02, 1, "half_width")
        require(
            self.range + self.half_width <= 1 + 1e-9,
            f"the square leaves the frame: --range {self.range} + --half-width {self.half_width} is more than 1",
        )


@dataclass(frozen=True)
class VideoSettings(FrameSettings):
    """What a video looks like."""

    ccw_share: float = 0.5
    """Share of the videos that run counter-clockwise, in training and in sampling."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0, 1, "ccw_share")


@dataclass(frozen=True)
class DataSettings(VideoSettings):
    """Show training videos."""

    gif: Path = Path("data.gif")
    """Where to write the tile of looping videos."""
    num_videos: int = 16
    """How many videos, 1 to 400."""
    seed: int = 0
    """Seed of the random videos."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 1, 400, "num_videos")
        within(self, 0, MAX_SEED, "seed")
        check_output(self.gif, ".gif")


# ---------------------------------------------------------------- autoencoder.py


@dataclass(frozen=True)
class AutoencoderSettings(FrameSettings):
    """Train the autoencoder."""

    embed_dim: int = 2
    """Numbers per frame, d, 1 to 512."""
    plain: bool = False
    """An ordinary decoder, trained more gently, as a control; --blur 0 leaves the blur out too."""
    hidden_layers: int = 0
    """Hidden fully connected layers (256 wide) before the code, and again behind it, 0 to 8."""
    blur: float = 8.0
    """Blur of the training images at the start, in pixels, 0 to 25; gone after the first half."""
    autoencoder_steps: int = 800
    """Training steps of the autoencoder."""
    seed: int = 0
    """Random seed of this command; the stages before it have their own."""
    checkpoint_dir: Path = Path("checkpoints")
    """Folder of the checkpoints; made if missing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 1, 512, "embed_dim")
        within(self, 0, 8, "hidden_layers")
        within(self, 0, 25, "blur")
        within(self, 1, 10**9, "autoencoder_steps")
        within(self, 0, MAX_SEED, "seed")
        check_folder(self, "checkpoint_dir")


# ---------------------------------------------------------------- flow.py


@dataclass(frozen=True)
class FlowSettings(AutoencoderSettings, VideoSettings):
    """Train the flow (and the autoencoder first, if it is missing)."""

    given_frames: Literal[1, 2] = 1
    """Frames that are given; with 2 the direction is known."""
    latent_scale: float = 1.0
    """Standard deviation that the latents are scaled to, 0.01 to 100; the noise has 1."""
    flow_steps: int = 3000
    """Training steps of the flow."""
    autoencoder_seed: int = 0
    """Which autoencoder to use: the --seed that it was trained with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0.01, 100, "latent_scale")
        within(self, 1, 10**9, "flow_steps")
        within(self, 0, MAX_SEED, "autoencoder_seed")
        self.autoencoder_settings()

    def autoencoder_settings(self) -> AutoencoderSettings:
        """The settings of the autoencoder that this flow stands on."""
        shared = {field.name: getattr(self, field.name) for field in fields(AutoencoderSettings)}
        return AutoencoderSettings(**shared | {"seed": self.autoencoder_seed})


# ---------------------------------------------------------------- sample.py


@dataclass(frozen=True)
class SampleSettings(FlowSettings):
    """Generate videos (and train what is missing first)."""

    gif: Path | None = None
    """Write the videos as one looping GIF."""
    png: Path | None = None
    """Write the first video as a film strip: frames across; down, the state, then the posterior
    mean, at the steps shown."""
    npz: Path | None = None
    """Write arrays: frames, first_centers, show_steps, state_frames, posterior_mean_frames."""
    num_videos: int = 16
    """How many videos, 1 to 1000000; at most 400 for a GIF."""
    steps: int = 50
    """Euler steps, 1 to 10000."""
    show_steps: tuple[int, ...] = ()
    """Steps that the film strip and the arrays show; none named means 0, 2/5 of all, and all."""
    flow: Literal["learned", "exact"] = "learned"
    """The trained network, or the exact posterior mean in its place."""
    flow_seed: int = 0
    """Which flow to use: the --seed that it was trained with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 1, 1_000_000 if self.gif is None else 400, "num_videos")
        within(self, 1, 10_000, "steps")
        within(self, 0, MAX_SEED, "flow_seed")
        require(
            all(0 <= step <= self.steps for step in self.show_steps),
            f"--show-steps must lie in 0 to {self.steps}, not {self.show_steps}",
        )
        outputs = {".gif": self.gif, ".png": self.png, ".npz": self.npz}
        require(any(outputs.values()), "nothing to write: give --gif, --png or --npz")
        for suffix, path in outputs.items():
            if path is not None:
                check_output(path, suffix)
        self.flow_settings()

    def flow_settings(self) -> FlowSettings:
        """The settings of the flow that is sampled from."""
        shared = {field.name: getattr(self, field.name) for field in fields(FlowSettings)}
        return FlowSettings(**shared | {"seed": self.flow_seed})

    def shown(self) -> tuple[int, ...]:
        """The steps to show."""
        return self.show_steps or (0, 2 * self.steps // 5, self.steps)


# ---------------------------------------------------------------- analyze.py


@dataclass(frozen=True)
class AnalysisSettings:
    """What all sub-commands share."""

    seeds: int = 5
    """How many seeds, 1 to 100; each trains its own autoencoder and flow."""
    out_dir: Path = Path("figures")
    """Folder for the figure and the JSON file; made if missing."""
    checkpoint_dir: Path = Path("checkpoints")
    """Folder of the checkpoints; on a cluster, shared by the workers."""
    autoencoder_steps: int = AutoencoderSettings.autoencoder_steps
    """Training steps of each autoencoder."""
    flow_steps: int = FlowSettings.flow_steps
    """Training steps of each flow."""
    dask: str | None = None
    """Address of a Dask scheduler to train on, such as tcp://10.0.0.1:8786."""

    def __post_init__(self) -> None:
        within(self, 1, 100, "seeds")
        check_folder(self, "out_dir")
        self.flows()

    def autoencoders(self, **changes: Any) -> list[AutoencoderSettings]:
        """The settings of an autoencoder, for each seed."""
        return [AutoencoderSettings(**self.common() | changes, seed=s) for s in range(self.seeds)]

    def flows(self, **changes: Any) -> list[FlowSettings]:
        """The settings of a flow on the autoencoder of the same seed, for each seed."""
        changes = self.common() | {"flow_steps": self.flow_steps} | changes
        return [FlowSettings(**changes, seed=s, autoencoder_seed=s) for s in range(self.seeds)]

    def common(self) -> dict[str, Any]:
        """What the networks of all seeds share."""
        names = ("autoencoder_steps", "checkpoint_dir")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Blobs(AnalysisSettings):
    """Count the squares in every frame at every sampling step, and over the dimension."""

    dims: tuple[int, ...] = (2, 100)
    """Embedding dimensions to show step by step."""
    sweep_dims: tuple[int, ...] = (2, 3, 4, 8, 16, 32, 64, 100)
    """Embedding dimensions of the sweep."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.dims) > 0, "--dims must name at least one dimension")
        require(len(self.sweep_dims) > 0, "--sweep-dims must name at least one dimension")
        for dim in (*self.dims, *self.sweep_dims):
            self.flows(embed_dim=dim)


@dataclass(frozen=True)
class Geometry(AnalysisSettings):
    """Look at a 21 x 21 grid of squares in the latent plane: no blur, blur, ordinary decoder."""

    ranges: tuple[float, ...] = (0.2, 0.4, 0.8)
    """Ranges of centres to draw."""
    overlap: bool = True
    """Also vary the half width: what decides, the range, or range / half width?"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.ranges) > 0, "--ranges must name at least one range")
        for range_ in self.ranges:
            self.autoencoders(range=range_)


@dataclass(frozen=True)
class Superposition(AnalysisSettings):
    """Are the extra squares the other direction? Controls, calibration, other decoders."""

    dims: tuple[int, ...] = (2, 100)
    """Embedding dimensions to compare."""
    sweep_dims: tuple[int, ...] = (2, 3, 4, 8, 16, 32, 64, 100)
    """Embedding dimensions of the measure of the decoder alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct = len(set(self.dims)) == len(self.dims)
        require(len(self.dims) in (1, 2) and distinct, "--dims takes one or two dimensions")
        require(len(self.sweep_dims) > 0, "--sweep-dims must name at least one dimension")
        for dim in (*self.dims, *self.sweep_dims):
            self.flows(embed_dim=dim)


@dataclass(frozen=True)
class Commitment(AnalysisSettings):
    """When is the direction decided? Over dimension, latent scale and training length."""

    dims: tuple[int, ...] = (2, 8, 32, 100)
    """Embedding dimensions at latent scale 1."""
    scales: tuple[float, ...] = (0.5, 2.0)
    """More latent scales, at the smallest and the largest of the dimensions."""
    lengths: tuple[int, ...] = (100, 300, 1000)
    """More training lengths of the flow, in steps, at the same two dimensions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.dims) > 0, "--dims must name at least one dimension")
        for dim in self.dims:
            self.flows(embed_dim=dim)
        for scale in self.scales:
            self.flows(latent_scale=scale)
        for length in self.lengths:
            self.flows(flow_steps=length)


@dataclass(frozen=True)
class Opening(AnalysisSettings):
    """Draw the README's opening picture, an animation over the sampling steps, with seed 0."""


@dataclass(frozen=True)
class Readme:
    """Fill in the numbers and tables of a README from the JSON files, and do nothing else."""

    readme: Path = Path("README.md")
    """The README; what stands between <!--NAME--> and <!--/--> is replaced."""
    out_dir: Path = Path("figures")
    """Folder of the JSON files."""

    def __post_init__(self) -> None:
        require(self.readme.is_file(), f"--readme {self.readme} is not a file")


@dataclass(frozen=True)
class All(AnalysisSettings, Readme):
    """Make everything again: the benchmark, all experiments, the numbers in the README."""

    def __post_init__(self) -> None:
        AnalysisSettings.__post_init__(self)
        Readme.__post_init__(self)


# ---------------------------------------------------------------- command lines


def fail(message: object, status: int = 2) -> NoReturn:
    """Print one line on stderr and exit."""
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
    sys.exit(status)


def read_command_line(settings_type: Any) -> Any:
    """Parse the command line into settings. What is wrong is told in one line, exit
    status 2."""
    told = io.StringIO()
    description = "\n".join((sys.modules["__main__"].__doc__ or "").split("\n\n")[:2])
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(settings_type, description=description)
    except SystemExit as stop:
        if not stop.code:
            raise  # --help
        lines = told.getvalue().partition("│ ──")[0].splitlines()[1:]  # of tyro's box
        reason = " ".join(line.strip("│ ") for line in lines)
        reason = re.sub(r"^Error parsing [A-Z]\w*: ", "", reason)  # a class's name
        fail(f"{reason} (--help lists the settings)")
    except OSError as problem:  # a path that the system refuses to look up
        fail(problem)


def run(main: Callable[[Any], None], settings: Any) -> None:
    """Run main(settings). What goes wrong is told in one line, exit status 2."""
    try:
        main(settings)
    except KeyboardInterrupt:
        fail("interrupted; what was finished is kept", status=130)
    except (ValueError, OSError) as problem:
        fail(problem)

"""Write the page: template.html with page.css, model.js, page.js and both dims' networks in it.

    python -m explorer        # explorer/index.html; trains what is missing, a minute or two

The networks run in the browser (model.js). Python only packs their weights: each becomes a 16-bit
integer times a step of its tensor. A step is large enough that the integers deflate well: two
networks of two dims in less than 2 MB, where plain float16 would need 2.8. And it is so small that
in nine videos of ten, and more, every frame stays within 0.02 of torch's. But where a video stays
undecided for long, mostly on small circles, the learned flow magnifies the rounding, and single
frames are a few tenths off.
"""

import base64
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

import autoencoder
import data
import flow
from data import check_output, run
from flow import FlowSettings
from sample import SampleSettings

LEVELS = {2: 1500, 100: 200}  # for each d, steps per standard deviation of a matrix


@dataclass(frozen=True)
class ExplorerSettings:
    """Write the page to play with (and train what is missing first)."""

    checkpoint_dir: Path = Path("checkpoints")
    """Folder of the trained networks; made if missing."""
    out: Path = Path("explorer/index.html")
    """Where to write the page."""

    def __post_init__(self) -> None:
        check_output(self.out, ".html")


def pack(weights: dict[str, Tensor], levels: int) -> dict[str, Any]:
    """Weights as text; model.js has the reverse, unpack(). Vectors, which are few, are rounded as
    little as 16 bits allow, matrices to `levels` steps per standard deviation."""
    layout, integers = [], []
    for name, weight in weights.items():
        values = weight.numpy().astype(np.float64)
        step = max(np.abs(values).max() / 32767, values.std() / levels if values.ndim > 1 else 0)
        step = float(step) or 1.0  # all zeros
        layout.append([name, list(values.shape), step])
        integers.append((values / step).round().astype("<i2").ravel())
    low_and_high_bytes = np.concatenate(integers).view(np.uint8).reshape(-1, 2).T
    packed = base64.b64encode(zlib.compress(low_and_high_bytes.tobytes(), 9)).decode()
    return {"layout": layout, "packed": packed}


def page(networks: str) -> str:
    """The whole page, with these packed networks."""
    constants = {  # the numbers themselves stand in the stages only
        "FRAME_SIZE": data.FRAME_SIZE,
        "PIXEL": data.PIXEL,
        "NUM_FRAMES": data.NUM_FRAMES,
        "TURN_NAMES": {turn: data.turn_name(turn) for turn in range(-3, 5)},
        "RANGE": SampleSettings.center_range,
        "HALF_WIDTH": SampleSettings.half_width,
        "CHANNELS": autoencoder.CHANNELS,
        "MAP_SIZE": autoencoder.MAP_SIZE,
        "LEAK": autoencoder.LEAK,
        "WIDTH": flow.WIDTH,
        "TIME_FREQUENCIES": flow.TIME_FREQUENCIES,
        "STEPS": SampleSettings.steps,
    }
    folder = Path(__file__).parent
    html = (folder / "template.html").read_text(encoding="utf-8")
    for name in ("page.css", "model.js", "page.js"):
        html = html.replace(f"{{{{{name}}}}}", (folder / name).read_text(encoding="utf-8"))
    html = html.replace("{{constants}}", json.dumps(constants))
    return html.replace("{{networks}}", networks)


def main(settings: ExplorerSettings) -> None:
    """Train what is missing and write the page."""
    networks = {}
    for dim, levels in LEVELS.items():
        dim_settings = FlowSettings(embed_dim=dim, checkpoint_dir=settings.checkpoint_dir)
        network, space = flow.trained_flow(dim_settings)
        weights = network.state_dict() | space.autoencoder.state_dict()
        networks[dim] = pack(weights | {"mean": space.mean, "std": space.std}, levels)
    html = page(json.dumps(networks)).encode()
    data.write_file(settings.out, html)
    print(f"{settings.out}: {len(html) / 1e6:.2f} MB, to open in a browser")


if __name__ == "__main__":
    run(main, ExplorerSettings)

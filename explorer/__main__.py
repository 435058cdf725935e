"""Write the page: template.html with page.css, model.js, page.js and both dims' networks in it.

    python -m explorer        # explorer/index.html; trains what is missing, a minute or two

The networks run in the browser (model.js). Python only packs their weights: each becomes a 16-bit
integer times a step of its tensor. A step is small enough that frames stay within 0.02 of torch's,
and large enough that the integers deflate well: two networks of two dims in less than 2 MB, where
plain float16 would need 2.8.
"""

import base64
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

import data
import flow
from autoencoder import CHANNELS, LEAK, MAP_SIZE
from data import check_output, run
from flow import FlowNetwork, FlowSettings, LatentSpace
from sample import SampleSettings

DIMS = (2, 100)
LEVELS = {2: 1500, 100: 200}  # steps per standard deviation of a matrix
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class ExplorerSettings:
    """Write the page to play with (and train what is missing first)."""

    checkpoint_dir: Path = Path("checkpoints")
    """Folder of the trained networks; made if missing."""
    out: Path = Path("explorer/index.html")
    """Where to write the page."""

    def __post_init__(self) -> None:
        check_output(self.out, ".html")


# ---------------------------------------------------------------- weights


def pack(weights: dict[str, Tensor], levels: int) -> dict[str, Any]:
    """Weights as text; model.js has the reverse, unpack(). Vectors, which are few, are rounded as
    little as 16 bits allow, matrices to `levels` steps per standard deviation."""
    layout, integers = [], []
    for name, weight in weights.items():
        values = weight.numpy().astype(np.float64)
        step = np.abs(values).max() / 32767
        if values.ndim > 1:
            step = max(step, values.std() / levels)
        step = float(step) or 1.0  # all zeros
        layout.append([name, list(values.shape), step])
        integers.append((values / step).round().astype("<i2").ravel())
    low_and_high_bytes = np.concatenate(integers).view(np.uint8).reshape(-1, 2).T
    packed = base64.b64encode(zlib.compress(low_and_high_bytes.tobytes(), 9)).decode()
    return {"layout": layout, "packed": packed}


def pack_networks(networks: dict[int, tuple[FlowNetwork, LatentSpace]]) -> str:
    """The flow, the autoencoder and the latent space of each dim, as JSON."""
    packed = {}
    for dim, (network, space) in networks.items():
        weights = network.state_dict() | space.autoencoder.state_dict()
        weights |= {"mean": space.mean, "std": space.std}
        packed[dim] = pack(weights, LEVELS[dim])
    return json.dumps(packed)


def constants() -> dict[str, float]:
    """What model.js and page.js need to know: the numbers stand in the five stages only."""
    settings = SampleSettings
    return {
        "FRAME_SIZE": data.FRAME_SIZE,
        "PIXEL": data.PIXEL,
        "NUM_FRAMES": data.NUM_FRAMES,
        "RANGE": settings.range,
        "HALF_WIDTH": settings.half_width,
        "CHANNELS": CHANNELS,
        "MAP_SIZE": MAP_SIZE,
        "LEAK": LEAK,
        "WIDTH": flow.WIDTH,
        "TIME_FREQUENCIES": flow.TIME_FREQUENCIES,
        "STEPS": settings.steps,
    }


# ---------------------------------------------------------------- the page


def page(networks: str) -> str:
    """The whole page, with these packed networks."""
    html = (FOLDER / "template.html").read_text(encoding="utf-8")
    for name in ("page.css", "model.js", "page.js"):
        html = html.replace(f"{{{{{name}}}}}", (FOLDER / name).read_text(encoding="utf-8"))
    html = html.replace("{{constants}}", json.dumps(constants()))
    return html.replace("{{networks}}", networks)


def main(settings: ExplorerSettings) -> None:
    """Train what is missing and write the page."""
    networks = {}
    for dim in DIMS:
        dim_settings = FlowSettings(embed_dim=dim, checkpoint_dir=settings.checkpoint_dir)
        networks[dim] = flow.load_or_train(dim_settings)[:2]
    html = page(pack_networks(networks)).encode()
    with data.replacing(settings.out) as temporary:
        temporary.write_bytes(html)
    print(f"{settings.out}: {len(html) / 1e6:.2f} MB, to open in a browser")


if __name__ == "__main__":
    run(main, ExplorerSettings)

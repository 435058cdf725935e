"""Checkpoints: one file for each trained network, a plain dict of tensors and built-in
types. They are read as data and never as code, and a damaged one is refused.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn

from files import replacing
from settings import require


def identity(settings: Any) -> dict[str, Any]:
    """The settings that decide what is in a checkpoint: all but the place it is kept
    in."""
    return {name: value for name, value in asdict(settings).items() if name != "checkpoint_dir"}


def checkpoint_path(stage: str, settings: Any) -> Path:
    """Where a stage's checkpoint lies: the name states the embedding dimension and what
    differs from the defaults."""
    changed = [
        f"_{field.name.replace('_', '-')}={getattr(settings, field.name)}"
        for field in fields(settings)
        if field.name not in ("embed_dim", "checkpoint_dir")
        and getattr(settings, field.name) != field.default
    ]
    return settings.checkpoint_dir / f"{stage}_dim{settings.embed_dim}{''.join(changed)}.pt"


@contextmanager
def only_one_process(path: Path) -> Iterator[None]:
    """Hold a lock, so that of two processes that miss the same checkpoint one trains it
    and the other waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / f".{path.name}.lock"):
        yield


def save_checkpoint(stage: str, settings: Any, model: nn.Module, **content: Any) -> None:
    """Write a checkpoint: torch.save's bytes and their SHA-256 behind them, moved into
    place when complete.

    Args:
        stage: "autoencoder" or "flow".
        settings: a frozen dataclass, kept as a dict of built-in types.
        content: more tensors and built-in types to keep.

    Raises:
        ValueError: the weights are not finite.
        OSError: the file can't be written.
    """
    weights = model.state_dict()
    finite = all(bool(w.isfinite().all()) for w in weights.values())
    require(
        finite,
        f"the {stage}'s training diverged, nothing is saved; train longer or with other settings",
    )
    everything = {
        "stage": stage,
        "settings": identity(settings),
        "weights": weights,
        "torch": str(torch.__version__),
    }
    buffer = io.BytesIO()
    torch.save(everything | content, buffer)
    path = checkpoint_path(stage, settings)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest())


def same_form(value: Any, like: Any) -> bool:
    """Whether a value has the types, keys, lengths and shapes of another, and only
    finite numbers in its tensors."""
    if type(value) is not type(like):
        return False
    if isinstance(like, dict):
        same_keys = value.keys() == like.keys()
        return same_keys and all(same_form(value[key], like[key]) for key in like)
    if isinstance(like, list):
        return len(value) == len(like) and all(map(same_form, value, like))
    if isinstance(like, Tensor):
        same = value.shape == like.shape and value.dtype == like.dtype
        return same and bool(value.isfinite().all())
    return True


def load_checkpoint(stage: str, settings: Any, model: nn.Module, **like: Any) -> dict[str, Any]:
    """Read a checkpoint as data, never as code, and put its weights into the model.

    Args:
        like: what else the checkpoint must hold, each with a value of the same form.

    Returns:
        The dict that save_checkpoint() wrote, and under "digest" the SHA-256 of the
        file, which names its exact content.

    Raises:
        ValueError: the file is damaged, not a checkpoint of this stage, or made
        with other settings.
    """
    path = checkpoint_path(stage, settings)
    mend = "delete it to train it again"
    data = path.read_bytes()
    payload, digest = data[:-32], hashlib.sha256(data[:-32]).digest()
    require(data[-32:] == digest, f"{path} is damaged or not a checkpoint; {mend}")
    try:
        checkpoint = torch.load(io.BytesIO(payload), weights_only=True)
    except Exception:  # noqa: BLE001 (torch raises a dozen kinds)
        raise ValueError(f"{path} is not a checkpoint; {mend}") from None
    keys = {"stage", "settings", "weights", "torch", *like}
    is_ours = isinstance(checkpoint, dict) and set(checkpoint) == keys
    require(is_ours, f"{path} is not a checkpoint; {mend}")
    same_stage = checkpoint["stage"] == stage
    require(same_stage, f"{path} is a checkpoint of another stage; {mend}")
    same_settings = repr(checkpoint["settings"]) == repr(identity(settings))
    require(same_settings, f"{path} was made with other settings; {mend}")
    whole = all(same_form(checkpoint[name], like[name]) for name in like)
    require(whole, f"{path} is not a checkpoint; {mend}")
    same_weights = same_form(checkpoint["weights"], model.state_dict())
    require(same_weights, f"{path} holds other weights than this network's, or NaN weights; {mend}")
    model.load_state_dict(checkpoint["weights"])
    return checkpoint | {"digest": digest.hex()}

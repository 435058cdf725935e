"""Checkpoints: whole, of the right making, never code, and the same twice."""

import dataclasses
import hashlib
import io
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY, listing, run_process, tiny_settings, visible

import autoencoder
import flow
from autoencoder import Autoencoder
from checkpoints import checkpoint_path, identity, save_checkpoint
from settings import AutoencoderSettings, FlowSettings


@pytest.fixture
def folder(checkpoints, tmp_path) -> Path:
    """A copy of the trained checkpoints, to be spoilt."""
    return shutil.copytree(checkpoints, tmp_path / "checkpoints")


def encoder_settings(folder, **changes) -> AutoencoderSettings:
    """The settings of the tiny autoencoder."""
    return tiny_settings(folder, **changes).autoencoder_settings()


def load_encoder(folder):
    """The tiny autoencoder's content and the model it was loaded into."""
    model, content = autoencoder.load_or_train(encoder_settings(folder))
    return content, model


def load_flow(folder):
    """The same for the flow."""
    return flow.load_or_train(tiny_settings(folder))[2]


def signed(payload: bytes) -> bytes:
    """A checkpoint file of this content: its SHA-256 behind it."""
    return payload + hashlib.sha256(payload).digest()


def rewrite(path: Path, **changes) -> None:
    """Change entries of a checkpoint and sign it anew, as someone who knows the format could."""
    content = torch.load(io.BytesIO(path.read_bytes()[:-32]), weights_only=True)
    content |= changes
    buffer = io.BytesIO()
    torch.save({k: v for k, v in content.items() if v is not KeyError}, buffer)
    path.write_bytes(signed(buffer.getvalue()))


def refused(load, match: str) -> None:
    """load() raises a ValueError of one line that matches."""
    with pytest.raises(ValueError, match=match) as refusal:
        load()
    assert "\n" not in str(refusal.value)


def equal(a, b) -> bool:
    """Whether two nested contents are the same, tensors bit for bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return a == b


# ---------------------------------------------------------------- whole


def test_round_trip_is_bit_for_bit(tmp_path):
    settings = encoder_settings(tmp_path)
    torch.manual_seed(0)
    model = Autoencoder(settings)
    metrics = {"mse": 0.1, "iou": 1 / 3}
    save_checkpoint("autoencoder", settings, model, metrics=metrics)
    content, loaded = load_encoder(tmp_path)
    assert equal(dict(loaded.state_dict()), dict(model.state_dict()))
    assert equal(dict(content["weights"]), dict(model.state_dict()))
    assert content["metrics"] == metrics
    path = checkpoint_path("autoencoder", settings)
    assert content["digest"] == path.read_bytes()[-32:].hex()
    assert content["torch"] == torch.__version__


def test_round_trip_of_the_flow(folder, quick_flow, monkeypatch):
    """What train() returned comes back, statistics of the latents included."""
    trained = []
    train = flow.train

    def remembered(*arguments):
        trained.append(train(*arguments))
        return trained[0]

    monkeypatch.setattr(flow, "train", remembered)
    for _ in range(2):  # trained, then only loaded
        network, space, _ = flow.load_or_train(tiny_settings(folder, seed=8))
    assert len(trained) == 1
    assert equal(dict(network.state_dict()), dict(trained[0][0].state_dict()))
    assert torch.equal(space.mean, trained[0][1].mean)
    assert torch.equal(space.std, trained[0][1].std)


def test_saving_what_was_loaded_gives_the_same_bytes(folder):
    content, model = load_encoder(folder)
    before = listing(folder)
    settings = encoder_settings(folder)
    save_checkpoint("autoencoder", settings, model, metrics=content["metrics"])
    assert listing(folder) == before


def corruptions(data: bytes, rng: np.random.Generator):
    """One random damage of each kind."""
    n = len(data)
    flipped = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        flipped[rng.integers(n)] ^= 1 << rng.integers(8)
    yield bytes(flipped)
    yield data[: rng.integers(n)]  # cut short
    yield data[rng.integers(1, n) :]  # the start is missing
    i = rng.integers(n)
    yield data[:i] + rng.bytes(rng.integers(1, 100)) + data[i:]
    i, length = rng.integers(n), rng.integers(1, 5000)
    yield data[:i] + bytes(len(data[i : i + length])) + data[i + length :]
    i = rng.integers(1, n)
    yield data[i:] + data[:i]
    i, j = sorted(rng.integers(n, size=2))
    yield data[:i] + data[j:]  # a hole
    yield data + rng.bytes(rng.integers(1, 100))


def test_random_corruptions_are_refused_or_harmless(folder):
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    whole, (good, _) = path.read_bytes(), load_encoder(folder)
    rng = np.random.default_rng(0)
    refusals = 0
    for _ in range(75):
        for damaged in corruptions(whole, rng):
            path.write_bytes(damaged)
            try:
                content, model = load_encoder(folder)
            except ValueError as problem:
                assert str(problem).startswith(f"{path} ") and "\n" not in str(problem)
                refusals += 1
            else:  # a zeroed block of zeros, say
                assert equal(content, good)
                assert equal(dict(model.state_dict()), dict(good["weights"]))
            # Nobody mends or deletes a file behind the user's back.
            assert path.read_bytes() == damaged
    assert refusals > 500


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 32, b"x" * 33, signed(b"")])
def test_tiny_files_are_refused(folder, data):
    checkpoint_path("autoencoder", encoder_settings(folder)).write_bytes(data)
    refused(lambda: load_encoder(folder), "not a checkpoint")


# torch warns of odd pickle protocols before it gives up.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_signed_damage_never_ends_in_another_exception(folder):
    """Behind a valid SHA-256 the damage reaches torch.load: still a ValueError or a load."""
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    payload = path.read_bytes()[:-32]
    directory = payload.find(b"PK\x01\x02")  # the zip's table of contents
    places = [(0, 3500), (directory, len(payload))]  # the pickle; the table
    rng = np.random.default_rng(1)
    refusals = 0
    for i in range(300):
        damaged = bytearray(payload)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(*places[i % 2])] = rng.integers(256)
        path.write_bytes(signed(bytes(damaged)))
        try:
            load_encoder(folder)
        except ValueError as problem:
            assert "\n" not in str(problem)
            refusals += 1
    assert refusals > 100


# ---------------------------------------------------------------- never code


class Hostile:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("as_zip", [True, False], ids=["torch.save", "bare pickle"])
def test_hostile_pickle_is_refused_without_running(folder, tmp_path, as_zip):
    victim = tmp_path / "victim"
    content = {"stage": "autoencoder", "weights": Hostile(victim)}
    buffer = io.BytesIO()
    torch.save(content, buffer) if as_zip else pickle.dump(content, buffer)
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    path.write_bytes(signed(buffer.getvalue()))
    refused(lambda: load_encoder(folder), "is not a checkpoint")
    assert not victim.exists()
    # The pickle does work when it is run, else the test would show nothing.
    pickle.loads(pickle.dumps(Hostile(victim))).close()
    assert victim.exists()


def test_hostile_class_in_the_metrics_is_refused(folder, tmp_path):
    victim = tmp_path / "victim"
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    rewrite(path, metrics=Hostile(victim))
    refused(lambda: load_encoder(folder), "is not a checkpoint")
    assert not victim.exists()


# ---------------------------------------------------------------- of the right making


@pytest.mark.parametrize(
    "content", [[1, 2], "text", 3, None, torch.zeros(3), {}, {"stage": "autoencoder"}]
)
def test_other_content_is_refused(folder, content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    path.write_bytes(signed(buffer.getvalue()))
    refused(lambda: load_encoder(folder), "is not a checkpoint")


@pytest.mark.parametrize("key", ["stage", "settings", "weights", "torch", "metrics"])
def test_missing_key_is_refused(folder, key):
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    rewrite(path, **{key: KeyError})
    refused(lambda: load_encoder(folder), "is not a checkpoint")


def test_additional_key_is_refused(folder):
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    rewrite(path, more=1)
    refused(lambda: load_encoder(folder), "is not a checkpoint")


@pytest.mark.parametrize("key", ["stage", "settings", "weights", "metrics"])
@pytest.mark.parametrize("value", [None, 3, "text", [1], {"a": 1}, torch.zeros(2)])
def test_wrong_type_under_a_key_is_refused(folder, key, value):
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    rewrite(path, **{key: value})
    refused(lambda: load_encoder(folder), str(path))


@pytest.mark.parametrize("key", ["metrics", "mean", "std", "autoencoder_digest"])
@pytest.mark.parametrize("value", [None, 3, "text", [1], {"a": 1}, torch.zeros(2)])
def test_wrong_type_in_the_flow_is_refused(folder, key, value):
    path = checkpoint_path("flow", tiny_settings(folder))
    rewrite(path, **{key: value})
    refused(lambda: load_flow(folder), str(path))


@pytest.mark.parametrize("key", ["mean", "std"])
def test_latent_statistics_that_are_not_finite_are_refused(folder, key):
    path = checkpoint_path("flow", tiny_settings(folder))
    rewrite(path, **{key: torch.full((1,), float("nan"))})
    refused(lambda: load_flow(folder), str(path))


def weights_of(path):
    return torch.load(io.BytesIO(path.read_bytes()[:-32]), weights_only=True)["weights"]


@pytest.mark.parametrize(
    "spoil, match",
    [
        (lambda w: w.pop("encoder.0.bias"), "other weights"),
        (lambda w: w.update(more=torch.zeros(1)), "other weights"),
        (lambda w: w.update({"encoder.0.bias": torch.zeros(31)}), "other weights"),
        (lambda w: w.update({"encoder.0.bias": torch.zeros(32, 1)}), "other weights"),
        (lambda w: w.update({"encoder.0.bias": [0.0] * 32}), "other weights"),
        (lambda w: w.update({"encoder.0.bias": None}), "other weights"),
        (lambda w: w.update({"encoder.0.bias": "text"}), "other weights"),
        (lambda w: w["encoder.0.bias"].fill_(float("nan")), "NaN"),
        (lambda w: w["decoder.0.weight"][7:8].fill_(float("inf")), ""),
    ],
)
def test_spoilt_weights_are_refused(folder, spoil, match):
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    weights = weights_of(path)
    spoil(weights)
    rewrite(path, weights=weights)
    refused(lambda: load_encoder(folder), f"{path}.*{match}")


def test_checkpoint_of_another_stage_is_refused(folder):
    ours = checkpoint_path("autoencoder", encoder_settings(folder))
    theirs = checkpoint_path("flow", tiny_settings(folder))
    # With all of a flow's content, or only its name: refused either way.
    rewrite(ours, stage="flow")
    refused(lambda: load_encoder(folder), "another stage")
    shutil.copy(theirs, ours)
    refused(lambda: load_encoder(folder), str(ours))


@pytest.mark.parametrize("change", [{"seed": 1}, {"range": 0.5}, {"hard_edges": True}])
def test_checkpoint_of_other_settings_is_refused(folder, change):
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    other = dataclasses.replace(encoder_settings(folder), **change)
    shutil.copy(path, checkpoint_path("autoencoder", other))
    refused(lambda: autoencoder.load_or_train(other), "other settings")


def test_tensor_among_the_settings_is_refused(folder):
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    settings = identity(encoder_settings(folder))
    rewrite(path, settings=settings | {"range": torch.zeros(2)})
    refused(lambda: load_encoder(folder), "other settings")


def test_flow_on_a_changed_autoencoder_is_refused(folder):
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    weights = weights_of(path)
    weights["encoder.0.bias"][0] += 1e-6
    rewrite(path, weights=weights)
    load_encoder(folder)  # in itself it is a good one
    refused(lambda: load_flow(folder), "another autoencoder")


def test_refusals_say_what_to_do(folder):
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    path.write_bytes(b"damaged")
    refused(lambda: load_encoder(folder), "delete it to train it again")
    path.unlink()
    autoencoder.load_or_train(encoder_settings(folder))  # and that helps
    load_flow(folder)


def test_names_tell_settings_apart(tmp_path):
    """Checkpoints of different settings never fight for one file."""
    names = {checkpoint_path("flow", tiny_settings(tmp_path)).name}
    changes = CHANGES | AUTOENCODER_CHANGES | {"embed_dim": 3, "seed": 5}
    for name, value in changes.items():
        settings = tiny_settings(tmp_path, **{name: value})
        names.add(checkpoint_path("flow", settings).name)
    assert len(names) == 1 + len(changes)


# ---------------------------------------------------------------- the same twice


@pytest.mark.slow
def test_training_again_gives_the_same_bytes(checkpoints, tmp_path):
    """In this process, with other random numbers drawn before, and in a new process."""
    torch.rand(17), np.random.rand(3)
    flow.load_or_train(tiny_settings(tmp_path / "again"))
    run_process(tmp_path, "flow", *TINY, "--checkpoint-dir", "process")
    expected = [(p.name, p.read_bytes()) for p in sorted(checkpoints.glob("*.pt"))]
    assert len(expected) == 2
    for name in ("again", "process"):
        found = sorted((tmp_path / name).glob("*.pt"))
        assert [(p.name, p.read_bytes()) for p in found] == expected


def test_loading_touches_nothing(folder):
    before = listing(folder)
    load_flow(folder)
    assert listing(folder) == before


def state(model) -> dict:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def test_seed_of_a_stage_is_its_own(folder, quick_flow):
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    before = path.read_bytes(), path.stat().st_mtime_ns
    first, _, _ = flow.load_or_train(tiny_settings(folder))
    second, _, content = flow.load_or_train(tiny_settings(folder, seed=1))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert sum(name.startswith("autoencoder") for name in visible(folder)) == 1
    assert content["autoencoder_digest"] == before[0][-32:].hex()
    assert not equal(state(first), state(second))


AUTOENCODER_CHANGES = {
    "range": 0.5,
    "half_width": 0.1,
    "hard_edges": True,
    "plain": True,
    "hidden_layers": 1,
    "blur": 0.0,
    "autoencoder_steps": 3,
}
# The flow's settings besides those; what the autoencoder's settings do to the flow is tested through it.
CHANGES = {
    "ccw_share": 0.9,
    "given_frames": 2,
    "latent_scale": 2.0,
    "flow_steps": 3,
    "autoencoder_seed": 4,
}


def test_every_setting_is_tested_below():
    """A new setting has to be put into one of the two tables."""
    names = {field.name for field in dataclasses.fields(AutoencoderSettings)}
    assert names == {*AUTOENCODER_CHANGES, "embed_dim", "seed", "checkpoint_dir"}
    names = {field.name for field in dataclasses.fields(FlowSettings)}
    assert names == {*(*CHANGES, *AUTOENCODER_CHANGES), *("embed_dim", "seed", "checkpoint_dir")}


@pytest.mark.parametrize(
    "name, value", [*AUTOENCODER_CHANGES.items(), ("embed_dim", 2), ("seed", 1)]
)
def test_autoencoder_setting_has_an_effect(folder, name, value):
    settings = encoder_settings(folder)
    base = state(autoencoder.train(settings))
    assert equal(base, dict(load_encoder(folder)[0]["weights"]))
    changed = autoencoder.train(dataclasses.replace(settings, **{name: value}))
    assert not equal(base, state(changed))


@pytest.mark.parametrize(
    "name, value", [*(CHANGES | AUTOENCODER_CHANGES).items(), *[("seed", 1), ("embed_dim", 2)]]
)
def test_flow_setting_has_an_effect(folder, quick_flow, name, value):
    def trained(settings):
        encoder, _ = autoencoder.load_or_train(settings.autoencoder_settings())
        return state(flow.train(settings, encoder)[0])

    base = trained(tiny_settings(folder))
    assert equal(base, trained(tiny_settings(folder)))
    assert not equal(base, trained(tiny_settings(folder, **{name: value})))


def test_checkpoint_folder_is_no_part_of_the_content(folder, tmp_path):
    moved = folder.rename(tmp_path / "moved")
    before = listing(moved)
    load_flow(moved)
    assert listing(moved) == before


# ---------------------------------------------------------------- nothing half-done


def explode(monkeypatch, stage):
    """Train with an absurd learning rate."""
    usual = stage.optimizer_and_schedule

    def absurd(model, learning_rate, *more, **named):
        return usual(model, 1e30, *more, **named)

    monkeypatch.setattr(stage, "optimizer_and_schedule", absurd)


def test_diverging_training_saves_nothing(tmp_path, monkeypatch, command):
    explode(monkeypatch, autoencoder)
    line = ["--embed-dim", "1", "--autoencoder-steps", "3"]
    line += ["--checkpoint-dir", str(tmp_path / "new")]
    status, _, err = command(autoencoder, AutoencoderSettings, *line)
    assert status == 2
    assert err.splitlines()[-1].startswith("error: ") and "diverged" in err
    assert "Traceback" not in err
    assert visible(tmp_path / "new") == []


def test_diverging_flow_saves_nothing(folder, monkeypatch, command, quick_flow):
    explode(monkeypatch, flow)
    before = visible(folder)
    line = [*TINY, "--seed", "9", "--flow-steps", "3", "--checkpoint-dir", str(folder)]
    status, _, err = command(flow, FlowSettings, *line)
    assert status == 2
    assert err.splitlines()[-1].startswith("error: ") and "diverged" in err
    assert visible(folder) == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_saved(tmp_path, value):
    settings = encoder_settings(tmp_path)
    model = Autoencoder(settings)
    with torch.no_grad():
        model.decoder[0].weight[3] = value
    refused(lambda: save_checkpoint("autoencoder", settings, model), "diverged")
    assert visible(tmp_path) == []


def test_failed_save_keeps_the_old_checkpoint(folder, monkeypatch):
    _, model = load_encoder(folder)
    before = listing(folder)

    def disk_full(path, data):
        with open(path, "wb") as file:  # half of it still fits
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    settings = encoder_settings(folder)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint("autoencoder", settings, model, metrics=0)
    assert listing(folder) == before


def test_next_save_cleans_up_after_a_killed_one(folder):
    content, model = load_encoder(folder)
    before = listing(folder)
    settings = encoder_settings(folder)
    path = checkpoint_path("autoencoder", settings)
    leftover = folder / f".{path.name}.99999999.tmp"  # no process has this id
    leftover.write_bytes(b"half a checkpoint")
    path.unlink()
    save_checkpoint("autoencoder", settings, model, metrics=content["metrics"])
    assert listing(folder) == before


def test_file_is_never_seen_half_written(folder, monkeypatch):
    """Up to the one step that puts the new file in place, the old one is there."""
    _, model = load_encoder(folder)
    path = checkpoint_path("autoencoder", encoder_settings(folder))
    old, seen = path.read_bytes(), []
    replace = os.replace

    def watched(source, target):
        seen.append((path.read_bytes(), Path(source).parent))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    save_checkpoint(
        "autoencoder", encoder_settings(folder), model, metrics={"mse": 0.0, "iou": 0.0}
    )
    assert seen == [(old, folder)]
    assert path.read_bytes() != old

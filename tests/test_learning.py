"""Does anything learn? The default networks, trained for real, against the truth."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from conftest import centroid as center
from conftest import tiny_settings

import analyze
import autoencoder
import flow
import sample as sampling
from analyze import count_blobs
from autoencoder import AutoencoderSettings, evaluate
from data import PIXEL, grid_centers, possible_orbits
from flow import loss_by_time, possible_futures, posterior_mean
from sample import Samples, decode_videos, learned_flow, random_given_centers, random_noise, sample


@pytest.fixture(scope="module")
def given_centers(learned) -> np.ndarray:
    return random_given_centers(learned[1].settings, 100, np.random.default_rng(0))


@pytest.fixture(scope="module")
def samples(learned, given_centers) -> Samples:
    """100 videos of the learned flow, d = 2."""
    noise = random_noise(learned[1], 100, np.random.default_rng(1))
    return sample(learned_flow(*learned, given_centers), noise)


def test_videos_follow_a_true_orbit(learned, given_centers, samples):
    frames = decode_videos(learned[1], given_centers, samples.states[-1])
    orbits = possible_orbits(given_centers[:, 0])
    distance = np.linalg.norm(center(frames)[:, None] - orbits, axis=-1)
    right = (distance[:, :, 1:].max(2) < 1.5 * PIXEL).any(1)
    assert right.mean() >= 0.95
    ccw = distance.mean(2).argmin(1) == 0
    assert 0.3 < ccw.mean() < 0.7  # both directions are drawn


def test_one_square_at_every_step(learned, samples):
    for state in samples.states[::5]:
        assert (count_blobs(learned[1].decode(state).numpy()) == 1).mean() >= 0.99


def test_velocity_is_close_to_the_exact_one(learned):
    losses = loss_by_time(*learned)
    assert np.mean(losses["excess"]) < 0.02
    # loss = irreducible + excess, up to what 1024 videos tell
    parts = np.add(losses["irreducible"], losses["excess"])
    assert sum(losses["loss"]) == pytest.approx(sum(parts), rel=0.06)
    assert losses["irreducible"][-1] < 0.01 < losses["irreducible"][2]


def test_frames_are_squeezed_and_drawn_again(learned):
    model, settings = learned[1].autoencoder, learned[1].settings
    error, trivial = evaluate(model, settings)
    assert error < 0.05 * trivial
    centers = grid_centers(0.75, side=6)
    latents = autoencoder.encode_squares(model, centers, settings).reshape(-1, 2)
    np.testing.assert_allclose(
        center(model.decode(latents).detach().numpy()), centers.reshape(-1, 2), atol=PIXEL
    )


def test_both_directions_are_seen_at_d_100(space_100):
    """The exact posterior mean at t = 0: two squares, but one in frame 4, where both meet."""
    angle = np.linspace(0, 6, 40)
    first = 0.65 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    futures, prior = possible_futures(space_100, first[:, None])
    mean = posterior_mean(torch.randn(futures[:, 0].shape), torch.zeros(40, 1), futures, prior)
    counts = count_blobs(space_100.decode(mean).numpy())
    assert (counts[:, [0, 1, 2, 4, 5, 6]] == 2).mean() >= 0.95
    assert (counts[:, 3] == 1).all()


def test_every_draw_has_a_random_stream_of_its_own(tmp_path, monkeypatch, few_orbits):
    """Numbers are never drawn twice, so what is measured on fresh videos is; and all depend on the
    seed."""
    streams, starts = [], []
    make, start = np.random.default_rng, torch.manual_seed
    monkeypatch.setattr(np.random, "default_rng", lambda s: streams.append(tuple(s)) or make(s))
    monkeypatch.setattr(torch, "manual_seed", lambda s: starts.append(s) or start(s))
    one = lambda settings, n, rng: random_given_centers(settings, 1, rng)
    monkeypatch.setattr(analyze, "random_given_centers", one)
    for seed in (0, 7):
        settings = tiny_settings(tmp_path, seed=seed)
        flow.main(settings)
        autoencoder.main(autoencoder.shared_settings(settings, AutoencoderSettings))
        analyze.measure_blobs(settings)
        shown = {"sample_seed": seed, "gif": tmp_path / "o.gif", "num_videos": 1, "steps": 1}
        sampling.main(sampling.SampleSettings(**asdict(settings) | shown))
    # autoencoder: training and test; flow: training and test; sampling; counting
    assert len(streams) == len(set(streams)) == 2 * 6
    assert [first for first, *_ in streams] == [0] * 6 + [7] * 6
    assert starts == [0, 0, 7, 7]  # the trainings of the autoencoder and of the flow

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
from autoencoder import Autoencoder, AutoencoderSettings, evaluate
from data import PIXEL, grid_centers, possible_orbits, render
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


def test_evaluate_gives_the_error_and_that_of_the_mean_frame():
    class Constant:
        """Decodes everything as the same grey."""

        def encode(self, frames):
            return frames

        def decode(self, latents):
            return torch.full_like(latents, 0.25)

    error, trivial = evaluate(Constant(), AutoencoderSettings())
    # A square is 10 pixels wide. Across, 9 or 10 are white, and u and 1 - u of the two at its edges
    light, squares = 10**2, (9 + 2 / 3) ** 2  # the sums of f and of f^2; mean of u^2 is 1/3
    assert error == pytest.approx((squares - 0.5 * light) / 51**2 + 0.25**2, rel=0.01)
    # The mean frame is a product of two trapezoids: its middles lie anywhere on 40 pixels, so a
    # quarter of the squares cover each of the middle 30, and fewer the 10 on either side.
    trapezoid_squared = 30 * 0.25**2 + 2 * 10 * 0.25**2 / 3
    assert trivial == pytest.approx((squares - trapezoid_squared**2) / 51**2, rel=0.005)
    # Half the range: 20 pixels of middles, a plateau of 10 at 1/2, and again 10 on either side
    _, trivial = evaluate(Constant(), AutoencoderSettings(center_range=0.4))
    trapezoid_squared = 10 * 0.5**2 + 2 * 10 * 0.5**2 / 3
    assert trivial == pytest.approx((squares - trapezoid_squared**2) / 51**2, rel=0.005)


def test_blur_and_leak_fade_over_the_first_60_percent(monkeypatch):
    blurs, leaks = [], []

    def remembered(centers, settings, blur=0.0):
        blurs.append(blur)
        return render(centers, settings, blur)

    class Remembering(Autoencoder):
        def decode(self, latents, leak=autoencoder.LEAK):
            leaks.append(leak)
            return super().decode(latents, leak)

    monkeypatch.setattr(autoencoder, "render", remembered)
    monkeypatch.setattr(autoencoder, "Autoencoder", Remembering)
    autoencoder.train(AutoencoderSettings(autoencoder_steps=10, embed_dim=1, blur=8))
    early = np.array([1, 5 / 6, 2 / 3, 1 / 2, 1 / 3, 1 / 6, 0, 0, 0, 0])
    assert blurs == pytest.approx(8 * early**2)
    assert leaks == pytest.approx(autoencoder.LEAK + early * autoencoder.EARLY_LEAK)


def test_learning_rates_and_weight_decay(monkeypatch):
    model = torch.nn.Linear(1, 1)
    optimizer, schedule = autoencoder.optimizer_and_schedule(model, 2.0, 1000, 0.3)
    rates = []
    for _ in range(1000):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    expected = [0.02, 1.0, 2.0, 2.0, 1.0, 1 / 300]
    assert [rates[i] for i in (0, 49, 99, 400, 700, 999)] == pytest.approx(expected)
    assert optimizer.param_groups[0]["weight_decay"] == 0.3

    used = []

    def remembered(model, *rates):
        used.append(rates)
        return optimizer, schedule

    monkeypatch.setattr(autoencoder, "optimizer_and_schedule", remembered)
    for changes in ({"plain": True}, {"embed_dim": 2}, {"embed_dim": 20}, {"embed_dim": 500}):
        autoencoder.train(AutoencoderSettings(autoencoder_steps=1, **changes))
    rates, _, decays = zip(*used, strict=True)
    assert rates[0] < rates[1] == rates[2] == rates[3]
    assert decays[0] < decays[1] < decays[2] < decays[3] == 1


@pytest.mark.parametrize("plain", [False, True])
def test_the_decoder_starts_affine_unless_it_is_plain(plain):
    torch.manual_seed(0)
    model = Autoencoder(AutoencoderSettings(embed_dim=5, plain=plain))
    a, b = 30 * torch.randn(2, 3, 5)
    x = torch.randn(1, autoencoder.CHANNELS, 7, 7)
    assert torch.equal(autoencoder.ResidualBlock(plain)(x), x) != plain
    assert sum(isinstance(layer, torch.nn.SiLU) for layer in model.decoder) == 2 * plain
    # without the clip, the image of the mean is the mean of the images
    images = [model.decode(z, leak=1.0) for z in ((a + b) / 2, a, b)]
    assert torch.allclose(images[0], (images[1] + images[2]) / 2, atol=1e-4) != plain


def test_the_leaky_clip():
    torch.manual_seed(0)
    model, leak = Autoencoder(AutoencoderSettings()), autoencoder.LEAK
    latents = 100 * torch.randn(10, 2)
    raw = model.decode(latents, leak=1.0)
    assert raw.min() < 0 and raw.max() > 1
    expected = torch.where(raw < 0, leak * raw, torch.where(raw > 1, 1 + leak * (raw - 1), raw))
    torch.testing.assert_close(model.decode(latents), expected)


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

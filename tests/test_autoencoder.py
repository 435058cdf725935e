"""The autoencoder: its decoder before any training, its clip, and the course of its training."""

import numpy as np
import pytest
import torch

import autoencoder
from autoencoder import Autoencoder, AutoencoderSettings, evaluate
from data import render


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

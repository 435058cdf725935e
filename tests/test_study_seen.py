"""What one sees of an average: on codes and decoders whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from autoencoder import AutoencoderSettings
from data import grid_centers, render
from flow import FlowSettings, possible_futures
from sample import centers_of_light
from study import seen

SETTINGS = AutoencoderSettings()
GRID = grid_centers(0.8)  # (21, 21, 2)


class Coordinates:
    """Encodes a square as its centre, and draws a square at two numbers."""

    def encode(self, frames):
        return torch.from_numpy(centers_of_light(frames.numpy()))

    def decode(self, latents, leak=0.01):
        return torch.from_numpy(render(latents.numpy())).float()


class Pixels:
    """A decoder that adds: the latents are the pixels themselves."""

    def encode(self, frames):
        return frames.flatten(1)

    def decode(self, latents, leak=0.01):
        return latents.unflatten(1, (51, 51))


class Blend:
    """0.3 of a square that moves and 0.7 of two that fade."""

    def encode(self, frames):
        return torch.cat([Coordinates().encode(frames), Pixels().encode(frames)], 1)

    def decode(self, latents, leak=0.01):
        moved, faded = Coordinates().decode(latents[:, :2]), Pixels().decode(latents[:, 2:])
        return (0.3 * moved + 0.7 * faded).float()


class Glow(Pixels):
    """Between two squares everything is half bright."""

    def decode(self, latents, leak=0.01):
        frames = super().decode(latents)
        undecided = frames.amax((1, 2), keepdim=True) < 0.9
        return torch.where(undecided, 0.5 + 0 * frames, frames)


def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------------------------
# How many squares?


def test_shares_of_frames_with_none_one_two_and_more():
    places = np.array([[-0.6, -0.6], [0.6, -0.6], [-0.6, 0.6], [0.6, 0.6]])
    squares = render(places)
    frames = np.stack([squares[:k].sum(0) if k else 0 * squares[0] for k in (0, 1, 1, 2, 3, 4)])
    np.testing.assert_allclose(seen.square_shares(frames), [1 / 6, 2 / 6, 1 / 6, 2 / 6])
    assert seen.square_shares(0.1 * frames)[0] == 1  # all too dark to be read


def test_explained_by_hand():
    values, noise = torch.randn(1000, 3, generator=torch.manual_seed(0)), torch.randn(1000, 3)
    values[:] = (values - values.mean(0)) / values.std(0)
    noise = (noise - noise.mean(0)) / noise.std(0)
    values += 5
    assert seen.explained(values, values) == 1
    assert seen.explained(values, values + 0.5 * noise) == pytest.approx(0.75)
    assert seen.explained(values, 0 * values + 5) == pytest.approx(0)  # as good as the mean
    assert seen.explained(values, 10 - values) == pytest.approx(-3)  # worse


def test_a_sum_shows_two_squares_and_coordinates_show_one():
    added = seen.midpoints(Pixels(), SETTINGS)
    assert added["midpoint"][2] > 0.99 and added["sum"] == pytest.approx(1)
    moved = seen.midpoints(Coordinates(), SETTINGS)
    assert moved["midpoint"][1] == 1 and moved["sum"] < 0.2


@pytest.mark.parametrize("weights, squares", [((0.5, 0.5), 2), ((1.0, 0.0), 1)])
def test_step_0_counts_what_the_network_answers(weights, squares):
    """A network that answers with the mean of both videos, or with one of them."""
    space = SimpleNamespace(
        settings=SimpleNamespace(
            embed_dim=51 * 51, seed=0, center_range=0.8, turns=(1, -1), given_frames=1
        ),
        encode=lambda centers: torch.from_numpy(render(centers)).flatten(2),  # pixels
        decode=lambda z: z.reshape(len(z), 7, 51, 51),
    )

    def network(x, t, given):
        assert (t == 0).all()
        centers = centers_of_light(given.reshape(-1, 51, 51).numpy())
        futures, _ = possible_futures(space, centers[:, None])
        return weights[0] * futures[:, 0] + weights[1] * futures[:, 1]

    assert seen.at_step_0(network, space)[squares] > 0.99


def test_decoded_noise_is_counted():
    """Two squares for a positive first number, else nothing: half and half."""
    two = torch.from_numpy(render(np.array([[0, 0.6], [0, -0.6]])).sum(0))
    space = SimpleNamespace(
        settings=FlowSettings(embed_dim=5), decode=lambda z: (z[:, :, :1, None] > 0) * two
    )
    blank, one, both, more = seen.decoded_noise(space)
    assert one == more == 0 and blank + both == 1 and 0.45 < both < 0.55


# ---------------------------------------------------------------------------------------------
# Moves or fades


@pytest.mark.parametrize("model, index", [(Coordinates(), 1), (Pixels(), 0), (Blend(), 0.3)])
def test_index_of_known_codes(model, index):
    ways = seen.random_ways(30, rng(), 0.8)
    result = seen.halfway(model, SETTINGS, ways)
    assert result["on the way"] == pytest.approx(index, abs=0.015)
    assert result["off the way"] == pytest.approx(0, abs=0.01)


def test_a_glow_is_seen_by_the_null():
    result = seen.halfway(Glow(), SETTINGS, seen.random_ways(30, rng(), 0.8))
    assert result["off the way"] > 0.45 and result["on the way"] > 0.4


# ---------------------------------------------------------------------------------------------
# The code


def test_likeness_of_known_codes():
    same, right = [[1.0, 2.0], [3.0, 6.0]], [[1.0, 0.0], [0.0, 5.0]]
    opposite, half = [[1.0, 0.0], [-2.0, 0.0]], [[1.0, 0.0], [1.0, 3**0.5]]
    codes = np.array([[same, same], [right, right], [same, opposite], [half, half]])
    np.testing.assert_allclose(seen.likeness(codes), [1, 0, 0, 0.5], atol=1e-12)
    pairs = seen.random_pairs(100, rng(), 0.8)
    distance = np.linalg.norm(pairs[:, :, 0] - pairs[:, :, 1], axis=-1)
    np.testing.assert_allclose(distance, np.array(seen.DISTANCES)[:, None].repeat(100, 1))
    assert np.abs(pairs).max() <= 0.8
    cells = np.exp(-((pairs[..., None, :] - GRID.reshape(-1, 2)) ** 2).sum(-1) / (2 * 0.1**2))
    expected = np.exp(
        -(np.array(seen.DISTANCES[:6]) ** 2) / (4 * 0.1**2)
    )  # of Gaussian place cells
    np.testing.assert_allclose(seen.likeness(cells)[:6], expected, atol=0.03)


def bump(x: float, y: float, width: float) -> np.ndarray:
    """The response of a place cell, (21, 21)."""
    return np.exp(-((GRID - [x, y]) ** 2).sum(-1) / (2 * width**2))


def test_fields_of_known_units():
    """Place cells of either sign have one. Maps, corners, silence, two places and large ones
    don't."""
    cells = [bump(0, 0, 0.1), 7 - 3 * bump(0.3, -0.2, 0.15), -5 + bump(-0.4, 0.3, 0.1)]
    angle = np.radians(15 * np.arange(24))
    ramps = np.moveaxis(GRID @ np.stack([np.cos(angle), np.sin(angle)]), -1, 0)
    two, corner = bump(-0.4, 0, 0.1) + bump(0.4, 0, 0.1), bump(0.8, 0.8, 0.2)
    for unit in cells:
        assert seen.share_with_field(unit[..., None]) == 1
    for unit in (*ramps, *ramps**3, 0 * two, two, corner, bump(0, 0, 0.5)):
        assert seen.share_with_field(unit[..., None]) == 0
    assert seen.share_with_field(np.stack([*cells, two], axis=-1)) == 0.75


def test_random_rotations_prefer_no_direction():
    matrices = np.stack([seen.random_rotation(3, g) for g in rng().spawn(600)])
    products = matrices @ matrices.transpose(0, 2, 1)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(3), (600, 3, 3)), atol=1e-12)
    assert abs(matrices[:, 0, 0].mean()) < 0.1


def test_controls():
    """Pixels have fields and are alike only where squares overlap; coordinates aren't."""
    controls = seen.measure_controls(FlowSettings())
    assert controls["pixels with a field"] == 1
    assert controls["pixels"][0] > 0.85 and abs(controls["pixels"][5:]).max() < 0.15
    assert controls["pixels"][7] < -0.05  # since they are counted from their mean
    assert controls["coordinates"][0] > 0.98 and controls["coordinates"][-1] < -0.5

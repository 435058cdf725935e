"""Reach: the measures tell flows that know the rule from flows that know circles."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import flow
from autoencoder import Autoencoder
from data import PIXEL, possible_orbits, random_first_centers, render
from flow import FlowSettings, LatentSpace
from sample import centers_of_light
from study import codes, reach
from study.reach import RADII, UNSEEN


class Coordinates(nn.Module):
    """An ideal code of d = 2: the latents are the centre of the square."""

    def encode(self, frames):
        return torch.from_numpy(centers_of_light(frames.numpy()).astype(np.float32))

    def decode(self, latents):
        return torch.from_numpy(render(latents.numpy()))


def coordinates(**settings):
    return LatentSpace(Coordinates(), torch.zeros(2), torch.ones(2), FlowSettings(**settings))


class Answering(nn.Module):
    """A flow on Coordinates that turns counter-clockwise, at once, on the circle that `answer`
    makes of the radii (n,) of frame 0."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x, t, given):
        x_0, y_0 = given.numpy().T
        radius = self.answer(np.hypot(x_0, y_0))
        angle = np.arctan2(y_0, x_0)[:, None] + np.radians(45 * np.arange(1, 8))
        places = radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return torch.from_numpy(places.reshape(len(x), 14).astype(np.float32))


@pytest.fixture
def coarse_grid(monkeypatch):
    """Squares a pixel apart: no place is more than 0.71 pixels from the nearest."""
    monkeypatch.setattr(codes, "GRID", 41)


@pytest.mark.parametrize("unseen", UNSEEN)
def test_a_flow_that_knows_only_its_circles_is_the_null(unseen, coarse_grid):
    """Decoded and snapped."""
    low, high = UNSEEN[unseen]

    def nearest(radius):
        if unseen == "outwards":
            return radius.clip(max=low)
        if unseen == "inwards":
            return radius.clip(min=high)
        inner = np.where(radius < (low + high) / 2, low, high)
        return np.where((low < radius) & (radius < high), inner, radius)

    result = reach.carried(Answering(nearest), coordinates(unseen_radii=(low, high)), starts=4)
    null = reach.null(RADII, unseen)
    assert (null > 0).sum() == ((low < RADII) & (RADII < high)).sum() > 2
    np.testing.assert_allclose(result["decoded"]["px"], null, atol=0.1)
    np.testing.assert_allclose(result["snapped"]["px"], null, atol=0.71)
    np.testing.assert_array_equal(result["decoded"]["right"], null < 1.5)
    np.testing.assert_allclose(result["answer"]["px"], 0, atol=0.1)  # the decoder isn't to blame


def test_a_flow_that_knows_the_rule_is_right_everywhere(coarse_grid):
    space = coordinates(unseen_radii=(0.5, 0.8))
    result = reach.carried(Answering(lambda radius: radius), space, starts=4)
    for readout, off in (("decoded", 0.1), ("snapped", 0.71), ("answer", 0.1)):
        assert result[readout]["px"].shape == (11,) and result[readout]["px"].max() < off
        assert (result[readout]["right"] == 1).all()


def test_the_null_by_hand():
    radii = np.array([0.25, 0.45, 0.5, 0.52, 0.75])
    np.testing.assert_allclose(reach.null(radii, "outwards"), [0, 0, 0, 0.5, 6.25], atol=1e-9)
    np.testing.assert_allclose(reach.null(radii, "inwards"), [6.25, 1.25, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(reach.null(radii, "gap"), [0, 1.25, 2.5, 2, 0], atol=1e-9)


def test_the_null_and_the_training_leave_out_the_same():
    """The circles of a training are those where the null is 0."""
    for unseen, radii in UNSEEN.items():
        first = random_first_centers(2000, np.random.default_rng(0), 0.8, radii)
        null = reach.null(np.linalg.norm(first, axis=1), unseen)
        np.testing.assert_allclose(null, 0, atol=1e-9)


def test_the_middle_of_the_bright_pixels():
    """It is the square's own, wherever between pixels; faint light elsewhere doesn't move it."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(-0.3, 0.7, (50, 2))
    frames = render(centers)
    middles = reach.bright_middles(frames)
    assert np.abs(middles - centers).max() < 0.05 * PIXEL
    faint = reach.bright_middles(0.5 * frames + 0.2 * render(np.array([-0.7, -0.7])))
    np.testing.assert_allclose(faint, middles, atol=1e-5)
    two = render(np.array([0.6, 0.2])) + render(np.array([-0.4, 0.2]))
    np.testing.assert_allclose(reach.bright_middles(two), [0.1, 0.2], atol=1e-5)
    np.testing.assert_allclose(reach.bright_middles(np.zeros((51, 51))), 0, atol=1e-9)


def test_errors_are_those_of_the_nearer_direction():
    """Of both directions, and each frame by itself: one is moved by 3 and 4 pixels."""
    first = np.array([[0.6, 0.1], [-0.3, 0.4], [0.0, 0.7]])
    for direction in (0, 1):
        found = possible_orbits(first)[:, direction, 1:].copy()
        np.testing.assert_allclose(reach.errors(found, first), 0, atol=1e-9)
        found[1, 2] += [3 * PIXEL, -4 * PIXEL]
        expected = np.zeros((3, 7))
        expected[1, 2] = 5
        np.testing.assert_allclose(reach.errors(found, first), expected, atol=1e-9)


def test_by_radius_by_hand():
    """The first `starts` videos belong to the first radius; a few bad ones leave the median, and
    one bad frame makes a video wrong."""
    distance = np.repeat(RADII, 4)[:, None] * np.ones(7)
    distance[0, 3] = distance[2] = 9
    result = reach.by_radius(distance)
    np.testing.assert_allclose(result["px"], RADII)
    np.testing.assert_allclose(result["right"], [0.5] + [1] * 10)


def test_snapping_takes_no_notice_of_the_decoder(coarse_grid):
    """A decoder that always draws the right square, and one that can't draw: the same places, of
    the squares of the grid that are nearest."""
    space = coordinates()
    centers = np.random.default_rng(0).uniform(-0.75, 0.75, (6, 7, 2))
    latents = space.encode(centers).flatten(1)
    space.autoencoder.decode = None
    nearest = reach.Snapping(space).nearest(latents)
    np.testing.assert_allclose(nearest, (centers / PIXEL).round() * PIXEL, atol=1e-9)


def test_snapping_drops_what_lies_off_the_codes(coarse_grid):
    """Place cells: a code of bumps on a grid. Noise that is far larger than the distance between
    two neighbouring codes, but in numbers that all codes have in common, changes nothing."""

    class Bumps(nn.Module):
        def encode(self, frames):
            middle = centers_of_light(frames.numpy())[:, None]
            axis = np.linspace(-0.8, 0.8, 7)
            cells = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
            bumps = np.exp(-((middle - cells) ** 2).sum(-1) / (2 * 0.25**2))
            return torch.from_numpy(np.pad(bumps, ((0, 0), (0, 11))).astype(np.float32))

    space = LatentSpace(Bumps(), torch.zeros(60), torch.ones(60), FlowSettings(embed_dim=60))
    snapping = reach.Snapping(space)
    centers = snapping.centers[[20, 300, 811, 1200]].reshape(2, 2, 2)
    latents = space.encode(centers)
    latents[..., 49:] += 3 * torch.randn(2, 2, 11)
    np.testing.assert_allclose(snapping.nearest(latents.flatten(1)), centers)


# ---------------------------------------------------------------------------------------------
# The lifted code


@pytest.fixture
def plane():
    """The latent space of an autoencoder with d = 2 that isn't trained, since no test
    needs that."""
    torch.manual_seed(0)
    settings = FlowSettings()
    mean, std = torch.tensor([0.3, -0.2]), torch.tensor([0.5, 2.0])
    return LatentSpace(Autoencoder(settings), mean, std, settings)


def test_the_lifted_code_is_the_same_code(plane):
    """Encoded and decoded it draws what d = 2 draws, and distances are kept; a step off the plane
    changes nothing."""
    space = plane
    matrix = reach.lifting_matrix(2, 100, np.random.default_rng(0))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(2), atol=1e-6, rtol=0)
    lifted = reach.Lifted(space, matrix)
    frames = torch.from_numpy(render(np.array([[0.5, 0.2], [-0.3, 0.7], [0.1, -0.6]])))
    with torch.no_grad():
        latents = lifted.encode(frames)
        standardised = space.standardize(space.autoencoder.encode(frames))
        assert latents.shape == (3, 100)
        distances = torch.cdist(standardised, standardised)
        torch.testing.assert_close(torch.cdist(latents, latents), distances)
        expected = space.autoencoder.decode(space.autoencoder.encode(frames))
        torch.testing.assert_close(lifted.decode(latents), expected, atol=1e-4, rtol=0)
        step = torch.randn(3, 100)
        step -= step @ matrix.T @ matrix
        torch.testing.assert_close(lifted.decode(latents + step), expected, atol=1e-4, rtol=0)


def test_the_lifted_code_as_a_flow_sees_it(plane, few_orbits, monkeypatch):
    """It lies in a plane, each of its numbers has the standard deviation 1, and it belongs to the
    d = 2 autoencoder of the same settings."""
    asked = []

    def trained(settings):
        asked.append(settings)
        return plane.autoencoder

    monkeypatch.setattr(reach, "trained_autoencoder", trained)
    settings = FlowSettings(embed_dim=100, unseen_radii=(0.5, 0.8), flow_steps=1)
    lifted = reach.lifted_autoencoder(settings)
    assert {(each.embed_dim, each.seed) for each in asked} == {(2, 0)}
    assert lifted.space.settings.unseen_radii == (0.5, 0.8)
    _, space = flow.train_flow(lifted, settings)
    latents = space.encode(flow.training_circles(settings)).flatten(0, 1)
    torch.testing.assert_close(latents.std(0), torch.ones(100))
    variances = torch.linalg.svdvals(latents - latents.mean(0)) ** 2 / len(latents)
    assert variances[:2].sum().item() == pytest.approx(100, rel=0.005)
    assert variances[2:].sum().item() < 1e-4
    other_seed = reach.lifted_autoencoder(replace(settings, seed=1))
    assert not torch.equal(other_seed.matrix, lifted.matrix)

"""Does a square move or fade: on decoders whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from autoencoder import AutoencoderSettings
from data import FrameSettings, possible_orbits, random_stream, render
from sample import centers_of_light
from study import motion
from study.question import read_numbers, write_numbers

SETTINGS = AutoencoderSettings()


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(motion, "WAYS", 30)


class Renderer:
    """Coordinates as latents: encodes a square as its centre, and draws a square at two numbers."""

    def encode(self, frames):
        return torch.from_numpy(centers_of_light(frames.numpy()))

    def decode(self, latents):
        return torch.from_numpy(render(latents.numpy()))


class Pixels:
    """A decoder that adds: the latents are the pixels themselves."""

    def encode(self, frames):
        return frames.flatten(1)

    def decode(self, latents):
        return latents.unflatten(1, (51, 51))


class Blend(Renderer):
    """Half of each: 0.3 of a square that moves and 0.7 of two that fade."""

    def encode(self, frames):
        return torch.cat([Renderer().encode(frames), Pixels().encode(frames)], 1)

    def decode(self, latents):
        moved, faded = Renderer().decode(latents[:, :2]), Pixels().decode(latents[:, 2:])
        return (0.3 * moved + 0.7 * faded).float()


def space_of(model, embed_dim):
    """A latent space with this autoencoder, whose latents aren't moved or scaled."""
    return SimpleNamespace(
        autoencoder=model,
        settings=SimpleNamespace(
            embed_dim=embed_dim, seed=0, center_range=0.8, turns=(1, -1), given_frames=1
        ),
        encode=lambda c: model.encode(torch.from_numpy(render(c.reshape(-1, 2)))).reshape(
            *c.shape[:-1], -1
        ),
        decode=lambda z: model.decode(z.reshape(-1, embed_dim)).reshape(len(z), -1, 51, 51).float(),
    )


# ---------------------------------------------------------------------------------------------
# Light, places, ways


def test_light_is_that_under_a_square_of_its_own_place():
    places = np.array([[0.4, 0.0], [-0.4, 0.2]])  # on pixel centres' borders and not: any place
    frames = render(places)
    light = motion.light_at_place(frames, places)
    assert (light > 0.9).all()
    np.testing.assert_allclose(motion.light_at_place(frames / 4, places), light / 4, rtol=1e-6)
    np.testing.assert_allclose(motion.light_at_place(frames, places[::-1]), 0, atol=1e-9)
    np.testing.assert_allclose(motion.light_at_place(9 * np.ones((1, 51, 51)), places[:1]), 1)


def test_index_by_hand():
    """0 for a cross-fade, 1 for a true square; and it is the sums that are divided, so that a way
    where a square and a cross-fade hardly differ counts little."""
    faded, true = np.array([0.1, 0.9]), np.array([0.9, 0.91])
    assert motion.motion_index(faded, faded, true) == 0
    assert motion.motion_index(true, faded, true) == 1
    light = np.array([0.5, 0.9])
    assert motion.motion_index(light, faded, true) == pytest.approx(0.4 / 0.81)
    assert np.isnan(motion.motion_index(light[:0], faded[:0], true[:0]))


def test_squares_are_apart():
    place = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    near, far = np.array([[0.3, 0.0], [0.5, 0], [0.4, 0]]), np.array([[0.0, 0.5]] * 3)
    np.testing.assert_array_equal(motion.apart(place, far), [1, 1, 1])
    np.testing.assert_array_equal(motion.apart(place, far, near), [0, 1, 1])
    np.testing.assert_array_equal(motion.apart(place, near, far), [0, 1, 1])


@pytest.mark.parametrize("length", motion.DISTANCES)
def test_random_ways_leave_room_for_the_null(length):
    start, end = motion.random_ways(100, length, np.random.default_rng(0), 0.8)
    assert len(start) == len(end) == 100
    np.testing.assert_allclose(np.linalg.norm(end - start, axis=1), length)
    assert np.abs(np.concatenate([start, end])).max() <= 0.8
    middle = (start + end) / 2
    for place in (start, end, middle):
        assert np.linalg.norm(-middle - place, axis=1).min() >= 0.4 - 1e-9
    assert (end - start).mean(0) == pytest.approx([0, 0], abs=0.2)  # in all directions


def test_brightest_place():
    """The square, not the brightest pixel, nor the centre of all light."""
    places = np.array([[[0.4, -0.2], [-0.6, 0.32]]])
    frames = 0.8 * render(places)
    frames[:, :, 3, 3] = 1
    frames[:, 0] += 0.5 * render(np.array([-0.4, 0.4]))
    np.testing.assert_allclose(motion.brightest_place(frames), places, atol=0.041)
    shifted = motion.brightest_place(render(np.array([0.44, -0.2])))
    assert shifted[0] - motion.brightest_place(frames)[0, 0, 0] == pytest.approx(0.04)


def test_reach_by_hand():
    assert motion.reach((0.3, 0.5, 0.9), np.array([0.9, 0.6, 0.4])) == pytest.approx(0.7)
    assert motion.reach((0.3, 0.5, 0.9), np.array([0.9, 0.4, 0.8])) == pytest.approx(0.46)
    assert motion.reach((0.3, 0.5, 0.9), np.array([0.9, 0.8, 0.7])) == 0.9
    assert motion.reach((0.3, 0.5, 0.9), np.array([0.4, 0.8, 0.7])) == 0.3


# ---------------------------------------------------------------------------------------------
# The code alone


def test_coordinates_move():
    result = motion.straight_lines(Renderer(), SETTINGS)
    np.testing.assert_allclose(result["code, on the way"], 1, atol=0.01)
    np.testing.assert_allclose(result["code, fractions"], 1, atol=0.01)
    np.testing.assert_allclose(result["code, off the way"], 0, atol=0.01)
    np.testing.assert_array_equal(result["code, one square"], 1)
    assert result["code, reach"] == 1.2
    places = centers_of_light(result["picture"])
    np.testing.assert_allclose(places[:, 0], [-0.4, -0.2, 0, 0.2, 0.4], atol=0.01)
    np.testing.assert_allclose(places[:, 1], 0.3, atol=0.01)


def test_pixels_fade():
    result = motion.straight_lines(Pixels(), SETTINGS)
    np.testing.assert_allclose(result["code, on the way"], 0, atol=1e-5)
    np.testing.assert_allclose(result["code, fractions"], 0, atol=1e-5)
    np.testing.assert_allclose(result["code, off the way"], 0, atol=1e-6)
    np.testing.assert_array_equal(result["code, one square"][-3:], 0)  # two, from 0.8 on
    assert result["code, reach"] == 0.3
    last, middle = result["picture"][-1], result["picture"][2]
    np.testing.assert_allclose(middle, (result["picture"][0] + last) / 2, atol=1e-6)


def test_a_blend_is_between():
    result = motion.straight_lines(Blend(), SETTINGS)
    np.testing.assert_allclose(result["code, on the way"], 0.3, atol=0.01)
    np.testing.assert_allclose(result["code, fractions"], 0.3, atol=0.01)


def test_a_glow_is_seen_by_the_null():
    """A decoder that makes everything half bright between two squares: the null is as high as the
    index, so that nobody takes it for a motion."""

    class Glow(Pixels):
        def decode(self, latents):
            frames = super().decode(latents)
            undecided = frames.amax((1, 2), keepdim=True) < 0.9
            return torch.where(undecided, 0.5 + 0 * frames, frames)

    start, end = motion.random_ways(50, 0.8, np.random.default_rng(0), 0.8)
    result = motion.straight_line(Glow(), SETTINGS, start, end, 0.5)
    assert result["off the way"] > 0.45 and result["on the way"] > 0.4
    assert result["one square"] == 0


def test_a_square_at_the_wrong_place_is_no_motion():
    """As where the latent plane is folded: one square, but not between the two."""

    class Detour(Renderer):
        def decode(self, latents):
            self.calls = getattr(self, "calls", 0) + 1  # the third call is that of the middles
            return super().decode(latents + 0.5 * (self.calls == 3))

    start, end = np.array([[-0.6, 0.3]]), np.array([[0.2, 0.3]])
    result = motion.straight_line(Detour(), SETTINGS, start, end, 0.5)
    assert result["on the way"] == pytest.approx(0, abs=0.05) and result["one square"] == 0


# ---------------------------------------------------------------------------------------------
# The flow's own way


def own_ways(states, first_centers, space):
    """own_ways() of videos with these states (steps, n, D)."""
    return motion.own_ways(SimpleNamespace(states=states), first_centers[:, None], space)


def straight_states(space, noise_places, first_centers, steps=51):
    """States on straight lines from squares at noise_places (n, 7, 2) to true videos."""
    orbits = possible_orbits(first_centers)[:, 0, 1:]
    start, end = (space.encode(c).flatten(1) for c in (noise_places, orbits))
    return torch.stack([(1 - t) * start + t * end for t in torch.linspace(0, 1, steps)])


@pytest.mark.parametrize("model, dim, answer", [(Renderer(), 2, 1), (Pixels(), 2601, 0)])
def test_own_ways(model, dim, answer):
    space = space_of(model, dim)
    rng = random_stream(0, "counting")
    first_centers = np.array([[0.7, 0.1], [0.0, -0.7], [0.5, 0.5]])
    places = rng.uniform(-0.8, 0.8, (3, 7, 2))
    places[:, 3] = -first_centers @ np.array([[0.0, 1], [-1, 0]])  # frame 4 comes from the side
    states = straight_states(space, places, first_centers)
    result = own_ways(states, first_centers, space)
    assert 4 <= result["ways"] <= 21
    assert result["on the way"] == pytest.approx(answer, abs=0.03)
    assert result["frame 4: on the way"] == pytest.approx(answer, abs=0.03)
    assert result["off the way"] == pytest.approx(0, abs=0.05)
    assert result["path over chord"] == pytest.approx(1, abs=1e-4)
    assert result["one square"] == answer
    if answer:
        assert (
            result["largest jump"] < 2.3
        )  # each step is about half a pixel; the place is to a pixel
    else:
        assert result["largest jump"] > 18  # the whole way


def test_own_ways_takes_only_far_ways_from_one_square():
    """One frame for each reason to leave it out, and one that stays."""
    space = space_of(Pixels(), 2601)
    first_centers = np.array([[0.7, 0.0]])
    orbit = possible_orbits(first_centers)[0, 0, 1:]
    places = 1.0 * orbit  # starts where it ends: too near
    places[1] = [-0.35, 0.0]  # frame 2, from here to (0, 0.7): far enough
    states = straight_states(space, places[None], first_centers)
    # The middle's mirror image, (0.175, -0.35), is 0.39 from (0, -0.7), the direction that
    # isn't taken.
    assert own_ways(states, first_centers, space)["ways"] == 0
    places[1] = [-0.7, 0.1]  # now it is (0.35, -0.4), and 0.46 from there
    states = straight_states(space, places[None], first_centers)
    assert own_ways(states, first_centers, space)["ways"] == 1
    two = states.clone().unflatten(2, (7, 51, 51))
    two[0, 0, 1] += torch.from_numpy(render(np.array([0.6, -0.6])))  # now its noise has two squares
    assert own_ways(two.flatten(2), first_centers, space)["ways"] == 0
    two = states.clone().unflatten(2, (7, 51, 51))
    two[-1, 0, 1] += torch.from_numpy(render(np.array([0.6, -0.6])))  # or its finished frame
    assert own_ways(two.flatten(2), first_centers, space)["ways"] == 0


def test_no_ways_no_error():
    space = space_of(Pixels(), 2601)
    first_centers = np.array([[0.7, 0.0]])
    places = possible_orbits(first_centers)[:, 0, 1:]
    states = straight_states(space, places, first_centers)
    result = own_ways(states, first_centers, space)
    assert result["ways"] == 0 and np.isnan(result["on the way"])


def test_a_path_with_a_corner_is_longer():
    space = space_of(Renderer(), 2)
    first_centers = np.array([[0.7, 0.0]])
    states = torch.zeros(3, 1, 14)
    states[1, 0, 0], states[2, 0, :2] = 0.3, torch.tensor([0.3, 0.4])
    assert own_ways(states, first_centers, space)["path over chord"] == pytest.approx(0.7 / 0.5)


def test_light_that_passes_at_one_step_only_counts():
    """The most light of any step, not of the middle step: a square that is late passes, too."""
    space = space_of(Renderer(), 2)
    first_centers = np.array([[0.7, 0.1], [0.0, -0.7], [0.5, 0.5]])
    places = random_stream(0, "counting").uniform(-0.8, 0.8, (3, 7, 2))
    states = straight_states(space, places, first_centers, 101)
    late = torch.cat([states[:1].expand(20, -1, -1), states])
    assert own_ways(late, first_centers, space)["on the way"] == pytest.approx(1, abs=0.03)


# ---------------------------------------------------------------------------------------------
# The whole question


def test_figure_and_texts(tmp_path, tiny, monkeypatch):
    """From the results of a tiny flow, kept and read as the command does."""
    monkeypatch.setattr(motion, "VIDEOS", 20)
    _, space = tiny
    monkeypatch.setattr(motion, "trained_flow", lambda settings: tiny)
    monkeypatch.setattr(motion, "trained_autoencoder", lambda settings: space.autoencoder)
    results = motion.measure_code_and_flow(space.settings) | {"folds": 0.0}
    code = {name: x for name, x in results.items() if name.startswith(("code", "folds"))}
    other = dict(code, folds=1.0)
    other["code, on the way"] = np.linspace(0.9, 0.2, 8)  # 0.4 at the sixth, 0.8
    runs = {name: [results, results] for name in motion.WITH_FLOW}
    runs |= {name: [code, other] for name in motion.CODE_ONLY}
    write_numbers(tmp_path, "motion", runs, 1)
    numbers, pictures, _ = read_numbers(tmp_path, "motion")
    assert motion.draw(numbers, pictures).get_axes()
    told = motion.texts(numbers)
    assert told["no blur: seeds that fold"] == "1 of 2"
    assert told["no blur: folded"] == "0.40"
    assert len(told["table"].splitlines()) == 2 + 8
    assert all(isinstance(text, str) for text in told.values())
    assert FrameSettings.half_width * 2 == motion.SIDE

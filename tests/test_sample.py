"""The Euler sampler against closed formulas, and the files it writes."""

import dataclasses

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from conftest import TINY

import sample as sampling
from data import orbits, random_first_centers, render, tile
from flow import NUM_ORBITS
from sample import SampleSettings, decode_videos, draw_film_strip, euler_steps, sample


def whole_path(*arguments):
    """All states and all posterior means that euler_steps() yields, stacked."""
    return tuple(map(torch.stack, zip(*euler_steps(*arguments), strict=True)))


def changed(space, **changes):
    """The same latents seen by a flow of other settings."""
    return dataclasses.replace(space, settings=dataclasses.replace(space.settings, **changes))


def rng(seed=0):
    return np.random.default_rng(seed)


# ---------------------------------------------------------------- the sampler


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_constant_posterior_mean_is_a_straight_line(steps):
    torch.manual_seed(0)
    noise, goal = torch.randn(2, 4, 3, dtype=torch.float64)
    states, means = whole_path(lambda x, t: goal, noise, steps)
    k = torch.arange(steps + 1)[:, None, None]
    torch.testing.assert_close(states, noise + k / steps * (goal - noise))
    torch.testing.assert_close(means, goal.expand(steps + 1, -1, -1))


def test_linear_posterior_mean_is_a_product():
    # Mean a x: each step multiplies x by 1 + (a - 1) / (steps (1 - t)), t = k / steps.
    steps, a = 20, 0.6
    noise = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    states, means = whole_path(lambda x, t: a * x, noise, steps)
    factors = [1 + (a - 1) / (steps - k) for k in range(steps)]
    expected = np.cumprod([1.0, *factors])[:, None, None] * noise.numpy()
    np.testing.assert_allclose(states.numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(means[:-1].numpy(), a * expected[:-1], rtol=1e-6)


def test_last_step_lands_on_the_posterior_mean():
    # Whatever the field, the step from t = 1 - 1/steps to 1 goes all the way.
    noise = torch.linspace(-1, 1, 6).reshape(2, 3)
    states, means = whole_path(lambda x, t: torch.sin(3 * x) + t, noise, 9)
    torch.testing.assert_close(states[-1], means[-2])
    assert torch.equal(states[-1], means[-1])
    assert torch.equal(states[0], noise)


def test_posterior_mean_is_asked_at_the_right_times():
    asked = []

    def posterior_mean(x, t):
        asked.append((x.clone(), t.clone()))
        return x * 0

    states, _ = whole_path(posterior_mean, torch.ones(3, 2), 4)
    assert len(asked) == 4
    for k, (x, t) in enumerate(asked):
        assert torch.equal(x, states[k])
        assert torch.equal(t, torch.full((3, 1), k / 4))


# ---------------------------------------------------------------- whole videos


def test_exact_flow_ends_on_a_true_video(tiny):
    samples = sample(None, tiny[1], 100, rng())
    both = samples.exact.continuations
    distance = (samples.states[-1][:, None] - both).norm(dim=2)  # (n, 2)
    # Both directions are drawn; each video is one of them, up to a few that hesitate to the end.
    assert 20 < (distance[:, 0] < distance[:, 1]).sum() < 80
    apart = (both[:, 0] - both[:, 1]).norm(dim=1)
    assert (distance.min(1).values < 1e-3 * apart).float().mean() > 0.95


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_exact_flow_with_certain_prior(tiny, share):
    samples = sample(None, changed(tiny[1], ccw_share=share), 5, rng(), 4)
    end = samples.exact.continuations[:, int(share == 0)]
    torch.testing.assert_close(samples.states[-1], end, rtol=1e-5, atol=1e-5)


def test_exact_flow_with_two_given_frames_keeps_the_direction(tiny):
    space = changed(tiny[1], given_frames=2)
    samples = sample(None, space, 20, rng(), 4)
    given = samples.given_centers
    (x0, y0), (x1, y1) = given[:, 0].T, given[:, 1].T
    direction = (x0 * y1 - y0 * x1 < 0).astype(int)  # 0 is counter-clockwise
    assert 0 < direction.sum() < 20
    most = sample(None, changed(tiny[1], given_frames=2, ccw_share=0.9), 200, rng(), 1)
    (x0, y0), (x1, y1) = most.given_centers[:, 0].T, most.given_centers[:, 1].T
    assert 0.8 < (x0 * y1 - y0 * x1 > 0).mean() < 1  # the share runs counter-clockwise
    path = orbits(given[:, 0])[np.arange(20), direction]
    np.testing.assert_allclose(given[:, 1], path[:, 1], atol=1e-12)
    expected = space.encode(path[:, 2:]).flatten(1)
    torch.testing.assert_close(samples.states[-1], expected, rtol=1e-4, atol=1e-4)
    frames = decode_videos(space, samples, samples.states[-1])
    np.testing.assert_array_equal(frames[:, :2], render(given))
    np.testing.assert_array_equal(frames[:, 2:], space.decode(samples.states[-1]).numpy())


def test_learned_flow_is_the_networks_own_prediction(tiny):
    network, space = tiny
    samples = sample(network, space, 5, rng(), 4)
    first = space.encode(samples.given_centers[:, 0])
    with torch.no_grad():
        for k in range(4):
            predicted = network(samples.states[k], first, torch.full((5, 1), k / 4))
            torch.testing.assert_close(samples.posterior_means[k], predicted, rtol=1e-4, atol=1e-5)


def test_given_frames_are_fresh_ones_and_noise_is_standard(tiny):
    samples = sample(*tiny, 700, rng((0, 4)), 1)
    given = samples.given_centers[:, 0]
    assert len(np.unique(given, axis=0)) == 700
    training = random_first_centers(NUM_ORBITS, rng((0, 2)), 0.8)
    assert not np.isin(given[:, 0], training[:, 0]).any()
    noise = samples.states[0]
    assert noise.mean().item() == pytest.approx(0, abs=4 / noise.numel() ** 0.5)
    assert noise.std().item() == pytest.approx(1, abs=3 / noise.numel() ** 0.5)


# ---------------------------------------------------------------- the command


@pytest.fixture
def write(checkpoints, tmp_path):
    """Run sample.py in this process; returns the arrays of the npz, or without it the GIF."""

    def run(name="o", **changes):
        outputs = {kind: tmp_path / f"{name}.{kind}" for kind in ("gif", "png", "npz")}
        few = {"num_videos": 5, "steps": 4, "checkpoint_dir": checkpoints}
        sampling.main(SampleSettings(**TINY | few | outputs | changes))
        if (outputs | changes)["npz"] is None:
            return outputs["gif"].read_bytes()
        with np.load(outputs["npz"], allow_pickle=False) as arrays:
            return dict(arrays)

    return run


def test_the_files_show_the_samples(write, tiny, tmp_path):
    network, space = tiny
    arrays = write(show_steps=(0, 3, 4))
    samples = sample(network, space, 5, rng((0, 4)), 4)
    assert {name: array.shape for name, array in arrays.items()} == {
        "frames": (5, 8, 51, 51),
        "first_centers": (5, 2),
        "show_steps": (3,),
        "state_frames": (3, 5, 8, 51, 51),
        "posterior_mean_frames": (3, 5, 8, 51, 51),
    }
    assert arrays["frames"].dtype == np.float32 and arrays["show_steps"].tolist() == [0, 3, 4]
    np.testing.assert_array_equal(arrays["first_centers"], samples.given_centers[:, 0])
    # The first frame is the given one, drawn and not decoded; the others are decoded.
    readouts = {"state_frames": samples.states, "posterior_mean_frames": samples.posterior_means}
    for name, latents in readouts.items():
        for i, k in enumerate((0, 3, 4)):
            first = render(arrays["first_centers"])
            np.testing.assert_array_equal(arrays[name][i, :, 0], first)
            np.testing.assert_array_equal(arrays[name][i, :, 1:], space.decode(latents[k]).numpy())
        np.testing.assert_array_equal(arrays[name][-1], arrays["frames"])
    gif = iio.imread(tmp_path / "o.gif", index=None, mode="L")[:, 1::3, 1::3]
    assert np.abs(gif.astype(int) - tile(arrays["frames"], across=3)).max() <= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.gif", "o.npz", "o.png"]


def test_the_film_strip_names_its_rows(write, monkeypatch):
    drawn = []

    def remembered(plot, frames, steps, title):
        draw_film_strip(plot, frames, steps, title)
        labels = [label.get_text() for label in plot.get_yticklabels()]
        drawn.append((plot.get_title(), labels, plot.get_images()[0].get_array()))

    monkeypatch.setattr(sampling, "draw_film_strip", remembered)
    arrays = write(steps=5)  # 0, 2/5 of all, and all are shown
    for (title, labels, image), name in zip(
        drawn, ("state_frames", "posterior_mean_frames"), strict=True
    ):
        assert name.startswith(title.replace(" ", "_"))
        assert labels == ["step 0", "step 2", "step 5"]
        np.testing.assert_array_equal(image, tile(arrays[name][:, 0].reshape(-1, 51, 51), 8))


def test_steps_shown_by_default(tmp_path):
    for steps, shown in ((50, (0, 20, 50)), (2, (0, 2)), (1, (0, 1))):
        assert SampleSettings(png=tmp_path / "o.png", steps=steps).shown() == shown


def test_many_videos_are_sampled_in_batches(write, monkeypatch, tmp_path):
    monkeypatch.setattr(sampling, "BATCH_SIZE", 2)
    fewer, many = write(num_videos=4), write()
    for name, axis in (("frames", 0), ("first_centers", 0), ("state_frames", 1)):
        np.testing.assert_array_equal(np.take(many[name], range(4), axis), fewer[name])
    assert len(np.unique(many["first_centers"], axis=0)) == 5
    assert (many["state_frames"][0].std((1, 2, 3)) > 0).all()
    alone = write("alone", npz=None, png=None)  # nothing to show of the later batches
    assert alone == (tmp_path / "o.gif").read_bytes()


def test_the_same_bits_twice_and_others_with_another_seed(write, tmp_path):
    first, again, other = write("a"), write("b"), write("c", sample_seed=8)
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert name == "show_steps" or (array != other[name]).any()
    for kind in ("gif", "png"):
        files = [(tmp_path / f"{name}.{kind}").read_bytes() for name in "abc"]
        assert files[0] == files[1] != files[2]


def test_the_exact_flow_and_the_number_of_steps_are_used(write):
    learned, exact, longer = write("a"), write("b", exact=True), write("c", steps=9)
    np.testing.assert_array_equal(learned["state_frames"][0], exact["state_frames"][0])
    assert (learned["frames"] != exact["frames"]).any()
    np.testing.assert_array_equal(learned["first_centers"], longer["first_centers"])
    assert longer["show_steps"].tolist() == [0, 3, 9]


def test_sampling_on_from_a_step_ends_where_the_whole_way_does(tiny):
    exact = sample(None, tiny[1], 3, np.random.default_rng(0), steps=1).exact
    noise = torch.randn(3, exact.continuations.shape[2])
    states, means = whole_path(exact.posterior_mean, noise, 10)
    for start in (3, 9):
        later_states, later_means = whole_path(exact.posterior_mean, states[start], 10, start)
        assert torch.equal(later_states, states[start:]) and torch.equal(later_means, means[start:])

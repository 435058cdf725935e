"""The Euler sampler against closed formulas, and the files it writes."""

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from conftest import TINY, changed

import sample as sampling
from data import orbits, render, tile
from sample import SampleSettings, decode_videos, draw_film_strip, euler_steps, sample


def rng(seed=0):
    return np.random.default_rng(seed)


def test_each_step_follows_the_velocity():
    def posterior_mean(x, t):
        assert t.shape == (2, 1)
        return torch.sin(3 * x) + t

    x = noise = torch.linspace(-1, 1, 6).reshape(2, 3)
    states, means = zip(*euler_steps(posterior_mean, noise, 9))
    for k in range(9):
        t = torch.full((2, 1), k / 9)
        torch.testing.assert_close(states[k], x)
        torch.testing.assert_close(means[k], posterior_mean(x, t))
        x = x + (posterior_mean(x, t) - x) / (1 - t) / 9
    torch.testing.assert_close(states[9], x)
    assert torch.equal(means[9], states[9])
    for one, other in zip(euler_steps(posterior_mean, states[4], 9, 4), zip(states[4:], means[4:])):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_exact_flow_ends_on_a_true_video(tiny):
    samples = sample(None, tiny[1], 100, rng())
    both = samples.exact.continuations
    distance = (samples.states[-1][:, None] - both).norm(dim=2)  # (n, 2)
    # Both directions are drawn; each video is one of them, up to a few that hesitate to the end.
    assert 20 < (distance[:, 0] < distance[:, 1]).sum() < 80
    apart = (both[:, 0] - both[:, 1]).norm(dim=1)
    assert (distance.min(1).values < 1e-3 * apart).float().mean() > 0.95


def test_noise_is_standard(tiny):
    noise = sample(*tiny, 700, rng(), 1).states[0]
    assert noise.mean().item() == pytest.approx(0, abs=4 / noise.numel() ** 0.5)
    assert noise.std().item() == pytest.approx(1, abs=3 / noise.numel() ** 0.5)


def test_two_given_frames_tell_the_direction(tiny):
    space = changed(tiny[1], given_frames=2, ccw_share=0.8)
    samples = sample(None, space, 100, rng(), 4)
    (x0, y0), (x1, y1) = samples.given_centers.T.swapaxes(0, 1)
    direction = (x0 * y1 - y0 * x1 < 0).astype(int)  # 0 is counter-clockwise
    assert 65 < (direction == 0).sum() < 95
    path = orbits(samples.given_centers[:, 0])[np.arange(100), direction]
    np.testing.assert_allclose(samples.given_centers, path[:, :2], atol=1e-12)
    expected = space.encode(path[:, 2:]).flatten(1)
    torch.testing.assert_close(samples.states[-1], expected, rtol=1e-4, atol=1e-4)
    frames = decode_videos(space, samples.given_centers, samples.states[-1])
    np.testing.assert_array_equal(frames[:, :2], render(samples.given_centers))
    np.testing.assert_array_equal(frames[:, 2:], space.decode(samples.states[-1]).numpy())


@pytest.fixture
def write(checkpoints, tmp_path):
    """Run sample.py in this process; returns the arrays of the npz."""

    def run(name="o", **changes):
        outputs = {kind: tmp_path / f"{name}.{kind}" for kind in ("gif", "png", "npz")}
        few = {"num_videos": 5, "steps": 4, "checkpoint_dir": checkpoints}
        sampling.main(SampleSettings(**TINY | few | outputs | changes))
        with np.load(outputs["npz"], allow_pickle=False) as arrays:
            return dict(arrays)

    return run


def test_the_files_show_the_samples(write, tiny, tmp_path):
    arrays = write(show_steps=(0, 3, 4))
    samples = sample(*tiny, 5, rng((0, 4)), 4)
    assert arrays.keys() == {
        *("frames", "first_centers", "show_steps", "state_frames", "posterior_mean_frames")
    }
    assert arrays["show_steps"].tolist() == [0, 3, 4]
    np.testing.assert_array_equal(arrays["first_centers"], samples.given_centers[:, 0])
    readouts = {"state_frames": samples.states, "posterior_mean_frames": samples.posterior_means}
    for name, latents in readouts.items():
        shown = [decode_videos(tiny[1], samples.given_centers, latents[k]) for k in (0, 3, 4)]
        np.testing.assert_array_equal(arrays[name], shown)
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
    arrays = write(steps=10)
    assert [title for title, *_ in drawn] == ["state", "posterior mean"]
    for (_, labels, image), name in zip(drawn, ("state_frames", "posterior_mean_frames")):
        assert labels == ["step 0", "step 4", "step 10"]  # 0, 2/5 of all, and all
        np.testing.assert_array_equal(image, tile(arrays[name][:, 0].reshape(-1, 51, 51), 8))


def test_the_same_bits_twice_and_others_with_other_settings(write, tmp_path):
    first, again = write("a"), write("b")
    seed, exact, steps = write("c", sample_seed=8), write("d", exact=True), write("e", steps=9)
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert name == "show_steps" or (array != seed[name]).any()
    for kind in ("gif", "png"):
        files = [(tmp_path / f"{name}.{kind}").read_bytes() for name in "abc"]
        assert files[0] == files[1] != files[2]
    # the same first frames and noise, then another way
    np.testing.assert_array_equal(first["state_frames"][0], exact["state_frames"][0])
    np.testing.assert_array_equal(first["state_frames"][0], steps["state_frames"][0])
    assert (first["frames"] != exact["frames"]).any() and (first["frames"] != steps["frames"]).any()

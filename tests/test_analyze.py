"""Counting and the latent grid, on pictures and grids whose answer is known; and the command."""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT, options, run_process, tiny_settings

import analyze
from analyze import AnalyzeSettings, count_blobs, find_blobs, grid_measures, over_seeds
from data import grid_centers, render
from sample import decode_videos, sample

SMALL = {"autoencoder_steps": 2, "flow_steps": 2}


def squares(*centers, brightness=(1.0, 1.0, 1.0)):
    """One frame with a square at each centre."""
    frames = [b * render(np.array(c)) for c, b in zip(centers, brightness, strict=False)]
    return np.max(frames, axis=0)


@pytest.mark.parametrize(
    ("frame", "count"),
    [
        (np.zeros((51, 51)), 0),
        (squares((-0.5, 0.5), (0.5, 0.5), (0, -0.5)), 3),
        (squares((-0.2, -0.2), (0.2, 0.2)), 1),  # corners touch: one blob
        (squares((-0.24, 0), (0.24, 0)), 2),  # a dark pixel between them
        (squares((-0.5, 0), (0.5, 0), brightness=(1, 0.49)), 1),
        (squares((-0.5, 0), (0.5, 0), brightness=(1, 0.51)), 2),
        (squares((-0.5, 0), (0.5, 0), brightness=(0.14, 0.14)), 0),  # unreadable
        (squares((-0.5, 0), (0.5, 0), brightness=(0.16, 0.16)), 2),
        (np.pad(np.ones((1, 3)), ((0, 50), (48, 0))), 0),  # three pixels are no blob
        (np.pad(np.ones((2, 2)), ((0, 49), (49, 0))), 1),  # four are
        (-squares((0, 0)), 0),
        (squares((-0.5, 0), (0.5, 0), brightness=(5, 0.9)), 2),  # clipped to [0, 1]
    ],
)
def test_blobs_are_counted(frame, count):
    assert count_blobs(frame) == count


def test_blobs_have_a_frame_and_a_place():
    two = squares((-0.48, 0.2), (0.4, -0.52))
    frames = np.stack([np.zeros((51, 51)), two, two])  # pixels don't join across frames
    frame, center = find_blobs(frames)
    np.testing.assert_array_equal(frame, [1, 1, 2, 2])
    np.testing.assert_allclose(center, 2 * [[-0.48, 0.2], [0.4, -0.52]], atol=0.021)
    np.testing.assert_array_equal(
        count_blobs(np.stack([frames, frames[::-1]])), [[0, 2, 2], [2, 2, 0]]
    )


def test_shares_are_those_of_the_decoded_samples(checkpoints, tiny, monkeypatch):
    """Counted by a rule that any frame has an answer to, from 0 to 4."""

    def count(frames):
        return (1e5 * frames.mean((-2, -1))).astype(int) % 5

    few = lambda network, space, n, rng: sample(network, space, 4, rng)
    monkeypatch.setattr(analyze, "sample", few)
    monkeypatch.setattr(analyze, "count_blobs", count)
    settings, space = tiny_settings(checkpoints), tiny[1]
    measured = analyze.measure_blobs(settings)
    samples = sample(*tiny, 4, np.random.default_rng((settings.seed, 5)))
    for told, latents in [
        *((measured["state"][k], samples.states[k]) for k in (0, 20, 50)),
        *((measured["posterior mean"][k], samples.posterior_means[k]) for k in (0, 20, 50)),
    ]:
        counts = count(space.decode(latents).numpy())
        shares = [(counts == 0), (counts == 1), (counts == 2), (counts >= 3)]
        np.testing.assert_allclose(told, np.mean(shares, axis=(1, 2)))
    given, states = samples.given_centers, samples.states
    shown = [decode_videos(space, given, states[k])[0] for k in (0, 20, 50)]
    np.testing.assert_allclose(measured["picture"], shown, atol=1e-5)


def test_an_affine_grid_is_plain():
    centers = grid_centers(0.8)
    latents = centers @ np.array([[2.0, 0.3], [-0.5, 1.0]]) + 7
    measures = grid_measures(latents, centers)
    assert measures["warp"] < 1e-12
    assert measures["fold"] == 0


def test_a_mirrored_part_folds_as_many_cells():
    centers = grid_centers(0.8)
    for place, share in ((0, 0.5), (0.4, 0.25), (-0.4, 0.25)):
        latents = np.stack([np.abs(centers[..., 0] - place), centers[..., 1]], axis=-1)
        assert grid_measures(latents, centers)["fold"] == share


@pytest.mark.parametrize("axis", [0, 1])
def test_a_cut_grid_is_torn_by_the_gap(axis):
    centers = grid_centers(0.8)  # edges of 0.08
    latents = centers.copy()
    latents[..., axis] += 0.72 * (centers[..., axis] > 0.04)  # the cut edges: ten times as long
    assert grid_measures(latents, centers)["tear"] == pytest.approx(10)


def test_warp_of_a_known_bend():
    centers = grid_centers(1.0)
    latents = centers.copy()
    latents[..., 1] += latents[..., 0] ** 2
    bend = centers[0, :, 0] ** 2
    expected = bend.var() / (2 * centers[..., 0].var() + bend.var())
    assert grid_measures(latents, centers)["warp"] == pytest.approx(expected)


def test_the_grid_of_the_trained_plane_is_whole(learned):
    measured = analyze.measure_grid(learned[1].settings)
    assert measured["fold"] == 0 and measured["warp"] < 0.1 and measured["tear"] < 3
    assert measured["picture"].shape == (21, 21, 2)
    corner = render(np.array([[0.8, -0.8]]))  # the last of the first row: x high, y low
    latent = learned[1].coder.encode(torch.from_numpy(corner)).detach()[0]
    np.testing.assert_allclose(measured["picture"][0, -1], latent, rtol=1e-3, atol=1e-3)


def test_over_seeds():
    told = over_seeds([{"a": [1.0, 5.0], "picture": 3}, {"a": [3.0, 5.0], "picture": 4}])
    assert told.keys() == {"a"} and told["a"]["mean"].tolist() == [2, 5]
    assert told["a"]["std"] == pytest.approx([2**0.5, 0])
    assert told["a"]["seeds"].tolist() == [[1, 5], [3, 5]]
    assert over_seeds([{"a": 4}])["a"]["std"] == 0


@pytest.mark.parametrize(
    ("what", "changes", "cases"),
    [
        ("blobs", {"dims": "1", "seeds": 1}, ["1"]),
        ("geometry", {"ranges": "0.6", "seeds": 2}, [f"{r}, range 0.6" for r in analyze.RECIPES]),
    ],
)
def test_the_command_writes_a_figure_and_numbers(tmp_path, what, changes, cases):
    arguments = options(**SMALL | changes, out_dir="made")
    done = run_process(tmp_path, ROOT / "analyze.py", what, *arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"made/{what}.png").stat().st_size > 5000
    numbers = json.loads((tmp_path / f"made/{what}.json").read_text())
    assert numbers.pop("cost")["minutes"] > 0
    assert list(numbers) == cases
    # each seed has its own networks, and nothing was trained twice
    trained = len(list((tmp_path / "checkpoints").glob("autoencoder*.pt")))
    assert trained == changes["seeds"] * len(cases)
    for value in numbers.values():
        assert all(len(runs["seeds"]) == changes["seeds"] for runs in value.values())


def test_each_seed_is_measured_on_its_own_and_a_dask_cluster_gives_the_same(tmp_path):
    settings = AnalyzeSettings(
        **SMALL, seeds=2, checkpoint_dir=tmp_path, what="geometry", ranges=(0.4,)
    )
    cases = settings.cases()
    here = analyze.measure(analyze.measure_grid, cases, None)
    for name, jobs in cases.items():
        alone = [analyze.measure_grid(job)["picture"] for job in jobs]
        np.testing.assert_array_equal([run["picture"] for run in here[name]], alone)
        assert (alone[0] != alone[1]).any()
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        there = analyze.measure(analyze.measure_grid, cases, cluster.scheduler_address)
        # It is the cluster that works (one thread would be too few): elsewhere get_worker() raises.
        where = lambda job: distributed.get_worker().address
        assert analyze.measure(where, {"": [0]}, cluster.scheduler_address)[""]
    for name, runs in here.items():
        for one, other in zip(runs, there[name], strict=True):
            np.testing.assert_array_equal(one["picture"], other["picture"])

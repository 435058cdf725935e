"""Counting and the latent grid, on pictures and grids whose answer is known; and the command."""

import json
import socket
import sys

import numpy as np
import pytest
import torch
import tyro
from conftest import ROOT, options, run_process, tiny_settings

import analyze
from analyze import (
    BlobsSettings,
    GeometrySettings,
    SweepSettings,
    cell_areas,
    count_blobs,
    find_blobs,
    grid_measures,
    over_seeds,
    rounded,
)
from data import grid_centers, random_stream, render
from sample import decode_videos, learned_flow, random_given_centers, random_noise, sample

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


def test_blobs_have_a_place():
    two = squares((-0.48, 0.2), (0.4, -0.52))
    found = find_blobs(two)
    np.testing.assert_allclose(sorted(found.tolist()), [[-0.48, 0.2], [0.4, -0.52]], atol=0.021)
    for frame in (np.zeros((51, 51)), np.eye(51)[:3]):  # nothing, and three pixels
        assert find_blobs(frame).shape == (0, 2)
    corner = np.pad(np.ones((2, 2)), ((0, 49), (49, 0)))  # the top right
    np.testing.assert_allclose(find_blobs(corner), [[0.98, 0.98]])


def test_frames_are_counted_one_by_one():
    """Pixels don't join across frames, and one frame's brightness doesn't matter to another."""
    two = squares((-0.48, 0.2), (0.4, -0.52))
    frames = np.stack([np.zeros((51, 51)), two, 0.2 * two])
    told = count_blobs(np.stack([frames, frames[::-1]]))
    np.testing.assert_array_equal(told, [[0, 2, 2], [2, 2, 0]])


def test_shares_are_those_of_the_decoded_samples(checkpoints, tiny, monkeypatch):
    """Counted by a rule that any frame has an answer to, from 0 to 4."""

    def count(frames):
        return (1e5 * frames.mean((-2, -1))).astype(int) % 5

    def few(settings, n, rng):
        asked.append(n)
        return random_given_centers(settings, 4, rng)

    asked = []
    monkeypatch.setattr(analyze, "random_given_centers", few)
    monkeypatch.setattr(analyze, "count_blobs", count)
    settings, space = tiny_settings(checkpoints), tiny[1]
    measured = analyze.measure_blobs(settings)
    assert asked == [40]
    stream = random_stream(settings.seed, "counting")
    given = random_given_centers(settings, 4, stream)
    samples = sample(learned_flow(*tiny, given), random_noise(space, 4, stream))
    readouts = {"state": samples.states, "posterior mean": samples.posterior_means}
    assert measured.keys() == {*readouts, "picture"}
    for name, latents in readouts.items():
        assert measured[name].shape == (51, 4)
        for k in (0, 20, 49, 50):
            counts = count(space.decode(latents[k]).numpy())
            shares = [(counts == 0), (counts == 1), (counts == 2), (counts >= 3)]
            np.testing.assert_allclose(measured[name][k], np.mean(shares, axis=(1, 2)))
    shown = [decode_videos(space, given, samples.states[k])[0] for k in (0, 20, 50)]
    np.testing.assert_allclose(measured["picture"], shown, atol=1e-5)


def blobs_of(seed: int, dim: int) -> dict:
    """Made-up shares: with one square 0.2 of step 0, 0.5 of step 20, ... more with each seed."""
    one = np.full(51, 0.9)
    one[[0, 7, 20, 50]] = 0.2, 0.1, 0.5, 0.8
    one += 0.02 * seed - 0.001 * dim
    shares = np.stack([np.zeros(51), one, 1 - one, np.zeros(51)], axis=1)
    means = np.roll(shares, 1, axis=1)
    picture = np.full((3, 8, 51, 51), dim / 100 + seed / 10)
    return {"state": shares, "posterior mean": means, "picture": picture}


def test_the_table_and_the_figure_of_the_blobs(monkeypatch, capsys):
    def instead(function, cases, dask):
        assert function is analyze.measure_blobs and dask is None
        dims = {name: {settings.embed_dim for settings in jobs} for name, jobs in cases.items()}
        assert dims == {"2": {2}, "30": {30}}
        assert all([settings.seed for settings in jobs] == [0, 1] for jobs in cases.values())
        return {k: [blobs_of(job.seed, job.embed_dim) for job in jobs] for k, jobs in cases.items()}

    monkeypatch.setattr(analyze, "measure", instead)
    numbers, figure = analyze.blobs(BlobsSettings(dims=(2, 30), seeds=2))
    _, head, *rows = capsys.readouterr().out.splitlines()
    assert [float(x) for x in rows[0].split()] == [2, 0.21, 0.51, 0.81, 0.11]
    assert [float(x) for x in rows[1].split()] == [30, 0.18, 0.48, 0.78, 0.08]
    for row in rows:  # the numbers stand below the words
        assert len(row) == len(head)
    assert numbers["2"]["state"]["mean"][:, 1].min() == pytest.approx(0.108)
    axes = [ax for part in figure.subfigs for half in part.subfigs for ax in half.axes]
    for (film, *curves), dim in zip((axes[:3], axes[3:]), (2, 30), strict=True):
        assert film.get_images()[0].get_array()[5, 5] == round(255 * dim / 100)  # seed 0's
        for plot, readout in zip(curves, ("state", "posterior mean"), strict=True):
            assert readout in plot.get_title()
            assert [line.get_label() for line in plot.lines] == [
                *("no square", "1 square", "2 squares", "3 or more")
            ]
            for i, line in enumerate(plot.lines):
                expected = (blobs_of(0, dim)[readout] + blobs_of(1, dim)[readout])[:, i] / 2
                np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-12)


def test_signed_areas_of_cells():
    centers = grid_centers(0.8, 5)  # cells of 0.4 x 0.4
    np.testing.assert_allclose(cell_areas(centers), np.full((4, 4), 0.16))
    sheared = centers @ np.array([[2.0, 0.0], [5.0, 3.0]])
    np.testing.assert_allclose(cell_areas(sheared), np.full((4, 4), 6 * 0.16))
    np.testing.assert_allclose(cell_areas(centers[:, ::-1]), np.full((4, 4), -0.16))
    one = np.array([[[0.0, 0.0], [4.0, 0.0]], [[0.0, 1.0], [4.0, 3.0]]])  # a trapezium
    assert cell_areas(one) == pytest.approx(4 * (1 + 3) / 2)


def test_an_affine_grid_is_plain():
    centers = grid_centers(0.8)
    latents = centers @ np.array([[2.0, 0.3], [-0.5, 1.0]]) + 7
    measures = grid_measures(latents, centers)
    assert measures["warp"] < 1e-12 and measures["fold"] == 0
    assert grid_measures(7 - 3 * centers[::-1], centers)["fold"] == 0  # all of it is turned over
    assert grid_measures(centers, centers)["tear"] == pytest.approx(1)


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
    latent = learned[1].autoencoder.encode(torch.from_numpy(corner)).detach()[0]
    np.testing.assert_allclose(measured["picture"][0, -1], latent, rtol=1e-3, atol=1e-3)


def test_over_seeds():
    told = over_seeds([{"a": [1.0, 5.0], "picture": 3}, {"a": [3.0, 5.0], "picture": 4}])
    assert told.keys() == {"a"} and told["a"]["mean"].tolist() == [2, 5]
    assert told["a"]["std"] == pytest.approx([2**0.5, 0])
    assert told["a"]["seeds"].tolist() == [[1, 5], [3, 5]]
    assert over_seeds([{"a": 4}])["a"]["std"] == 0


def test_rounded_is_what_json_can_hold():
    numbers = {
        "a": {"mean": np.array([[1.23456, 0.000123456]]), "n": np.int64(123456)},
        "b": (1 / 3, True, "text", None, np.float32(2e10 / 3)),
    }
    told = rounded(numbers)
    assert told == {
        "a": {"mean": [[1.235, 0.0001235]], "n": 123456},
        "b": [0.3333, True, "text", None, 6.667e9],
    }
    assert json.loads(json.dumps(told)) == told


def test_the_table_and_the_figure_of_the_geometry(monkeypatch, capsys):
    def instead(function, cases, dask):
        assert function is analyze.measure_grid and dask == "tcp://a:1"
        results = {}
        for i, (name, jobs) in enumerate(cases.items()):
            kinds.append((name, {(job.blur > 0, job.plain, job.center_range) for job in jobs}))
            results[name] = [
                {
                    "warp": i + job.seed,
                    "fold": (i + job.seed) / 20,
                    "tear": 1.5,
                    "picture": grid_centers(i + 1),
                }
                for job in jobs
            ]
        return results

    kinds = []
    monkeypatch.setattr(analyze, "measure", instead)
    settings = GeometrySettings(ranges=(0.3, 0.6), seeds=2, dask="tcp://a:1")
    _, figure = analyze.geometry(settings)
    assert kinds == [
        *((f"no blur, range {r}", {(False, False, r)}) for r in (0.3, 0.6)),
        *((f"blur, range {r}", {(True, False, r)}) for r in (0.3, 0.6)),
        *((f"plain, range {r}", {(False, True, r)}) for r in (0.3, 0.6)),
    ]
    rows = capsys.readouterr().out.splitlines()[1:]
    for i, (row, (name, _)) in enumerate(zip(rows, kinds, strict=True)):
        assert row.startswith(name)
        told = [float(x) for x in row.removeprefix(name).split()]
        assert told == pytest.approx([i + 0.5, (i + 0.5) / 20, 1.5])  # means over the seeds
        left, right = figure.axes[2 * i : 2 * i + 2]
        assert left.get_title(loc="left") == name
        assert left.get_xlabel() == f"warp {i:.3f}" and right.get_xlabel() == f"fold {i / 20:.3f}"
        for axis, plot in enumerate((left, right)):
            (dots,) = plot.collections
            np.testing.assert_allclose(dots.get_offsets(), grid_centers(i + 1).reshape(-1, 2))
            np.testing.assert_allclose(dots.get_array(), grid_centers(1).reshape(-1, 2)[:, axis])


def test_the_geometry_command_writes_a_figure_and_numbers(tmp_path):
    settings = {"autoencoder_steps": 2, "ranges": "0.6", "seeds": 1, "out_dir": "made"}
    done = run_process(tmp_path, ROOT / "analyze.py", "geometry", *options(**settings))
    assert done.returncode == 0, done.stderr
    cases = [f"{recipe}, range 0.6" for recipe in analyze.RECIPES]
    numbers = json.loads((tmp_path / "made/geometry.json").read_text())
    assert list(numbers) == [*cases, "cost"] and numbers["cost"]["cores"] >= 1
    assert len(list((tmp_path / "checkpoints").glob("autoencoder*.pt"))) == len(cases)
    assert (tmp_path / "made/geometry.png").stat().st_size > 5000
    *_, wrote = lines = done.stdout.splitlines()
    for case, line in zip(cases, lines[1:4], strict=True):
        shown = [numbers[case][name]["mean"] for name in ("warp", "fold", "tear")]
        told = [float(x) for x in line.removeprefix(case).split()]
        np.testing.assert_allclose(told, shown, rtol=1e-3, atol=0.0051)  # both are rounded
    assert wrote.startswith("made/geometry.png and .json: ")


def test_the_two_commands(monkeypatch):
    """And every network of a sweep gets the command's settings."""
    done, asked = [], []

    def stop(function, cases, dask):
        asked.append(cases)
        raise StopIteration

    monkeypatch.setattr(analyze, "measure", stop)
    monkeypatch.setattr(analyze, "write", lambda *arguments: done.append(arguments))
    shared = {"seeds": 3, "autoencoder_steps": 5, "flow_steps": 6, "checkpoint_dir": "kept"}
    for what, more in (("blobs", ["--dims", "3", "7"]), ("geometry", ["--ranges", "0.5"])):
        if what == "geometry":
            del shared["flow_steps"]
        arguments = [what, *options(**shared), *more, "--retrain"]
        settings = tyro.cli(analyze.COMMANDS, args=arguments)
        analyze.main(settings)
        assert done[-1] == (getattr(analyze, what), settings, what)
        jobs = settings.flows(embed_dim=4)
        assert [job.seed for job in jobs] == [0, 1, 2]
        for job in jobs:
            flow_steps = {"blobs": 6, "geometry": 1}[what]  # the geometry trains no flow
            assert (job.autoencoder_steps, job.flow_steps, job.embed_dim) == (5, flow_steps, 4)
            assert str(job.checkpoint_dir) == "kept"
        with pytest.raises(StopIteration):
            getattr(analyze, what)(settings)
        assert all(job.retrain for jobs in asked[-1].values() for job in jobs)


def test_measure_keeps_the_order_and_is_quiet(capfd, tmp_path):
    def twice(job):
        print("progress")
        print("progress", file=sys.stderr)
        return {"twice": 2 * job.seed}

    jobs = {seed: tiny_settings(tmp_path, seed=seed) for seed in (5, 3, 1, 4)}
    told = analyze.measure(twice, {"b": [jobs[5], jobs[3], jobs[1]], "a": [jobs[4]]}, None)
    assert list(told.items()) == [
        ("b", [{"twice": 10}, {"twice": 6}, {"twice": 2}]),
        ("a", [{"twice": 8}]),
    ]
    out, err = capfd.readouterr()
    assert out == "" and "progress" not in err and "100%" in err


@pytest.mark.parametrize(
    "address", ["nonsense", "tcp//x:1", "tcp://127.0.0.1:port", "foo://127.0.0.1:1", "", "silent"]
)
def test_a_wrong_address_of_a_cluster_is_told_soon(address, monkeypatch):
    pytest.importorskip("distributed")
    assert analyze.PATIENCE <= 10
    monkeypatch.setattr(analyze, "PATIENCE", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # something else listens there
        if address == "silent":
            address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(OSError, match="no Dask scheduler answers there"):
            analyze.dask_cluster(address)


def test_a_dask_cluster_gives_the_same_and_each_seed_has_its_own(tmp_path):
    settings = SweepSettings(**SMALL, seeds=2, checkpoint_dir=tmp_path)
    cases = {"near": settings.flows(center_range=0.4)}
    alone = [analyze.measure_grid(job)["picture"] for job in cases["near"]]
    assert (alone[0] != alone[1]).any()
    for path in tmp_path.iterdir():  # so that the cluster trains them too
        path.unlink()
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        there = analyze.measure(analyze.measure_grid, cases, cluster.scheduler_address)
        # It is the cluster that works (one thread would be too few): elsewhere get_worker() raises.
        where = lambda job: distributed.get_worker().address
        assert analyze.measure(where, {"": cases["near"][:1]}, cluster.scheduler_address)[""]
        worker = next(iter(cluster.workers.values())).worker_address
        with pytest.raises(OSError, match="no Dask scheduler answers there"):
            analyze.dask_cluster(worker)
    np.testing.assert_array_equal([run["picture"] for run in there["near"]], alone)

"""The measures on pictures and grids whose answer is known, and the command itself."""

import json
import sys

import numpy as np
import pytest
import torch

import analyze
from analyze import (
    Blobs,
    Commitment,
    Geometry,
    Superposition,
    blob_near,
    center_errors,
    centroids,
    count_blobs,
    entropy,
    find_blobs,
    grid_measures,
    halfway,
    in_parallel,
    shares,
    turned,
)
from data import grid_centers, orbits, render, run_command


@pytest.fixture(autouse=True)
def leave_the_environment_alone(monkeypatch):
    """A sweep tells its workers by the environment; later tests must not see it."""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore::UserWarning")


def squares(*centers, brightness=(1.0, 1.0, 1.0)):
    """One frame with a square at each centre."""
    frames = [
        b * render(np.array(c)) for c, b in zip(centers, brightness, strict=False)
    ]
    return np.max(frames, axis=0)


@pytest.mark.parametrize(
    ("frame", "count"),
    [
        (np.zeros((51, 51)), 0),
        (squares((0, 0)), 1),
        (squares((-0.5, 0), (0.5, 0)), 2),
        (squares((-0.5, 0.5), (0.5, 0.5), (0, -0.5)), 3),
        (squares((-0.2, 0), (0.2, 0)), 1),  # side by side: one blob
        (squares((-0.2, -0.2), (0.2, 0.2)), 1),  # corners touch: one blob
        (squares((-0.24, 0), (0.24, 0)), 2),  # a dark pixel between them
        (squares((-0.5, 0), (0.5, 0), brightness=(1, 0.49)), 1),
        (squares((-0.5, 0), (0.5, 0), brightness=(1, 0.51)), 2),
        (squares((-0.5, 0), (0.5, 0), brightness=(0.14, 0.14)), 0),  # unreadable
        (squares((-0.5, 0), (0.5, 0), brightness=(0.16, 0.16)), 2),
        (
            np.where(np.arange(51 * 51).reshape(51, 51) == 700, 1, squares((0.5, 0.5))),
            1,
        ),
        (-squares((0, 0)), 0),
        (5 * squares((0, 0)) + 0.4, 1),  # clipped to [0, 1]
    ],
)
def test_blobs_are_counted(frame, count):
    assert count_blobs(frame) == count


def test_blobs_are_counted_frame_by_frame():
    # the same pixels bright in neighbouring frames must not join across frames
    frames = np.stack([squares((0, 0)), squares((0, 0)), np.zeros((51, 51))])
    both = np.stack([frames, frames[::-1]])
    np.testing.assert_array_equal(count_blobs(both), [[1, 1, 0], [0, 1, 1]])
    np.testing.assert_allclose(shares(count_blobs(both)), [1 / 3, 2 / 3, 0, 0])


def test_blob_positions():
    frame, center = find_blobs(
        np.stack([np.zeros((51, 51)), squares((-0.48, 0.2), (0.4, -0.52))])
    )
    np.testing.assert_array_equal(frame, [1, 1])
    np.testing.assert_allclose(
        center[center[:, 0].argsort()], [[-0.48, 0.2], [0.4, -0.52]], atol=0.021
    )


def test_blob_near_a_place():
    frames = np.stack([squares((-0.5, 0), (0.5, 0)), squares((0.5, 0))])
    places = np.broadcast_to([[-0.5, 0.05], [0.5, 0.0], [0.0, 0.5]], (2, 3, 2))
    expected = [[True, True, False], [False, True, False]]
    np.testing.assert_array_equal(blob_near(frames, places, 0.1), expected)


def test_centroid_and_center_error():
    both = orbits(np.array([[0.5, 0.1]]))  # (1, 2, 8, 2)
    np.testing.assert_allclose(centroids(render(both)), both, atol=1e-6)
    shifted = both[:, 1] + np.array([0.04, 0])  # clockwise, one pixel to the right
    errors, direction = center_errors(render(shifted), both)
    np.testing.assert_allclose(errors, 1, atol=1e-4)
    assert direction == 1


def test_an_affine_grid_is_plain():
    centers = grid_centers(0.8)
    latents = centers @ np.array([[2.0, 0.3], [-0.5, 1.0]]) + 7
    measures = grid_measures(latents, centers)
    assert measures["warp"] < 1e-12
    assert measures["fold"] == 0
    longest = np.hypot(2, 0.3) / np.median([np.hypot(2, 0.3), np.hypot(0.5, 1)])
    assert measures["tear"] == pytest.approx(longest)


def test_a_mirrored_half_folds_half_of_the_cells():
    centers = grid_centers(0.8)
    latents = np.stack([np.abs(centers[..., 0]), centers[..., 1]], axis=-1)
    assert grid_measures(latents, centers)["fold"] == 0.5


def test_a_cut_grid_is_torn_by_the_gap():
    centers = grid_centers(0.8)  # edges of 0.08
    latents = centers.copy()
    latents[:, 11:, 0] += 0.72  # the cut edges become ten times as long
    assert grid_measures(latents, centers)["tear"] == pytest.approx(10)


def test_warp_of_a_known_bend():
    centers = grid_centers(1.0)
    latents = centers.copy()
    latents[..., 1] += latents[..., 0] ** 2
    bend = centers[0, :, 0] ** 2
    expected = bend.var() / (2 * centers[..., 0].var() + bend.var())
    assert grid_measures(latents, centers)["warp"] == pytest.approx(expected)


def test_turned_is_counter_clockwise():
    np.testing.assert_allclose(turned(np.array([[1.0, 0.0]]), 90), [[0, 1]], atol=1e-12)


def test_entropy_and_halfway():
    values = entropy(torch.tensor([0.5, 0.0, 1.0, 0.11])).tolist()
    assert values == pytest.approx([1, 0, 0, 0.49992], abs=1e-4)
    assert halfway([0.0, 0.1, 0.2], [1.0, 0.6, 0.2]) == pytest.approx(0.125)
    assert halfway([0.0, 0.1], [1.0, 0.9]) == 1.0


TINY = ["--seeds", "2", "--autoencoder-steps", "2", "--flow-steps", "2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "figures"),
    [
        (["blobs", "--dims", "1", "--sweep-dims", "1", "2"], ["blobs", "dims"]),
        (["geometry", "--ranges", "0.6", "--no-overlap"], ["geometry"]),
        (
            ["commitment", "--dims", "1", "2", "--scales", "2", "--lengths", "1"],
            ["commitment"],
        ),
    ],
)
def test_the_command_writes_figures_and_the_same_numbers_twice(
    tmp_path, monkeypatch, capfd, command, figures
):
    monkeypatch.chdir(tmp_path)
    written = []
    checkpoints = (
        tmp_path / "checkpoints"
    )  # workers may stand in an earlier test's folder
    for _ in range(2):
        arguments = [*command, *TINY, "--checkpoint-dir", str(checkpoints)]
        monkeypatch.setattr(sys, "argv", ["analyze.py", *arguments])
        run_command(analyze.main, Blobs | Geometry | Superposition | Commitment)
        folder = tmp_path / "figures"
        assert sorted(p.name for p in folder.iterdir()) == sorted(
            f"{name}.{ending}" for name in figures for ending in ("json", "png")
        )
        written.append([(folder / f"{name}.json").read_bytes() for name in figures])
        assert all(json.loads(text) for text in written[-1])
        assert list(checkpoints.glob("*.pt"))
        trained = "training" in capfd.readouterr().err
        assert trained == (len(written) == 1)  # the second run finds all it needs
    assert written[0] == written[1]


@pytest.mark.slow
def test_training_on_a_dask_cluster(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    settings = Blobs(checkpoint_dir=tmp_path, autoencoder_steps=2, flow_steps=2)
    jobs = [settings.flow_of(embed_dim=1, seed=seed) for seed in range(3)]
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        analyze.train_all(jobs, cluster.scheduler_address)
    assert len(list(tmp_path.glob("flow*.pt"))) == 3
    assert len(list(tmp_path.glob("autoencoder*.pt"))) == 3


def test_dask_needs_a_scheduler_that_answers():
    pytest.importorskip("distributed")
    with pytest.raises((OSError, ValueError)):
        in_parallel(abs, [1], "nothing", "tcp://127.0.0.1:9")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        [],
        ["blobs", "--seeds", "0"],
        ["blobs", "--seeds", "many"],
        ["blobs", "--dims", "0"],
        ["blobs", "--dims", "513"],
        ["blobs", "--dims"],
        ["geometry", "--ranges", "0.9"],
        ["geometry", "--ranges", "-1"],
        ["superposition", "--dims", "2.5"],
        ["commitment", "--scales", "0"],
        ["commitment", "--lengths", "0"],
        ["commitment", "--flow-steps", "0"],
        ["geometry", "--out-dir", "file"],
        ["geometry", "--checkpoint-dir", "file"],
    ],
)
def test_bad_settings_are_one_line(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(sys, "argv", ["analyze.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        run_command(analyze.main, Blobs | Geometry | Superposition | Commitment)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]

"""The study's measures, on videos and forecasts whose answer is known; and its numbers as text."""

import csv
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import tyro
from conftest import ROOT
from matplotlib.figure import Figure

import data
from analyze import RECIPES, SweepSettings, over_seeds
from autoencoder import AutoencoderSettings, checkpoint_path, shared_settings
from data import FrameSettings, grid_centers, possible_orbits, random_first_centers, render
from flow import FlowSettings, possible_futures, posterior, posterior_mean, trained_flow
from sample import centers_of_light
from study import benchmark, commitment, measures, pages, pictures, representing, state, tearing
from study.all import AllSettings
from study.measures import FRAMES, MIN_RADIUS, blobs_at, control_places, light_at, taken_and_other
from study.pages import PagesSettings
from study.question import (
    QuestionSettings,
    StudySettings,
    answer,
    difference,
    markdown_table,
    percent,
    read_numbers,
    spread,
    write_numbers,
)

CCW, CW = possible_orbits(np.array([[0.7, 0.1]]))[0]  # both ways from one first centre, (8, 2) each


# ---------------------------------------------------------------------------------------------
# The shared measures


def test_blobs_at_places():
    two = render(np.array([-0.5, 0.0])) + render(np.array([0.5, 0.0]))
    black = np.zeros((51, 51), dtype=np.float32)
    frames = np.stack([two, render(np.array([0.5, 0.0])), black])[None]
    places = np.broadcast_to([[-0.5, 0.05], [0.5, 0.0], [0.0, 0.5], [0.5, 0.11]], (1, 3, 4, 2))
    np.testing.assert_array_equal(
        blobs_at(frames, places), [[[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]]
    )


def test_turned():
    np.testing.assert_allclose(measures.turned(np.array([[1.0, 0.0]]), 90), [[0, 1]], atol=1e-12)
    np.testing.assert_allclose(measures.turned(CCW[:-1], 45), CCW[1:], atol=1e-12)


def test_control_places_by_hand():
    places = control_places(np.array([[0.8, 0.0]]))[0].round(12) + 0.0  # no minus zero
    h = round(0.8 * 0.5**0.5, 12)
    expected = {  # in frame 1 the directions are at 45 and 315 degrees, in frame 2 at 90 and 270
        0: [(0.8, 0), (0, 0.8), (-h, h), (-0.8, 0), (-h, -h), (0, -0.8)],
        1: [(0.8, 0), (h, h), (-h, h), (-0.8, 0), (-h, -h), (h, -h)],
    }
    for i, centers in expected.items():
        assert {tuple(xy) for xy in places[i]} == set(centers)


def test_control_places_are_far_from_both_directions():
    """At least 45 degrees, on the same circle; and so their squares have hardly any light of
    either direction (two squares 22.5 degrees apart would share a third)."""
    first = random_first_centers(200, np.random.default_rng(0), 0.8)
    first = first[np.linalg.norm(first, axis=1) > MIN_RADIUS]
    controls = control_places(first)  # (n, 6, 6, 2)
    both = possible_orbits(first)[:, :, FRAMES]  # (n, 2, 6, 2)
    radius = np.linalg.norm(first, axis=1)
    np.testing.assert_allclose(
        np.linalg.norm(controls, axis=-1),
        np.broadcast_to(radius[:, None, None], (len(first), 6, 6)),
    )
    products = np.einsum("nfkc,ndfc->nfkd", controls, both) / radius[:, None, None, None] ** 2
    assert np.degrees(np.arccos(products.clip(-1, 1).max())) == pytest.approx(45)
    light = light_at(render(both[:, 0]), render(controls))
    assert light.max() < 0.01


def test_nothing_is_at_a_control_place_but_a_square_there():
    controls = control_places(CCW[:1])  # (1, 6, 6, 2)
    for path in (CCW, CW, (CCW + CW) / 2):
        assert not blobs_at(render(path)[None, FRAMES], controls).any()
    for k in range(6):
        found = blobs_at(render(controls[:, :, k]), controls)
        np.testing.assert_array_equal(found, np.broadcast_to(np.arange(6) == k, (1, 6, 6)))


def test_light_at_known_places():
    hard = FrameSettings(hard_edges=True)
    masks = render(np.stack([CW, CCW], axis=1)[None, 1:4], hard)  # (1, 3, 2, 51, 51)
    ccw, cw = (render(path[None, 1:4], hard) for path in (CCW, CW))
    np.testing.assert_allclose(light_at(ccw, masks), [0, 1], atol=1e-6)
    np.testing.assert_allclose(light_at(ccw / 4 + cw / 2, masks), [0.5, 0.25], atol=1e-6)


def test_the_direction_taken_is_the_nearer_one(learned):
    space = learned[1]
    centers = np.array([[0.7, 0.0], [0.3, 0.0], [0.0, 0.6]])
    futures, _ = possible_futures(space, centers[:, None])
    ends = torch.stack([futures[0, 0], futures[1, 0], 0.4 * futures[2, 0] + 0.6 * futures[2, 1]])
    far, taken, other = taken_and_other(ends, centers[:, None], space)
    both = possible_orbits(centers)
    np.testing.assert_array_equal(far, [0, 2])  # the radius of the second is small
    np.testing.assert_array_equal(taken, [both[0, 0], both[2, 1]])
    np.testing.assert_array_equal(other, [both[0, 1], both[2, 0]])


def test_true_videos_follow_their_prior(learned):
    space = learned[1]
    uneven = SimpleNamespace(
        settings=SimpleNamespace(turns=(1, 1, 1, 1, -1), given_frames=1), encode=space.encode
    )
    first = np.array([[0.5, 0.3]] * 400)
    videos = measures.true_videos(uneven, first, np.random.default_rng(0))
    torch.testing.assert_close(videos.prior, torch.tensor([[0.8, 0.2]] * 400))
    assert videos.is_ccw.mean() == pytest.approx(0.8, abs=0.06)
    ccw, cw = (space.encode(path[None]) for path in possible_orbits(first[:1])[0])
    for video in range(10):
        truth = ccw if videos.is_ccw[video] else cw
        torch.testing.assert_close(videos.z[video], truth[0, 1:].flatten())
        torch.testing.assert_close(videos.given[video], truth[0, 0])


def test_reliability_of_known_forecasts():
    # told 0.25 and right in 1 of 4; told 0.75 and right in 1 of 2
    predicted = np.array([0.25] * 4 + [0.75] * 2)
    told = measures.reliability(predicted, np.array([1, 0, 0, 0, 1, 0]))
    assert told["error"] == pytest.approx(0.5 / 6)
    for name, (second, seventh) in {
        "videos": (4, 2),
        "predicted": (1, 1.5),
        "happened": (1, 1),
    }.items():
        expected = np.zeros(10)
        expected[[2, 7]] = second, seventh
        np.testing.assert_allclose(told[name], expected)


def test_ccw_fraction_by_hand():
    futures = torch.tensor([[[3.0, 1.0], [-1.0, 1.0]]])
    for mean, q in ([3.0, 1.0], 1.0), ([-1.0, 1.0], 0.0), ([1.0, 7.0], 0.5), ([5.0, 0.0], 1.5):
        assert measures.ccw_fraction(torch.tensor([mean]), futures).item() == q


def test_ccw_fraction_of_the_exact_posterior_mean_is_the_posterior():
    torch.manual_seed(0)
    futures, prior = torch.randn(50, 2, 6), torch.tensor([[0.8, 0.2]] * 50)
    x, t = torch.randn(50, 6), torch.full((50, 1), 0.4)
    q = measures.ccw_fraction(posterior_mean(x, t, futures, prior), futures)
    torch.testing.assert_close(q, posterior(x, t, futures, prior)[:, 0], atol=1e-5, rtol=0)


# ---------------------------------------------------------------------------------------------
# The questions


def test_a_straight_mirrored_cut_is_told_from_scattered_folds():
    areas, ring = np.ones((2, 20, 20))
    areas[:, 12:] = ring[7:13, 7:13] = -1
    assert tearing.straightness(areas) == 1 and tearing.straightness(ring) < 0.95
    assert tearing.straightness(np.tri(20) - 0.5) > 0.95  # a diagonal cut
    assert tearing.straightness(np.random.default_rng(0).choice([-1, 1], (20, 20))) < 0.7


def test_calibration_of_the_trained_flow(learned):
    network, space = learned
    told = representing.calibration(network, space)
    assert told["exact error"] < 0.06  # what 1000 labels leave to chance
    assert told["q error"] < 0.08 and told["q at 0"] == pytest.approx(0.5, abs=0.05)
    assert told["q to exact"] < 0.05 and told["prior to exact"] > 0.25
    assert sum(told["bins: videos"]) == pytest.approx(1000)
    # a flow that believes the opposite is told apart, and so is one that knows nothing (but that
    # one is calibrated)
    wrong = representing.calibration(lambda x, t, given: -network(x, t, given), space)
    assert wrong["q error"] > 0.2 and wrong["q to exact"] > 0.4
    blind = representing.calibration(
        lambda x, t, given: network(torch.randn_like(x), 0 * t, given), space
    )
    assert blind["q error"] < 0.08 and blind["q to exact"] > 0.2


def test_squares_at_step_0_of_the_trained_flow(learned):
    told = representing.squares_at_step_0(*learned)
    assert told == {"with one square": 1, "with two or more": 0}


def test_midpoints_of_known_decoders():
    """A decoder whose latents are frames, so that it draws the mean of two; and one whose latents
    are centres, so that it draws one square in between."""

    def told(encode, decode):
        model = SimpleNamespace(encode=encode, decode=decode)
        return representing.midpoints(model, FlowSettings())

    mean = told(lambda frames: frames.flatten(1), lambda latents: latents.reshape(-1, 51, 51))
    assert mean["additivity error"] == pytest.approx(0, abs=1e-10)
    assert mean["midpoints with two"] == 1
    between = told(
        lambda frames: torch.from_numpy(centers_of_light(frames.numpy())).float(),
        lambda latents: torch.from_numpy(render(latents.numpy())),
    )
    # |m - a/2 - b/2|^2 / |a/2 - b/2|^2 = 6 / 2 quarters of a square where none of them overlap
    assert 2 < between["additivity error"] <= 3.01 and between["midpoints with two"] == 0


def test_cross_entropy_by_hand():
    def told(*shares_and_truths):
        shares, truths = zip(*shares_and_truths)
        return commitment.cross_entropy(torch.tensor(shares), torch.tensor(truths))

    assert told((0.5, True), (0.5, False)) == pytest.approx(1)
    assert told((0.25, True)) == pytest.approx(2)
    assert told((0.25, False)) == pytest.approx(np.log2(4 / 3))
    assert told((0.25, True), (0.25, False)) == pytest.approx((2 + np.log2(4 / 3)) / 2)
    # q may be a little beyond 0 and 1; to be right then costs nearly nothing, to be wrong 10 bits
    assert told((1.3, True), (-0.2, False)) == pytest.approx(0, abs=0.002)
    assert told((1.3, False), (-0.2, True)) == pytest.approx(np.log2(1000), abs=1e-3)


def test_being_sure_of_the_wrong_direction_is_not_decided():
    """This is what the entropy of q itself would get wrong."""
    q = torch.tensor([0.99, 0.01, 0.99, 0.01])
    truth = torch.tensor([True, False, False, True])
    assert commitment.cross_entropy(q, truth) > 3


def test_halfway():
    assert commitment.halfway([0.0, 0.1, 0.2], [1.0, 0.6, 0.2]) == pytest.approx(0.125)
    assert commitment.halfway([0.0, 0.1], [1.0, 0.9]) == 1.0
    assert commitment.halfway([0.0, 0.1], [0.4, 0.2]) == 0.0


def test_the_trained_flow_decides_at_the_speciation_time(learned):
    told = commitment.decided(*learned)
    exact, learned_time = told["half a bit, exact"], told["half a bit, learned"]
    assert told["t_S"] == pytest.approx(0.3, abs=0.05)
    assert exact == pytest.approx(told["t_S"], abs=0.05)
    assert learned_time == pytest.approx(exact, abs=0.04)
    told = commitment.branches(*learned)
    assert set(told) == {"kept, exact", "kept, learned"}
    for kept in told.values():
        assert kept.shape == (len(commitment.BRANCH_STEPS),)
        assert kept[0] == pytest.approx(0.5, abs=0.1) and kept[-1] > 0.95


def test_a_flow_that_knows_nothing_never_decides(learned):
    network, space = learned
    told = commitment.decided(lambda x, t, given: network(0 * x, 0 * t, given), space)
    assert told["half a bit, learned"] == 1


def test_quality_of_the_trained_flow(learned):
    told = benchmark.quality(*learned, n=40)
    assert told["exact: videos right"] == 1 and told["learned: videos right"] > 0.95
    assert told["one square, worst step"] > 0.99
    assert told["learned: step 0, one in frame 4"] == 1
    assert told["learned: step 0, two squares"] == 0
    assert 0.3 < told["learned: counter-clockwise"] < 0.7
    assert 0 < told["spread inside squares"] < 0.05
    assert 0 < told["mean squared error"] < 1e-3 and 0 < told["mean excess loss"] < 0.05


def test_the_networks_of_a_timed_run_are_kept_but_replace_none(tmp_path):
    settings = FlowSettings(
        autoencoder_steps=1, flow_steps=1, seed=5, checkpoint_dir=tmp_path / "own"
    )
    assert benchmark.seconds_from_nothing(settings) > 0
    autoencoder, flow = (
        checkpoint_path(shared_settings(settings, AutoencoderSettings)),
        checkpoint_path(settings),
    )
    assert sorted(settings.checkpoint_dir.iterdir()) == sorted([autoencoder, flow])
    trained_flow(settings)  # they are those of these settings, or this would raise
    flow.write_text("of someone else")
    benchmark.seconds_from_nothing(settings)
    assert flow.read_text() == "of someone else"


def test_the_table_of_tearing():
    def case(folds, cut, warp):
        one_seed = {"folds": folds, "cut straight": cut, "warp": warp}
        return over_seeds([one_seed, {"folds": 0.0, "cut straight": 0.0, "warp": warp}])

    numbers = {f"{name}, range {r}": case(0.0, 0.0, r) for name in RECIPES for r in tearing.RANGES}
    numbers["plain, range 0.8"] = case(1.0, 1.0, 0.5)
    numbers["plain, hard edges, range 0.8"] = case(1.0, 0.0, 0.6)
    for recipe in tearing.SMALL_RECIPES:
        numbers[f"{recipe}, small squares, range 0.4"] = case(0.0, 0.0, 0.7)
    told = tearing.texts(numbers)
    assert told["seeds that fold, plain"] == "1 of 2" and told["seeds that fold, blur"] == "0 of 2"
    assert told["seeds that fold, plain, hard edges"] == "1 of 2"  # and none is cut straight
    assert told["warps, plain"] == "0.200, 0.400, 0.500"
    rows = told["table"].splitlines()[2:]
    assert rows[2] == "| plain | 0 % | 0 % | 50 % | 0.200 | 0.400 | 0.500 | 50 % |"
    assert rows[3] == "| plain, hard edges | – | – | 50 % | – | – | 0.600 | 0 % |"
    assert rows[4] == "| no blur, squares of half the size | – | – | 0 % | – | – | 0.700 | 0 % |"
    assert isinstance(tearing.draw(numbers, {}), Figure)


# ---------------------------------------------------------------------------------------------
# Numbers as text


def runs_of_two_seeds():
    first = {"right": 1.0, "steps": np.array([0.0, 1.0]), "picture": np.full((1, 2, 2), 0.4)}
    second = {"right": 0.5, "steps": np.array([0.5, 1.0]), "picture": np.ones((1, 2, 2))}
    return {"d = 2": [first, second], "d = 3": [{"right": 0.25}, {"right": 0.0}]}


def test_numbers_are_kept_and_read_back(tmp_path):
    write_numbers(tmp_path, "name", runs_of_two_seeds(), minutes=1.5)
    numbers, kept_pictures, cost = read_numbers(tmp_path, "name")
    assert numbers["d = 2"]["right"]["mean"] == 0.75 and cost["minutes"] == 1.5
    assert numbers["d = 2"]["right"]["std"] == pytest.approx(0.5**0.5 / 2, rel=1e-3)
    np.testing.assert_array_equal(numbers["d = 2"]["steps"]["mean"], [0.25, 1])
    np.testing.assert_array_equal(numbers["d = 2"]["steps"]["seeds"], [[0, 1], [0.5, 1]])
    assert "picture" not in numbers["d = 2"] and list(kept_pictures) == ["d = 2"]
    np.testing.assert_allclose(kept_pictures["d = 2"], np.full((1, 2, 2), 0.4))  # of seed 0


def test_the_csv_file_has_a_row_for_each_number(tmp_path):
    write_numbers(tmp_path, "name", runs_of_two_seeds(), minutes=1.5)
    with (tmp_path / "name.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["result"], row["place"]) for row in rows] == [
        ("d = 2", "right", ""),
        ("d = 2", "steps", "0"),
        ("d = 2", "steps", "1"),
        ("d = 3", "right", ""),
    ]
    assert rows[1] | {"standard deviation": ""} == {
        "case": "d = 2",
        "result": "steps",
        "place": "0",
        "mean": "0.25",
        "standard deviation": "",
        "seed 0": "0",
        "seed 1": "0.5",
    }


def test_a_figure_is_drawn_again_from_what_was_kept(tmp_path):
    drawn = []

    def draw(numbers, pictures):
        drawn.append((numbers["d = 3"]["right"]["mean"], pictures["d = 2"].shape))
        return Figure()

    def fail(settings):
        raise AssertionError("measured again")

    answer("name", lambda _: runs_of_two_seeds(), draw, QuestionSettings(out_dir=tmp_path))
    (tmp_path / "name.png").unlink()
    answer("name", fail, draw, QuestionSettings(out_dir=tmp_path, redraw=True))
    assert (tmp_path / "name.png").exists() and drawn == [(0.125, (1, 2, 2))] * 2
    with pytest.raises(FileNotFoundError, match="without --redraw first"):
        answer("other", fail, draw, QuestionSettings(out_dir=tmp_path, redraw=True))


def test_texts_by_hand():
    value = {"mean": 0.4567, "std": 0.0321, "seeds": [0.4, 0.5, 0.6]}
    assert spread(value) == "0.46 (0.03)" and percent(value) == "46 % (3)"
    mean, error = difference(value, {"seeds": [0.3, 0.5, 0.4]})  # pairs: 0.1, 0, 0.2
    assert mean == pytest.approx(0.1) and error == pytest.approx(0.1 / 3**0.5)
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_pages_are_filled_in():
    texts = {"one: share": "0.25", "one: table": "| 1 |\n| 2 |"}
    assert pages.filled("x <!--one: share-->old<!--/--> y", texts) == (
        "x <!--one: share-->0.25<!--/--> y"
    )
    assert pages.filled("<!--one: table-->\nold\n<!--/-->", texts) == (
        "<!--one: table-->\n\n| 1 |\n| 2 |\n\n<!--/-->"
    )
    with pytest.raises(ValueError, match="no question tells"):
        pages.filled("<!--one: nothing-->1<!--/-->", texts)


def test_readme_and_results_say_what_the_json_files_say():
    """If this fails, `python -m study.pages` fills them in again."""
    texts = pages.all_texts(ROOT / "figures")
    for page in (ROOT / "README.md", ROOT / "study" / "RESULTS.md"):
        assert pages.MARK.search(page.read_text())
        assert pages.filled(page.read_text(), texts) == page.read_text()
    for name in pages.QUESTIONS:
        assert f"<!--{name}: " in page.read_text()  # RESULTS.md tells of every question


def test_each_csv_file_holds_the_numbers_of_its_json_file():
    for name in pages.QUESTIONS:
        numbers, _, _ = read_numbers(ROOT / "figures", name)
        with (ROOT / "figures" / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            place = tuple(map(int, row["place"].split()))
            mean = numbers[row["case"]][row["result"]]["mean"][place]
            assert float(row["mean"]) == pytest.approx(mean, rel=1e-3, abs=1e-12, nan_ok=True)
        told = sum(v["mean"].size for results in numbers.values() for v in results.values())
        assert len(rows) == told


def test_no_cell_of_a_table_is_longer_than_twenty_words():
    for line in (ROOT / "study" / "RESULTS.md").read_text().splitlines():
        if line.startswith("|"):
            for cell in re.sub(r"<!--.*?-->", "", line).strip("|").split("|"):
                assert len(cell.split()) <= 20, cell


def test_a_section_has_one_table_of_at_most_eight_rows():
    sections = (ROOT / "study" / "RESULTS.md").read_text().split("\n## ")[1:]
    assert sections[0].startswith("The post's claims")  # the only table that may be longer
    for section in sections[1:]:
        rules = re.findall(r"^\|(?: --- \|)+$", section, re.MULTILINE)
        assert len(rules) <= 1, section[:60]
        assert len(re.findall(r"^\|", section, re.MULTILINE)) <= 2 + 8, section[:60]


def test_links_to_sections_lead_somewhere():
    results = (ROOT / "study" / "RESULTS.md").read_text()
    headings = re.findall(r"^## (.*)$", results, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
    readme = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(#([^)]+)\)", results) + re.findall(r"RESULTS\.md#([^)]+)\)", readme)
    assert len(links) > 15 and set(links) <= anchors


def test_the_frames_of_a_picture_are_read_back(tmp_path):
    frames = render(possible_orbits(np.array([[0.6, 0.2]]))[0, 0])
    figure = Figure((10.6, 5.3))
    for plot, frame in zip(figure.subplots(2, 4).ravel(), frames):
        plot.imshow(frame, cmap="gray")
    figure.savefig(tmp_path / "video.png", dpi=200)
    np.testing.assert_allclose(pictures.read_frames(tmp_path / "video.png"), frames, atol=0.1)


def test_a_picture_of_a_video_that_shows_both_directions():
    ccw, cw = render(CCW), render(CW)
    told = pictures.measure_video(ccw, np.maximum(ccw, cw), ccw)
    assert told["px from the orbit, step 50, median"] == pytest.approx(0, abs=0.01)
    assert told["at their place, step 50, of 6"] == 6
    assert told["extra squares at the other place"] == 6 and told["extra squares in frame 4"] == 0
    assert told["extra squares at a control"] == 0
    np.testing.assert_array_equal(told["extra squares, frame"], FRAMES)
    assert told["light at the other place"] > 0.9 and told["light at the taken place"] > 0.9
    assert told["light at the controls"] < 0.05
    assert told["turned circles with as much light, of 72"] == 1  # itself
    assert told["frames 1 and 2, light at the other place"] > 0.9
    assert told["frames 1 and 2, light at the controls"] < 0.05
    assert told["frames 1 and 2, turned circles with as much light"] == 1
    assert told["step20: extra pixels from step 0"] == 0


def test_a_picture_of_a_video_with_something_at_a_control_place():
    ccw, turned_around = (
        render(CCW),
        render(-CCW),
    )  # half a circle off, but in frames 2 and 6 the other
    told = pictures.measure_video(turned_around, np.maximum(ccw, turned_around), ccw)
    assert told["extra squares at the other place"] == 2 and told["extra squares at a control"] == 4
    assert told["extra squares in frame 4"] == 1
    assert told["light at the other place"] == pytest.approx(1 / 3, abs=0.05)
    assert told["frames 1 and 2, light at the other place"] == pytest.approx(1 / 2, abs=0.05)
    assert told["step20: extra pixels from step 0"] == 1
    assert told["step20: extra pixels, other frames"] < 0.1


def test_latents_of_a_picture_with_missing_dots():
    centers = grid_centers(0.8)
    latents = centers @ np.array([[2.0, 1.0], [0.0, 3.0]])
    latents[3, 4] = np.nan
    told = pictures.measure_latents(latents, centers)
    assert told["dots of 441"] == 440 and told["cells of 400"] == 396
    assert told["warp"] == pytest.approx(0, abs=1e-9) and told["fold"] == 0


def test_the_study_has_random_numbers_of_its_own():
    streams = [*data.STREAMS.values(), *measures.STREAMS.values()]
    assert len(set(streams)) == len(streams)


def test_no_command_of_the_study_offers_to_retrain(capsys):
    """Questions share their networks, and each would train them anew."""
    for settings in (StudySettings, QuestionSettings, AllSettings):
        assert not tyro.cli(settings, args=[]).retrain
        with pytest.raises(SystemExit):
            tyro.cli(settings, args=["--retrain"])


def test_only_study_all_writes_to_figures():
    assert AllSettings().out_dir == PagesSettings().figures
    assert SweepSettings().out_dir != AllSettings().out_dir


def test_what_is_said_of_the_posts_pictures_is_what_was_measured():
    told = json.loads((ROOT / "figures" / "pictures.json").read_text())
    warps = tuple(told[f"range {center_range}"]["warp"] for center_range in tearing.RANGES)
    assert tearing.POST_WARP == warps
    for start, light in state.POST_LIGHT.items():
        assert told["d = 100"][f"{start}light at the other place"] == light

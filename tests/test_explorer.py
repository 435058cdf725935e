"""The page to play with, in a real browser: does it compute what torch computes?"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, centroid, run_process

import explorer.__main__ as explorer
import flow
from data import PIXEL, possible_orbits, random_first_centers
from explorer.__main__ import LEVELS, ExplorerSettings, page
from flow import FlowSettings, possible_futures, posterior_mean
from sample import euler_steps
from study.measures import ccw_fraction

COMMITTED = ROOT / "explorer/index.html"
STEPS = [0, 2, 20, 50]


@pytest.fixture(scope="module")
def networks(learned, space_100):
    """Both dims: d = 2 with default settings, d = 100 with a short training of the flow."""
    settings = FlowSettings(embed_dim=100, flow_steps=200)
    return {2: learned, 100: flow.train(settings, space_100.autoencoder)}


@pytest.fixture(scope="module")
def built(networks, tmp_path_factory) -> Path:
    """The page with these networks, as the command writes it."""
    path = tmp_path_factory.mktemp("explorer") / "index.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "trained_flow", lambda s: networks[s.embed_dim])
        explorer.main(ExplorerSettings(out=path))
    return path


@pytest.fixture(scope="module")
def chromium():
    playwright_api = pytest.importorskip("playwright.sync_api", reason="needs playwright from PyPI")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs chromium")
    with playwright_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture
def visit(chromium):
    """Open a page at a view. Afterwards: it asked for nothing but itself, and had no errors."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900}, has_touch=True)
    files, requests, errors = [], [], []
    context.on("request", lambda request: requests.append(request.url.split("#")[0]))
    context.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    context.on("weberror", lambda error: errors.append(str(error.error)))

    def visit(path: Path, view: str = ""):
        tab = context.new_page()
        files.append(path.as_uri())
        tab.goto(f"{path.as_uri()}#{view}")
        tab.wait_for_selector("main:visible")
        return tab

    yield visit
    context.close()
    assert requests == files and errors == []


@torch.no_grad()
def sample_in_torch(network, space, first_center, noise, exact):
    """Frames (4, 2, 7, 51, 51) as [STEPS, state and posterior mean, frame], and q (51)."""
    given_centers = first_center[None, None]
    futures, prior = possible_futures(space, given_centers)
    given = space.encode(given_centers).flatten(1)

    def mean_at(x, t):
        return posterior_mean(x, t, futures, prior) if exact else network(x, t, given)

    states, means = zip(*euler_steps(mean_at, noise[None], 50))
    frames = [[space.decode(x[step])[0] for x in (states, means)] for step in STEPS]
    return np.array(frames), torch.cat([ccw_fraction(mean, futures) for mean in means]).numpy()


SAMPLE_IN_BROWSER = """([d, exact, first_center, noise, steps]) => {
    const given = { d, exact, share: 0.5, steps: 50 };
    const { space, states, means, q } = sample(given, first_center, Float64Array.from(noise));
    const frames = steps.map((i) => [states, means].map((x) =>
        space.decode(x[i]).map((frame) => Array.from(frame))));
    return JSON.stringify([frames, q]); // much faster than playwright's own way
}"""


@pytest.mark.parametrize("dim", LEVELS)
@pytest.mark.parametrize("exact", [False, True])
def test_frames_and_q_are_those_of_torch(visit, built, networks, dim, exact):
    tab, ends, first_center = visit(built), set(), np.array([0.3, -0.5])
    random = torch.randn(7 * dim, generator=torch.Generator().manual_seed(0))
    futures, _ = possible_futures(networks[dim][1], first_center[None, None])
    apart = torch.sub(*futures[0])
    for push in (3, -3):  # towards either direction
        noise = random + push * apart / apart.norm()
        expected, expected_q = sample_in_torch(*networks[dim], first_center, noise, exact)
        given = [dim, exact, first_center.tolist(), noise.tolist(), STEPS]
        frames, q = json.loads(tab.evaluate(SAMPLE_IN_BROWSER, given))
        frames = np.array(frames).reshape(expected.shape)
        difference, difference_q = np.abs(frames - expected), np.abs(np.array(q) - expected_q)
        print(f"d={dim} exact={exact}: {difference.max():.4f}, q {difference_q.max():.5f}")
        assert difference.max() <= 0.02
        assert difference_q[STEPS].max() <= 0.005
        assert np.abs(expected[0] - expected[-1]).max() > 0.5  # there was something to get wrong
        ends.add(q[-1] > 0.5)
    assert ends == {True, False}  # both directions were compared


def test_the_seeded_noise_is_normal(visit, built):
    tab = visit(built)
    noise = np.array(tab.evaluate("Array.from(randomNormal(7, 20000))"))
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    assert abs((noise**4).mean() - 3) < 0.3 and abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.03
    again, other = tab.evaluate("[7, 8].map((seed) => Array.from(randomNormal(seed, 9)))")
    assert again == noise[:9].tolist() != other


def test_the_committed_page_is_up_to_date():
    """Whoever changes the page's files or the constants must run python -m explorer again."""
    committed = COMMITTED.read_text(encoding="utf-8")
    (networks,) = re.findall(r"^const NETWORKS = (.*);$", committed, re.MULTILINE)
    assert page(networks) == committed
    assert COMMITTED.stat().st_size < 2_000_000


SHOWN_FRAMES = """() => JSON.stringify([...document.querySelectorAll("#states canvas")].map((c) =>
    [...c.getContext("2d").getImageData(0, 0, 51, 51).data].filter((_, i) => i % 4 === 0)))"""


@pytest.mark.parametrize("dim", LEVELS)
def test_drags_by_mouse_give_true_orbits(visit, dim):
    tab = visit(COMMITTED, f"d={dim}&step=50")
    tab.locator("#first").scroll_into_view_if_needed()
    box = tab.locator("#first").bounding_box()

    def pixel(point):
        """Where a point of the plane is on the screen."""
        part = 0.5 + np.array([point[0], -point[1]]) / (2 + PIXEL)
        return box["x"] + part[0] * box["width"], box["y"] + part[1] * box["height"]

    right = 0
    for target in random_first_centers(40, np.random.default_rng(dim), 0.8):
        tab.mouse.move(*pixel(tab.evaluate("[view.x, view.y]")))
        tab.mouse.down()
        tab.mouse.move(*pixel(target))
        tab.mouse.up()
        tab.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")
        frames = np.array(json.loads(tab.evaluate(SHOWN_FRAMES))).reshape(8, 51, 51) / 255
        centers = centroid(frames)
        assert np.abs(centers[0] - target).max() < PIXEL
        distance = np.linalg.norm(centers[1:] - possible_orbits(target[None])[0, :, 1:], axis=-1)
        right += (distance.max(1) < 1.5 * PIXEL).any()
    print(f"d={dim}: {right} of 40 right")
    assert right >= 39


def test_the_whole_view_is_in_the_address(visit, built):
    tab = visit(built)
    tab.get_by_role("radio", name="exact").check()
    tab.get_by_role("button", name="New noise").click()
    tab.locator("#first").press("ArrowLeft")
    tab.locator("#a").tap()
    tab.locator("#means button").nth(4).click()
    for name, value in [("share", 0.8), ("steps", 20), ("step", 7)]:
        tab.locator(f"input[name={name}]").fill(str(value))
    tab.wait_for_function("location.hash.includes('step=7')")
    view = tab.evaluate("view")
    expected = {"exact": 1, "share": 0.8, "steps": 20, "step": 7, "frame": 4, "ax": 0, "ay": 0}
    assert view == view | expected and view["x"] != 0.45
    again = visit(built, tab.evaluate("location.hash.slice(1)"))
    assert again.evaluate("view") == view
    assert again.locator("#status").inner_text() == tab.locator("#status").inner_text()


def test_garbage_in_the_address_gives_the_first_view_and_a_note(visit, built):
    tab = visit(built)
    default = tab.evaluate("view")
    assert tab.locator("#note").is_hidden()
    for garbage in ["d=7", "step=51", "x=0&y=0", "seed=", "toString=1", "%E0%A4%A", "<b>"]:
        tab.evaluate("(garbage) => { location.hash = garbage; }", garbage)
        tab.wait_for_selector("#note:visible")
        assert tab.evaluate("view") == default, garbage
        tab.evaluate("location.hash = 'exact=1&step=9'")
        tab.wait_for_selector("#note", state="hidden")
        assert tab.evaluate("[view.exact, view.step]") == [1, 9]


def test_keys_step_and_play(visit, built):
    tab = visit(built)
    for key, step in [("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)]:
        tab.keyboard.press(key)
        assert tab.evaluate("view.step") == step
    tab.keyboard.press("Space")
    tab.wait_for_function("view.step >= 4")
    tab.keyboard.press("Space")
    step = tab.evaluate("view.step")
    tab.wait_for_timeout(600)
    assert tab.evaluate("view.step") == step < 50


def test_bad_output_is_told_before_the_work(tmp_path):
    process = run_process(ROOT, "-m", "explorer", "--out", tmp_path / "missing/index.html")
    assert process.returncode == 2 and "can't be written" in process.stdout + process.stderr
    with pytest.raises(OSError, match="must be the name of a .html file"):
        ExplorerSettings(out=tmp_path / "page.txt")

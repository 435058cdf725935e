"""The page to play with, in a real browser: does it compute what torch computes?"""

import base64
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import ROOT, centroid, changed, run_process

import explorer.__main__ as explorer
import flow
from analyze import find_blobs
from data import NUM_FRAMES, PIXEL, possible_orbits, random_first_centers, turn_name
from explorer.__main__ import LEVELS, ExplorerSettings, page
from flow import FlowSettings, possible_futures, posterior, posterior_mean
from sample import euler_steps
from study.measures import ccw_fraction

COMMITTED = ROOT / "explorer/index.html"
TURNS = [4, 3, 2, 1, 0, -1, -2, -3]  # in the page's order


@pytest.fixture(scope="module")
def networks(learned, space_100):
    """Both dims: d = 2 with default settings, d = 100 with a short training of the flow."""
    settings = FlowSettings(embed_dim=100, flow_steps=200)
    return {2: learned, 100: flow.train_flow(space_100.autoencoder, settings)}


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
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("needs chromium")
    with playwright_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


PATIENCE = 120_000  # milliseconds: tests may run on a busy machine


def wait_for_view(tab, condition="true"):
    """Until this holds, and what is on the screen is drawn."""
    tab.wait_for_selector("main:visible")
    tab.wait_for_function(f"({condition}) && !drawing && changes > 0")


def wait_for_all(tab):
    """Until the rest is drawn, too, and the pale curves."""
    tab.wait_for_function("settled === changes")


@pytest.fixture(scope="module")
def opened(chromium):
    """A context, the pages that are open in it, and what they asked for and complained of."""
    context = chromium.new_context(viewport={"width": 1200, "height": 800}, has_touch=True)
    context.set_default_timeout(PATIENCE)
    requests, errors = [], []
    context.on("request", lambda request: requests.append(request.url.split("#")[0]))
    context.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context, {}, requests, errors
    context.close()


GO_TO = """(view) => {
    document.querySelectorAll("details").forEach((details) => { details.open = false; });
    document.activeElement.blur();
    scrollTo(0, 0);
    openView(`#${view}`, "auto");
    writeAddress();
}"""


@pytest.fixture
def visit(opened):
    """Go to a view of a page, and wait until what is on the screen is drawn. A page that is open is
    used again, unless a fresh one is asked for. Afterwards: nothing was asked for but the page
    itself, and there were no errors."""
    context, tabs, requests, errors = opened
    files = []
    requests.clear()

    def visit(path: Path, view: str = "", fresh: bool = False):
        if fresh or path not in tabs:
            tab = context.new_page()
            files.append(path.as_uri())
            tab.goto(f"{path.as_uri()}#{view}")
        else:
            tab = tabs[path]
            tab.bring_to_front()
            tab.evaluate(GO_TO, view)
        tabs.setdefault(path, tab)
        wait_for_view(tab)
        return tab

    yield visit
    for tab in context.pages:
        if tab not in tabs.values():
            tab.close()
    assert requests == files and errors == []


def weights(turns) -> dict[str, int]:
    """What the page calls these turns: the weight of each of the eight."""
    return {f"turn{turn}": 5 * turns.count(turn) for turn in TURNS}


def running_mean(means, k):
    """The posterior means (steps + 1, n, D) before step k, weighted as in the state of step k. The
    weights are those of the closed formula; the page goes step by step."""
    steps = len(means) - 1
    total = torch.zeros_like(means[0])
    for j in range(k):
        total += (steps - k) / ((steps - j) * (steps - j - 1)) * means[j] if j < steps - 1 else 0
    return means[-1] if k == steps else total


@torch.no_grad()
def sample_in_torch(network, space, case, noise, fresh):
    """Frames (3, 5, 7, 51, 51) as [step, readout, frame]: state, posterior mean, noise
    part, running mean divided by t, and the state with fresh noise; and the shares of the
    turns (3, k)."""
    given_centers = np.array(case.first_center)[None, None]
    futures, prior = possible_futures(space, given_centers)
    given = space.encode(given_centers).flatten(1)

    def mean_at(x, t):
        return posterior_mean(x, t, futures, prior) if case.exact else network(x, t, given)

    states, means = map(torch.stack, zip(*euler_steps(mean_at, noise[None], case.steps)))
    frames, shares = [], []
    for k in case.looked_at:
        t = k / case.steps
        running = running_mean(means, k)
        readouts = [states[k], means[k], (1 - t) * noise[None], running / max(t, 1e-9)]
        readouts.append(running + (1 - t) * fresh)
        frames.append(space.decode(torch.cat(readouts)))
        if case.exact:  # the shares are the probabilities; at t = 1 it is one of the futures
            nearest = (states[k][:, None] - futures).norm(dim=2).argmin(1)
            one = torch.nn.functional.one_hot(nearest, prior.shape[1])
            shares.append((posterior(states[k], torch.tensor([[t]]), futures, prior), one)[t == 1])
        else:
            q = ccw_fraction(means[k], futures)
            shares.append(torch.stack([q, 1 - q], dim=1))
    return np.array(frames), torch.cat(shares).numpy()


SAMPLE_IN_BROWSER = """([given, firstCenter, noise, fresh, stepList]) => {
    const result = beginSample(given, firstCenter, Float64Array.from(noise));
    goOn(result, given.steps);
    const { space, states, means, shares } = result;
    const frames = [];
    const steps = stepList.map((k) => {
        const t = k / given.steps;
        const { noise, running } = stateParts(result, k, given.steps);
        const swapped = running.map((value, i) => value + (1 - t) * fresh[i]);
        const divided = running.map((value) => value / Math.max(t, 1e-9));
        for (const latents of [states[k], means[k], noise, divided, swapped]) {
            frames.push(...space.decode(latents));
        }
        const sumIsOff = Math.max(...subtract(add(noise, running), states[k]).map(Math.abs));
        return { shares: shares[k], sumIsOff };
    });
    const bytes = new Uint8Array(Float32Array.from(concat(...frames)).buffer);
    const letters = Array.from(bytes, (byte) => String.fromCharCode(byte));
    return { steps, frames: btoa(letters.join("")) }; // much faster than lists of numbers
}"""


class Case(NamedTuple):
    exact: bool
    scale: float
    turns: tuple[int, ...]
    steps: int
    first_center: tuple[float, float]

    @property
    def looked_at(self) -> list[int]:
        return [0, 2 * self.steps // 5, self.steps]


CASES = [
    Case(False, 1, (1, -1), 37, (-0.62, 0.2)),
    Case(False, 1, (1, -1), 100, (0.25, -0.7)),
    Case(True, 0.2, (3, -1), 50, (0.5, 0.5)),
    Case(True, 2.2, (4, 0), 23, (-0.1, -0.4)),
    Case(True, 0.7, (2, 1, -3), 11, (0.05, 0.78)),
    Case(True, 1.4, (4, 3, 2, 1, 0, -1, -2, -3), 64, (-0.35, 0.6)),
]


@pytest.mark.parametrize("dim", LEVELS)
def test_it_computes_what_torch_computes(visit, built, networks, dim):
    tab = visit(built)
    random, fresh = torch.randn(2, 7 * dim, generator=torch.Generator().manual_seed(1))
    network, standard_space = networks[dim]
    for case in CASES:
        space = changed(standard_space, latent_scale=float(case.scale), turns=case.turns)
        order = [list(space.settings.turns).index(turn) for turn in case.turns]  # torch's turns
        futures, _ = possible_futures(space, np.array(case.first_center)[None, None])
        ends = set()
        for k in order[:2]:  # towards either of two turns
            push = futures[0, k] - futures[0].mean(0)
            noise = random + 3 * push / push.norm()
            frames, shares = sample_in_torch(network, space, case, noise, fresh)
            given = {"d": dim, "exact": case.exact, "scale": case.scale, "steps": case.steps}
            given |= weights(case.turns)
            asked = [given, case.first_center, noise.tolist(), fresh.tolist(), case.looked_at]
            result = tab.evaluate(SAMPLE_IN_BROWSER, asked)
            got = np.frombuffer(base64.b64decode(result["frames"]), "<f4").reshape(frames.shape)
            got_shares = np.array([step["shares"] for step in result["steps"]])
            off = np.abs(got - frames).max((0, 2, 3, 4))  # of each readout
            off_shares = np.abs(got_shares - shares[:, order]).max()
            print(f"{dim=} {case}: {off.round(4)}, shares {off_shares:.5f}")
            assert off.max() <= 0.02
            assert off_shares <= 0.005
            assert max(step["sumIsOff"] for step in result["steps"]) < 1e-5
            assert np.abs(frames[0] - frames[-1]).max() > 0.5  # there was something to get wrong
            ends.add(got_shares[-1].argmax())
        assert len(ends) == 2  # both turns were compared


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
    assert COMMITTED.stat().st_size <= 2_200_000


STRIP = """(id) => btoa([...document.querySelectorAll(`#${id} canvas`)].map((canvas) =>
    String.fromCharCode(...canvas.getContext("2d").getImageData(0, 0, 51, 51).data)).join(""))"""


def strip(tab, name: str) -> np.ndarray:
    """What a strip shows: (frames, 51, 51, 3) in [0, 1]."""
    frames = np.frombuffer(base64.b64decode(tab.evaluate(STRIP, name)), np.uint8) / 255
    return frames.reshape(-1, 51, 51, 4)[..., :3]


def squares(frames: np.ndarray) -> list[int]:
    """The number of squares in each grey frame."""
    return [len(find_blobs(frame)) for frame in frames[..., 1]]


@pytest.mark.parametrize("dim", LEVELS)
def test_drags_by_mouse_give_true_orbits(visit, dim):
    tab = visit(COMMITTED, f"d={dim}&step=50")
    box = tab.locator("#first").bounding_box()

    def pixel(point):
        """Where a point of the plane is on the screen."""
        part = 0.5 + np.array([point[0], -point[1]]) / (2 + PIXEL)
        return box["x"] + part[0] * box["width"], box["y"] + part[1] * box["height"]

    right = 0
    for target in random_first_centers(12, np.random.default_rng(dim), 0.8):
        tab.mouse.move(*pixel(tab.evaluate("[view.x, view.y]")))
        tab.mouse.down()
        tab.mouse.move(*pixel(target))
        tab.mouse.up()
        wait_for_view(tab)
        centers = centroid(strip(tab, "states")[..., 0])
        assert np.abs(centers[0] - target).max() < PIXEL
        distance = np.linalg.norm(centers[1:] - possible_orbits(target[None])[0, :, 1:], axis=-1)
        right += (distance.max(1) < 1.5 * PIXEL).any()
    print(f"d={dim}: {right} of 12 right")
    assert right >= 11


def test_the_whole_view_is_in_the_address(visit, built):
    tab = visit(built)
    tab.get_by_text("More settings").click()
    tab.get_by_role("radio", name="exact").check()
    tab.get_by_role("button", name="New noise").click()
    tab.locator("#first").press("ArrowLeft")
    tab.locator("#a").tap()
    tab.locator("#means button").nth(4).click()
    tab.get_by_role("checkbox", name=turn_name(2), exact=True).check()
    tab.locator("#parts summary").click()
    tab.get_by_role("button", name="Other noise").click()
    sliders = [("turn-1", 9), ("scale", 0.7), ("steps", 20), ("both", 3), ("step", 7)]
    for name, value in sliders:
        tab.locator(f"input[type=range][name={name}]").fill(str(value))
    view = tab.evaluate("view")
    expected = dict(sliders) | {"exact": 1, "turn2": 5, "parts": 1, "frame": 4, "at": 0}
    assert view == view | expected and view["x"] != 0.45 and view["fresh"] != 1
    assert abs(view["ax"]) < 0.01 and abs(view["ay"]) < 0.01  # tapped in the middle
    wait_for_view(tab)
    again = visit(built, tab.evaluate("location.hash.slice(1)"), fresh=True)
    assert again.evaluate("view") == view
    assert again.locator("#status").inner_text() == tab.locator("#status").inner_text()
    assert again.locator("#scale").is_visible()


def test_garbage_in_the_address_gives_the_first_view_and_a_note(visit, built):
    tab = visit(built)
    default = tab.evaluate("view")
    assert tab.locator("#note").is_hidden()
    bad = ["d=7", "step=51", "x=0&y=0", "seed=", "toString=1", "%E0%A4%A", "<b>"]
    bad += ["exact=1&turn1=0&turn-1=0", "scale=0.3", "turn2=5"]  # no turn; not what was trained
    for garbage in bad:
        tab.evaluate("(garbage) => { location.hash = garbage; }", garbage)
        tab.wait_for_selector("#note:visible")
        assert tab.evaluate("view") == default, garbage
        tab.evaluate("location.hash = 'exact=1&step=9'")
        tab.wait_for_selector("#note", state="hidden")
        assert tab.evaluate("[view.exact, view.step]") == [1, 9]
    # the old view is still written when the new address is there, but not read yet
    tab.evaluate("() => { location.hash = 'd=7'; writeAddress(); }")
    tab.wait_for_selector("#note:visible")
    tab.evaluate("location.hash = 'exact=1&step=9'")
    tab.wait_for_selector("#note", state="hidden")


def test_keys_step_and_play(visit, built):
    tab = visit(built)
    for key, step in [("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)]:
        tab.keyboard.press(key)
        assert tab.evaluate("view.step") == step
    tab.keyboard.press("Space")
    tab.wait_for_function("view.step >= 4")
    tab.keyboard.press("Space")
    assert tab.evaluate("playing ?? null") is None
    step = tab.evaluate("view.step")
    tab.wait_for_timeout(100)  # more than the time for a step that is decided
    assert tab.evaluate("view.step") == step < 50


def test_scale_and_turns_switch_to_the_exact_flow(visit, built):
    tab, switched = visit(built), "#switched"
    learned = tab.get_by_role("radio", name="learned")
    tab.get_by_text("More settings").click()
    tab.locator("input[name=scale]").fill("0.3")
    assert tab.evaluate("[view.exact, view.scale]") == [1, 0.3] and not learned.is_checked()
    assert "exact" in tab.locator(switched).inner_text()
    learned.check()
    assert tab.evaluate("[view.exact, view.scale]") == [0, 1]
    assert "scale 1" in tab.locator(switched).inner_text()
    tab.get_by_role("checkbox", name=turn_name(-3)).check()
    tab.locator("input[type=range][name=turn1]").fill("10")
    assert tab.evaluate("view.exact") == 1
    prior = dict(zip(TURNS, tab.locator("#turns b").all_inner_texts()))
    assert (prior[1], prior[-1], prior[-3], prior[0]) == ("50 %", "25 %", "25 %", "0 %")
    tab.evaluate("location.hash = 'exact=1&turn-1=0'")
    wait_for_view(tab, "view['turn-1'] === 0")
    last = tab.get_by_role("checkbox", name=turn_name(1), exact=True)
    last.click()
    assert last.is_checked() and "must stay" in tab.locator(switched).inner_text()


def test_the_frames_that_cannot_tell_turns_apart(visit, built):
    tab = visit(built)
    orbits = possible_orbits(np.array([[0.3, -0.5]]), TURNS)[0]  # (turns, 8, 2)
    got = tab.evaluate("FRAMES.map((i) => meetingTurns(TURNS, i).map((g) => g.map((t) => t.turn)))")
    for frame in range(1, NUM_FRAMES):
        together = np.linalg.norm(orbits[:, None, frame] - orbits[None, :, frame], axis=-1) < 1e-6
        expected = {tuple(t for t, same in zip(TURNS, row) if same) for row in together}
        assert {tuple(g) for g in got[frame - 1]} == {g for g in expected if len(g) > 1}
    assert tab.locator("#meetings").text_content() == "Frame 4 can't tell apart +45° and −45°."


def test_the_parts_open_and_close_also_while_the_page_draws(visit):
    tab = visit(COMMITTED)
    for opened in (1, 0, 1):
        tab.evaluate(
            "change({ seed: view.seed + 1 }); document.querySelector('#parts summary').click()"
        )
        wait_for_view(tab)
        assert tab.evaluate("[view.parts, Number(byId('parts').open)]") == [opened, opened]
    tab.locator("#parts summary").press("Enter")
    wait_for_view(tab, "!byId('parts').open")


def test_the_posts_step_20(visit):
    """Several squares in nearly every frame of the state, in frame 4 too; they go with the noise.
    The posterior mean of the same step has one in each."""
    tab = visit(COMMITTED, "at=2")
    state, mean, swapped = (strip(tab, name) for name in ("postState", "postMean", "swapped"))
    several = np.array(squares(state)) > 1
    assert several.sum() >= 6 and several[3] and squares(mean) == [1] * 7
    assert (swapped[..., [0, 2]] == state[..., [0, 2]]).all()  # red and blue are the state
    extra = (state[..., 1] > 0.5) & (mean[..., 1] < 0.25)
    assert extra.sum() > 300 and (swapped[extra][:, 1] > 0.5).mean() < 0.3
    tab.get_by_role("button", name="Other noise").click()
    wait_for_view(tab, "view.fresh !== 1")
    assert (strip(tab, "postState") == state).all()
    assert np.abs(strip(tab, "swapped") - swapped)[..., 1].max() > 0.5
    tab.get_by_role("link", name="See this step in the player").click()
    wait_for_view(tab, "view.scale === 0.3 && view.step === 20")
    wait_for_all(tab)  # the player may not be on the screen yet
    assert (strip(tab, "states")[1:] == state).all()
    tab.evaluate("change({ step: 50 })")
    wait_for_view(tab)
    assert squares(strip(tab, "states")) == [1] * 8


def test_the_plane_comes_without_losing_the_view_or_the_focus(visit):
    tab = visit(COMMITTED, "seed=7&step=5&at=4")
    assert tab.locator("#latents .dot").count() == 0
    tab.focus("#toPlane")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#latents .dot", state="attached")
    view = tab.evaluate("({ ...view })")
    assert (view["d"], view["seed"], view["step"]) == (2, 7, 5)
    assert tab.evaluate("document.activeElement.id") == "pointer"


def test_a_seed_that_is_not_allowed_goes(visit):
    tab = visit(COMMITTED, "seed=7")
    for text in ("-5", "", "99999999"):
        tab.fill("[name=seed]", text)
        tab.keyboard.press("Enter")
        tab.focus("#play")
        assert tab.input_value("[name=seed]") == "7" and tab.evaluate("view.seed") == 7


# What one sees


SIZES = [(1200, 800), (390, 844)]


@pytest.fixture(params=SIZES, ids=["desktop", "phone"])
def screen(request, chromium):
    """The committed page at this size, without a view in its address."""
    width, height = request.param
    context = chromium.new_context(
        viewport={"width": width, "height": height}, has_touch=True, is_mobile=width < 500
    )
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    tab.goto(COMMITTED.as_uri())
    wait_for_view(tab)
    yield tab
    context.close()


def test_the_first_screen_has_the_square_play_and_both_strips(screen):
    height = screen.viewport_size["height"]
    for name in ("h1", "#first", "#play", "#states", "#means", "#verdict", ".todo"):
        box = screen.locator(name).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= height, name
    square, verdict = screen.locator("#first"), screen.locator("#verdict")
    assert verdict.bounding_box()["y"] < square.bounding_box()["y"] + 150  # beside it


def test_both_dims_side_by_side_expect_the_same_and_end_alike(visit):
    """At step 0 d = 100 shows two squares and d = 2 one, halfway between the two; in frame 4, where
    both directions meet, both show one. In the end both show the same video."""
    tab = visit(COMMITTED, "at=1")
    first, given = strip(tab, "future0"), tab.evaluate("[view.x, view.y]")
    second, two, one = (strip(tab, name) for name in ("future1", "mean100", "mean2"))
    assert squares(two)[1:] == [2, 2, 2, 1, 2, 2, 2] and squares(one) == [1] * 8
    halfway = (centroid(first[..., 1]) + centroid(second[..., 1])) / 2
    assert np.abs(centroid(one[1:, ..., 1]) - halfway).max() < 3 * PIXEL
    assert (two[0] == one[0]).all() and np.abs(centroid(two[0, ..., 1]) - given).max() < PIXEL
    for seed, center in [(3, (0.45, 0.3)), (11, (-0.2, 0.6)), (8, (0.1, -0.3))]:
        x, y = center
        tab.evaluate(f"change({{ both: 50, seed: {seed}, x: {x}, y: {y} }})")
        wait_for_view(tab)
        ends = [tab.locator(name).inner_text() for name in ("#verdict100", "#verdict2")]
        assert ends[0] == ends[1] and "decided" in ends[0]


def test_halfway_between_two_squares_are_both_or_one_in_the_middle(visit):
    """Both of d = 100 are mostly brighter than in an average of the pixels, which is 0.5."""
    tab, rng = visit(COMMITTED, "at=5"), np.random.default_rng(0)
    brightness = []
    for _ in range(20):
        (ax, ay), (bx, by) = a, b = rng.choice([-1, 1], (2, 1)) * rng.uniform(0.3, 0.6, (2, 2))
        if (np.abs(a - b) < 0.45).all():  # they overlap
            continue
        tab.evaluate("change", {"ax": ax, "ay": ay, "bx": bx, "by": by})
        wait_for_view(tab)
        two, one = (strip(tab, name)[0, ..., 1] for name in ("mix100", "mix2"))
        for center in (a, b):
            x, y = np.round((center * [1, -1] + 1) / PIXEL).astype(int)
            brightness.append(two[y - 3 : y + 4, x - 3 : x + 4].mean())
        assert np.abs(centroid(one) - (a + b) / 2).max() < 3 * PIXEL
    assert len(brightness) >= 10 and np.mean(np.array(brightness) > 0.5) > 0.7


def test_a_finished_video_plays(visit):
    tab = visit(COMMITTED, "d=2&step=50")
    pixels = (
        "byId('statesLarge').firstChild.getContext('2d').getImageData(0, 0, 51, 51).data.join()"
    )
    for _ in range(3):
        before = tab.evaluate(pixels)
        tab.wait_for_function(f"(before) => {pixels} !== before", arg=before)
    tab.evaluate("change({ step: 49 })")  # not finished
    wait_for_view(tab)
    before = tab.evaluate(pixels)
    tab.evaluate("playLoop()")
    assert tab.evaluate(pixels) == before


def test_less_motion_where_it_is_asked_for(chromium):
    tab = chromium.new_page(reduced_motion="reduce")
    tab.set_default_timeout(PATIENCE)
    tab.goto(COMMITTED.as_uri())
    wait_for_view(tab)
    tab.evaluate("""() => {
        Element.prototype.scrollIntoView = (options) => { window.scrolled = options.behavior; };
    }""")
    tab.locator("a[href^='#']").first.evaluate("(link) => link.click()")
    assert tab.evaluate("scrolled") != "smooth"
    tab.evaluate("change({ step: 50 })")
    wait_for_view(tab)
    assert not tab.evaluate("isLooping()")
    tab.close()


def test_other_noises_show_that_half_go_each_way(visit):
    tab = visit(COMMITTED, "d=2")
    wait_for_all(tab)
    others = np.array(tab.evaluate("otherShares()"))  # (20, 51, 2)
    ccw = others[:, -1, 0] > 0.5
    assert others.shape == (20, 51, 2) and 3 <= ccw.sum() <= 17
    assert (np.abs(others[:, 0] - 0.5) < 0.2).all() and (np.abs(others[:, -1, 0] - ccw) < 0.1).all()
    assert tab.locator("#others polyline").count() == 20
    assert f"{ccw.sum()} go {turn_name(1)}" in tab.locator("#otherWays").inner_text()
    # a drag interrupts them, and drops those that don't belong to it
    made = tab.evaluate("""async () => {
        change({ seed: 77 });
        window.dropped = otherShares();
        for (let i = 0; i < 5000 && dropped.length < 2; i++) {
            await new Promise((done) => setTimeout(done, 1));
        }
        change({ x: -0.5 });
        return dropped.length;
    }""")
    wait_for_view(tab)
    assert made >= 2 and tab.locator("#others polyline").count() < 20
    wait_for_all(tab)
    assert tab.locator("#others polyline").count() == 20
    assert tab.evaluate("dropped.length") <= made + 1


def test_a_link_opens_at_what_it_shows(visit):
    tab = visit(COMMITTED)
    tab.locator("#mix").fill("0.2")
    wait_for_view(tab, "location.hash.includes('mix=0.2')")
    for view, place in [(tab.evaluate("location.hash.slice(1)"), "#mix"), ("parts=1", "#parts")]:
        again = visit(COMMITTED, view, fresh=True)
        assert -1 < again.locator(place).bounding_box()["y"] < 600, place


# What once failed without a word


def test_a_browser_that_does_not_know_light_dark(visit, tmp_path):
    page = tmp_path / "index.html"
    page.write_text(COMMITTED.read_text("utf-8").replace("light-dark(", "unknown("), "utf-8")
    tab = visit(page, "d=2&step=20&at=4")
    style = "(selector) => getComputedStyle(document.querySelector(selector))"
    for drawn in ("#latents .axis", "#latents .curve", "#latents .now", "#plot polyline"):
        tab.wait_for_selector(drawn, state="attached")
        assert tab.evaluate(f"({style})('{drawn}').stroke") != "none", drawn
    assert tab.evaluate(f"({style})('body').backgroundColor") != "rgba(0, 0, 0, 0)"


PLACES_OF_CONTROLS = """() => [...document.querySelectorAll(
    "a, button, input, summary, [tabindex]")].map((element, i) => {
        const { x, y, width, height } = element.getBoundingClientRect();
        const name = element.id || element.name || element.textContent;
        return [`${i} ${name}`, [x, y + scrollY, width, height].map(Math.round)];
    })"""


SETTINGS = [  # one after the other, so that every message appears and goes again
    *({"scale": 0.3}, {"turn2": 5}, {"turn4": 5}, {"turn0": 5}, {"turn3": 5}, {"turn-3": 1}),
    *({"exact": 0}, {"turn-2": 5}, {"turn1": 0}, {"turn-1": 0}, {"turn-2": 0}, {"steps": 9}),
    *({"exact": 0}, {"step": 5}, {"step": 9}, {"d": 2}, {"both": 50}),
]

SET = """([name, value]) => {
    const radio = document.querySelector(`[type=radio][name="${name}"][value="${value}"]`);
    if (radio) return radio.click();
    const slider = document.querySelector(`[type=range][name="${name}"]`);
    slider.value = value;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
}"""


def test_no_control_moves_while_another_is_used(screen):
    screen.evaluate("document.querySelectorAll('details').forEach((all) => { all.open = true; })")
    screen.evaluate("change({ parts: 1 })")
    wait_for_all(screen)
    before = screen.evaluate(PLACES_OF_CONTROLS)
    for setting in SETTINGS:
        screen.evaluate(SET, *setting.items())
        wait_for_view(screen)
        assert screen.evaluate(PLACES_OF_CONTROLS) == before, setting
    screen.evaluate("change({ frame: 3, seed: 8, x: -0.2, y: 0 })")
    wait_for_all(screen)
    assert screen.evaluate(PLACES_OF_CONTROLS) == before
    screen.locator("#play").click()  # it says Pause now
    assert screen.evaluate(PLACES_OF_CONTROLS) == before


def test_the_square_follows_at_once_and_the_rest_comes_in_pieces(visit):
    """As on a slow machine, where each decoded frame takes more than a piece may. A message that is
    sent again and again counts the tasks in between."""
    tab = visit(COMMITTED)
    place, longest = tab.evaluate("""async () => {
        const decode = Autoencoder.prototype.decode;
        let frames = 0, longest = 0, isOver = false;
        Autoencoder.prototype.decode = function (latents) {
            const end = performance.now() + 8;
            while (performance.now() < end);
            const decoded = decode.call(this, latents);
            frames += decoded.length / C.FRAME_SIZE ** 2;
            return decoded;
        };
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => {
            longest = Math.max(longest, frames);
            frames = 0;
            if (!isOver) port2.postMessage(null);
        };
        port2.postMessage(null);
        movePoint("", -0.3, 0.4);
        const place = document.querySelector("#first .handle").style.left;
        while (drawing) await new Promise((done) => setTimeout(done, 5));
        isOver = true;
        Autoencoder.prototype.decode = decode;
        return [place, longest];
    }""")
    assert float(place.removesuffix("%")) < 50  # the left half
    assert 1 <= longest <= 2


def test_the_strips_follow_while_a_drag_goes_on(visit):
    """Changes that never stop don't keep them from being drawn."""
    tab = visit(COMMITTED)
    drawn = tab.evaluate("""async () => {
        let isOver = false;
        const drag = async () => {
            for (let i = 0; !isOver; i++) {
                movePoint("", 0.5 * Math.cos(i / 9), 0.5 * Math.sin(i / 9));
                await new Promise(requestAnimationFrame);
            }
        };
        const dragged = drag();
        const places = new Set();
        for (let i = 0; i < 1000 && places.size < 4; i++) {
            places.add(document.querySelector("#means rect").getAttribute("x"));
            await new Promise((done) => setTimeout(done, 5));
        }
        isOver = true;
        await dragged;
        return places.size;
    }""")
    assert drawn == 4


def test_a_swipe_that_begins_on_a_slider_scrolls_and_leaves_it_alone(phone):
    tab, swipe = phone
    tab.evaluate("byId('settings').open = true")
    for name in ("mix", "scale", "turn1", "both"):
        before = tab.evaluate("[view, document.querySelector('[type=range][name=mix]').value]")
        assert swipe(f"input[type=range][name={name}]", (0.6, 0), 3, -150) > 80
        after = tab.evaluate("[view, document.querySelector('[type=range][name=mix]').value]")
        assert after == before, name
    assert swipe("#mix", (-0.5, 0), 120, 0) == 0  # along it
    assert tab.evaluate("view.mix") > 0.4
    tab.locator("#mix").tap(position={"x": 40, "y": 14})
    wait_for_view(tab, "view.mix < 0.3")


def test_every_target_is_large_enough_for_a_finger(screen):
    screen.evaluate("byId('settings').open = byId('parts').open = true")
    small = screen.evaluate("""[...document.querySelectorAll("a, button, input, summary")]
        .filter((element) => element.checkVisibility() && !element.closest("p, small"))
        .filter((element) => {
            const { width, height } = element.getBoundingClientRect();
            return Math.min(width, height) < 24;
        }).map((element) => element.outerHTML)""")
    assert small == []


def test_every_frame_can_be_seen_large_frame_0_too(visit):
    tab = visit(COMMITTED, "d=2&step=9")
    for frame in range(8):
        tab.locator("#means button").nth(frame).click()
        wait_for_view(tab)
        large = tab.evaluate("""[...byId("meansLarge").firstChild.getContext("2d")
            .getImageData(0, 0, 51, 51).data].filter((_, i) => i % 4 < 3)""")
        assert (np.reshape(large, (51, 51, 3)) / 255 == strip(tab, "means")[frame]).all(), frame
    tab.locator("#means button").nth(7).click()  # back to all of them
    assert tab.evaluate("view.frame") == -1


WATCH = """() => { // who hears the page hears these; and what is written though it hasn't changed
    window.heard = [];
    window.again = [];
    const live = "[aria-live]:not([aria-live=off]), [role=status], [role=alert], output";
    new MutationObserver((records) => records.forEach(({ target, removedNodes, addedNodes }) => {
        const element = target.nodeType === 1 ? target : target.parentElement;
        if (element.closest(live)) heard.push(element.closest(live).textContent);
        const [old, now] = [removedNodes, addedNodes].map((nodes) =>
            [...nodes].map((node) => node.textContent).join());
        if (old && old === now && !element.closest("svg")) {
            again.push(element.outerHTML.slice(0, 99));
        }
    })).observe(document.body, { childList: true, characterData: true, subtree: true });
}"""


def test_who_hears_the_page_hears_start_decision_and_end(visit):
    tab = visit(COMMITTED, "steps=12&exact=1", fresh=True)
    tab.evaluate(WATCH)
    tab.locator("#play").click()
    wait_for_view(tab, "view.step === 12")
    wait_for_all(tab)
    start, decision, end = tab.evaluate("heard")
    assert "Playing" in start and f"decided: {turn_name(-1)}" in decision and "the end" in end
    assert tab.evaluate("again") == []


def test_squares_and_sliders_say_their_values(visit):
    tab = visit(COMMITTED)
    for name, other in [("#first", "#firstBoth"), ("#pointer", "#pointer"), ("#a", "#a")]:
        tab.locator(name).press("ArrowUp")
        point = tab.locator(name).get_attribute("data-point")
        wait_for_all(tab)
        x, y = tab.evaluate(f"[view['{point}x'], view['{point}y']]")
        for element in (tab.locator(name), tab.locator(other)):
            assert element.get_attribute("aria-valuetext") == f"x {x:.2f}, y {y:.2f}"
            assert element.get_attribute("role") == "slider"
    tab.locator("[name=step]").fill("50")
    wait_for_view(tab)
    assert "decided" in tab.locator("[name=step]").get_attribute("aria-valuetext")


def test_arrow_keys_jump_over_the_inner_circle(visit):
    tab = visit(COMMITTED, "x=0.24&y=0")
    for keys, sign, axis in [("ArrowLeft", -1, 0), ("ArrowRight", 1, 0)]:
        for _ in range(3):
            tab.locator("#first").press(keys)
        assert sign * tab.evaluate("[view.x, view.y]")[axis] > 0.19
    tab.evaluate("change({ x: 0.75, y: 0 })")
    for _ in range(3):
        tab.locator("#first").press("ArrowRight")
    assert tab.evaluate("view.x") == 0.8  # the outer circle is the end


def test_only_the_left_button_drags(visit):
    tab = visit(COMMITTED)
    before = tab.evaluate("view.x")
    tab.locator("#first").scroll_into_view_if_needed()
    box = tab.locator("#first").bounding_box()
    for button, moves in [("right", False), ("middle", False), ("left", True)]:
        tab.mouse.move(box["x"] + 180, box["y"] + 80)
        tab.mouse.down(button=button)
        tab.mouse.move(box["x"] + 40, box["y"] + 100)
        assert (tab.evaluate("view.x") != before) == moves, button
        tab.mouse.up(button=button)


def test_the_last_change_survives_a_reload(chromium):
    tab = chromium.new_page(viewport={"width": 1200, "height": 800})
    tab.set_default_timeout(PATIENCE)
    tab.goto(COMMITTED.as_uri())
    wait_for_view(tab)
    box = tab.locator("#first").bounding_box()

    def drag():
        tab.mouse.move(box["x"] + 180, box["y"] + 80)
        tab.mouse.down()
        tab.mouse.move(box["x"] + 60, box["y"] + 100)
        tab.mouse.up()

    for act in (
        lambda: tab.locator("#newNoise").click(),
        lambda: tab.locator("[name=step]").fill("9"),
        drag,
    ):
        act()
        asked_for = tab.evaluate("view")
        tab.reload()
        wait_for_view(tab)
        assert tab.evaluate("view") == asked_for
    tab.close()


def test_without_javascript_the_page_says_so(chromium):
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(COMMITTED.as_uri())
    words = tab.locator("body").inner_text()
    assert "needs JavaScript" in words and "Unpacking" not in words
    context.close()


def test_numbers_in_the_address_are_short(visit):
    tab = visit(COMMITTED, "exact=1&scale=0.30000000000000004&x=0.4500000001")
    tab.locator("#newNoise").click()
    tab.wait_for_function("location.hash.includes('seed')")
    address = tab.evaluate("location.hash")
    assert "scale=0.3&" in address and "x=" not in address
    assert tab.locator("[data-value=scale]").text_content() == "0.3"


def test_shares_beyond_0_and_1_are_explained(visit):
    tab = visit(COMMITTED)
    words = " ".join(tab.locator("main").text_content().split())
    assert "A share may lie a little below 0 or above 1, for" in words
    told = tab.evaluate("[-0.02, -0.001, 0.5, 1.004].map(tellShare)")
    assert told == ["\N{MINUS SIGN}0.02", "0.00", "0.50", "1.00"]


def test_the_outlines_are_where_the_square_would_be(visit):
    words = " ".join(visit(COMMITTED).locator("main").text_content().split())
    assert "where the square would be" in words and "truly is" not in words


def test_a_drawing_that_fails_takes_nothing_else_with_it(chromium):
    tab = chromium.new_page(viewport={"width": 1200, "height": 800})
    tab.set_default_timeout(PATIENCE)
    tab.goto(COMMITTED.as_uri())
    wait_for_view(tab)
    tab.evaluate("() => { drawPlot = () => { throw Error('no pencil'); }; }")
    tab.locator("[name=step]").fill("7")
    tab.locator("#mix").fill("0.1")
    wait_for_all(tab)
    address = tab.evaluate("location.hash")
    assert "step=7" in address and "mix=0.1" in address
    assert "no pencil" in tab.locator("#note").inner_text()
    before = tab.locator("#mean2 rect").first.get_attribute("x")
    tab.evaluate("change({ x: -0.4 })")
    wait_for_all(tab)
    assert tab.locator("#mean2 rect").first.get_attribute("x") != before
    tab.close()


@pytest.mark.parametrize("attribute", ["src", "srcdoc"])
def test_links_work_in_a_sandboxed_frame(chromium, tmp_path, attribute):
    outer, tab = tmp_path / "outer.html", chromium.new_page()
    tab.set_default_timeout(PATIENCE)
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    value = COMMITTED.as_uri()
    if attribute == "srcdoc":
        value = COMMITTED.read_text("utf-8").replace("&", "&amp;").replace('"', "&quot;")
    outer.write_text(
        '<!doctype html><iframe sandbox="allow-scripts" width=1000 height=700 '
        f'{attribute}="{value}"></iframe>',
        "utf-8",
    )
    tab.goto(outer.as_uri())
    frame = tab.frames[1]
    wait_for_view(frame)
    frame.get_by_role("link", name="See this step").click()
    wait_for_view(frame, "view.step === 20")
    frame.get_by_role("link", name="one possible turn").click()
    wait_for_view(frame, "view['turn-1'] === 0")
    frame.evaluate("change({ step: 1 })")
    frame.wait_for_function("!addressTimer")  # the address is written a little later
    tab.close()
    assert errors == []


def test_events_may_come_from_the_document(visit):
    tab = visit(COMMITTED)
    tab.evaluate("""() => {
        const options = { bubbles: true, pointerId: 1, pointerType: "mouse" };
        for (const type of ["pointerdown", "pointermove", "click"]) {
            document.dispatchEvent(new PointerEvent(type, options));
        }
        document.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    }""")
    assert tab.evaluate("view.step") == 1  # and visit() sees that there was no error


@pytest.fixture
def phone(chromium):
    """The committed page on a phone, and a function that swipes: from a place of an element, x and
    y in [-1, 1], by so many pixels. It tells by how much the page scrolled."""
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    tab.goto(f"{COMMITTED.as_uri()}#d=2")
    wait_for_view(tab)
    touch = context.new_cdp_session(tab).send

    def swipe(selector, place, across, down):
        tab.locator(selector).evaluate("(element) => element.scrollIntoView({ block: 'center' })")
        wait_for_rest(tab)
        box = tab.locator(selector).bounding_box()
        x = box["x"] + box["width"] * (0.5 + place[0] / 2)
        y = box["y"] + box["height"] * (0.5 - place[1] / 2)
        before = tab.evaluate("scrollY")
        for i in range(11):
            point = {"x": x + across * i / 10, "y": y + down * i / 10}
            kind = "touchStart" if i == 0 else "touchMove"
            touch("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            tab.evaluate("new Promise(requestAnimationFrame)")
        touch("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        wait_for_rest(tab)
        wait_for_view(tab)
        return tab.evaluate("scrollY") - before

    yield tab, swipe
    context.close()


def wait_for_rest(tab) -> None:
    """Until the page doesn't scroll any more."""
    tab.evaluate("""async () => {
        for (let before = -1; before !== scrollY; ) {
            before = scrollY;
            for (let i = 0; i < 4; i++) await new Promise(requestAnimationFrame);
        }
    }""")


def test_a_swipe_over_a_picture_scrolls(phone):
    tab, swipe = phone
    before = tab.evaluate("view")
    for selector in ("#first", "#pointer", "#a"):
        place = (0.7, -0.6)  # not on the square or the cross
        assert swipe(selector, place, 0, -150) > 80
        assert tab.evaluate("view") == before


def test_a_finger_drags_the_square_and_does_not_scroll(phone):
    tab, swipe = phone
    tab.locator("#first").tap(position={"x": 30, "y": 30})
    wait_for_view(tab, "view.x < 0 && view.y > 0.3")
    assert swipe("#first", tab.evaluate("[view.x, view.y]"), 60, 80) == 0
    assert tab.evaluate("view.x") > 0 > tab.evaluate("view.y") + 0.1


# For everybody


@pytest.mark.parametrize("width", [320, 830, 1200])
def test_nothing_is_wider_than_the_window(chromium, width):
    tab = chromium.new_page(viewport={"width": width, "height": 800})
    tab.set_default_timeout(PATIENCE)
    for view in (
        "d=2&parts=1&step=50",
        "d=100&exact=1&turn2=5&turn-2=5&turn4=5&turn0=5&turn3=5&turn-3=5",
    ):
        tab.goto(f"{COMMITTED.as_uri()}#{view}")
        wait_for_view(tab)
        wide = tab.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, view
    tab.close()


def test_the_keyboard_reaches_everything_and_all_has_a_name(visit):
    tab = visit(COMMITTED, "d=2&parts=1&exact=1")
    reachable = (
        "a[href], button:enabled, input:not([type=radio]), input:checked, summary, [tabindex='0']"
    )
    find = f"""[...document.querySelectorAll("{reachable}")].filter((e) => e.checkVisibility())
        .map((e, i) => e.id ||= "control" + i)"""
    expected = tab.evaluate(find)
    reached = []
    for _ in range(len(expected) + 5):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.id"))
    assert set(expected) <= set(reached)
    nodes = tab.context.new_cdp_session(tab).send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "link", "slider", "checkbox", "radio", "spinbutton", "application", "img"}
    controls = [
        (node["role"]["value"], node["name"]["value"])
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in roles
    ]
    assert len(controls) > len(expected) - 5
    assert [role for role, name in controls if not name.strip()] == []


def test_bad_output_is_told_before_the_work(tmp_path):
    process = run_process(ROOT, "-m", "explorer", "--out", tmp_path / "missing/index.html")
    assert process.returncode == 2 and "can't be written" in process.stdout + process.stderr
    with pytest.raises(OSError, match="must be the name of a .html file"):
        ExplorerSettings(out=tmp_path / "page.txt")

"""The page to play with, in a real browser: does it compute what torch computes?"""

import json
import re
import shutil
from pathlib import Path

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
STEPS = [0, 2, 20, 50]
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
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs chromium")
    with playwright_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


PATIENCE = 120_000  # milliseconds: tests may run on a busy machine


@pytest.fixture
def visit(chromium):
    """Open a page at a view. Afterwards: it asked for nothing but itself, and had no errors."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900}, has_touch=True)
    context.set_default_timeout(PATIENCE)
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
def sample_in_torch(network, space, first_center, noise, fresh, exact):
    """Frames (4, 5, 7, 51, 51) as [STEPS, readout, frame]: state, posterior mean, noise
    part, running mean divided by t, and the state with fresh noise; and the shares of the
    turns (4, k)."""
    given_centers = first_center[None, None]
    futures, prior = possible_futures(space, given_centers)
    given = space.encode(given_centers).flatten(1)

    def mean_at(x, t):
        return posterior_mean(x, t, futures, prior) if exact else network(x, t, given)

    states, means = map(torch.stack, zip(*euler_steps(mean_at, noise[None], 50)))
    frames, shares = [], []
    for k in STEPS:
        t = k / 50
        running = running_mean(means, k)
        readouts = [states[k], means[k], (1 - t) * noise[None], running / max(t, 1e-9)]
        readouts.append(running + (1 - t) * fresh)
        frames.append([space.decode(latents)[0] for latents in readouts])
        if exact:  # the shares are the probabilities; at t = 1 it is one of the futures
            nearest = (states[k][:, None] - futures).norm(dim=2).argmin(1)
            one = torch.nn.functional.one_hot(nearest, prior.shape[1])
            shares.append((posterior(states[k], torch.tensor([[t]]), futures, prior), one)[t == 1])
        else:
            q = ccw_fraction(means[k], futures)
            shares.append(torch.stack([q, 1 - q], dim=1))
    return np.array(frames), torch.cat(shares).numpy()


SAMPLE_IN_BROWSER = """([given, firstCenter, noise, fresh, stepList]) => {
    const result = beginSample({ ...given, steps: 50 }, firstCenter, Float64Array.from(noise));
    goOn(result, 50);
    const { space, states, means, shares } = result;
    const plain = (latents) => space.decode(latents).map((frame) => Array.from(frame));
    return JSON.stringify(stepList.map((k) => { // much faster than playwright's own way
        const { noise, running } = stateParts(result, k, 50);
        const swapped = running.map((value, i) => value + (1 - k / 50) * fresh[i]);
        const divided = running.map((value) => value / Math.max(k / 50, 1e-9));
        return {
            frames: [states[k], means[k], noise, divided, swapped].map(plain),
            shares: shares[k],
            state: Array.from(states[k]),
            sum: Array.from(add(noise, running)),
        };
    }));
}"""

CASES = [  # whether exact, latent scale, turns
    (False, 1, (1, -1)),
    (True, 0.3, (1, -1)),
    (True, 1, (1, -1)),
    (True, 3, (1, -1)),
    (True, 1, (2, 1, -1, -2)),
]


@pytest.mark.parametrize("dim", LEVELS)
def test_it_computes_what_torch_computes(visit, built, networks, dim):
    tab, first_center = visit(built), np.array([0.3, -0.5])
    random, fresh = torch.randn(2, 7 * dim, generator=torch.Generator().manual_seed(0))
    network, standard_space = networks[dim]
    for exact, scale, turns in CASES:
        space = changed(standard_space, latent_scale=float(scale), turns=turns)
        order = [list(space.settings.turns).index(turn) for turn in turns]  # torch's turns
        futures, _ = possible_futures(space, first_center[None, None])
        ends = set()
        for k in order[:2]:  # towards either of two turns
            push = futures[0, k] - futures[0].mean(0)
            noise = random + 3 * push / push.norm()
            frames, shares = sample_in_torch(network, space, first_center, noise, fresh, exact)
            given = {"d": dim, "exact": exact, "scale": scale} | weights(turns)
            asked = [given, first_center.tolist(), noise.tolist(), fresh.tolist(), STEPS]
            steps = json.loads(tab.evaluate(SAMPLE_IN_BROWSER, asked))
            got = np.array([step["frames"] for step in steps]).reshape(frames.shape)
            got_shares = np.array([step["shares"] for step in steps])
            off = np.abs(got - frames).max((0, 2, 3, 4))  # of each readout
            off_shares = np.abs(got_shares - shares[:, order]).max()
            print(f"{dim=} {exact=} {scale=} {turns=}: {off.round(4)}, shares {off_shares:.5f}")
            assert off.max() <= 0.02
            assert off_shares <= 0.005
            for step in steps:
                np.testing.assert_allclose(step["sum"], step["state"], atol=1e-5)
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
        tab.wait_for_function("!drawing")
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
    tab.get_by_role("checkbox", name=turn_name(2), exact=True).check()
    tab.locator("summary").click()
    tab.get_by_role("button", name="Fresh noise").click()
    sliders = [("turn-1", 9), ("scale", 0.7), ("steps", 20), ("step", 7)]
    for name, value in sliders:
        tab.locator(f"input[type=range][name={name}]").fill(str(value))
    tab.wait_for_function("location.hash.includes('step=7')")
    view = tab.evaluate("view")
    expected = dict(sliders) | {"exact": 1, "turn2": 5, "parts": 1, "frame": 4}
    assert view == view | expected and view["x"] != 0.45 and view["fresh"] != 1
    assert abs(view["ax"]) < 0.01 and abs(view["ay"]) < 0.01  # tapped in the middle
    again = visit(built, tab.evaluate("location.hash.slice(1)"))
    assert again.evaluate("view") == view
    assert again.locator("#status").inner_text() == tab.locator("#status").inner_text()
    assert again.locator("#swapped").is_visible()


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


def test_scale_and_turns_switch_to_the_exact_flow(visit, built):
    tab, switched = visit(built), "#switched"
    learned = tab.get_by_role("radio", name="learned")
    tab.locator("input[name=scale]").fill("0.3")
    tab.wait_for_function("!drawing")
    assert tab.evaluate("[view.exact, view.scale]") == [1, 0.3] and not learned.is_checked()
    assert "exact" in tab.locator(switched).inner_text()
    learned.check()
    assert tab.evaluate("[view.exact, view.scale]") == [0, 1]
    assert "scale 1" in tab.locator(switched).inner_text()
    tab.get_by_role("checkbox", name=turn_name(-3)).check()
    tab.locator("input[type=range][name=turn1]").fill("10")
    tab.wait_for_function("!drawing")
    assert tab.evaluate("view.exact") == 1
    prior = dict(zip(TURNS, tab.locator("#turns output").all_inner_texts()))
    assert (prior[1], prior[-1], prior[-3], prior[0]) == ("50 %", "25 %", "25 %", "0 %")
    tab.evaluate("location.hash = 'exact=1&turn-1=0'")
    tab.wait_for_function("view['turn-1'] === 0 && !drawing")
    last = tab.get_by_role("checkbox", name=turn_name(1), exact=True)
    last.click()
    tab.wait_for_function("!drawing")
    assert last.is_checked() and "must stay" in tab.locator(switched).inner_text()


def test_the_frames_that_cannot_tell_turns_apart(visit, built):
    tab = visit(built)
    orbits = possible_orbits(np.array([[0.3, -0.5]]), TURNS)[0]  # (turns, 8, 2)
    got = tab.evaluate("FRAMES.map((i) => meetingTurns(TURNS, i).map((g) => g.map((t) => t.turn)))")
    for frame in range(1, NUM_FRAMES):
        together = np.linalg.norm(orbits[:, None, frame] - orbits[None, :, frame], axis=-1) < 1e-6
        expected = {tuple(t for t, same in zip(TURNS, row) if same) for row in together}
        assert {tuple(g) for g in got[frame - 1]} == {g for g in expected if len(g) > 1}
    assert "Frame 4 can't tell apart +45° and −45°." in tab.locator("#meetings").inner_text()


def test_the_parts_open_and_close_also_while_the_page_draws(visit):
    tab = visit(COMMITTED)
    for opened in (1, 0, 1):
        tab.evaluate("change({ seed: view.seed + 1 }); document.querySelector('summary').click()")
        tab.wait_for_function("!drawing")
        assert tab.evaluate("[view.parts, Number(byId('parts').open)]") == [opened, opened]
    tab.locator("summary").press("Enter")
    tab.wait_for_function("!drawing && !byId('parts').open")


def wait_for_view(tab, condition):
    tab.wait_for_function(f"({condition}) && !drawing")


def test_the_posts_step_20(visit):
    """Several squares in nearly every frame of the state; they go with the noise. At the
    end one."""
    tab = visit(COMMITTED)
    tab.get_by_role("link", name="What these squares are").click()
    wait_for_view(tab, "view.scale === 0.3 && view.step === 20")
    state = np.array(json.loads(tab.evaluate(SHOWN_FRAMES))).reshape(8, 51, 51) / 255
    assert sum(len(find_blobs(frame)) > 1 for frame in state[1:]) >= 6

    def parts():
        parts = json.loads(
            tab.evaluate(
                "JSON.stringify([currentParts().swapped, "
                "currentParts().running].map((x) => x.map((frame) => Array.from(frame))))"
            )
        )
        return np.array(parts).reshape(2, 7, 51, 51)

    swapped, running = parts()
    extra = (state[1:] > 0.5) & (running < 0.25)
    assert extra.sum() > 300 and (swapped[extra] > 0.5).mean() < 0.3
    tab.get_by_role("button", name="Fresh noise").click()
    wait_for_view(tab, "view.fresh !== 1")
    again, same = parts()
    assert (same == running).all() and np.abs(again - swapped).max() > 0.5
    assert (
        np.array(json.loads(tab.evaluate(SHOWN_FRAMES))).reshape(8, 51, 51) / 255 == state
    ).all()
    tab.evaluate("change({ step: 50 })")
    wait_for_view(tab, "view.step === 50")
    state = np.array(json.loads(tab.evaluate(SHOWN_FRAMES))).reshape(8, 51, 51) / 255
    assert all(len(find_blobs(frame)) == 1 for frame in state)


def test_the_plane_comes_without_losing_the_view_or_the_focus(visit):
    tab = visit(COMMITTED, "seed=7&step=5")
    tab.focus("#toPlane")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#latents .now", state="attached")
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


# What once failed without a word


def test_a_browser_that_does_not_know_light_dark(visit, tmp_path):
    page = tmp_path / "index.html"
    page.write_text(COMMITTED.read_text("utf-8").replace("light-dark(", "unknown("), "utf-8")
    tab = visit(page, "d=2&step=20")
    style = "(selector) => getComputedStyle(document.querySelector(selector))"
    for drawn in ("#latents .axis", "#latents .curve", "#latents .now", "#plot polyline"):
        tab.wait_for_selector(drawn, state="attached")
        assert tab.evaluate(f"({style})('{drawn}').stroke") != "none", drawn
    assert tab.evaluate(f"({style})('body').backgroundColor") != "rgba(0, 0, 0, 0)"


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
    frame.wait_for_selector("main:visible")
    frame.get_by_role("link", name="Frame 4").click()
    frame.wait_for_function("view.frame === 4")
    frame.get_by_role("link", name="One in between").click()
    frame.wait_for_function("view.d === 2 && view.frame === 0")
    tab.wait_for_timeout(500)  # the address is written a little later
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
    """The committed page on a phone, and a function that swipes: from a place of a picture, x and y
    in [-1, 1], by so many pixels."""
    context = chromium.new_context(
        viewport={"width": 375, "height": 700}, has_touch=True, is_mobile=True
    )
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    tab.goto(f"{COMMITTED.as_uri()}#d=2")
    tab.wait_for_selector("main:visible")
    tab.wait_for_timeout(1000)
    touch = context.new_cdp_session(tab).send

    def swipe(selector, place, across, down):
        tab.locator(selector).evaluate("(element) => element.scrollIntoView({ block: 'center' })")
        tab.wait_for_timeout(1000)
        box = tab.locator(selector).bounding_box()
        x = box["x"] + box["width"] * (0.5 + place[0] / 2)
        y = box["y"] + box["height"] * (0.5 - place[1] / 2)
        before = tab.evaluate("scrollY")
        for i in range(11):
            point = {"x": x + across * i / 10, "y": y + down * i / 10}
            kind = "touchStart" if i == 0 else "touchMove"
            touch("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            tab.wait_for_timeout(20)
        touch("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        tab.wait_for_timeout(500)
        return tab.evaluate("scrollY") - before

    yield tab, swipe
    context.close()


@pytest.mark.parametrize("selector", ["[data-point='']", "[data-point=p]", "[data-point=a]"])
def test_a_swipe_over_a_picture_scrolls(phone, selector):
    tab, swipe = phone
    before = tab.evaluate("view")
    place = (0.7, -0.6)  # not on the square or the cross
    assert swipe(selector, place, 0, -150) > 80
    assert tab.evaluate("view") == before


def test_a_finger_drags_the_square_and_does_not_scroll(phone):
    tab, swipe = phone
    assert swipe("#first", (0.45, 0.3), -100, 60) == 0
    assert tab.evaluate("view.x") < 0 and tab.evaluate("view.y") < 0.1
    tab.locator("#first").tap(position={"x": 60, "y": 60})
    assert tab.evaluate("view.x") < 0 < tab.evaluate("view.y") - 0.3


# For everybody


@pytest.mark.parametrize("width", [375, 830, 1200])
def test_nothing_is_wider_than_the_window(chromium, width):
    tab = chromium.new_page(viewport={"width": width, "height": 800})
    tab.set_default_timeout(PATIENCE)
    for view in ("d=2&parts=1", "d=100&exact=1&turn2=5&turn-2=5&turn4=5&turn0=5&turn3=5&turn-3=5"):
        tab.goto(f"{COMMITTED.as_uri()}#{view}")
        tab.wait_for_selector("main:visible")
        wide = tab.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, view
    tab.close()


def test_the_keyboard_reaches_everything_and_all_has_a_name(visit):
    tab = visit(COMMITTED, "d=2&parts=1&exact=1")
    reachable = "a[href], button, input:not([type=radio]), input:checked, summary, [tabindex='0']"
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

"""The pages of text: the front page with its blocks of code, links and pictures, the results with
their numbers; and the files that say what to install."""

import ast
import json
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import ROOT
from matplotlib.figure import Figure

import sample
from analyze import SweepSettings
from data import FRAME_SIZE, NUM_FRAMES, possible_orbits, render
from sample import SampleSettings
from study import folds, opening, pages
from study.all import AllSettings
from study.measures import blobs_at
from study.pages import PagesSettings
from study.question import read_numbers

README = (ROOT / "README.md").read_text()
LOCAL = {path.stem for folder in (".", "tests") for path in (ROOT / folder).glob("*.py")}
LOCAL |= {"study", "explorer"}


def code_blocks(language: str) -> list[str]:
    """The blocks of code in this language, without the line break at the end."""
    return re.findall(rf"^```{language}\n(.*?)\n```$", README, re.DOTALL | re.MULTILINE)


def requirements(path: str) -> dict[str, str]:
    """The packages that a requirements file names itself -> their versions."""
    lines = [line.split("#")[0].strip() for line in (ROOT / path).read_text().splitlines()]
    found = (re.fullmatch(r"([\w-]+)(?:\[\w+\])?([<=>].*)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def imported(paths: list[Path]) -> set[str]:
    """The packages that files import, but for Python's own and this repository's."""
    names = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - LOCAL


# ---------------------------------------------------------------------------------------------
# Installing


def test_what_is_imported_is_installed():
    used = imported([*ROOT.glob("*.py"), *ROOT.glob("study/*.py"), *ROOT.glob("explorer/*.py")])
    assert used - {"distributed"} == set(requirements("requirements.txt")) - {
        "pytest",
        "hypothesis",
    }
    both = requirements("requirements.txt") | requirements("tests/requirements.txt")
    assert imported([*ROOT.glob("tests/*.py")]) <= set(both) | {"distributed"}
    assert "-r ../requirements.txt" in (ROOT / "tests/requirements.txt").read_text().splitlines()
    assert set(requirements("tests/requirements.txt")) == {
        *("pytest-xdist", "filelock", "dask", "playwright", "ruff", "mypy")
    }


def test_the_blocks_of_the_systems_agree():
    """And the version of torch is the one that requirements.txt wants."""
    linux, macos, tests = code_blocks("bash")
    [windows] = code_blocks("bat")
    steps = macos.splitlines()
    assert steps[2:] == ["pip install -r requirements.txt", "python sample.py --gif out.gif"]
    assert windows.splitlines() == [r"py -m venv .venv", r".venv\Scripts\activate", *steps[2:]]
    torch = f"pip install torch{requirements('requirements.txt')['torch']} --index-url "
    [more] = [line for line in linux.splitlines() if line not in steps]
    assert more == torch + "https://download.pytorch.org/whl/cpu"
    assert [line for line in linux.splitlines() if line != more] == steps
    assert tests.splitlines() == ["pip install -r tests/requirements.txt", "python -m pytest"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_ci_takes_its_commands_from_the_readme():
    """The part of .ci/run that finds them, run by itself."""
    script = (ROOT / ".ci/run").read_text()
    start, end = script.index("block()"), script.index("debian=")
    parts = '"$make_gif" --- "$method" --- "$run_tests"'
    lines = f"{script[start:end]}\nprintf '%s\\n' {parts}"
    told = subprocess.run(
        ["bash", "-euc", lines], cwd=ROOT, check=True, capture_output=True, text=True
    )
    _, macos, tests = code_blocks("bash")
    method = code_blocks("python")[0]
    assert told.stdout.removesuffix("\n").split("\n---\n") == [macos, method, tests]
    assert all(f'eval "${name}"' in script for name in ("make_gif", "run_tests"))
    assert 'python -c "$method"' in script


# ---------------------------------------------------------------------------------------------
# Links, pictures, code


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)\s]+)\)", README)
    assert len(links) > 15
    for link in links:
        path, _, anchor = link.partition("#")
        if link.startswith("https://"):
            continue
        assert (ROOT / path).exists(), link
        if anchor and not path:
            headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
            assert anchor in {h.lower().replace(" ", "-") for h in headings}, link


def test_every_picture_says_what_it_shows():
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README)
    assert pictures and all(len(words) > 10 for words, _ in pictures)


def test_a_study_command_makes_the_figure_above_it():
    figures = re.findall(r"\]\(figures/(\w+)\.png\)", README)
    for command in set(re.findall(r"`python -m study\.(\w+)` makes", README)) - {"opening", "all"}:
        assert command in figures
    assert "first" in figures


def test_the_drawing_has_the_sizes_of_the_code():
    text = (ROOT / "figures/pipeline.svg").read_text()
    root = xml.etree.ElementTree.fromstring(text)  # raises if it isn't well-formed
    words = " ".join(e.text for e in root.iter("{http://www.w3.org/2000/svg}text"))
    later = NUM_FRAMES - 1
    assert f"{FRAME_SIZE} × {FRAME_SIZE} pixels" in words
    assert f"{later} × {FRAME_SIZE} × {FRAME_SIZE}" in words and f"{later} d numbers" in words
    assert f"frames 1 to {later}" in words and f"{SampleSettings.steps} Euler steps" in words
    for name in ("data", "autoencoder", "flow", "sample", "analyze"):
        assert f"{name}.py" in words and (ROOT / f"{name}.py").exists()


def test_the_whole_method_on_one_screen(tmp_path):
    """It begins undecided and ends on one of the two videos, as often on one as on the other."""
    code = code_blocks("python")[0]
    lines = [line for line in code.splitlines() if line and not line.startswith("#")]
    assert len(lines) == 14  # and one of comment and two that are empty
    true = possible_orbits(np.array([[0.6, 0.3]]))[0, :, 1:].reshape(2, 14) / 0.37
    ways = []
    for seed in range(200):
        printed: list[str] = []
        (tmp_path / "method.py").write_text(code.replace("rng(0)", f"rng({seed})"))
        names = runpy.run_path(str(tmp_path / "method.py"), {"print": printed.append})
        assert printed[0] == "step 0: 50% counter-clockwise"
        ways.append(printed[-1])
        noise = np.random.default_rng(seed).standard_normal(14)  # it settles the direction
        assert (noise @ (true[1] - true[0]) > 0) == (ways[-1] == "clockwise")
        np.testing.assert_allclose(names["x"], true[int(ways[-1] == "clockwise")], atol=1e-6)
    assert 70 < ways.count("clockwise") < 130 and set(ways) == {"clockwise", "counter-clockwise"}


def test_the_lines_for_a_notebook_work(learned, monkeypatch, tmp_path):
    monkeypatch.setattr(sample, "trained_flow", lambda settings: learned)
    code = code_blocks("python")[1]
    (tmp_path / "cell.py").write_text(code)
    names = runpy.run_path(str(tmp_path / "cell.py"))
    assert names["frames"].shape == (51, 7, 51, 51)


# ---------------------------------------------------------------------------------------------
# The numbers, tables and links of the pages


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


def test_pages_and_figures_tell_what_was_measured():
    """Each mark of the pages resolves, each number agrees with its file in figures/, and each
    figure can be drawn from these files. If the pages differ, `python -m study.pages` fills them
    in again."""
    texts = pages.all_texts(ROOT / "figures")
    readme, results = (
        (ROOT / page).read_text("utf-8") for page in ("README.md", "study/RESULTS.md")
    )
    for page in (readme, results):
        assert pages.MARK.search(page) and pages.filled(page, texts) == page
    for name, module in pages.QUESTIONS.items():
        assert f"<!--{name}: " in results and f"(../figures/{name}.png)" in results
        numbers, frames, _ = read_numbers(ROOT / "figures", name)
        figure = module.draw(numbers, frames)
        assert isinstance(figure, Figure)
        width, height = (100 * figure.get_size_inches()).round()
        assert width == 830
        assert iio.improps(ROOT / "figures" / f"{name}.png").shape[:2] == (height, width)


def test_no_cell_of_a_table_is_longer_than_twenty_words():
    for line in (ROOT / "study" / "RESULTS.md").read_text().splitlines():
        if line.startswith("|"):
            for cell in re.sub(r"<!--.*?-->", "", line).strip("|").split("|"):
                assert len(cell.split()) <= 20, cell


def test_a_section_has_one_table_of_at_most_eight_rows():
    """A sub-section may have one of its own."""
    sections = re.split(r"\n###? ", (ROOT / "study" / "RESULTS.md").read_text())[1:]
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


def test_only_study_all_writes_to_figures():
    assert AllSettings.out_dir == PagesSettings.figures
    assert SweepSettings.out_dir != AllSettings.out_dir


def test_what_is_said_of_the_posts_pictures_is_what_was_measured():
    told = json.loads((ROOT / "figures" / "pictures.json").read_text())
    warps = tuple(told["range"][str(center_range)]["warp"] for center_range in folds.RANGES)
    assert folds.POST_WARP == warps


# ---------------------------------------------------------------------------------------------
# The pictures at the top


@pytest.fixture(scope="module")
def video(learned):
    return opening.sample_steps(*learned)


def test_the_animation_goes_one_way_in_the_end(video):
    assert video["state"].shape == video["posterior mean"].shape == (51, 5, 51, 51)
    np.testing.assert_array_equal(video["state"][:, 0], [render(opening.FIRST_CENTER)[0]] * 51)
    places = possible_orbits(opening.FIRST_CENTER)[0, :, :5].swapaxes(0, 1)  # (5, 2, 2)
    found = blobs_at(video["state"][50:], places[None])[0]  # (5, 2)
    taken = int(found[1, 1])
    assert found[:, taken].all()
    np.testing.assert_array_equal(found[:, 1 - taken], [1, 0, 0, 0, 1])  # both meet in frame 4
    assert opening.draw_step({"d = 2": video}, 20).shape == (270, 830, 3)


def test_the_still_shows_what_its_words_say(video):
    """At d = 2 one square between the two places. (d = 100 is in the committed picture only.)"""
    guess = video["posterior mean"][0]
    ccw, cw = possible_orbits(opening.FIRST_CENTER)[0, :, opening.STILL]
    at = np.array([ccw, cw, (ccw + cw) / 2])
    found = blobs_at(guess[None, opening.STILL, None], at[None, None])[0, 0]
    np.testing.assert_array_equal(found, [False, False, True])
    figure = opening.draw_first({"d = 100": guess, "d = 2": guess})
    assert (figure.get_size_inches() == opening.SIZE).all()

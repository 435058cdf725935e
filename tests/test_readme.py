"""The front page: its two lines, its links and its pictures; and the files that say what
to install."""

import ast
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

import sample
from data import FRAME_SIZE, NUM_FRAMES, possible_orbits, render
from sample import SampleSettings
from study import opening
from study.measures import blobs_at

README = (ROOT / "README.md").read_text()
LOCAL = {path.stem for path in ROOT.glob("*.py")} | {"study", "explorer", "conftest"}


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
    assert {"dask", "playwright", "ruff", "mypy"} == set(requirements("tests/requirements.txt"))


def test_the_two_lines():
    torch, linux, tests = (line for line in code_blocks("bash") if "pip install" in line)
    windows = [line for line in code_blocks("bat") if "pip install" in line]
    assert linux == (
        "python3 -m venv .venv && . .venv/bin/activate && pip install -r requirements.txt"
        " && python sample.py --gif out.gif"
    )
    assert f"torch{requirements('requirements.txt')['torch']} " in torch
    in_windows = {"python3 -m": "py -m", ". .venv/bin/": r".venv\Scripts" + "\\"}
    for ours, theirs in zip((linux, tests), windows, strict=True):
        for unix, dos in in_windows.items():
            ours = ours.replace(unix, dos)
        assert ours == theirs


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_ci_takes_its_lines_from_the_readme(tmp_path):
    """The part of .ci/run that finds them, run by itself."""
    script = (ROOT / ".ci/run").read_text()
    greps = re.findall(r"^(\w+=\$\(grep .*\))$", script, re.MULTILINE)
    assert len(greps) == 2
    lines = "\n".join([*greps, 'echo "$make_gif"', 'echo "$pass_tests"'])
    told = subprocess.run(
        ["bash", "-euc", lines], cwd=ROOT, check=True, capture_output=True, text=True
    )
    found = told.stdout.splitlines()
    assert [line for line in code_blocks("bash") if line in found] == found and len(found) == 2
    assert 'eval "$make_gif"' in script and 'eval "$pass_tests"' in script


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


def test_the_lines_for_a_notebook_work(learned, monkeypatch, tmp_path):
    monkeypatch.setattr(sample, "trained_flow", lambda settings: learned)
    (code,) = code_blocks("python")
    assert len(list(filter(None, code.splitlines()))) <= 5
    (tmp_path / "cell.py").write_text(code)
    names = runpy.run_path(str(tmp_path / "cell.py"))
    assert names["frames"].shape == (51, 7, 51, 51)


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

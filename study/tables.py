"""The numbers of the README and of RESULTS.md, from the JSON files in figures/.

    python -m study.tables

RESULTS.md is written as a whole. In the README, what stands between <!--PATH = FORMAT--> and
<!--/--> is replaced; the marks are not seen on the page. PATH leads to a number, file first, then
keys and places, as in `superposition/contrast/d = 100/learned mean/mean/0/0`.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data import replacing, run

ROOT = Path(__file__).resolve().parent.parent
MARK = re.compile(r"(<!--([a-z][^>\n]*) = ([^>\n]*)-->).*?(<!--/-->)")
SHOWN = (0, 2, 5, 10, 15, 20, 30)  # sampling steps
DRAWN = ("additivity error", "midpoints", "midpoint brightness")
RECIPE_HEAD = [
    *("", "spread", "training steps", "centre error, px", "step 10", "step 20", "step 50"),
    *("posterior mean, step 20", "two or more, step 20", "correlation"),
]


@dataclass(frozen=True)
class TablesSettings:
    """Fill in the README and write RESULTS.md."""

    readme: Path = ROOT / "README.md"
    """The README."""
    results: Path = ROOT / "study" / "RESULTS.md"
    """The page of all tables."""
    out_dir: Path = Path("figures")
    """Folder of the JSON files."""

    def __post_init__(self) -> None:
        if not self.readme.is_file():
            raise ValueError(f"--readme {self.readme} is not a file")


# ---------------------------------------------------------------- numbers as text


def look_up(numbers: Any, path: str) -> Any:
    """What a path such as `blobs/2/null` leads to. A place behind a mean and standard deviation
    over the seeds is one in both.

    Raises:
        ValueError: it leads nowhere.
    """
    value = numbers
    try:
        for key in path.split("/"):
            if isinstance(value, dict) and key not in value:
                value = {name: value[name][int(key)] for name in ("mean", "std")}
            else:
                value = value[int(key)] if isinstance(value, list) else value[key]
    except (KeyError, IndexError, TypeError, ValueError):
        raise ValueError(f"{path} is asked for, which no JSON file holds") from None
    return value


def percent(values: Iterable[float]) -> str:
    """Shares in percent."""
    return " / ".join(f"{100 * value:.1f}" for value in values)


def text(value: Any) -> str:
    """Mean and standard deviation of a number; or, of blobs at places, the means at the other place
    / at the controls / at the taken place, in percent; anything else as it is."""
    if not isinstance(value, dict):
        return f"{value}"
    mean, std = value["mean"], value["std"]
    if isinstance(mean, list):
        return percent(mean[:3])
    form = ".1f" if mean >= 10 else ".1e" if 0 < mean < 1e-3 else ".3f"
    return f"{mean:{form}} ({std:{form}})"


def cell(numbers: dict[str, Any], path: str) -> str:
    """What a path leads to, as text; with a * in it, the means of all that it can lead to, or, of
    many, the least and the largest."""
    head, star, tail = path.partition("*/")
    if not star:
        return text(look_up(numbers, path))
    folder, _, start = head.rpartition("/")
    matching = [value for name, value in look_up(numbers, folder).items() if name.startswith(start)]
    found = [look_up(value, tail) for value in matching]
    found = [value["mean"] if isinstance(value, dict) else value for value in found]
    if len(found) > 4:
        return f"{min(found):.3f} to {max(found):.3f}"
    return ", ".join(f"{value:.3f}" for value in found)


def table(rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; the first row is its head, and others may end early."""
    head, *others = (list(row) for row in rows)
    filled_up = [(row + [""] * len(head))[: len(head)] for row in others]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *filled_up])


def cases(numbers: dict[str, Any]) -> dict[str, Any]:
    """The entries that are results of cases: not costs, steps and the like."""
    return {
        name: value
        for name, value in numbers.items()
        if isinstance(value, dict) and isinstance(next(iter(value.values())), dict)
    }


def grid(numbers: dict[str, Any], columns: Iterable[str], flipped: bool = False) -> str:
    """A row for each case, a column for each path; flipped, the other way round."""
    rows = [[case, *[cell(value, path) for path in columns]] for case, value in numbers.items()]
    rows.insert(0, ["", *columns])
    return table(zip(*rows) if flipped else rows)


def scalars(numbers: dict[str, Any]) -> list[str]:
    """The names of the results that are a single number, in the first case."""
    first = next(iter(numbers.values()))
    return [name for name, value in first.items() if np.ndim(value["mean"]) == 0]


# ---------------------------------------------------------------- the tables


def superposition_tables(numbers: dict[str, Any]) -> Iterator[str]:
    """Blobs at the places, light at the places, and two or more blobs, over the steps."""
    readouts = ("learned state", "exact state", "learned mean", "exact mean", "learned null")
    for caption, suffix, parts in (
        (
            "Frames 1-3, 5-7 with a blob at the other place / controls / taken place, in %:",
            "",
            [[0], [1], [2]],
        ),
        ("Light at these places, in % of white:", " light", [[0], [1, 2], [3]]),
        ("Frames 4 / frames 1-3, 5-7 with two or more squares, in %:", "", [[3], [4]]),
    ):
        rows = [["", *[f"step {k}" for k in SHOWN]]]
        for name, readout in ((n, r) for n in numbers["contrast"] for r in readouts):
            means = np.array(numbers["contrast"][name][readout + suffix]["mean"])
            steps = [numbers["steps"].index(k) for k in SHOWN] if len(means) > 1 else [0]
            label = readout.replace("mean", "posterior mean").replace("learned null", "noise")
            cells = [percent(means[i, part].mean() for part in parts) for i in steps]
            rows.append([f"{name}, {label}", *cells])
        yield from (caption, table(rows))


def recipe_table(numbers: dict[str, Any]) -> str:
    """A row for each case and length of training."""
    rows = [RECIPE_HEAD]
    at_10, at_20, at_50 = (numbers["steps"].index(k) for k in (10, 20, 50))
    for name, value in cases(numbers).items():
        for i, spread in enumerate(value["scale"]["mean"]):
            state = value["state"]["mean"][i]
            rows.append([name, f"{spread:.2f}", f"{numbers['lengths'][i]}"])
            rows[-1].append(text(look_up(value, f"centre error/{i}")))
            rows[-1].extend(percent(state[k][:3]) for k in (at_10, at_20, at_50))
            rows[-1].append(percent(value["mean"]["mean"][i][-1][:3]))
            rows[-1].append(percent(state[at_20][4:]))
            rows[-1].append("{:.2f} / {:.2f}".format(*value["carry-over"]["mean"][i][at_20]))
    return table(rows)


# A claim, what is measured, its null or control, and the verdict; blank lines between claims
CLAIMS = """
the post | measured | null or control | verdict

*d* = 2 works, *d* = 100 too
| videos right: {benchmark/d = 2/learned: videos right}; {benchmark/d = 100/learned: videos right}
| exact flow: {benchmark/d = 2/exact: videos right}; {benchmark/d = 100/exact: videos right}
| holds

*d* = 2: always exactly one square
| worst step: {dimension/2/worst step}
| decoded noise: {dimension/2/null}; at latent scale 0.3: {dimension/d = 2, latent scale 0.3/null}
| holds where the noise covers the latent plane and no more; it tells about the decoder

*d* = 100: the one-square constraint can be broken
| one square, worst step: {dimension/100/worst step}
| decoded noise: {dimension/100/null}; two hidden layers: {dimension/d = 100, two hidden layers/null}
| holds for early states, which are mostly decoded noise; not for a deep decoder

step 20: frame 1/2 appears to represent both possibilities
| other / control / taken place, %: this repo's state
  {superposition/contrast/d = 100/learned state/13}; of guessed recipes about as accurate as the
  post's the nearest, {post_recipe/like the post/case}, {post_recipe/like the post/one/0}
| with two given frames {post_recipe/like the post/two}; at the end of sampling
  {post_recipe/like the post/one/1}. Frames with two or more squares at step 20, %: such recipes,
  least / most, {post_recipe/like the post/several}, the post {post_recipe/like the post/post, several};
  {pictures/d = 100/extra blobs at the other place} of its {post_recipe/like the post/post, extra}
  extra squares are at the other place
| a real, small excess, larger the less the flow is trained, and gone when two frames are given; but
  much of it is still there at the end. No guessed recipe has both the accuracy and the noise of the
  post's step 20

hypothesis: the neural code leverages this flexibility to represent distributions
| calibration error of q, all *d* and depths: {representing/cases/*/q error}
| exact posterior: {representing/cases/*/exact error}; distance of q from it {representing/cases/*/q to exact}, of one who says 1/2
  {representing/cases/*/prior to exact}
| represented at every *d*, most sharply at *d* = 2, where only one square can be drawn: the
  flexibility isn't needed for it

bottleneck dimension controls the strategy
| two squares in the posterior mean at step 0: {representing/cases/d = 2, 0 hidden/shown/1} at
  *d* = 2, {representing/cases/d = 100, 0 hidden/shown/1} at 100
| *d* = 100, two hidden layers: {representing/cases/d = 100, 2 hidden/shown/1}; largest distance
  between shown and the decoder's midpoints, all cases: {post_recipe/like the post/off}
| only through the decoder: what is seen is what it draws for the mean of two latents

grid nice at range 0.2, warped at 0.4, two sections at 0.8
| warp, plain: {tearing/plain, range */warp}; with hard edges: {tearing/plain, hard edges, range */warp}; cut straight at 0.8:
  {tearing/plain, range 0.8/cut straight/mean} and {tearing/plain, hard edges, range 0.8/cut straight/mean} of the seeds
| the post's own: {pictures/range */warp}; blur: {tearing/blur, range */warp}
| holds for the plain decoder, with hard edges and with soft ones: the post's warps lie within the
  spread of its seeds; a straight mirrored cut, as in the post, is the exception

it depends on the overlap of nearby images
| seeds that fold at range / half width 1, 2, 4: no blur {tearing/no blur, range */folds}; plain {tearing/plain, range */folds}
| squares of half the size: {tearing/no blur, half width 0.1, range */folds}; {tearing/plain, half width 0.1, range */folds}; blur:
  {tearing/blur, range */folds}
| holds: the less squares overlap, the more seeds fold
"""


def claims_table(everything: dict[str, Any]) -> str:
    """CLAIMS, filled in."""
    recipe, known = everything["post_recipe"], everything["representing"]["cases"].values()
    like, at_20 = recipe["like the post"], recipe["steps"].index(20)
    case, i = like["nearest"]
    own = everything["pictures"]["d = 100"]
    one, two = (recipe[case + end]["state"]["mean"][i] for end in ("", ", two given frames"))
    several = [recipe[name]["state"]["mean"][j][at_20][4] for name, j in like["cases"]]
    counts = own["blobs in frames 1-7, steps 0, 20, 50"][1]
    like |= {
        "case": f"{case}, {recipe['lengths'][i]} steps",
        "one": [percent(one[k][:3]) for k in (at_20, -1)],
        "two": percent(two[at_20][:3]),
        "several": percent([min(several), max(several)]),
        "post, several": percent([np.mean([count > 1 for count in counts])]),
        "post, extra": len(own["extra blobs, in frame"]),
        "off": max(abs(v["shown"]["mean"][1] - v["midpoints"]["mean"]) for v in known),
    }
    blocks = [" ".join(block.split()) for block in CLAIMS.strip().split("\n\n")]
    rows = [re.sub("{(.*?)}", lambda m: cell(everything, m[1]), block) for block in blocks]
    return table(row.split(" | ") for row in rows)


# ---------------------------------------------------------------- the two pages

INTRODUCTION = """Filled in by `python -m study.tables` from the JSON files in
[figures/](../figures). All numbers are over five seeds (20 under Tearing), each with its own
autoencoder and flow: mean and, in brackets, standard deviation. A square is a blob: a connected
piece (corners connect) of at least 4 pixels, at least half as bright as the frame's maximum, which
must be 0.15 or more. `python -m study.all` runs the commands in the order of this page, and a
network counts for the first that needs it. "plain" is the ordinary decoder without blur, `--plain
--blur 0`."""

TEARING_NOTE = """20 seeds each; five for squares of half the size. "folds" and "cut straight" are
shares of the seeds."""
RECIPE_NOTE = """Frames 1-3, 5-7 of the state with a blob at the other place / at the controls / at
the taken place, in %; radius above 0.55. "two or more" squares, in %; "correlation" of step 20 with
step 0, of the same frame / of others."""


def results(everything: dict[str, Any]) -> str:
    """The whole of RESULTS.md."""
    parts = ["# Results", INTRODUCTION, "## The post's claims", claims_table(everything)]

    def section(name: str, *content: str, command: str = "") -> None:
        minutes = "{minutes:.1f} minutes on {cores} cores".format(**everything[name]["cost"])
        parts.append(f"## {name.replace('_', ' ').capitalize()}")
        parts.append(f"`{command or f'python -m study.{name}'}`: {minutes}")
        parts.extend([f"![{name}](../figures/{name}.png)", *content])

    numbers = cases(everything["benchmark"])
    section("benchmark", grid(numbers, scalars(numbers), flipped=True))
    numbers = cases(everything["geometry"])
    section("geometry", grid(numbers, scalars(numbers)), command="python analyze.py geometry")
    numbers = everything["representing"]
    told = scalars(numbers["80 % ccw"])
    section(
        "representing",
        '"shown" is the share of frames with two or more squares in the posterior mean at step 0.',
        grid(numbers["cases"], [*told, "shown/1", *DRAWN]),
        "Trained on videos of which 80 % run counter-clockwise:",
        grid(numbers["80 % ccw"], told),
        "With two given frames there is nothing to decide:",
        grid(numbers["two given frames"], ["shown/1"]),
    )
    section("superposition", *superposition_tables(everything["superposition"]))
    numbers = cases(everything["dimension"])
    section("dimension", "Share of frames with one square:", grid(numbers, scalars(numbers)))
    numbers = cases(everything["commitment"])
    section(
        "commitment",
        "Times t of the flow, 0 to 1; decided by the exact posterior and by the learned flow:",
        grid(numbers, ["t_S", "halfway/0", "halfway/1", "mean excess"]),
    )
    numbers = cases(everything["tearing"])
    section("tearing", TEARING_NOTE, grid(numbers, scalars(numbers)))
    section("post_recipe", RECIPE_NOTE, recipe_table(everything["post_recipe"]))
    own = everything["pictures"]
    note = "`python -m study.pictures FOLDER`: the post's own pictures, one each."
    parts.extend(["## Pictures", note])
    for names in (("d = 2", "d = 100"), ("range 0.2", "range 0.4", "range 0.8")):
        parts.append(grid({name: own[name] for name in names}, own[names[0]], flipped=True))
    return "\n\n".join(parts) + "\n"


# ---------------------------------------------------------------- the README, and the command line


def filled(page: str, everything: dict[str, Any]) -> str:
    """The page with its marked places filled in."""
    return MARK.sub(lambda m: f"{m[1]}{m[3] % look_up(everything, m[2])}{m[4]}", page)


def main(settings: TablesSettings) -> None:
    """Write RESULTS.md and fill in the README."""
    files = settings.out_dir.glob("*.json")
    everything = {path.stem: json.loads(path.read_text()) for path in files}
    readme = filled(settings.readme.read_text(), everything)
    for path, page in ((settings.results, results(everything)), (settings.readme, readme)):
        with replacing(path) as temporary:
            temporary.write_text(page)
        print(f"{path}: filled in from {settings.out_dir}")


if __name__ == "__main__":
    run(main, TablesSettings)

"""The numbers of the README and of RESULTS.md, from the JSON files in figures/.

    python -m study.tables

RESULTS.md is written as a whole. In the README, what stands between <!--PATH--> and <!--/--> is
replaced; the marks are not seen on the page. PATH leads to a number, file first, then keys and
places, as in `superposition/contrast/d = 100/learned mean/mean/0/0 = %.2f`.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data import replacing, run
from study.commitment import BRANCH_STEPS
from study.dimension import DEEP, SMALL

ROOT = Path(__file__).resolve().parent.parent
MARK = re.compile(r"(<!--([a-z][^>\n]*) = ([^>\n]*)-->).*?(<!--/-->)")


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


def part(value: dict[str, Any], *place: int) -> dict[str, Any]:
    """Mean and standard deviation over the seeds, at this place in the lists."""
    mean, std = value["mean"], value["std"]
    for i in place:
        mean, std = mean[i], std[i]
    return {"mean": mean, "std": std}


def cell(value: dict[str, Any], *place: int, digits: int = 3) -> str:
    """The same as text."""
    value = part(value, *place)
    return f"{value['mean']:.{digits}f} ({value['std']:.{digits}f})"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; rows may end early."""
    head = list(head)
    filled_up = ([*row, *[""] * len(head)][: len(head)] for row in rows)
    lines = [head, ["---"] * len(head), *filled_up]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cases(numbers: dict[str, Any]) -> dict[str, Any]:
    """The entries that are results of cases: not costs, steps and the like."""
    return {
        name: value
        for name, value in numbers.items()
        if isinstance(value, dict) and isinstance(next(iter(value.values())), dict)
    }


# ---------------------------------------------------------------- the tables


def scalars(numbers: dict[str, Any]) -> str:
    """A row for each case, a column for each of its results that is a single number."""
    rows = cases(numbers)
    keys = [key for key, value in next(iter(rows.values())).items() if np.ndim(value["mean"]) == 0]
    return table(
        ["", *keys], ([name, *[cell(value[key]) for key in keys]] for name, value in rows.items())
    )


def percent(values: Iterable[float]) -> str:
    """Shares in percent."""
    return " / ".join(f"{100 * value:.1f}" for value in values)


def places(value: dict[str, Any], *place: int) -> str:
    """Blobs at the other place / at the controls / at the taken place, in percent."""
    return percent(part(value, *place)["mean"][:3])


def benchmark_table(numbers: dict[str, Any]) -> str:
    """Mean, lowest and highest of each measure."""
    both = cases(numbers)
    rows = []
    for name in both["d = 2"]:
        row = [name]
        for value in both.values():
            seeds, mean = value[name]["seeds"], value[name]["mean"]
            low, high = min(seeds), max(seeds)
            row.append(
                f"{mean:.4g} ({low:.4g}, seed {seeds.index(low)}; {high:.4g}, seed {seeds.index(high)})"
            )
        rows.append(row)
    return table(["mean (lowest; highest)", *both], rows)


SHOWN = (0, 2, 5, 10, 15, 20, 30)


def superposition_tables(numbers: dict[str, Any]) -> list[str]:
    """Blobs at the places, two or more blobs, and light at the places, over the steps."""
    blobs, several, light = [], [], []
    for name, value in numbers["contrast"].items():
        for key in ("learned state", "exact state", "learned mean", "exact mean", "learned null"):
            at = [0] if "null" in key else [numbers["steps"].index(k) for k in SHOWN]
            label = [name, key.replace("mean", "posterior mean").replace("learned null", "noise")]
            blobs.append([*label, *[places(value[key], i) for i in at]])
            several.append([*label, *[percent(part(value[key], i)["mean"][3:]) for i in at]])
            rows = [part(value[f"{key} light"], i)["mean"] for i in at]
            light.append([*label, *[percent((a, (b + c) / 2, d)) for a, b, c, d in rows]])
    head = ["", "", *[f"step {k}" for k in SHOWN]]
    return [
        "Frames 1-3, 5-7 with a blob at the other place / at the controls / at the taken place, in %:",
        table(head, blobs),
        "Light at these places, in % of white:",
        table(head, light),
        "Frames 4 / frames 1-3, 5-7 with two or more squares, in %:",
        table(head, several),
    ]


def recipe_table(numbers: dict[str, Any]) -> str:
    """A row for each case and length of training."""
    rows, steps = [], numbers["steps"]
    for name, value in cases(numbers).items():
        for i, spread in enumerate(value["scale"]["mean"]):
            state = [places(value["state"], i, k) for k in range(1, len(steps))]
            same, neighbours = part(value["carry-over"], i, steps.index(20))["mean"]
            rows.append(
                [
                    name,
                    f"{spread:.2f}",
                    f"{numbers['lengths'][i]}",
                    cell(value["centre error"], i, digits=2),
                    *state,
                    places(value["mean"], i, 1),
                    f"{same:.2f} / {neighbours:.2f}",
                ]
            )
    head = ["", "spread", "training steps", "centre error, px", *[f"step {k}" for k in steps[1:]]]
    return table([*head, "posterior mean, step 20", "step 20's correlation with step 0"], rows)


def claim_rows(everything: dict[str, Any]) -> list[list[str]]:
    """The post's claims: what is measured, a null or control, and the verdict."""
    quality, one = everything["benchmark"], everything["dimension"]
    known, seen = everything["representing"]["cases"], everything["superposition"]
    recipe, tears = everything["post_recipe"], everything["tearing"]
    both = ("d = 2", "d = 100")
    state = seen["contrast"]["d = 100"]["learned state"]
    at_20 = seen["steps"].index(20)
    like = recipe["like the post"]
    case, i = like["nearest"]
    like_20 = recipe["steps"].index(20)

    def right(which: str) -> str:
        return ", ".join(cell(quality[d][f"{which}: videos right"]) for d in both)

    def warps(recipe: str) -> str:
        return ", ".join(cell(tears[f"{recipe}, range {r}"]["warp"]) for r in ("0.2", "0.4", "0.8"))

    def rates(name: str, key: str, ranges: tuple[str, ...] = ("0.2", "0.4", "0.8")) -> str:
        return ", ".join(f"{tears[f'{name}, range {r}'][key]['mean']:.2f}" for r in ranges)

    small = ("0.1", "0.2", "0.4")
    own = ", ".join(f"{everything['pictures'][f'range {r}']['warp']:.3f}" for r in (0.2, 0.4, 0.8))
    errors = [value["q error"]["mean"] for value in known.values()]
    ideal = [value["exact error"]["mean"] for value in known.values()]
    near, far = (
        [value[f"{what} to exact"]["mean"] for value in known.values()] for what in ("q", "prior")
    )
    points = [(value["midpoints"]["mean"], value["shown"]["mean"][1]) for value in known.values()]
    off = max(abs(x - y) for x, y in points)
    return [
        [
            "*d* = 2 works, *d* = 100 too",
            f"videos right, *d* = 2, 100: {right('learned')}",
            f"exact flow: {right('exact')}",
            "holds",
        ],
        [
            "*d* = 2: always exactly one square",
            f"worst step: {cell(one['2']['worst step'])}",
            f"decoded noise: {cell(one['2']['null'])}; at latent scale 0.3: {cell(one[SMALL]['null'])}",
            "holds where the noise covers the latent plane and no more; it tells about the decoder",
        ],
        [
            "*d* = 100: the one-square constraint can be broken",
            f"one square, worst step: {cell(one['100']['worst step'])}",
            f"decoded noise: {cell(one['100']['null'])}; two hidden layers: {cell(one[DEEP]['null'])}",
            "holds for early states, which are mostly decoded noise; not for a deep decoder",
        ],
        [
            "step 20: frame 1/2 appears to represent both possibilities",
            (
                f"other / control / taken place, %: this repo's state {places(state, at_20)}; guessed"
                f" recipes about as accurate as the post's: other, least / most, {percent(like['other'])},"
                f" controls {percent(like['controls'])}"
            ),
            (
                f"{case}, {recipe['lengths'][i]} steps: {places(recipe[case]['state'], i, like_20)}, with"
                f" two given frames {places(recipe[case + ', two given frames']['state'], i, like_20)}; at"
                f" the end of sampling {places(recipe[case]['state'], i, -1)}"
            ),
            VERDICT_STEP_20,
        ],
        [
            "hypothesis: the neural code leverages this flexibility to represent distributions",
            f"calibration error of q, {len(errors)} pairs of *d* and depth: {min(errors):.3f} to {max(errors):.3f}",
            (
                f"exact posterior: {min(ideal):.3f} to {max(ideal):.3f}; distance of q from it"
                f" {min(near):.3f} to {max(near):.3f}, of one who says 1/2 {min(far):.2f} to {max(far):.2f}"
            ),
            (
                "represented at every *d*, most sharply at *d* = 2, where only one square can be drawn: the"
                " flexibility isn't needed for it"
            ),
        ],
        [
            "bottleneck dimension controls the strategy",
            (
                f"two squares in the posterior mean at step 0: {cell(known['d = 2, 0 hidden']['shown'], 1)}"
                f" at *d* = 2, {cell(known['d = 100, 0 hidden']['shown'], 1)} at 100"
            ),
            (
                f"*d* = 100, two hidden layers: {cell(known['d = 100, 2 hidden']['shown'], 1)}; largest"
                f" distance between shown and the decoder's midpoints, all cases: {off:.2f}"
            ),
            "only through the decoder: what is seen is what it draws for the mean of two latents",
        ],
        [
            "grid nice at range 0.2, warped at 0.4, two sections at 0.8",
            (
                f"warp, plain: {warps('plain')}; with hard edges:"
                f" {warps('plain, hard edges')}; cut straight at 0.8, share of the seeds:"
                f" {rates('plain', 'cut straight', ('0.8',))},"
                f" {rates('plain, hard edges', 'cut straight', ('0.8',))}"
            ),
            f"the post's own: {own}; blur: {warps('blur')}",
            VERDICT_GRID,
        ],
        [
            "it depends on the overlap of nearby images",
            (
                "share of seeds that fold at range / half width 1, 2, 4: no blur"
                f" {rates('no blur', 'folds')}, plain {rates('plain', 'folds')}"
            ),
            (
                f"squares of half the size: {rates('no blur, half width 0.1', 'folds', small)},"
                f" {rates('plain, half width 0.1', 'folds', small)}; blur: {rates('blur', 'folds')}"
            ),
            "holds: the less squares overlap, the more seeds fold",
        ],
    ]


VERDICT_STEP_20 = (
    "a real, small excess, larger the less the flow is trained, and gone when two frames are given; but"
    " much of it is still there at the end. No guessed recipe has both the accuracy and the noise of"
    " the post's step 20, whose extra squares are no nearer to the other place than to the controls"
)
VERDICT_GRID = (
    "holds for the plain decoder, with hard edges and with soft ones: the post's warps lie within the"
    " spread of its seeds; a straight mirrored cut, as in the post, is the exception"
)


def results(everything: dict[str, Any]) -> str:
    """The whole of RESULTS.md."""
    parts = ["# Results", RESULTS_INTRODUCTION]
    head = ["the post", "measured", "null or control", "verdict"]
    parts.extend(["## The post's claims", table(head, claim_rows(everything))])

    def section(name: str, *content: str, command: str | None = None) -> None:
        cost = everything[name]["cost"]
        command = command or f"python -m study.{name}"
        parts.append(f"## {name.replace('_', ' ').capitalize()}")
        parts.append(
            f"`{command}` ({cost['minutes']:.1f} minutes on {cost['cores']} cores, the last time)"
        )
        parts.extend([f"![{name}](../figures/{name}.png)", *content])

    section("benchmark", benchmark_table(everything["benchmark"]))
    section("dimension", "Share of frames with one square:", scalars(everything["dimension"]))
    numbers = everything["representing"]
    section(
        "representing",
        '"shown" is the share of frames with two or more squares in the posterior mean at step 0.',
        scalars({name: with_shown(value) for name, value in numbers["cases"].items()}),
        "Trained on videos of which 80 % run counter-clockwise:",
        scalars(numbers["80 % ccw"]),
        "With two given frames there is nothing to decide:",
        scalars({name: with_shown(value) for name, value in numbers["two given frames"].items()}),
    )
    section("superposition", *superposition_tables(everything["superposition"]))
    numbers = everything["commitment"]
    timed = {
        name: {
            "t_S": value["t_S"],
            "decided, exact": part(value["halfway"], 0),
            "decided, learned": part(value["halfway"], 1),
            "mean excess loss": value["mean excess"],
        }
        for name, value in cases(numbers).items()
    }
    kept = {name: value["kept"] for name, value in cases(numbers).items() if "kept" in value}
    section(
        "commitment",
        "Times t of the flow, 0 to 1:",
        scalars(timed),
        "Share of the branches that keep the direction, exact / learned flow:",
        table(
            ["new noise at step", *[str(k) for k in BRANCH_STEPS]],
            [
                [name, *[f"{a:.2f} / {b:.2f}" for a, b in zip(*value["mean"])]]
                for name, value in kept.items()
            ],
        ),
    )
    section("geometry", scalars(everything["geometry"]), command="python analyze.py geometry")
    section(
        "tearing",
        '20 seeds each; five for squares of half the size. "folds" and "cut straight" are shares'
        " of the seeds.",
        scalars(everything["tearing"]),
    )
    section(
        "post_recipe",
        "Frames 1-3, 5-7 of the state with a blob at the other place / at the controls / at the taken"
        " place, in %; radius above 0.55:",
        recipe_table(everything["post_recipe"]),
    )
    own = everything["pictures"]
    parts += [
        "## Pictures",
        "`python -m study.pictures FOLDER`: the post's own pictures, one each.",
    ]
    for names in (("d = 2", "d = 100"), ("range 0.2", "range 0.4", "range 0.8")):
        rows = [[key, *[f"{own[name][key]}" for name in names]] for key in own[names[0]]]
        parts.append(table(["", *names], rows))
    return "\n\n".join(parts) + "\n"


def with_shown(value: dict[str, Any]) -> dict[str, Any]:
    """The share of two or more squares as a single number."""
    return value | {"shown": part(value["shown"], 1)}


RESULTS_INTRODUCTION = """Filled in by `python -m study.tables` from the JSON files in
[figures/](../figures). All numbers are over five seeds (20 under Tearing), each with its own
autoencoder and flow: mean and, in brackets, standard deviation. A square is a blob: a connected
piece (corners connect) of at least 4 pixels, at least half as bright as the frame's maximum, which
must be 0.15 or more. Minutes are those of the last run, which may have found networks trained.
"plain" is the ordinary decoder without blur, `--plain --blur 0`."""


# ---------------------------------------------------------------- the README's numbers


def look_up(everything: dict[str, Any], path: str, form: str) -> str:
    """The number that a path such as `blobs/2/null/mean/1` leads to, as text.

    Raises:
        ValueError: it leads nowhere.
    """
    value: Any = everything
    try:
        for key in path.split("/"):
            value = value[int(key)] if isinstance(value, list) else value[key]
        return form % value
    except (KeyError, IndexError, TypeError, ValueError):
        raise ValueError(f"the README asks for {path}, which no JSON file holds") from None


def filled(text: str, everything: dict[str, Any]) -> str:
    """The text with its marked places filled in."""
    return MARK.sub(lambda m: m[1] + look_up(everything, m[2], m[3]) + m[4], text)


def main(settings: TablesSettings) -> None:
    """Write RESULTS.md and fill in the README."""
    files = settings.out_dir.glob("*.json")
    everything = {path.stem: json.loads(path.read_text()) for path in files}
    readme = filled(settings.readme.read_text(), everything)
    for path, text in ((settings.results, results(everything)), (settings.readme, readme)):
        with replacing(path) as temporary:
            temporary.write_text(text)
        print(f"{path}: filled in from {settings.out_dir}")


if __name__ == "__main__":
    run(main, TablesSettings)

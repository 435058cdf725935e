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

from data import replacing, run

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


def cell(value: dict[str, Any], *place: int, digits: int = 3, times: float = 1) -> str:
    """Mean and standard deviation over the seeds, at this place in the lists."""
    mean, std = value["mean"], value["std"]
    for i in place:
        mean, std = mean[i], std[i]
    return f"{times * mean:.{digits}f} ({times * std:.{digits}f})"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cases(numbers: dict[str, Any]) -> dict[str, Any]:
    """The entries that are cases, not costs."""
    return {name: value for name, value in numbers.items() if name != "cost"}


# ---------------------------------------------------------------- the tables


def geometry_rows(numbers: dict[str, Any]) -> list[list[str]]:
    """Warp, fold, tear, null and the seeds that fold, for each case."""
    rows = []
    for name, value in cases(numbers).items():
        if "warp" in value:
            folds = [fold > 0 for fold in value["fold"]["seeds"]]
            measures = [cell(value[key], digits=1 + 2 * (key != "tear")) for key in GRID]
            rows.append([name, *measures, f"{sum(folds)} of {len(folds)}"])
    return rows


GRID = ("warp", "fold", "tear", "null")


def contrast_rows(numbers: dict[str, Any]) -> list[list[str]]:
    """Blobs at the other place / at the controls / at the taken place, over the steps."""
    rows = []
    for name, value in numbers["contrast"].items():
        for key in ("learned state", "exact state", "learned mean", "exact mean"):
            places = [
                " / ".join(
                    f"{value[key]['mean'][numbers['steps'].index(k)][i]:.3f}" for i in range(3)
                )
                for k in SHOWN
            ]
            rows.append([name, key.replace("mean", "posterior mean"), *places])
        noise = " / ".join(f"{share:.3f}" for share in value["null"]["mean"][:3])
        rows.append([name, "decoded noise", noise, *[""] * (len(SHOWN) - 1)])
    return rows


def several_rows(numbers: dict[str, Any]) -> list[list[str]]:
    """Two or more squares in frames 4 / in frames 1-3, 5-7, over the steps."""
    rows = []
    for name, value in numbers["contrast"].items():
        for key in ("learned state", "learned mean"):
            places = [
                " / ".join(cell(value[key], numbers["steps"].index(k), i) for i in (3, 4))
                for k in SHOWN
            ]
            rows.append([name, key.replace("mean", "posterior mean"), *places])
    return rows


SHOWN = (0, 2, 5, 10, 15, 20)


def claim_rows(everything: dict[str, Any]) -> list[list[str]]:
    """The post's claims: what is measured, a null or control, and the verdict."""
    numbers = everything["superposition"]
    contrast, quality, grids = numbers["contrast"], everything["benchmark"], everything["geometry"]
    folds = everything["overlap"]["folds"]
    both = ("d = 2", "d = 100")
    step_20 = numbers["steps"].index(20)

    def at(case: str, readout: str, step: int, i: int) -> str:
        return cell(contrast[case][readout], step, i)

    def right(which: str) -> str:
        return ", ".join(cell(quality[d][f"{which}: videos right"]) for d in both)

    def second(case: str) -> str:
        return cell((contrast | numbers["second square"])[case]["second square"], 0, 1)

    def warps(recipe: str) -> str:
        return ", ".join(
            cell(grids[f"{recipe}, range {range_}"]["warp"]) for range_ in ("0.2", "0.4", "0.8")
        )

    def folding(recipe: str) -> str:
        runs = 2 * len(grids["blur, range 0.8"]["fold"]["seeds"])  # two sizes of the square
        return ", ".join(f"{sum(pairs)} of {runs}" for pairs in folds[recipe].values())

    deep, plain = "d = 100, two hidden layers", "d = 100, plain"
    early = everything["commitment"]["d = 100, 300 steps"]["several at step 20"]
    one, null = everything["dimension"], "null"
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
            f"decoded noise: {cell(one['2'][null])}",
            "holds; it tells about the decoder, not about the flow",
        ],
        [
            "*d* = 100: the one-square constraint can be broken",
            f"one square, worst step: {cell(one['100']['worst step'])}",
            (
                f"decoded noise: {cell(one['100'][null])}; with two hidden layers several squares in"
                f" decoded noise: {cell(contrast[deep][null], 4)}"
            ),
            "holds for early states, which are mostly decoded noise; not for a deep decoder",
        ],
        [
            "step 20: frame 1/2 seems to represent both possibilities",
            f"state, frames 1-3, 5-7, other place: {at('d = 100', 'learned state', step_20, 0)}",
            (
                f"controls {at('d = 100', 'learned state', step_20, 1)}, taken place"
                f" {at('d = 100', 'learned state', step_20, 2)}; after 300 training steps several"
                f" squares in frames 1, 2: {cell(early, 1)}, in frames 4: {cell(early, 2)}"
            ),
            (
                "hardly in this repo's trained flow, where the other place is a little above its controls;"
                " a flow that is trained less shows more"
            ),
        ],
        [
            "the neural code represents probability distributions",
            f"error of q, *d* = 100: {cell(numbers['calibration']['d = 100']['q error'])}",
            (
                f"*d* = 2: {cell(numbers['calibration']['d = 2']['q error'])}, exact posterior:"
                f" {cell(numbers['calibration']['d = 100']['exact error'])}"
            ),
            "represents: at both *d*; shows: see the next line",
        ],
        [
            "bottleneck dimension controls the strategy",
            (
                f"two squares in the posterior mean, step 0, *d* = 2, 100: {second('d = 2')},"
                f" {second('d = 100')}"
            ),
            f"*d* = 100 with two hidden layers: {second(deep)}; plain: {second(plain)}",
            "what controls is the decoder: whether it draws the mean of two latents as two squares",
        ],
        [
            "grid nice at range 0.2, warped at 0.4, torn at 0.8",
            f"warp, no blur: {warps('no blur')}",
            f"blur: {warps('blur')}; plain: {warps('plain')}",
            "holds without blur in most seeds; with blur it is healed",
        ],
        [
            "it depends on the overlap of nearby images",
            f"seeds that fold at range / half width 1, 2, 4, no blur: {folding('no blur')}",
            f"plain: {folding('plain')}",
            "holds roughly: the less squares overlap, the more seeds fold, and the smaller ones more",
        ],
    ]


def results(everything: dict[str, Any]) -> str:
    """The whole of RESULTS.md."""
    parts = ["# Results", RESULTS_INTRODUCTION]

    def section(name: str, command: str, *tables_: str) -> None:
        cost = everything[name]["cost"]
        time = f"{cost['minutes']:.1f} minutes on {cost['cores']} cores, the last time"
        picture = f"![{name}](../figures/{name}.png)"
        parts.extend([f"## {name.capitalize()}", f"`{command}` ({time})", picture, *tables_])

    head = ["the post", "measured", "null or control", "verdict"]
    parts.extend(["## The post's claims", table(head, claim_rows(everything))])
    numbers = everything["benchmark"]
    names = list(cases(numbers)["d = 2"])
    rows = []
    for name in names:
        row = [name]
        for value in cases(numbers).values():
            seeds, mean = value[name]["seeds"], value[name]["mean"]
            low, high = min(seeds), max(seeds)
            row.append(
                f"{mean:.4g} ({low:.4g}, seed {seeds.index(low)}; {high:.4g}, seed {seeds.index(high)})"
            )
        rows.append(row)
    head = ["mean (lowest; highest)", *cases(numbers)]
    section("benchmark", "python -m study.benchmark", table(head, rows))

    numbers = cases(everything["dimension"])
    rows = [
        [f"one square, {key}", *[cell(numbers[d][key]) for d in numbers]] for key in numbers["2"]
    ]
    section("dimension", "python -m study.dimension", table(["d", *numbers], rows))

    numbers = everything["superposition"]
    steps = [f"step {k}" for k in SHOWN]
    section(
        "superposition",
        "python -m study.superposition",
        "A blob at the other place / at the controls / at the taken place, radius above 0.55:",
        table(["", "", *steps], contrast_rows(numbers)),
        "Two or more squares in frames 4 / in frames 1-3, 5-7, radius above 0.55:",
        table(["", "", *steps], several_rows(numbers)),
        "Posterior mean at step 0, radius above 0.4:",
        table(
            ["", "one square", "two or more"],
            [
                [name, *[cell(value["second square"], 0, i) for i in (0, 1)]]
                for name, value in (numbers["contrast"] | numbers["second square"]).items()
            ],
        ),
        "Calibration: expected error of the exact posterior, of q and of the brightness; q and the"
        " brightness at *t* = 0:",
        table(
            ["", "exact", "q", "brightness", "q at 0", "brightness at 0"],
            [
                [
                    name,
                    *[cell(value[f"{key} error"]) for key in ("exact", "q", "brightness")],
                    *[cell(value["at t = 0"], i) for i in (0, 1)],
                ]
                for name, value in numbers["calibration"].items()
            ],
        ),
        "The decoder alone: the midpoint of two latents. Its brightness is that at both places, over"
        " that of each square alone; 1/2 is additive, more is what the clip does:",
        table(
            ["", "additivity error", "midpoints with two squares", "midpoint brightness"],
            [[name, *map(cell, value.values())] for name, value in numbers["decoder"].items()],
        ),
    )

    head = ["in steps of 50", "t_S", "decided: exact", "learned", "two or more at step 20:"]
    head[-1] += " posterior mean, frames 1, 2"
    rows = [
        [
            name,
            cell(value["t_S"], digits=2, times=50),
            *[cell(value["halfway"], i, digits=2, times=50) for i in (0, 1)],
            *[cell(value["several at step 20"], i) for i in (0, 1, 2)],
            cell(value["mean excess"], digits=4),
        ]
        for name, value in cases(everything["commitment"]).items()
    ]
    head += ["state, frames 1, 2", "state, frames 4", "mean excess loss"]
    section("commitment", "python -m study.commitment", table(head, rows))

    head = ["", *GRID, "seeds that fold"]
    rows = geometry_rows(everything["geometry"])
    section("geometry", "python analyze.py geometry", table(head, rows))
    rows = geometry_rows(everything["overlap"])
    head[0] = "recipe, range / half width, range"
    section("overlap", "python -m study.overlap", table(head, rows))
    return "\n\n".join(parts) + "\n"


RESULTS_INTRODUCTION = """Filled in by `python -m study.tables` from the JSON files in
[figures/](../figures). All numbers are over five seeds, each with its own autoencoder and flow:
mean and, in brackets, standard deviation. A square is a blob: a connected piece (corners connect)
of at least 4 pixels, at least half as bright as the frame's maximum, which must be 0.15 or more.
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

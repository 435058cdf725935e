"""The README's numbers, from the JSON files that analyze.py and tests/benchmark.py write.

In the README, what stands between <!--NAME--> and <!--/--> is filled in (the marks are not seen
on the page). A NAME is a table, such as `blobs: dims`, or the way to a number in a JSON file, such
as `superposition/contrast/dim 100/learned state/0/1`: the file, the keys in it, and the place in
the lists. A mean over seeds is shown with its standard deviation, 0.997 (0.002), unless a format
is given: `commitment/dim 2/t_S = %.1f` shows 0.3.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from files import replacing
from settings import require

MARKED = re.compile(r"(<!--([a-z][^>\n]*)-->).*?(<!--/-->)", re.DOTALL)


def cell(value: Any, *place: int, digits: int = 3, times: float = 1) -> str:
    """Mean and standard deviation over seeds, at this place in the lists."""
    mean, std = value["mean"], value["std"]
    for i in place:
        mean, std = mean[i], std[i]
    return f"{times * mean:.{digits}f} ({times * std:.{digits}f})"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ---------------------------------------------------------------- the tables


def blobs_tables(numbers: dict[str, Any]) -> dict[str, str]:
    """How many squares, over the dimension."""
    sweep = numbers["sweep"]
    labels = {
        "steps 0, 5, 10": "one square, state, steps 0, 5, 10",
        "worst step": "one square, state, worst of all steps",
        "step 10": "one square, state, step 10",
        "step 50": "one square, step 50",
        "null": "one square, null: decoded noise",
    }
    rows = [[label, *[cell(sweep[d][key]) for d in sweep]] for key, label in labels.items()]
    return {"dims": table(["*d*", *sweep], rows)}


def superposition_tables(numbers: dict[str, Any]) -> dict[str, str]:
    """Contrast over the steps; frames 4; what the superposition needs."""
    shown = [0, 2, 5, 10, 20]
    index = [numbers["steps"].index(step) for step in shown]
    contrast = numbers["contrast"]
    dims = [name for name in contrast if "," not in name][::-1]
    rows, several = [], []
    for name in dims:
        for key, label in (
            ("learned state", "state"),
            ("learned posterior_mean", "posterior mean"),
            ("exact posterior_mean", "posterior mean, exact flow"),
        ):
            value = contrast[name][key]
            pairs = [f"{cell(value, i, 0)} / {cell(value, i, 1)}" for i in index]
            rows.append([f"{name}, {label}", *pairs])
            pairs = [f"{cell(value, i, 2)} / {cell(value, i, 3)}" for i in index]
            several.append([f"{name}, {label}", *pairs])
        null = contrast[name]["null"]
        rows.append([f"{name}, null: decoded noise", f"{cell(null, 0)} / {cell(null, 1)}"])
        several.append([f"{name}, null: decoded noise", f"{cell(null, 2)} / {cell(null, 3)}"])
    steps = [f"step {step}" for step in shown]
    needs = [
        [
            name,
            cell(numbers["second square"][name], 0, 1),
            " / ".join(cell(contrast[name]["learned posterior_mean"], 0, i) for i in (0, 1)),
            *[
                cell(numbers["additivity"][name], i) if name in numbers["additivity"] else ""
                for i in (0, 1)
            ],
        ]
        for name in contrast
    ]
    head = ["posterior mean at step 0, frames 1-3, 5-7", "two or more squares, radius > 0.4"]
    head += ["blob at the other place / at the controls", "decoder alone: additivity error"]
    return {
        "contrast": table(["blob at the other place / at the controls", *steps], rows),
        "several": table(["two or more squares: frames 4 / frames 1-3, 5-7", *steps], several),
        "needs": table([*head, "midpoints with two squares"], needs),
    }


def commitment_tables(numbers: dict[str, Any]) -> dict[str, str]:
    """When the direction is decided, in steps of 50."""
    head = ["", "t_S", "decided: exact", "learned", "several: posterior mean, frames 1, 2"]
    head += ["several: state, frames 1, 2", "state, frames 4", "mean excess loss"]
    rows = [
        [
            name,
            cell(value["t_S"], digits=2, times=50),
            *[cell(value["halfway"], i, digits=2, times=50) for i in (0, 1)],
            *[cell(value["several at step 20"], i) for i in (0, 1, 2)],
            cell(value["mean excess"], digits=4),
        ]
        for name, value in numbers.items()
        if isinstance(value, dict)
    ]
    return {"times": table(head, rows)}


def geometry_tables(numbers: dict[str, Any]) -> dict[str, str]:
    """Warp, fold, tear and null, of the ranges shown and over the overlap."""
    measures = ["warp", "fold", "tear", "null"]

    def row(case: dict[str, Any]) -> list[str]:
        values = [cell(case[name], digits=1 if name == "tear" else 3) for name in measures]
        return [case["recipe"], f"{case['range']}", *values, case["seeds that fold"]]

    ranges = dict.fromkeys(c["range"] for c in numbers["cases"] if c["recipe"] == "blur")
    shown = [c for c in numbers["cases"] if c["half width"] == 0.2 and c["range"] in ranges]
    shown.sort(key=lambda case: case["range"])
    tested = [c for c in numbers["cases"] if c["recipe"] != "blur"]
    tested.sort(key=lambda c: (c["recipe"], round(c["range"] / c["half width"]), c["range"]))
    ends = [*measures, "seeds that fold"]
    rows = [
        [f"{case['range'] / case['half width']:.0f}", f"{case['half width']}", *row(case)]
        for case in tested
    ]
    return {
        "recipes": table(["recipe", "range", *ends], map(row, shown)),
        "overlap": table(["range / half width", "half width", "recipe", "range", *ends], rows),
    }


def benchmark_tables(numbers: dict[str, Any]) -> dict[str, str]:
    """Quality and time, mean over the seeds, and which of them are the lowest and the highest."""
    quality, dims = numbers["quality"], list(numbers["quality"])

    def with_extremes(value: dict[str, Any]) -> str:
        seeds, mean = value["seeds"], f"{value['mean']:.2f}"
        low, high = min(seeds), max(seeds)
        if low == high:
            return f"{mean} (every seed)"
        lowest, highest = (
            f"{low:.2f}, seed {seeds.index(low)}",
            f"{high:.2f}, seed {seeds.index(high)}",
        )
        return f"{mean} ({lowest}; {highest})"

    rows = [[name, *[with_extremes(quality[d][name]) for d in dims]] for name in quality[dims[0]]]
    quality_table = table(
        ["mean over the seeds (lowest; highest)", *[f"*d* = {dim}" for dim in dims]], rows
    )
    columns = {
        "steps": "{:.0f}",
        "ms a step": "{:.1f}",
        "GFLOP a step": "{:.2f}",
        "a step's share of the peak": "{:.0%}",
        "share of the step in products": "{:.0%}",
        "their share of the peak": "{:.0%}",
        "peak memory, MiB": "{:.0f}",
    }
    rows = [
        [
            f"{stage}, *d* = {dim}",
            *[form.format(value[name]) if name in value else "" for name, form in columns.items()],
        ]
        for dim in dims
        for stage, value in numbers["stages"][dim].items()
    ]
    return {"quality": quality_table, "stages": table(["", *columns], rows)}


TABLES = {
    "blobs": blobs_tables,
    "superposition": superposition_tables,
    "commitment": commitment_tables,
    "geometry": geometry_tables,
    "benchmark": benchmark_tables,
}


def tables(name: str, numbers: dict[str, Any]) -> dict[str, str]:
    """The tables of one JSON file: name -> Markdown."""
    return TABLES[name](numbers)


# ---------------------------------------------------------------- into the README


def look_up(everything: dict[str, Any], way: str) -> str:
    """The number that a way such as `superposition/contrast/dim 100/null/0` leads to, as text.

    Raises:
        ValueError: it leads nowhere.
    """
    path, _, form = way.partition(" = ")
    value: Any = everything
    keys = path.split("/")
    try:
        while keys and not (isinstance(value, dict) and "mean" in value):
            key = keys.pop(0)
            value = value[int(key)] if isinstance(value, list) else value[key]
        place = [int(key) for key in keys]
        if isinstance(value, dict) and not form:
            return cell(value, *place)
        if isinstance(value, dict):
            value = value["mean"]
            for i in place:
                value = value[i]
        return form % value if form else f"{value}"
    except (KeyError, IndexError, TypeError, ValueError):
        raise ValueError(f"the README asks for {way}, which no JSON file holds") from None


def filled(text: str, folder: Path) -> str:
    """The text with its marked places filled in from the folder's JSON files.

    Raises:
        ValueError: a mark names what there is not.
    """
    everything = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    blocks = {
        f"{name}: {key}": f"\n\n{block}\n\n"
        for name in TABLES
        if name in everything
        for key, block in tables(name, everything[name]).items()
    }

    def fill_in(match: re.Match[str]) -> str:
        opening, name, closing = match.groups()
        return opening + (blocks.get(name) or look_up(everything, name)) + closing

    return MARKED.sub(fill_in, text)


def fill(readme: Path, folder: Path) -> None:
    """Fill in the README's marked places."""
    text = readme.read_text()
    require("<!--/-->" in text, f"{readme} has no marked places")
    with replacing(readme) as temporary:
        temporary.write_text(filled(text, folder))
    print(f"{readme}: {len(MARKED.findall(text))} places filled in from {folder}")

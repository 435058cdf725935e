"""Fills the numbers of README.md and RESULTS.md in, from the JSON files in figures/.

    python -m study.pages

In a page, what stands between <!--NAME--> and <!--/--> is replaced by the text of this name. (The
marks aren't seen on the page.) A name is a question and one of its texts, as in
"seen: table". Each question makes its own texts, in its function texts(). Besides, each has
"minutes", how long it took.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from data import run, write_file
from study import benchmark, folds, odds, pictures, reach, seen, states
from study.question import read_numbers

ROOT = Path(__file__).resolve().parent.parent
MARK = re.compile(r"(<!--([a-z0-9]+: [^>\n]+)-->).*?(<!--/-->)", re.DOTALL)

# In the order in which study.all answers them: each uses the trained networks of those before it.
QUESTIONS: dict[str, ModuleType] = {
    "benchmark": benchmark,
    "seen": seen,
    "states": states,
    "reach": reach,
    "odds": odds,
    "folds": folds,
}


@dataclass(frozen=True)
class PagesSettings:
    """Fill in the two pages."""

    readme: Path = ROOT / "README.md"
    """The README."""
    results: Path = ROOT / "study" / "RESULTS.md"
    """The page of all results."""
    figures: Path = Path("figures")
    """Folder of the JSON files."""

    def __post_init__(self) -> None:
        names = [*QUESTIONS, "blobs", "geometry", "pictures"]
        needed = [self.readme, self.results, *(self.figures / f"{name}.json" for name in names)]
        for path in needed:
            if not path.is_file():
                raise ValueError(f"{path} is missing")


def all_texts(folder: Path) -> dict[str, str]:
    """The texts of all questions, from the files in a folder."""
    texts: dict[str, str] = {}
    minutes = 0.0

    for name, module in QUESTIONS.items():
        numbers, _, _ = read_numbers(folder, name)
        texts |= {f"{name}: {what}": text for what, text in module.texts(numbers).items()}
    told = pictures.texts(json.loads((folder / "pictures.json").read_text()))
    texts |= {f"pictures: {what}": text for what, text in told.items()}

    for name in (*QUESTIONS, "blobs", "geometry"):  # the last two are analyze.py's
        cost = json.loads((folder / f"{name}.json").read_text())["cost"]
        texts[f"{name}: minutes"] = f"{cost['minutes']:.0f}"
        minutes += cost["minutes"]
    return texts | {"all: minutes": f"{minutes:.0f}"}


def filled(page: str, texts: dict[str, str]) -> str:
    """The page with its marked places filled in.

    Raises:
        ValueError: a mark has a name that no question knows.
    """

    def fill(mark: re.Match[str]) -> str:
        start, name, end = mark.groups()
        if name not in texts:
            raise ValueError(f"a page asks for {name!r}, which no question tells")
        text = texts[name]
        return f"{start}\n\n{text}\n\n{end}" if "\n" in text else f"{start}{text}{end}"

    return MARK.sub(fill, page)


def main(settings: PagesSettings) -> None:
    """Fill both pages in."""
    texts = all_texts(settings.figures)
    pages = {path: path.read_text("utf-8") for path in (settings.readme, settings.results)}
    for path, page in {path: filled(page, texts) for path, page in pages.items()}.items():
        write_file(path, page.encode())
        print(f"{path}: filled in from {settings.figures}")


if __name__ == "__main__":
    run(main, PagesSettings)

"""Makes everything again, into figures/: all figures and numbers, RESULTS.md, the README's numbers.

    python -m study.all

Only pictures.json isn't made again, because it needs the post's own pictures:
python -m study.pictures FOLDER --out-dir figures
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import analyze
from analyze import BlobsSettings, GeometrySettings, SweepSettings
from autoencoder import shared_settings
from data import run
from study import opening, pages
from study.question import QuestionSettings, answer


@dataclass(frozen=True)
class AllSettings(QuestionSettings):
    """Make everything again."""

    out_dir: Path = Path("figures")
    """Folder for the figures and the numbers; made if it is missing. The README and RESULTS.md are
    filled in only if it is the default, for they tell of that folder."""


def main(settings: AllSettings) -> None:
    """One after the other. Each uses the trained networks of those before it. The benchmark comes
    first, and alone, because it measures times."""
    shared = shared_settings(settings, SweepSettings)
    for name, question in pages.QUESTIONS.items():
        answer(name, question.analysis, question.draw, settings)
        if name == "benchmark" and not settings.redraw:
            analyze.main(BlobsSettings(**asdict(shared)))
            analyze.main(GeometrySettings(**asdict(shared)))
    if not settings.redraw:
        opening.main(shared)
    if settings.out_dir == AllSettings.out_dir:
        pages.main(pages.PagesSettings())


if __name__ == "__main__":
    run(main, AllSettings)

"""Makes everything again, into figures/: all figures and numbers, RESULTS.md, the README's numbers.

    python -m study.all

Only pictures.json isn't made again, because it needs the post's own pictures:
python -m study.pictures FOLDER --out-dir figures
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import analyze
from analyze import BlobsSettings, GeometrySettings, SweepSettings, write
from autoencoder import restrict
from data import run
from study import benchmark, commitment, dimension, opening, representing, tables, tearing


@dataclass(frozen=True)
class AllSettings(SweepSettings):
    """Make everything again."""

    out_dir: Path = Path("figures")
    """Folder for the figures and the numbers; made if it is missing. The README and RESULTS.md are
    filled in only if it is the default, for they tell of that folder."""


def main(settings: AllSettings) -> None:
    """One after the other. Each uses the trained networks of those before it."""
    shared = restrict(settings, SweepSettings)
    write(benchmark.analysis, shared, "benchmark")  # first, and alone: it measures times
    analyze.main(BlobsSettings(**asdict(shared)))
    analyze.main(GeometrySettings(**asdict(shared)))
    write(representing.analysis, shared, "representing")
    write(dimension.analysis, shared, "dimension")
    write(commitment.analysis, shared, "commitment")
    write(tearing.analysis, shared, "tearing")
    opening.main(shared)
    if settings.out_dir == AllSettings.out_dir:
        tables.main(tables.TablesSettings())


if __name__ == "__main__":
    run(main, AllSettings)

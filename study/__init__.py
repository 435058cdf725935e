"""What goes past the post, one file a question. Each stands on the five stages, which never need
it: read those first. What several questions share is in measures.py.

    python -m study.representing    # what the flow knows, and what its decoder shows of it
    python -m study.dimension       # how many squares, over the embedding dimension?
    python -m study.commitment      # when is the direction decided?
    python -m study.tearing         # when does the latent plane tear?
    python -m study.opening         # the animation at the top of the README
    python -m study.benchmark       # how long from nothing to a GIF, and how good is it?
    python -m study.pictures DIR    # the post's own pictures, measured from their pixels

These write their numbers and figures to out/. The numbers that the README and RESULTS.md tell are
those in figures/:

    python -m study.all             # all of the above but the pictures, into figures/
    python -m study.tables          # fills both pages in, from the JSON files in figures/
"""

from collections.abc import Callable
from typing import Any

from analyze import SweepSettings, over_seeds, write
from data import run


def means(runs: dict[str, list[dict[str, Any]]], keep: str = "") -> dict[str, Any]:
    """Mean and standard deviation over the seeds of each result of each case; of the result to keep
    also the values of the seeds.

    Args:
        runs: case -> a list of results, one for each seed, as analyze.measure() returns them.
    """
    numbers = {case: over_seeds(seeds) for case, seeds in runs.items()}
    for results in numbers.values():
        for name in results.keys() - {keep}:
            del results[name]["seeds"]
    return numbers


def command(analysis: Callable[[SweepSettings], Any], name: str) -> None:
    """The command line of a question: write its figure and its numbers."""
    run(lambda settings: write(analysis, settings, name), SweepSettings)

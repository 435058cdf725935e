"""What goes past the post, one file a question. Each stands on the five stages, which never need
it: read those first.

    python -m study.superposition   # are extra squares the other direction?
    python -m study.representing    # what the flow knows, and what its decoder shows of it
    python -m study.dimension       # how many squares, over the embedding dimension?
    python -m study.commitment      # when is the direction decided?
    python -m study.tearing         # when does the latent plane tear?
    python -m study.post_recipe     # what would a recipe like the post's have shown?
    python -m study.pictures DIR    # the post's own pictures, measured from their pixels
    python -m study.opening         # the animation at the top of the README
    python -m study.benchmark       # how long from nothing to a GIF, and how good is it?
    python -m study.tables          # RESULTS.md and the README's numbers, from the JSON files
    python -m study.all             # everything again
"""

from collections.abc import Callable
from typing import Any

from analyze import SweepSettings, over_seeds, write
from data import run


def means(runs: dict[str, list[dict[str, Any]]], keep: str = "") -> dict[str, Any]:
    """Of each case's results mean and standard deviation over the seeds, and, of the one to keep,
    the values of the seeds, too."""
    numbers = {case: over_seeds(seeds) for case, seeds in runs.items()}
    for results in numbers.values():
        for name in results.keys() - {keep}:
            del results[name]["seeds"]
    return numbers


def command(analysis: Callable[[SweepSettings], Any], name: str) -> None:
    """The command line of a question: write its figure and its numbers."""
    run(lambda settings: write(analysis, settings, name), SweepSettings)

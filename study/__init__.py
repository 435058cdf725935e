"""What goes past the post, one file a question. Each stands on the five stages, which never need
it: read those first.

    python -m study.superposition   # are extra squares the other direction?
    python -m study.commitment      # when is the direction decided?
    python -m study.dimension       # how many squares, over the embedding dimension?
    python -m study.overlap         # does the latent plane fold when neighbours overlap less?
    python -m study.opening         # the animation at the top of the README
    python -m study.benchmark       # how long from nothing to a GIF, and how good is it?
    python -m study.tables          # RESULTS.md and the README's numbers, from the JSON files
    python -m study.all             # everything again
"""

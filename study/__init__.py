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

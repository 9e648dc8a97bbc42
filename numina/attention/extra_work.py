"""Floating-point operations of looking, guiding and of the attention itself, from sizes alone."""

from numina.attention.accounting import RunSize
from numina.identify.sketch import SketchSpec

# A product and a sum.
_PAIR = 2


def attention_flops(size: RunSize) -> int:
    """Of the two products of every attention of one plain forward pass, one guidance branch.

    A forward pass does more than that (projections, feed-forward layers), so a share of these is
    above the share of all.
    """
    pairs = size.tokens**2 if size.joint else size.tokens * (size.tokens + size.text)
    return 2 * _PAIR * size.videos * size.layers * size.heads * size.head_dim * pairs


def look_flops(size: RunSize, captured: int) -> int:
    """Of recording one look at ``captured`` layers: scores of all keys, then of those of nouns."""
    keys = size.keys + size.noun_keys
    each = size.heads * size.grid.tokens * (size.head_dim * keys + size.nouns * size.noun_keys)
    return _PAIR * size.videos * captured * each


def sketch_flops(size: RunSize, spec: SketchSpec) -> int:
    """Of sketching the self-attention of one layer: products with the maps of all frames."""
    grid = size.grid
    products = 2 * spec.rounds - 1
    scores = grid.frames * grid.patches**2 * (size.head_dim + spec.columns)
    # Gram matrices and changes of basis: two sweeps around each product but the first.
    bases = grid.tokens * spec.columns**2 * 4 * (products + 1)
    return _PAIR * size.videos * size.heads * (products * scores + bases)


def guidance_flops(size: RunSize, samples: int) -> int:
    """Of guiding one layer in one step, beside its own attention.

    Args:
        size: Of the run.
        samples: Patches of each noun that log-odds are measured on, inside and outside.
    """
    sampled = size.nouns * min(2 * samples, size.grid.tokens)
    keys = size.text + size.noun_keys
    measured = sampled * (size.head_dim * keys + size.nouns * size.noun_keys)
    # Multiplied, added, compared.
    biased = 2 * size.tokens * size.noun_keys
    return _PAIR * size.videos * size.heads * (measured + biased)

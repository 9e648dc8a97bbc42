"""Caches that skip layers of a transformer: those that can be followed, and how to empty them."""

from torch import nn

from numina.errors import UnsupportedModelError
from numina.integrations.hooks import hook_registries, hooks_of
from numina.integrations.parallelism import is_split

_PYRAMID = "diffusers.hooks.pyramid_attention_broadcast.PyramidAttentionBroadcastHook"
# Each skips whole layers, for all rows alike, and may forget at any step. Of the others,
# FasterCache takes rows out of the batch behind our backs, MagCache counts the steps from the last
# time it was emptied, and the rest has not been tried.
_FOLLOWED = {"diffusers.hooks.first_block_cache.FBCHeadBlockHook", _PYRAMID}


def refuse_caches(transformer: nn.Module, *, apart: bool = False) -> None:
    """Refuse a transformer with a cache that numina cannot follow, whoever installed it.

    Args:
        transformer: A diffusers transformer.
        apart: Whether each guidance branch has a pass of its own. The cache of
            PyramidAttentionBroadcast is the same for both, so one would get what the other attended
            to.

    Raises:
        UnsupportedModelError: Naming the cache.
    """
    followed = _FOLLOWED - {_PYRAMID} if apart else _FOLLOWED
    or_use = ", or use FirstBlockCacheConfig"
    if is_split(transformer):
        # Each rank would decide by its own slice what to skip, and leave the others waiting.
        followed, or_use = set(), ""
    for hook in hooks_of(transformer):
        kind = type(hook)
        if hook._is_stateful and f"{kind.__module__}.{kind.__name__}" not in followed:
            raise UnsupportedModelError(
                f"{kind.__name__} reuses what layers of this {type(transformer).__name__} "
                "computed in earlier passes, in a way that guidance could not follow; "
                f"disable_cache() on the transformer first{or_use}"
            )


def empty_caches(transformer: nn.Module) -> None:
    """Let no layer reuse in the next step what it computed until now."""
    for registry in hook_registries(transformer):
        registry.reset_stateful_hooks(recurse=False)

"""Transformers that diffusers has split over devices: which are followed, and who holds what."""

from typing import Any

from diffusers.hooks.context_parallel import ContextParallelSplitHook
from torch import nn

from numina.errors import UnsupportedParallelismError
from numina.integrations.hooks import hooks_of
from numina.share import AllPatches, PatchSlice, Share
from numina.video import VideoGrid

_UNSPLIT = "load the transformer without parallel_config and leave out enable_parallelism()"


def is_split(transformer: nn.Module) -> bool:
    """Whether several processes compute this transformer together."""
    return _config(transformer) is not None


def share_of(transformer: nn.Module, grid: VideoGrid) -> Share:
    """The patches that this process attends from, of a transformer that was not refused."""
    config = _config(transformer)
    if config is None:
        return AllPatches()
    group = config.context_parallel_config._flattened_mesh.get_group()
    return PatchSlice.of_this_rank(grid.tokens, group)


def refuse_parallelism(transformer: nn.Module, follows_ulysses: bool) -> None:
    """Refuse a transformer that is split over devices in a way that guidance cannot follow.

    Ulysses slices the patches, and exchanges heads for patches within self-attention alone. A ring
    and tensor parallelism have not been tried.

    Args:
        transformer: A diffusers transformer.
        follows_ulysses: Whether it is followed under Ulysses.

    Raises:
        UnsupportedParallelismError: Naming how it is split.
    """
    config = _config(transformer)
    if config is None:
        return
    name, context = type(transformer).__name__, getattr(config, "context_parallel_config", None)
    if context is None or context.ring_degree > 1 or not follows_ulysses:
        instead = " or use ContextParallelConfig(ulysses_degree=...)" if follows_ulysses else ""
        raise UnsupportedParallelismError(
            f"this {name} is split over devices by {_splitting(config)}, which is not supported "
            f"yet; {_UNSPLIT}{instead}"
        )
    if any("encoder_hidden_states" in split for split in _splits(transformer)):
        raise UnsupportedParallelismError(
            f"the plan by which this {name} is split over devices splits encoder_hidden_states, "
            "the text, too, and nouns would be missing from a rank; leave out cp_plan="
        )


def refuse_unlike(processor: Any, transformer: nn.Module) -> None:
    """Refuse a processor that is split otherwise than its transformer.

    Raises:
        UnsupportedParallelismError: Naming how both are split.
    """
    own, common = _config(processor), _config(transformer)
    # Families whose processors know of no splitting are only followed where there is none.
    if own is not common:
        raise UnsupportedParallelismError(
            f"this {type(processor).__name__} is split over devices by {_splitting(own)}, but its "
            f"{type(transformer).__name__} by {_splitting(common)}; set processors before "
            "enable_parallelism(), and split the whole transformer"
        )


def _config(part: Any) -> Any:
    """The ``ParallelConfig`` of a transformer or a processor, if any."""
    return getattr(part, "_parallel_config", None)


def _splits(transformer: nn.Module) -> list[Any]:
    """What is split of the inputs of each part, by name."""
    hooks = hooks_of(transformer)
    return [hook.metadata for hook in hooks if isinstance(hook, ContextParallelSplitHook)]


def _splitting(config: Any) -> str:
    """What a ``ParallelConfig`` asks for, with its degrees."""
    if config is None:
        return "nothing"
    kinds = {"context": ("ring_degree", "ulysses_degree"), "tensor": ("tp_degree",)}
    for kind, degrees in kinds.items():
        part = getattr(config, f"{kind}_parallel_config", None)
        if part is not None:
            numbers = ", ".join(f"{degree}={getattr(part, degree)}" for degree in degrees)
            return f"{kind} parallelism ({numbers})"
    return type(config).__name__

"""Attach attention functions to a diffusers transformer, and take them off again."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, cast

from torch import Tensor, nn

from numina.attend import Attend, Attention, Moment, Watch
from numina.errors import AlreadyGuidedError, UnsupportedModelError
from numina.integrations.adapter import Adapter, Site
from numina.integrations.caches import refuse_caches
from numina.integrations.clock import LoopClock
from numina.integrations.noise import FlowNoise, NoiseScale
from numina.integrations.parallelism import refuse_parallelism, refuse_unlike


@contextmanager
def attached(
    transformer: nn.Module,
    attends: Mapping[Site, Attend],
    adapter: Adapter,
    watch: Watch | None = None,
    *,
    noise_scale: NoiseScale = FlowNoise(),
    videos: int = 1,
) -> Iterator[LoopClock]:
    """Route attention sites of a transformer through functions of ours, for a ``with`` block.

    On leaving, by whatever way, the very same processor objects are back and nothing of ours is
    left on the transformer.

    Args:
        transformer: A diffusers transformer.
        attends: The attention function of each site.
        adapter: What is known about this family of transformers.
        watch: Sees every forward pass's latents and prediction, and may change the prediction.
        noise_scale: How timesteps and predictions of its scheduler read, see `noise.noise_scale`.
        videos: Videos of the batch; a pass with twice as many rows holds both guidance branches.

    Raises:
        AlreadyGuidedError: If another ``attached`` block holds this transformer.
        UnsupportedModelError: If a site does not exist, holds a processor numina does not know, or
            is skipped by a cache that it cannot follow.
        UnsupportedParallelismError: If the transformer is split over devices in a way that guidance
            cannot follow.
    """
    # The clock's own hook is the mark by which a second holder is recognised.
    hooks = transformer._forward_pre_hooks.values()
    if any(isinstance(getattr(hook, "__self__", None), LoopClock) for hook in hooks):
        raise AlreadyGuidedError(
            f"this {type(transformer).__name__} is already guided; leave the first `attached` "
            "block (or wait for the other generate() call) before entering another"
        )
    refuse_parallelism(transformer, adapter.follows_ulysses(transformer))
    refuse_caches(transformer)
    clock = LoopClock(adapter, transformer, watch, noise_scale, videos)
    held: dict[nn.Module, list[Site]] = {}
    for site in attends:
        if not 0 <= site.layer < adapter.num_layers(transformer):
            raise UnsupportedModelError(
                f"{type(transformer).__name__} has no layer {site.layer}; it has "
                f"{adapter.num_layers(transformer)}"
            )
        held.setdefault(adapter.module(transformer, site), []).append(site)
    installed = []
    for module, sites in held.items():
        stock = cast(Any, module).processor
        refuse_unlike(stock, transformer)
        # As in models that have both, self-attention comes first.
        sites.sort(key=lambda site: site.kind != "self")
        attend = _nested(*(attends[site] for site in sites))
        installed.append((module, stock, adapter.processor(stock, attend, clock, sites[0].layer)))

    with ExitStack() as undo:
        _announce_to(clock, transformer, undo)
        before = transformer.register_forward_pre_hook(clock.before_forward, with_kwargs=True)
        undo.callback(before.remove)
        after = transformer.register_forward_hook(clock.after_forward, with_kwargs=True)
        undo.callback(after.remove)
        for module, stock, ours in installed:
            undo.callback(_set_processor, module, stock)
            _set_processor(module, ours)
        yield clock


def require_stock(processor: Any, known: Collection[type], layer: int) -> None:
    """Refuse a processor that is not one of the model's own, for an adapter.

    Raises:
        UnsupportedModelError: If its type is not among the known.
    """
    if type(processor) not in known:
        names = " or ".join(kind.__name__ for kind in known)
        raise UnsupportedModelError(
            f"layer {layer} attends through {type(processor).__name__}, which numina would "
            f"silently replace; restore {names} on the transformer first"
        )


def _set_processor(module: nn.Module, processor: Any) -> None:
    # The attention of Mochi has no such method; what it adds is for processors with weights.
    if hasattr(module, "set_processor"):
        cast(Any, module).set_processor(processor)
    else:
        cast(Any, module).processor = processor


def _nested(outer: Attend, *inner: Attend) -> Attend:
    """One attention function of several at one module: each takes the next for the model's own."""
    if not inner:
        return outer
    rest = _nested(*inner)

    def attend(
        query: Tensor, key: Tensor, value: Tensor, moment: Moment, stock: Attention
    ) -> Tensor:
        def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return rest(query, key, value, moment, stock)

        return outer(query, key, value, moment, attention)

    return attend


def _announce_to(clock: LoopClock, transformer: nn.Module, undo: ExitStack) -> None:
    """Let the clock hear what the pipeline passes to ``cache_context``, where there is one."""
    stock = getattr(transformer, "cache_context", None)
    if stock is None:
        return

    @contextmanager
    def cache_context(name: str, **announced: Any) -> Iterator[None]:
        told = clock.announced(name, announced.get("step_index"), announced.get("sigma"))
        with told, stock(name, **announced):
            yield

    # An instance attribute hides the method for as long as we hold the transformer.
    # nn.Module.__setattr__ would do the same; __dict__ says that it is the instance we touch.
    transformer.__dict__["cache_context"] = cache_context
    undo.callback(transformer.__dict__.pop, "cache_context")

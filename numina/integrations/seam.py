"""Attach attention functions to a diffusers transformer, and take them off again."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from torch import Tensor, nn

from numina.attend import Attend, Branch, Moment, Prediction, Watch
from numina.errors import AlreadyGuidedError, UnsupportedModelError, UnsupportedParallelismError
from numina.video import VideoGrid


@dataclass(frozen=True)
class Site:
    """One attention of a transformer: self- or cross-attention of a block."""

    layer: int
    kind: Literal["self", "cross"]


class Adapter(Protocol):
    """What numina must know about a family of transformers."""

    def num_layers(self, transformer: nn.Module) -> int: ...

    def module(self, transformer: nn.Module, site: Site) -> nn.Module:
        """The attention module of a site; it has ``processor`` and ``set_processor``."""
        ...

    def grid(self, transformer: nn.Module, latents: Tensor) -> VideoGrid: ...

    def clean_prompt(self, prompt: str) -> str:
        """The prompt as the pipeline hands it to its tokenizer."""
        ...

    def processor(self, stock: Any, attend: Attend, clock: "Clock", layer: int) -> Any:
        """The model's processor around an attention function of ours."""
        ...


class Clock:
    """Tells which step, branch and noise level the denoising loop has reached.

    diffusers pipelines announce the branch through ``transformer.cache_context``; those that do
    not pass the step and the noise level with it are followed by counting conditional passes and
    by the timestep.
    """

    def __init__(self, adapter: Adapter, transformer: nn.Module, watch: Watch | None) -> None:
        self._adapter = adapter
        self._transformer = transformer
        self._watch = watch
        self._branch: Branch = "cond"
        self._step = -1
        self._announced_noise: float | None = None
        self._noise = 0.0
        self._grid: VideoGrid | None = None
        self.forwards = 0

    def now(self, layer: int) -> Moment:
        """The moment at which ``layer`` attends."""
        assert self._grid is not None, "the forward pre-hook runs before any attention"
        return Moment(self._step, self._noise, self._branch, layer, self._grid)

    def announce(
        self, name: str, step_index: int | None = None, sigma: float | None = None
    ) -> None:
        """Take in what the pipeline says of the pass it is about to run."""
        self._branch = "uncond" if name == "uncond" else "cond"
        if step_index is not None:
            self._step = step_index
        elif self._branch == "cond":
            self._step += 1
        self._announced_noise = sigma

    def before_forward(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        latents = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        self.forwards += 1
        self._grid = self._adapter.grid(module, latents)
        if self._announced_noise is None:
            timestep = kwargs["timestep"] if "timestep" in kwargs else args[1]
            self._noise = float(timestep.max()) / 1000
        else:
            self._noise = self._announced_noise

    def after_forward(
        self, module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any
    ) -> None:
        if self._watch is None:
            return
        latents = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        velocity = output[0] if isinstance(output, tuple) else output.sample
        self._watch(Prediction(self._step, self._noise, self._branch, latents, velocity))


@contextmanager
def attached(
    transformer: nn.Module,
    attends: Mapping[Site, Attend],
    adapter: Adapter,
    watch: Watch | None = None,
) -> Iterator[Clock]:
    """Route attention sites of a transformer through functions of ours, for a ``with`` block.

    On leaving, by whatever way, the very same processor objects are back and nothing of ours is
    left on the transformer.

    Args:
        transformer: A diffusers transformer.
        attends: The attention function of each site.
        adapter: What is known about this family of transformers.
        watch: Called with every forward pass's latents and prediction.

    Raises:
        AlreadyGuidedError: If another ``attached`` block holds this transformer.
        UnsupportedModelError: If a site does not exist or holds a processor numina does not know.
        UnsupportedParallelismError: If attention is split over devices.
    """
    # An instance attribute hides the method for as long as we hold the transformer; it is also
    # the mark by which a second holder is recognised.
    if "cache_context" in vars(transformer):
        raise AlreadyGuidedError(
            f"this {type(transformer).__name__} is already guided; leave the first `attached` "
            "block (or wait for the other generate() call) before entering another"
        )
    clock = Clock(adapter, transformer, watch)
    installed = []
    for site, attend in attends.items():
        if not 0 <= site.layer < adapter.num_layers(transformer):
            raise UnsupportedModelError(
                f"{type(transformer).__name__} has no layer {site.layer}; it has "
                f"{adapter.num_layers(transformer)}"
            )
        module = adapter.module(transformer, site)
        stock = cast(Any, module).processor
        if getattr(stock, "_parallel_config", None) is not None:
            raise UnsupportedParallelismError(
                "attention is split over devices (context parallelism); disable_parallelism() "
                "on the transformer before guiding it"
            )
        installed.append((module, stock, adapter.processor(stock, attend, clock, site.layer)))

    with ExitStack() as undo:
        _announce_to(clock, transformer, undo)
        before = transformer.register_forward_pre_hook(clock.before_forward, with_kwargs=True)
        undo.callback(before.remove)
        after = transformer.register_forward_hook(clock.after_forward, with_kwargs=True)
        undo.callback(after.remove)
        for module, stock, ours in installed:
            undo.callback(cast(Any, module).set_processor, stock)
            cast(Any, module).set_processor(ours)
        yield clock


def _announce_to(clock: Clock, transformer: nn.Module, undo: ExitStack) -> None:
    """Let the clock hear what the pipeline passes to ``transformer.cache_context``."""
    stock = cast(Any, transformer).cache_context

    @contextmanager
    def cache_context(name: str, **announced: Any) -> Iterator[None]:
        clock.announce(name, announced.get("step_index"), announced.get("sigma"))
        with stock(name, **announced):
            yield

    # nn.Module.__setattr__ would do the same; __dict__ says that it is the instance we touch.
    transformer.__dict__["cache_context"] = cache_context
    undo.callback(transformer.__dict__.pop, "cache_context")

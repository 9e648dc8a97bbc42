"""Attach attention functions to a diffusers transformer, and take them off again."""

import inspect
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from numina.attend import Attend, Attention, Branch, Moment, Prediction, Watch, num_branches
from numina.errors import AlreadyGuidedError, UnsupportedModelError
from numina.integrations.caches import refuse_caches
from numina.integrations.noise import FlowNoise, NoiseScale
from numina.integrations.parallelism import refuse_parallelism, refuse_unlike, share_of
from numina.prompt.tokens import PromptFrame
from numina.share import AllPatches, Share
from numina.video import VideoGrid
from numina_kernels.joint_sequence import JointSequence


@dataclass(frozen=True)
class Site:
    """One attention of a transformer: self- or cross-attention of a block.

    Where a block attends jointly, its one module is both.
    """

    layer: int
    kind: Literal["self", "cross"]


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """What a transformer was called with.

    Attributes:
        arguments: By name, whether they were passed by name or by position.
    """

    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Self:
        """The call ``module(*args, **kwargs)``."""
        if not args:
            return cls(kwargs)
        return cls(inspect.signature(module.forward).bind(*args, **kwargs).arguments)

    @property
    def latents(self) -> Tensor:
        """The noisy latents, laid out as the transformer takes them."""
        latents: Tensor = self.arguments["hidden_states"]
        return latents


class Adapter(Protocol):
    """What numina must know about a family of transformers and the pipelines that run it.

    The methods with a body say what most pipelines do; subclass it to have them.
    """

    @abstractmethod
    def num_layers(self, transformer: nn.Module) -> int: ...

    @abstractmethod
    def module(self, transformer: nn.Module, site: Site) -> nn.Module:
        """The attention module of a site, which holds its ``processor``."""
        ...

    @abstractmethod
    def grid(self, transformer: nn.Module, forward: ForwardPass) -> VideoGrid:
        """The patches of the video that a forward pass attends to."""
        ...

    def frames_of_grid(
        self, transformer: nn.Module, forward: ForwardPass, latents: Tensor
    ) -> Tensor:
        """Latents of a forward pass, or its prediction of the same shape, as ``[B, C, F, y, x]``.

        ``F`` is that of the grid: frames that share a patch lie side by side as channels.
        """
        return latents

    def check(self, transformer: nn.Module, call: Mapping[str, Any]) -> None:
        """Refuse a pipeline call, by its keyword arguments, that guidance could not follow.

        Raises:
            UnsupportedModelError: Naming what cannot be followed, and what to do.
        """
        return None

    def follows_ulysses(self, transformer: nn.Module) -> bool:
        """Whether each rank gets a slice of the patches, in their order, and all of the text.

        To be answered with yes only for a model that was tried under Ulysses.
        """
        return False

    def clean_prompt(self, prompt: str, call: Mapping[str, Any]) -> str:
        """The prompt as the pipeline, called so, cleans it before writing anything around it."""
        return prompt

    def prompt_frame(self, pipe: Any, call: Mapping[str, Any]) -> PromptFrame:
        """What a pipeline call writes around a cleaned prompt, and which tokens become keys.

        Raises:
            UnsupportedModelError: If the tokens of the prompt could not be found.
        """
        return PromptFrame()

    def holds_both_branches(self) -> bool:
        """Whether one forward pass holds both guidance branches; told before anything runs."""
        return True

    def guidance_scale(self, pipe: Any, call: Mapping[str, Any]) -> float:
        """Scale of classifier-free guidance of the run at hand; 1 without unconditional pass."""
        scale = float(getattr(pipe, "guidance_scale", 1.0))
        # CogVideoX pipelines do not say whether they guide; they do with a scale above 1.
        return scale if getattr(pipe, "do_classifier_free_guidance", scale > 1) else 1.0

    @abstractmethod
    def processor(self, stock: Any, attend: Attend, clock: "Clock", layer: int) -> Any:
        """The model's processor around an attention function of ours."""
        ...


class Clock:
    """Tells which step, branch and noise level the denoising loop has reached.

    diffusers pipelines announce the branch through ``transformer.cache_context``; those that do
    not pass the step and the noise level with it are followed by counting conditional passes and
    by the timestep. A pass announced as both branches holds both where its batch has two rows for
    each video; without classifier-free guidance it is the conditional one alone. So is a pass
    that nothing announced, and each of them is a step.
    """

    def __init__(
        self,
        adapter: Adapter,
        transformer: nn.Module,
        watch: Watch | None,
        noise_scale: NoiseScale,
        videos: int,
    ) -> None:
        self._adapter = adapter
        self._transformer = transformer
        self._watch = watch
        self._scale = noise_scale
        self._videos = videos
        self._announced: Branch = "cond"
        self._is_announced = False
        self._unannounced_at: float | None = None
        self._branch: Branch = "cond"
        self._runs_apart = False
        self._step = -1
        self._announced_noise: float | None = None
        self._noise = 0.0
        self._grid: VideoGrid | None = None
        self._share: Share = AllPatches()
        self.forwards = 0

    def now(
        self, layer: int, joint: JointSequence | None = None, key_offset: Tensor | None = None
    ) -> Moment:
        """The moment at which ``layer`` attends."""
        assert self._grid is not None, "the forward pre-hook runs before any attention"
        return Moment(
            self._step,
            self._noise,
            self._branch,
            layer,
            self._grid,
            joint,
            key_offset,
            self._share,
        )

    @contextmanager
    def announced(
        self, name: str, step_index: int | None = None, sigma: float | None = None
    ) -> Iterator[None]:
        """Take in what the pipeline says of the passes it runs within this context."""
        branches: dict[str, Branch] = {
            "uncond": "uncond",
            "pred_uncond": "uncond",  # as guiders say it
            "cond_uncond": "both",
        }
        self._announced = branches.get(name, "cond")
        if step_index is not None:
            self._step = step_index
        elif self._announced != "uncond":
            self._step += 1
        self._announced_noise = sigma
        self._is_announced = True
        try:
            yield
        finally:
            self._is_announced = False

    def before_forward(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        forward = ForwardPass.of(module, args, kwargs)
        if not self._is_announced:
            self._begin_unannounced(forward)
        self._branch = self._branch_of(len(forward.latents))
        if self._branch == "uncond" and not self._runs_apart:
            self._runs_apart = True
            refuse_caches(module, apart=True)
        self.forwards += num_branches(self._branch)
        self._grid = self._adapter.grid(module, forward)
        self._share = share_of(module, self._grid)
        if self._announced_noise is None:
            self._noise = self._scale.level(_timestep(forward))
        else:
            self._noise = self._announced_noise

    def _begin_unannounced(self, forward: ForwardPass) -> None:
        timestep = _timestep(forward)
        if len(forward.latents) == self._videos and timestep == self._unannounced_at:
            raise UnsupportedModelError(
                f"two forward passes at timestep {timestep:g} were announced by no cache_context, "
                "so it is not known which is conditional; let the pipeline announce them, or run "
                "both branches in one pass"
            )
        self._announced, self._announced_noise = "both", None
        self._unannounced_at = timestep
        self._step += 1

    def _branch_of(self, rows: int) -> Branch:
        if self._announced != "both":
            return self._announced
        if rows not in (self._videos, 2 * self._videos):
            raise UnsupportedModelError(
                f"videos is {self._videos}, but a forward pass has a batch of {rows}, where one "
                "row for each video is expected, or two with classifier-free guidance; pass "
                "videos= as the pipeline makes them"
            )
        return "cond" if rows == self._videos else "both"

    def after_forward(
        self, module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any
    ) -> Any:
        """Show the prediction to the watch; what it changes is the transformer's new output."""
        if self._watch is None:
            return None
        forward = ForwardPass.of(module, args, kwargs)
        returned = output[0] if isinstance(output, tuple) else output.sample

        def frames(latents: Tensor) -> Tensor:
            return self._adapter.frames_of_grid(module, forward, latents)

        latents, velocity = self._scale.as_flow(
            frames(forward.latents), frames(returned), self._noise
        )
        shares = _own_levels(forward, self._adapter.grid(module, forward), velocity)
        velocity = velocity * shares
        change = self._watch(Prediction(self._step, self._noise, self._branch, latents, velocity))
        if change is None:
            return None
        # What is given is not changed.
        change = torch.where(shares > 0, change / shares, 0.0)
        # The frames are a rearrangement, and the adjoint of one takes it back.
        rearranged_back = torch.func.vjp(frames, returned)[1]
        (change,) = rearranged_back(self._scale.as_output(change, self._noise).to(returned.dtype))
        changed = returned + change
        if isinstance(output, tuple):
            return (changed, *output[1:])
        return replace(output, sample=changed)


@contextmanager
def attached(
    transformer: nn.Module,
    attends: Mapping[Site, Attend],
    adapter: Adapter,
    watch: Watch | None = None,
    *,
    noise_scale: NoiseScale = FlowNoise(),
    videos: int = 1,
) -> Iterator[Clock]:
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
    if any(isinstance(getattr(hook, "__self__", None), Clock) for hook in hooks):
        raise AlreadyGuidedError(
            f"this {type(transformer).__name__} is already guided; leave the first `attached` "
            "block (or wait for the other generate() call) before entering another"
        )
    refuse_parallelism(transformer, adapter.follows_ulysses(transformer))
    refuse_caches(transformer)
    clock = Clock(adapter, transformer, watch, noise_scale, videos)
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


def _timestep(forward: ForwardPass) -> float:
    # Some models give every token a timestep of its own.
    return float(forward.arguments["timestep"].max())


def _own_levels(forward: ForwardPass, grid: VideoGrid, velocity: Tensor) -> Tensor:
    """Share of the step's noise level that each latent has, broadcastable to ``velocity``.

    Frames ``[B, F]`` or tokens ``[B, F Y X]`` may have timesteps of their own: those of a given
    frame are 0, and nothing that the model returns there is taken off it.
    """
    timestep: Tensor = forward.arguments["timestep"]
    if timestep.ndim < 2:
        return velocity.new_ones(())
    sizes = grid.shape if timestep.shape[1] == grid.tokens else (grid.frames, 1, 1)
    shares = (timestep / timestep.max()).unflatten(1, sizes)[:, None]
    return functional.interpolate(shares.to(velocity), size=velocity.shape[2:])


def _announce_to(clock: Clock, transformer: nn.Module, undo: ExitStack) -> None:
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

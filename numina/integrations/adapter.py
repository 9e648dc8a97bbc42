"""What numina must know of a family of transformers, and of one call of a transformer."""

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

from torch import Tensor, nn

from numina.attend import Attend, Branch, Clock
from numina.combination import Combination
from numina.prompt.tokens import PromptFrame
from numina.video import VideoGrid


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

    def head_shape(self, transformer: nn.Module) -> tuple[int, int]:
        """Heads of an attention layer, and the width of each."""
        attention: Any = self.module(transformer, Site(0, "cross"))
        return int(attention.heads), int(attention.inner_dim) // int(attention.heads)

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

    def timesteps(self, forward: ForwardPass) -> Tensor:
        """What the scheduler counts the noise of a pass by, ``[B]``, ``[B, F]`` or ``[B, F Y X]``.

        Frames and tokens of one step may differ: those that are given have none.
        """
        timesteps: Tensor = forward.arguments["timestep"]
        return timesteps

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

    def tokenizer(self, pipe: Any) -> Any:
        """The tokenizer of the text whose tokens become keys."""
        return pipe.tokenizer

    def prompt_frame(self, pipe: Any, call: Mapping[str, Any]) -> PromptFrame:
        """What a pipeline call writes around a cleaned prompt, and which tokens become keys.

        Raises:
            UnsupportedModelError: If the tokens of the prompt could not be found.
        """
        return PromptFrame()

    def holds_both_branches(self) -> bool:
        """Whether one forward pass holds both guidance branches; told before anything runs."""
        return True

    def unannounced_branches(self) -> tuple[Branch, ...]:
        """The forward passes of a step, in their order, where no ``cache_context`` tells them."""
        return ("both",)

    def guidance_scale(self, pipe: Any, call: Mapping[str, Any]) -> float:
        """Scale of classifier-free guidance of the step at hand; 1 without unconditional pass."""
        scale = float(getattr(pipe, "guidance_scale", 1.0))
        # CogVideoX pipelines do not say whether they guide; they do with a scale above 1.
        return scale if getattr(pipe, "do_classifier_free_guidance", scale > 1) else 1.0

    def combination(self, pipe: Any, call: Mapping[str, Any]) -> Combination:
        """How the pipeline combines the passes of the step at hand."""
        return Combination(self.guidance_scale(pipe, call))

    @abstractmethod
    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        """The model's processor around an attention function of ours."""
        ...

"""How a pipeline combines the forward passes of a step."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from numina.attend import Branch


@dataclass(frozen=True)
class Combination:
    """The weights of a step's passes in the clean latent that its scheduler is given.

    With the clean latents ``c``, ``u``, ``p`` and ``q`` of the conditional, unconditional,
    perturbed and isolated pass it is

        x = c + (scale - 1) (c - u) + perturbed (c - p) + isolated (c - q),

    and then ``(1 - rescale + rescale std(c) / std(x)) x``, each video having its own standard
    deviations.

    Attributes:
        scale: Of classifier-free guidance; 1 where there is no unconditional pass.
        perturbed: Scale of spatio-temporal guidance (STG), by a pass with perturbed layers.
        isolated: Scale of modality guidance less 1, by a pass in which the video does not attend
            to the sound.
        rescale: ``guidance_rescale``: how far the standard deviation is brought back to that of
            the conditional pass. Not positive leaves it, as diffusers has it.
    """

    scale: float = 1.0
    perturbed: float = 0.0
    isolated: float = 0.0
    rescale: float = 0.0

    @property
    def branches(self) -> frozenset[Branch]:
        """Passes that have a weight."""
        weights: dict[Branch, float] = {
            "cond": 1.0,
            "uncond": self.scale - 1,
            "perturbed": self.perturbed,
            "isolated": self.isolated,
        }
        return frozenset(branch for branch, weight in weights.items() if weight != 0)

    def of(self, clean: Mapping[Branch, Tensor]) -> Tensor:
        """The combined clean latents ``[B, ...]``.

        Args:
            clean: Clean latents of every pass of ``branches``, alike in shape.
        """
        given = clean["cond"]
        combined = given
        # As most pipelines write it, which is not the same to the last bit.
        if "uncond" in self.branches:
            combined = clean["uncond"] + self.scale * (given - clean["uncond"])
        if "perturbed" in self.branches:
            combined = combined + self.perturbed * (given - clean["perturbed"])
        if "isolated" in self.branches:
            combined = combined + self.isolated * (given - clean["isolated"])
        if self.rescale <= 0:
            return combined
        within = tuple(range(1, combined.ndim))
        ratio = given.std(within, keepdim=True) / combined.std(within, keepdim=True)
        return combined * (1 - self.rescale + self.rescale * ratio)

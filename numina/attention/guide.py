"""Guide: the cross-attention that enforces a plan, strong early and gone late."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from numina.attend import Attention, Moment
from numina.attention.text import Text
from numina_kernels.key_groups import KeyGroups
from numina_kernels.layout_bias import LayoutBias
from numina_kernels.padding import FoldedKeys


class Plan(Protocol):
    """A layout to enforce, ready to become a score bias at any layer."""

    def bias(
        self,
        query: Tensor,
        text: FoldedKeys,
        groups: KeyGroups,
        strength: Tensor,
        moment: Moment,
    ) -> LayoutBias: ...


class Guide:
    """Attends in every cross-attention layer; the model's own attention where nothing is due.

    Args:
        text: Nouns of the text keys.
        strength: Guidance strength at a moment, unitless; 0 leaves the layer to the model.
    """

    def __init__(self, text: Text, strength: Callable[[Moment], float]) -> None:
        self._text = text
        self._strength_at = strength
        self._plan: Plan | None = None
        self._strength: Tensor | None = None
        self.strengths: dict[int, tuple[float, float]] = {}  # step: (noise, strength)

    @property
    def is_idle(self) -> bool:
        """Whether no plan is enforced yet."""
        return self._plan is None

    def enforce(self, plan: Plan) -> None:
        """Enforce ``plan`` from the next layer on."""
        self._plan = plan

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, moment: Moment, stock: Attention
    ) -> Tensor:
        if self._plan is None or moment.branch == "uncond":
            return stock(query, key, value)
        strength = self._strength_at(moment)
        self.strengths[moment.step] = (moment.noise, strength)
        if strength == 0:
            return stock(query, key, value)
        if self._strength is None:
            self._strength = torch.empty((), dtype=torch.float32, device=query.device)
        # The operations take a tensor: whoever compiles one has no graph of its own for a step.
        self._strength.fill_(strength)
        reading = self._text.reading(query, key, value, moment)
        bias = self._plan.bias(reading.query, reading.text, reading.groups, self._strength, moment)
        guided = reading.attend(bias)
        others = len(query) - len(guided)
        if others == 0:
            return guided
        plain = stock(query[:others], key[:others], value[:others])
        return torch.cat([plain, guided])

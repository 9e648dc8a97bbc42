"""The clean latent that a model predicts at every step, read as a flow: x0 = x - sigma * v."""

from collections.abc import Callable

from torch import Tensor

from numina.attend import Branch, Prediction, Watch, conditional
from numina.combination import Combination


class CleanPrediction:
    """Watches the forward passes and keeps the clean latent of the last finished step.

    The passes of a step are combined as the pipeline itself combines them, so nothing is computed
    twice and no forward pass is added.

    Args:
        combination: Tells the weights of the passes of the step at hand. One without weight may be
            made or not.
        on_step: Called once for each step, after the last forward pass that tells something, with
            its index and the clean latents ``[B, C, F, y, x]``.
        inner: Changes predictions first.
    """

    def __init__(
        self,
        combination: Callable[[], Combination],
        on_step: Callable[[int, Tensor], None] | None = None,
        inner: Watch | None = None,
    ) -> None:
        self._combination = combination
        self._on_step = on_step
        self._inner = inner
        self._step: int | None = None
        self._passes: dict[Branch, Tensor] = {}
        self.latents: Tensor | None = None

    def __call__(self, prediction: Prediction) -> Tensor | None:
        change = self._inner(prediction) if self._inner is not None else None
        velocity = prediction.velocity if change is None else prediction.velocity + change
        self._take(prediction, velocity)
        return change

    def _take(self, prediction: Prediction, velocity: Tensor) -> None:
        combination = self._combination()
        # The differences of the passes are multiplied, and so would be what is rounded off here.
        clean = prediction.latents.float() - prediction.noise * velocity.float()
        if prediction.step != self._step:
            self._step, self._passes = prediction.step, {}
        # Of Wan's two transformers one may be guided and the other not: all passes are made.
        for branch, own in _parts(prediction.branch, clean).items():
            if branch in combination.branches:
                self._passes[branch] = own
        if combination.branches - self._passes.keys():
            return
        self.latents = combination.of(self._passes)
        self._passes = {}
        if self._on_step is not None:
            self._on_step(prediction.step, self.latents)


def _parts(branch: Branch, batch: Tensor) -> dict[Branch, Tensor]:
    """The rows of each branch of a forward pass."""
    if branch != "both":
        return {branch: batch}
    return {"uncond": batch[: len(batch) // 2], "cond": conditional(branch, batch)}

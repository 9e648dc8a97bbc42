"""The clean latent that a model predicts at every step, read as a flow: x0 = x - sigma * v."""

from collections.abc import Callable

from torch import Tensor

from numina.attend import Prediction, Watch, conditional


class CleanPrediction:
    """Watches the forward passes and keeps the clean latent of the last finished step.

    With classifier-free guidance the velocity is ``u + scale * (c - u)``, as the pipeline itself
    combines it, so nothing is computed twice and no forward pass is added.

    Args:
        guidance_scale: Tells the scale of classifier-free guidance of the step at hand. At 1 the
            conditional pass says it all, and there may be no other.
        on_step: Called once for each step, after the last forward pass that tells something, with
            its index and the clean latents ``[B, C, F, y, x]``.
        inner: Changes predictions first.
    """

    def __init__(
        self,
        guidance_scale: Callable[[], float],
        on_step: Callable[[int, Tensor], None] | None = None,
        inner: Watch | None = None,
    ) -> None:
        self._scale = guidance_scale
        self._on_step = on_step
        self._inner = inner
        self._conditional: Tensor | None = None
        self.latents: Tensor | None = None

    def __call__(self, prediction: Prediction) -> Tensor | None:
        change = self._inner(prediction) if self._inner is not None else None
        velocity = prediction.velocity if change is None else prediction.velocity + change
        self._take(prediction, velocity)
        return change

    def _take(self, prediction: Prediction, velocity: Tensor) -> None:
        scale = self._scale()
        if prediction.branch == "both":
            velocity, self._conditional = velocity.chunk(2)
        elif prediction.branch == "cond":
            self._conditional = velocity
            if scale != 1:
                return
        elif scale == 1:
            # Of Wan's two transformers one may be guided and the other not: all passes are made.
            return
        if prediction.branch != "cond":
            assert self._conditional is not None, "the conditional pass runs first"
            velocity = velocity + scale * (self._conditional - velocity)
        latents = conditional(prediction.branch, prediction.latents)
        self.latents = latents - prediction.noise * velocity
        if self._on_step is not None:
            self._on_step(prediction.step, self.latents)

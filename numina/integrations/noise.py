"""One scale of noise for every model: that of flow matching, 1 at pure noise, 0 at the end.

A flow-matching model is given ``z = (1 - s) x0 + s e`` of a clean latent ``x0`` and Gaussian noise
``e``, and predicts ``u = e - x0``; ``s`` is its noise level. A variance-preserving one is given
``x = a x0 + b e`` with ``a**2 = alpha_bar`` and ``a**2 + b**2 = 1``, and predicts
``v = a e - b x0``. Divided by ``a + b`` its latent is that of a flow:

    s = b / (a + b),    z = x / (a + b),    u = (b - a) x + (a + b) v,

and ``z - s u = a x - b v`` is the clean latent of both. One that predicts ``e`` has
``u = e - (x - b e) / a``. Schedulers that count in ``sigma = b / a`` scale their latents by ``a``
for the model, so that it is given the same ``x``. So looks, verdicts and schedules, which are noise
levels, mean the same signal-to-noise ratio in every model. With ``s`` the shares are known:
``a = (1 - s) (a + b)``, ``b = s (a + b)`` and ``a + b = 1 / sqrt((1 - s)**2 + s**2)``. Mochi counts
the other way, from noise to clean: it is told ``1 - s`` and predicts ``-u``. Preconditioned as by
Karras et al. (EDM, arXiv 2206.00364), a model is given such an ``x`` too, of a clean latent of
standard deviation ``sigma_data``, and predicts ``-v``; its timestep is ``log(sigma) / 4`` with
``sigma = sigma_data b / a``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf
from typing import Any, Protocol

from diffusers import EDMEulerScheduler
from torch import Tensor

from numina.errors import UnsupportedModelError

# Timesteps of flow-matching models are noise levels in thousandths.
TIMESTEPS = 1000


class NoiseScale(Protocol):
    """How timesteps, latents and predictions of a scheduler's models read as a flow."""

    def level(self, timestep: float) -> float:
        """Noise level of a timestep, 0..1."""
        ...

    def levels(self, scheduler: Any) -> tuple[float, ...]:
        """Noise level of every step that a scheduler is set to."""
        ...

    def as_flow(self, latents: Tensor, output: Tensor, noise: float) -> tuple[Tensor, Tensor]:
        """What a model is given and returns, as latents ``z`` and velocity ``u`` of a flow."""
        ...

    def as_output(self, change: Tensor, noise: float) -> Tensor:
        """A change of ``u`` as one of what the model returns: the derivative of `as_flow`."""
        ...


@dataclass(frozen=True)
class FlowNoise:
    """Flow matching, which is the scale itself."""

    def level(self, timestep: float) -> float:
        return timestep / TIMESTEPS

    def levels(self, scheduler: Any) -> tuple[float, ...]:
        return tuple(float(sigma) for sigma in scheduler.sigmas[: len(scheduler.timesteps)])

    def as_flow(self, latents: Tensor, output: Tensor, noise: float) -> tuple[Tensor, Tensor]:
        return latents, output

    def as_output(self, change: Tensor, noise: float) -> Tensor:
        return change


@dataclass(frozen=True)
class InvertedFlowNoise:
    """Flow matching from noise to clean: ``1 - s`` in place of ``s``, ``-u`` of ``u``."""

    def level(self, timestep: float) -> float:
        return 1 - timestep / TIMESTEPS

    def levels(self, scheduler: Any) -> tuple[float, ...]:
        return tuple(1 - float(sigma) for sigma in scheduler.sigmas[: len(scheduler.timesteps)])

    def as_flow(self, latents: Tensor, output: Tensor, noise: float) -> tuple[Tensor, Tensor]:
        return latents, -output

    def as_output(self, change: Tensor, noise: float) -> Tensor:
        return -change


class VariancePreserving:
    """Latents and v-predictions of a model whose latents have one variance at all levels."""

    def as_flow(self, latents: Tensor, output: Tensor, noise: float) -> tuple[Tensor, Tensor]:
        # In low precision the two terms of the clean latent would cancel to little but rounding.
        latents, output = latents.float(), output.float()
        total = _total(noise)
        return latents / total, total * ((2 * noise - 1) * latents + output)

    def as_output(self, change: Tensor, noise: float) -> Tensor:
        return change / _total(noise)


@dataclass(frozen=True)
class AlphaBarNoise(VariancePreserving):
    """A variance-preserving schedule with v-prediction.

    Attributes:
        alpha_bars: Squared share of the clean latent at each timestep of the training, 0..1.
    """

    alpha_bars: Sequence[float]

    def level(self, timestep: float) -> float:
        below = int(timestep)
        sigma = self._sigma(below)
        if timestep > below:
            # As schedulers do that place their steps between those of the training.
            sigma += (timestep - below) * (self._sigma(below + 1) - sigma)
        return 1 - 1 / (1 + sigma)

    def levels(self, scheduler: Any) -> tuple[float, ...]:
        return tuple(self.level(float(timestep)) for timestep in scheduler.timesteps)

    def _sigma(self, timestep: int) -> float:
        alpha_bar = self.alpha_bars[timestep]
        return ((1 - alpha_bar) / alpha_bar) ** 0.5 if alpha_bar > 0 else inf


@dataclass(frozen=True)
class EpsilonNoise(AlphaBarNoise):
    """A variance-preserving schedule whose models predict the noise itself."""

    def as_flow(self, latents: Tensor, output: Tensor, noise: float) -> tuple[Tensor, Tensor]:
        latents, output = latents.float(), output.float()
        total = _total(noise)
        clean = (latents - noise * total * output) / ((1 - noise) * total)
        return latents / total, output - clean

    def as_output(self, change: Tensor, noise: float) -> Tensor:
        return (1 - noise) * change


@dataclass(frozen=True)
class PreconditionedNoise(VariancePreserving):
    """EDM preconditioning (arXiv 2206.00364): sigma is unbounded, and the model predicts -v.

    Attributes:
        sigma_data: Standard deviation of the clean latent.
    """

    sigma_data: float

    def level(self, timestep: float) -> float:
        return self._share(exp(4 * timestep))

    def levels(self, scheduler: Any) -> tuple[float, ...]:
        sigmas = scheduler.sigmas[: len(scheduler.timesteps)]
        return tuple(self._share(float(sigma)) for sigma in sigmas)

    def as_flow(self, latents: Tensor, output: Tensor, noise: float) -> tuple[Tensor, Tensor]:
        return super().as_flow(latents, -output, noise)

    def as_output(self, change: Tensor, noise: float) -> Tensor:
        return -super().as_output(change, noise)

    def _share(self, sigma: float) -> float:
        return sigma / (sigma + self.sigma_data)


def _total(noise: float) -> float:
    """Share of the clean latent plus share of the noise, in a variance-preserving latent."""
    return float(((1 - noise) ** 2 + noise**2) ** -0.5)


def noise_scale(scheduler: Any) -> NoiseScale:
    """The noise scale of a diffusers scheduler.

    Raises:
        UnsupportedModelError: If it is neither flow matching nor variance-preserving with
            v-prediction or epsilon, nor ``EDMEulerScheduler`` with epsilon, or begins where
            epsilon says nothing of the clean latent.
    """
    prediction = getattr(scheduler.config, "prediction_type", "flow_prediction")
    if prediction == "flow_prediction" and hasattr(scheduler, "sigmas"):
        inverted = getattr(scheduler.config, "invert_sigmas", False)
        return InvertedFlowNoise() if inverted else FlowNoise()
    if isinstance(scheduler, EDMEulerScheduler) and prediction == "epsilon":
        return PreconditionedNoise(scheduler.config.sigma_data)
    if hasattr(scheduler, "alphas_cumprod"):
        alpha_bars = tuple(scheduler.alphas_cumprod.tolist())
        if prediction == "v_prediction":
            return AlphaBarNoise(alpha_bars)
        if prediction == "epsilon" and min(alpha_bars) > 0:
            return EpsilonNoise(alpha_bars)
    raise UnsupportedModelError(
        f"{type(scheduler).__name__} with prediction_type {prediction!r} has no noise levels that "
        "numina can read; use a flow-matching scheduler, v_prediction as CogVideoX has it, or "
        "epsilon without a step of zero signal (rescale_betas_zero_snr), or EDMEulerScheduler with "
        "epsilon"
    )

"""Runs of a tiny pipeline, alone and through the seam."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from numina.attend import Attend, Attention, Moment, Prediction, Watch
from numina.attention.clean_prediction import CleanPrediction
from numina.generation.run import PipelineRun
from numina.integrations import LoopClock, Site, adapter_for, attached, noise_scale
from tests.calls import short_call


def stock_attend(query, key, value, moment, stock):
    """What the model would have done."""
    return stock(query, key, value)


def processors(pipe: Any) -> dict[str, int]:
    """Which object attends where."""
    modules = pipe.transformer.named_modules()
    return {name: id(module.processor) for name, module in modules if hasattr(module, "processor")}


def latents(pipe: Any, **changes: Any) -> Tensor:
    """The latents of a short run."""
    frames: Tensor = pipe(**short_call(pipe, output_type="latent", **changes)).frames
    return frames


def through_seam(
    pipe: Any, attends: Mapping[Site, Attend], watch: Watch | None = None, **changes: Any
) -> tuple[Tensor, LoopClock]:
    """The latents of the same run with attention functions attached, and the clock it ran by."""
    transformer, scale = pipe.transformer, noise_scale(pipe.scheduler)
    adapter = adapter_for(transformer)
    with attached(transformer, attends, adapter, watch, noise_scale=scale) as clock:
        frames = latents(pipe, **changes)
    return frames, clock


@dataclass(frozen=True)
class Seen:
    """What one layer attended to, ``[B, S, H, D]``, when, and how the model would have."""

    query: Tensor
    key: Tensor
    value: Tensor
    moment: Moment
    stock: Attention

    @property
    def tokens(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.query, self.key, self.value


def moments(pipe: Any, site: Site, **changes: Any) -> list[Moment]:
    """Every moment at which a site attends in a short run."""
    return [each.moment for each in seen_at(pipe, [site], **changes)[0]]


def seen_in(pipe: Any, layers: Iterable[int], **changes: Any) -> tuple[list[Seen], LoopClock]:
    """What the cross-attention of some layers sees in a short run, and the clock it ran by."""
    return seen_at(pipe, [Site(layer, "cross") for layer in layers], **changes)


def seen_at(pipe: Any, sites: Iterable[Site], **changes: Any) -> tuple[list[Seen], LoopClock]:
    """What some sites see in a short run, and the clock it ran by."""
    seen: list[Seen] = []

    def record(query, key, value, moment, stock):
        seen.append(Seen(query.clone(), key.clone(), value.clone(), moment, stock))
        return stock(query, key, value)

    _, clock = through_seam(pipe, dict.fromkeys(sites, record), **changes)
    return seen, clock


def clean_latents(
    pipe: Any, change: Watch | None = None, **changes: Any
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """The clean latent of every step of a short run, where its scheduler of flows would go, and the
    last latents: at its last noise level there is nothing but the clean latent.

    Args:
        pipe: The pipeline.
        change: Changes predictions.
        **changes: Arguments of the call.
    """
    theirs: list[Tensor] = []
    ours: list[Tensor] = []
    step = pipe.scheduler.step

    def spy(output, timestep, sample, **kwargs):
        sigmas, at = pipe.scheduler.sigmas, len(theirs)
        theirs.append(sample + (sigmas[-1] - sigmas[at]) * output)
        return step(output, timestep, sample, **kwargs)

    run = PipelineRun(pipe, short_call(pipe, output_type="latent", **changes))
    watch = CleanPrediction(run.combination, lambda _, clean: ours.append(clean), change)
    with patch.object(pipe.scheduler, "step", spy):
        frames = run.attempt({}, "", watch).output.frames
    return ours, theirs, frames


def tilted(prediction: Prediction) -> Tensor:
    """A change of the velocity that differs in every place, to see where each of it goes."""
    velocity = prediction.velocity
    return torch.linspace(-0.3, 0.3, velocity.numel()).reshape(velocity.shape)

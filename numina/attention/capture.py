"""Record what a look needs while the model runs, without changing a bit of its output."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from numina.attend import Attend, Attention, Moment, conditional, is_undisturbed
from numina.attention.reading import video_tokens
from numina.attention.text import Text
from numina.errors import CaptureMissedError
from numina.identify.sketch import SketchSpec, frame_features
from numina.video import VideoGrid


@dataclass(frozen=True)
class CaptureSpec:
    """Which layers are looked at, as relative depths, so that they mean the same in any model.

    Attributes:
        cross: Depths of the cross-attention layers, 0..1. Layer ``floor(depth * L)`` of ``L``.
        features: Depth of the layer whose self-attention is sketched (the paper's l* is layer 15
            of 30, depth 0.5); None to leave self-attention alone.
    """

    cross: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    features: float | None = None

    def __post_init__(self) -> None:
        depths = (*self.cross, *(() if self.features is None else (self.features,)))
        if not self.cross or not all(0 <= depth <= 1 for depth in depths):
            raise ValueError(f"depths must lie in 0..1 and cross name at least one, got {self}")

    def cross_layers(self, num_layers: int) -> tuple[int, ...]:
        """Indices of the cross-attention layers, rising."""
        return tuple(sorted({_layer(depth, num_layers) for depth in self.cross}))

    def feature_layer(self, num_layers: int) -> int | None:
        """Index of the layer whose self-attention is sketched."""
        return None if self.features is None else _layer(self.features, num_layers)


def _layer(depth: float, num_layers: int) -> int:
    return min(int(depth * num_layers), num_layers - 1)


@dataclass(frozen=True, eq=False)
class Capture:
    """What one look sees of one video of the batch.

    Attributes:
        grid: Patches of the video.
        step: Denoising step.
        noise: Its noise level.
        layers: The cross-attention layers that were captured.
        probs: Attention mass on each noun's tokens, ``[L, H, G, F, Y, X]`` float32.
        features: Principal components of the self-attention, ``[F, H, N, 3]`` float32, if asked.
        feature_layer: The layer they come from.
        clean: Predicted clean latent, ``[C, F, y, x]`` float32, if known.
    """

    grid: VideoGrid
    step: int
    noise: float
    layers: tuple[int, ...]
    probs: Tensor
    features: Tensor | None = None
    feature_layer: int | None = None
    clean: Tensor | None = None


class Recorder:
    """Attention functions that record the conditional pass of the steps to be looked at.

    ``cross`` and ``self_attention`` are attached to the layers; the output is that of ``inner``,
    or of the model itself. Statistics are reduced at once and moved to the CPU, so a look costs
    ``L H G Q`` numbers of host memory and nothing on the device. In a joint attention the nouns are
    read off the video's rows of the whole softmax, and its block of video and video is sketched.

    Args:
        text: Nouns of the text keys.
        wanted: Steps to be recorded.
        inner: Attends in the cross-attention layers in place of the model.
        sketch: How self-attention is reduced.
        on_recorded: Called after every recorded cross-attention layer with this recorder and the
            moment; what it raises ends the run right there.
        layers: Cross-attention layers without any of which a look is refused.
    """

    def __init__(
        self,
        text: Text,
        wanted: Collection[int],
        inner: Attend | None = None,
        sketch: SketchSpec | None = None,
        on_recorded: Callable[[Recorder, Moment], None] | None = None,
        layers: Collection[int] = (),
    ) -> None:
        self._text = text
        self._wanted = frozenset(wanted)
        self._inner = inner
        self._sketch = sketch or SketchSpec()
        self._on_recorded = on_recorded
        self._layers = frozenset(layers)
        self._moment: Moment | None = None
        self._probs: dict[int, Tensor] = {}  # layer: [B, H, G, Q]
        self._features: tuple[int, list[Tensor]] | None = None  # layer, [F, H, N, 3] each

    def cross(
        self, query: Tensor, key: Tensor, value: Tensor, moment: Moment, stock: Attention
    ) -> Tensor:
        if self._records(moment):
            probs = self._text.reading(query, key, value, moment).probs()
            self._probs[moment.layer] = moment.share.whole(probs, dim=-1).cpu()
            if self._on_recorded is not None:
                self._on_recorded(self, moment)
        if self._inner is None:
            return stock(query, key, value)
        return self._inner(query, key, value, moment, stock)

    def self_attention(
        self, query: Tensor, key: Tensor, value: Tensor, moment: Moment, stock: Attention
    ) -> Tensor:
        if self._records(moment):
            videos = (
                video_tokens(conditional(moment.branch, tokens), moment) for tokens in (query, key)
            )
            # One video at a time, because the sketch needs all patches of it.
            whole = (
                [moment.share.whole(tokens[None], dim=1) for tokens in video]
                for video in zip(*videos, strict=True)
            )
            rows = [
                frame_features(one_query, one_key, moment.grid, self._sketch).cpu()
                for one_query, one_key in whole
            ]
            self._features = (moment.layer, rows)
        return stock(query, key, value)

    def captures(self, clean: Tensor | None = None, step: int | None = None) -> tuple[Capture, ...]:
        """One capture per batch row of the step recorded last.

        Args:
            clean: Predicted clean latents, ``[B, C, F, y, x]``, if known.
            step: The step that it must be.

        Raises:
            CaptureMissedError: If a layer was not recorded, e.g. because a cache skipped it.
            RanksDisagreeError: If ranks of a split transformer make different videos.
        """
        recorded = self._moment is not None and step in (None, self._moment.step)
        layers = tuple(sorted(self._probs)) if recorded else ()
        missed = sorted(self._layers.difference(layers))
        if self._moment is None or not layers or missed:
            which = f"layers {missed}" if layers else "none of the layers"
            raise CaptureMissedError(
                f"{which} to be looked at {'never ' if layers else ''}ran; disable the "
                "transformer's cache (disable_cache()) or choose a later look"
            )
        features = [] if self._features is None else self._features[1]
        if clean is not None:
            # What was gathered is the same on all ranks; this each of them has made by itself.
            self._moment.share.require_same(clean, *features)
        maps = torch.stack([self._probs[layer] for layer in layers])  # [L, B, H, G, Q]
        maps = maps.float().unflatten(-1, self._moment.grid.shape)
        return tuple(
            Capture(
                grid=self._moment.grid,
                step=self._moment.step,
                noise=self._moment.noise,
                layers=layers,
                probs=maps[:, row],
                features=None if self._features is None else self._features[1][row],
                feature_layer=None if self._features is None else self._features[0],
                clean=None if clean is None else clean[row].float().cpu(),
            )
            for row in range(maps.shape[1])
        )

    def _records(self, moment: Moment) -> bool:
        if not is_undisturbed(moment.branch) or moment.step not in self._wanted:
            return False
        if self._moment is None or self._moment.step != moment.step:
            self._moment = moment
            self._probs.clear()
            self._features = None
        return True

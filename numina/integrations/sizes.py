"""What a pipeline attends over, read from its configuration: no weights are touched."""

import inspect
import math
from dataclasses import dataclass
from typing import Any

from torch import nn

from numina.errors import UnsupportedModelError
from numina.integrations.adapter import Site
from numina.integrations.registry import adapter_for
from numina.video import VideoGrid

# What pipelines call the factors between pixels and latents.
_SPATIAL = ("vae_scale_factor_spatial", "vae_spatial_compression_ratio", "vae_spatial_scale_factor")
_TEMPORAL = (
    "vae_scale_factor_temporal",
    "vae_temporal_compression_ratio",
    "vae_temporal_scale_factor",
)


@dataclass(frozen=True)
class CallSize:
    """The size of a video, as a pipeline is called with it.

    Attributes:
        height: Pixels.
        width: Pixels.
        num_frames: Frames.
    """

    height: int
    width: int
    num_frames: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")


@dataclass(frozen=True)
class ModelSize:
    """What one attention layer of a transformer has.

    Attributes:
        layers: Blocks.
        heads: Heads of a layer.
        head_dim: Width of a head.
        joint: Whether text and video attend in one sequence.
        both_branches: Whether a forward pass holds both guidance branches.
        itemsize: Bytes of a number that attends.
    """

    layers: int
    heads: int
    head_dim: int
    joint: bool
    both_branches: bool
    itemsize: int


def model_size(transformer: nn.Module) -> ModelSize:
    """Read what attends in a transformer; it may lie on the meta device.

    Raises:
        UnsupportedModelError: If there is no adapter for it.
    """
    adapter = adapter_for(transformer)
    attention = adapter.module(transformer, Site(0, "cross"))
    heads, head_dim = adapter.head_shape(transformer)
    parameter = next(attention.parameters())
    return ModelSize(
        layers=adapter.num_layers(transformer),
        heads=heads,
        head_dim=head_dim,
        joint=attention is adapter.module(transformer, Site(0, "self")),
        both_branches=adapter.holds_both_branches(),
        # Stored in fewer bytes, weights are widened before anything attends.
        itemsize=max(parameter.dtype.itemsize, 2),
    )


def default_call_size(
    pipe: Any, height: int | None, width: int | None, num_frames: int | None
) -> CallSize:
    """What a call takes where it leaves a size out: the pipeline's own defaults.

    Raises:
        ValueError: If the pipeline has no default for what is left out.
    """
    config = pipe.transformer.config
    spatial, temporal = _factor(pipe, _SPATIAL), _factor(pipe, _TEMPORAL)
    sample_height, sample_width = (
        getattr(config, name, None) for name in ("sample_height", "sample_width")
    )
    otherwise = {
        "height": getattr(pipe, "default_height", None) or (sample_height or 0) * spatial,
        "width": getattr(pipe, "default_width", None) or (sample_width or 0) * spatial,
        "num_frames": _sample_frames(pipe, temporal),
    }
    parameters = inspect.signature(type(pipe).__call__).parameters
    found: dict[str, int] = {}
    for name, given in (("height", height), ("width", width), ("num_frames", num_frames)):
        default = parameters[name].default if name in parameters else None
        chosen = given if given is not None else default or otherwise[name]
        if chosen is None or (given is None and not chosen):
            raise ValueError(f"{name} must be given: {type(pipe).__name__} has no default for it")
        found[name] = chosen
    return CallSize(**found)


def latent_size(pipe: Any, size: CallSize) -> tuple[int, int, int]:
    """Frames, rows and columns of the latents of a video of ``size``.

    A length that the pipeline itself rounds up has one frame more.

    Raises:
        UnsupportedModelError: If the pipeline does not say how it scales pixels and frames.
    """
    spatial, temporal = _factor(pipe, _SPATIAL), _factor(pipe, _TEMPORAL)
    return (size.num_frames - 1) // temporal + 1, size.height // spatial, size.width // spatial


def latent_numbers(pipe: Any, size: CallSize) -> int:
    """Numbers in the latents of a video of ``size``.

    Raises:
        UnsupportedModelError: As ``latent_size``.
    """
    config = pipe.transformer.config
    channels = config.in_visual_dim if hasattr(config, "in_visual_dim") else config.in_channels
    return int(channels) * math.prod(latent_size(pipe, size))


def video_grid(pipe: Any, size: CallSize) -> VideoGrid:
    """The patches of a video of ``size``.

    Raises:
        UnsupportedModelError: As ``latent_size``.
        ValueError: If the video is smaller than a patch.
    """
    frames, rows, columns = latent_size(pipe, size)
    deep, high, wide = _patch(pipe.transformer.config)
    # CogVideoX 1.5 adds latent frames until its patches are whole.
    return VideoGrid(math.ceil(frames / deep), rows // high, columns // wide)


def _patch(config: Any) -> tuple[int, int, int]:
    """Latent frames, rows and columns of a patch."""
    side = config.patch_size
    if isinstance(side, int):
        return getattr(config, "patch_size_t", None) or 1, side, side
    deep, high, wide = side
    return deep, high, wide


def _factor(pipe: Any, names: tuple[str, ...]) -> int:
    for name in names:
        if hasattr(pipe, name):
            return int(getattr(pipe, name))
    raise UnsupportedModelError(
        f"{type(pipe).__name__} has none of {', '.join(names)}, so it is not known how many "
        "latents a video has"
    )


def _sample_frames(pipe: Any, temporal: int) -> int | None:
    """Frames that a model was trained on, as the pipelines that ask for it read it."""
    frames: int | None = getattr(pipe.transformer.config, "sample_frames", None)
    # Allegro counts them in latents.
    return frames * temporal if frames and "Allegro" in type(pipe).__name__ else frames

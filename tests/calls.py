"""What a short run of any family's pipeline is called with."""

from collections.abc import Mapping
from typing import Any

from diffusers import (
    Cosmos2_5_PredictBasePipeline,
    HunyuanVideo15Pipeline,
    LTX2Pipeline,
    SkyReelsV2ImageToVideoPipeline,
    WanImageToVideoPipeline,
)

from tests.tiny_cogvideox import wide_kwargs
from tests.tiny_kandinsky5 import ShortTemplate
from tests.tiny_wan import run_kwargs
from tests.tiny_wan_image import tiny_image

_WITH_IMAGE: Mapping[str, Any] = {"image": tiny_image(), "max_sequence_length": 512}
# What one kind of pipeline needs beside the arguments of all, or in their place.
_OWN: Mapping[type, Mapping[str, Any]] = {
    WanImageToVideoPipeline: _WITH_IMAGE,
    SkyReelsV2ImageToVideoPipeline: _WITH_IMAGE,
    # As many keys as the others have after padding: it pads none.
    ShortTemplate: {
        "prompt": "a video of three cats playing on the grass and two dogs in the park"
    },
    # Template and prompt share the keys.
    Cosmos2_5_PredictBasePipeline: {"max_sequence_length": 40},
    # Guided by the text alone; what the sound leaves out is as for the video.
    LTX2Pipeline: {
        "stg_scale": 0.0,
        "modality_scale": 1.0,
        "guidance_rescale": 0.0,
        "audio_guidance_scale": None,
        "audio_stg_scale": None,
        "audio_modality_scale": None,
        "audio_guidance_rescale": None,
    },
}


def short_call(pipe: Any, **changes: Any) -> dict[str, Any]:
    """``run_kwargs()`` for a pipeline."""
    return _for(pipe, run_kwargs(**{**_OWN.get(type(pipe), {}), **changes}))


def wide_call(pipe: Any, **changes: Any) -> dict[str, Any]:
    """``wide_kwargs()`` for a pipeline."""
    return _for(pipe, wide_kwargs(**{**_OWN.get(type(pipe), {}), **changes}))


def _for(pipe: Any, call: dict[str, Any]) -> dict[str, Any]:
    """The call without what is no argument of the pipeline, but a setting of its parts."""
    if isinstance(pipe, HunyuanVideo15Pipeline):
        pipe.guider.guidance_scale = call.pop("guidance_scale")
        del call["max_sequence_length"]
    return call

"""A tiny pipeline of every supported family, for the tests that hold for all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from diffusers import SkyReelsV2ImageToVideoPipeline
from diffusers.models.attention_processor import (
    AllegroAttnProcessor2_0,
    CogVideoXAttnProcessor2_0,
    MochiAttnProcessor2_0,
)
from diffusers.models.transformers.transformer_cosmos import CosmosAttnProcessor2_0
from diffusers.models.transformers.transformer_hunyuan_video import HunyuanVideoAttnProcessor2_0
from diffusers.models.transformers.transformer_hunyuan_video15 import (
    HunyuanVideo15AttnProcessor2_0,
)
from diffusers.models.transformers.transformer_kandinsky import Kandinsky5AttnProcessor
from diffusers.models.transformers.transformer_ltx import LTXVideoAttnProcessor
from diffusers.models.transformers.transformer_ltx2 import (
    LTX2AudioVideoAttnProcessor,
    LTX2PerturbedAttnProcessor,
)
from diffusers.models.transformers.transformer_skyreels_v2 import SkyReelsV2AttnProcessor
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from tests.tiny_allegro import tiny_allegro
from tests.tiny_cogvideox import tiny_cogvideox
from tests.tiny_cosmos import tiny_cosmos
from tests.tiny_hunyuan_video import tiny_hunyuan_video
from tests.tiny_hunyuan_video15 import tiny_hunyuan_video15
from tests.tiny_kandinsky5 import tiny_kandinsky5
from tests.tiny_ltx2 import tiny_ltx2
from tests.tiny_ltx_video import tiny_ltx_video
from tests.tiny_mochi import tiny_mochi
from tests.tiny_skyreels_v2 import tiny_skyreels_v2
from tests.tiny_wan import tiny_wan
from tests.tiny_wan_image import tiny_wan_image
from tests.tiny_wan_vace import tiny_wan_vace

STEPS, LAYERS = 4, 3


@dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes:
        build: Makes a tiny pipeline of `LAYERS` blocks, which runs with ``tiny_wan.run_kwargs()``.
        processor: What attends in it.
        forwards: Forward passes of a guided step, one for each branch.
        passes: Calls of the transformer that they are made in.
        fuses: Whether its projections can be fused.
        flow: Whether its scheduler moves latents ``[B, C, F, y, x]`` along a flow, none of them
            given.
        lists: Whether it makes several videos in a call.
    """

    build: Callable[[], Any]
    processor: type
    forwards: int = 2
    passes: int = 1
    fuses: bool = False
    flow: bool = True
    lists: bool = True


SEPARATE = {
    "wan": Family(tiny_wan, WanAttnProcessor, passes=2, fuses=True),
    **{
        f"wan-image-{variant}": Family(
            partial(tiny_wan_image, variant),
            WanAttnProcessor,
            passes=2,
            fuses=True,
            flow=variant == "2.1",
        )
        for variant in ("2.1", "2.2-5b")
    },
    "wan-vace": Family(tiny_wan_vace, WanAttnProcessor, passes=2, fuses=True, lists=False),
    "skyreels-v2": Family(tiny_skyreels_v2, SkyReelsV2AttnProcessor, passes=2, fuses=True),
    "skyreels-v2-image": Family(
        partial(tiny_skyreels_v2, SkyReelsV2ImageToVideoPipeline), SkyReelsV2AttnProcessor, passes=2
    ),
    "ltx-video": Family(tiny_ltx_video, LTXVideoAttnProcessor, fuses=True, flow=False),
    **{
        f"ltx-{version}": Family(
            partial(tiny_ltx2, version),
            LTX2AudioVideoAttnProcessor if version == "2.0" else LTX2PerturbedAttnProcessor,
            flow=False,
        )
        for version in ("2.0", "2.3")
    },
    "allegro": Family(tiny_allegro, AllegroAttnProcessor2_0, flow=False),
    "kandinsky-5": Family(tiny_kandinsky5, Kandinsky5AttnProcessor, passes=2, flow=False),
    "cosmos-1.0": Family(partial(tiny_cosmos, "1.0"), CosmosAttnProcessor2_0, passes=2, flow=False),
    "cosmos-2.5": Family(partial(tiny_cosmos, "2.5"), CosmosAttnProcessor2_0, passes=2),
}
JOINT = {
    **{
        f"cogvideox-{variant}": Family(
            partial(tiny_cogvideox, variant), CogVideoXAttnProcessor2_0, fuses=True, flow=False
        )
        for variant in ("2b", "5b", "1.5")
    },
    "hunyuan-video": Family(tiny_hunyuan_video, HunyuanVideoAttnProcessor2_0, forwards=1),
    "hunyuan-video-1.5": Family(tiny_hunyuan_video15, HunyuanVideo15AttnProcessor2_0, passes=2),
    "mochi": Family(tiny_mochi, MochiAttnProcessor2_0),
}
FAMILIES = {**SEPARATE, **JOINT}

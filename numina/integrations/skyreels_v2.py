"""SkyReels-V2: Wan's blocks in classes of its own, without diffusion forcing."""

from typing import Any

from diffusers.models.transformers import transformer_skyreels_v2 as skyreels
from torch import Tensor, nn

from numina.attend import Attend, Clock
from numina.errors import UnsupportedModelError
from numina.integrations.adapter import ForwardPass
from numina.integrations.seam import require_stock
from numina.integrations.wan import GuidedWanProcessor, WanAdapter
from numina.video import VideoGrid


class SkyReelsV2Adapter(WanAdapter):
    """Transformers of SkyReels-V2, from text or from an image as well."""

    def grid(self, transformer: nn.Module, forward: ForwardPass) -> VideoGrid:
        if forward.arguments.get("enable_diffusion_forcing"):
            raise UnsupportedModelError(
                "diffusion forcing gives every frame a noise level of its own, which guidance "
                "could not follow; use SkyReelsV2Pipeline or SkyReelsV2ImageToVideoPipeline"
            )
        return super().grid(transformer, forward)

    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        require_stock(stock, (skyreels.SkyReelsV2AttnProcessor,), layer)
        return GuidedSkyReelsV2Processor(stock, attend, clock, layer)


class GuidedSkyReelsV2Processor(GuidedWanProcessor, skyreels.SkyReelsV2AttnProcessor):
    """``SkyReelsV2AttnProcessor`` whose scores and softmax are computed by an ``Attend``."""

    projections = staticmethod(skyreels._get_qkv_projections)
    image_projections = staticmethod(skyreels._get_added_kv_projections)

    # Attention.forward drops keyword arguments that are not in this signature.
    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        if attention_mask is not None:
            raise UnsupportedModelError(
                f"layer {self.layer} attends in causal blocks of frames, which guidance could not "
                "follow; use a model of SkyReels-V2 with num_frame_per_block 1"
            )
        return super().__call__(attn, hidden_states, encoder_hidden_states, None, rotary_emb)


ADAPTERS: dict[type[nn.Module], type[SkyReelsV2Adapter]] = {
    skyreels.SkyReelsV2Transformer3DModel: SkyReelsV2Adapter
}

"""generate() on a transformer with a LoRA."""

import pytest
import torch
from peft import LoraConfig

from tests.calls import wide_call
from tests.combinations.ways import counts_are_kept
from tests.families import FAMILIES

pytestmark = pytest.mark.slow

# One model of each family but Allegro, whose transformer takes none.
WITH_LORA = (
    "wan",
    "wan-image-2.1",
    "wan-vace",
    "skyreels-v2",
    "cogvideox-5b",
    "hunyuan-video",
    "hunyuan-video-1.5",
    "ltx-video",
    "ltx-2.0",
    "mochi",
    "kandinsky-5",
    "cosmos-2.5",
)


@pytest.mark.parametrize("name", WITH_LORA)
def test_counts_are_kept_with_a_lora(name):
    pipe = FAMILIES[name].build()
    bare = pipe(**wide_call(pipe)).frames
    # With weights of Gauss in both factors, or the second would be zero and the LoRA nothing.
    projections = ["to_q", "to_k", "to_v", "to_out.0", "to_query", "to_key", "to_value"]
    config = LoraConfig(r=2, target_modules=projections, init_lora_weights=False)
    pipe.transformer.add_adapter(config)
    assert not torch.equal(pipe(**wide_call(pipe)).frames, bare)
    counts_are_kept(pipe)


def test_diffusers_has_no_lora_for_allegro():
    assert not hasattr(FAMILIES["allegro"].build().transformer, "add_adapter")

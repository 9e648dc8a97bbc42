"""generate() on a transformer with a LoRA."""

import pytest
import torch
from peft import LoraConfig

from tests.combinations.ways import counts_are_kept
from tests.families import FAMILIES
from tests.tiny_cogvideox import wide_kwargs


@pytest.mark.parametrize("name", ["wan", "cogvideox-5b", "hunyuan-video"])
def test_counts_are_kept_with_a_lora(name):
    pipe = FAMILIES[name].build()
    bare = pipe(**wide_kwargs()).frames
    # With weights of Gauss in both factors, or the second would be zero and the LoRA nothing.
    projections = ["to_q", "to_k", "to_v", "to_out.0"]
    config = LoraConfig(r=2, target_modules=projections, init_lora_weights=False)
    pipe.transformer.add_adapter(config)
    assert not torch.equal(pipe(**wide_kwargs()).frames, bare)
    counts_are_kept(pipe)

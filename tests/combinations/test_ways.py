"""generate() on pipelines that are offloaded, cast, fused or attend through another backend."""

import pytest
import torch

from tests.combinations.ways import WAYS, counts_are_kept
from tests.families import FAMILIES
from tests.pipeline.wide_runs import Finds, counted, left_as_it_was

pytestmark = pytest.mark.slow

# Every way on one family of each kind; of the other families, one model each.
WHOLE = ("wan", "cogvideox-5b")
OTHERS = (
    "wan-image-2.1",
    "wan-vace",
    "skyreels-v2",
    "hunyuan-video",
    "hunyuan-video-1.5",
    "ltx-video",
    "ltx-2.0",
    "mochi",
    "allegro",
    "kandinsky-5",
    "cosmos-1.0",
    "cosmos-2.5",
)
# Offloaded in groups of leaves or of blocks, in turns.
BY_LEAVES = ("hunyuan-video", "cogvideox-2b", "wan-vace", "skyreels-v2", "ltx-2.0", "kandinsky-5")
TURNS = {
    "model_offload": OTHERS,
    "sequential_offload": OTHERS,
    "block_offload": tuple(name for name in OTHERS if name not in BY_LEAVES),
    "leaf_offload": BY_LEAVES,
    "layerwise_casting": (*OTHERS, "cogvideox-1.5"),
    "fused_projections": tuple(name for name in OTHERS if FAMILIES[name].fuses),
    "native_backend": (),
    "math_backend": ("ltx-video", "hunyuan-video", "hunyuan-video-1.5", "mochi", "kandinsky-5"),
}


@pytest.mark.parametrize(
    ("way", "name"), [(way, name) for way in WAYS for name in (*WHOLE, *TURNS[way])]
)
def test_counts_are_kept_however_the_pipeline_runs(way, name):
    pipe = FAMILIES[name].build()
    WAYS[way](pipe)
    counts_are_kept(pipe)


@pytest.mark.parametrize("way", WAYS)
def test_a_way_may_be_taken_between_two_calls(way):
    """Nothing of the call before is in the way of what is installed after it."""
    pipe = FAMILIES["wan"].build()
    assert counted(pipe, Finds(found=(2,)), "one-pass").report.decision == "guided"
    WAYS[way](pipe)
    with left_as_it_was(pipe):
        assert counted(pipe, Finds(found=(2,)), "one-pass").report.decision == "guided"


@pytest.mark.parametrize("way", ["enable_model_cpu_offload", "enable_sequential_cpu_offload"])
@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
def test_diffusers_itself_offloads_to_an_accelerator_alone(way):
    """Why the tests have stand-ins for it."""
    with pytest.raises(RuntimeError, match="requires accelerator"):
        getattr(FAMILIES["wan"].build(), way)()

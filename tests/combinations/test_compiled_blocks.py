"""generate() on a transformer whose blocks are compiled: what is compiled, and how often."""

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch._dynamo.utils import counters

from tests.calls import wide_call
from tests.combinations.ways import counts_are_kept
from tests.families import FAMILIES
from tests.pipeline.wide_runs import Finds, counted

# One model of each family of which diffusers compiles the blocks.
WITH_BLOCKS = (
    "wan",
    "wan-image-2.1",
    "wan-vace",
    "skyreels-v2",
    "hunyuan-video",
    "hunyuan-video-1.5",
    "ltx-video",
    "ltx-2.0",
    "kandinsky-5",
)


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_compiled_blocks_are_guided_and_compiled_once(name):
    """As many graphs again as the plain run has, for the blocks with our processors."""
    pipe = FAMILIES[name].build()
    # Traced as for any backend; what "eager" leaves out is the compiler of kernels.
    compiler = CompileCounterWithBackend("eager")
    pipe.transformer.compile_repeated_blocks(fullgraph=True, dynamic=True, backend=compiler)
    pipe(**wide_call(pipe))
    plain = compiler.frame_count
    counts_are_kept(pipe)
    assert not counters["graph_break"]

    # Neither more steps nor another guidance compiles anything anew.
    compiled = compiler.frame_count
    video = counted(pipe, Finds(found=(2,)), "one-pass", num_inference_steps=8)
    assert video.report.decision == "guided"
    assert compiler.frame_count == compiled <= 2 * plain


@pytest.mark.parametrize("name", ["cogvideox-5b", "mochi", "allegro", "cosmos-2.5"])
def test_diffusers_names_no_repeated_blocks_of_others(name):
    pipe = FAMILIES[name].build()
    with pytest.raises(ValueError, match="_repeated_blocks"):
        pipe.transformer.compile_repeated_blocks(backend="eager")

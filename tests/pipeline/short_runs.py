"""Short counted runs of a tiny pipeline, shared by the tests of generate()."""

from numina.pipeline import generate
from tests.pipeline.given import Given
from tests.tiny_wan import run_kwargs

STEPS, LAYERS = 4, 3
# Noise levels of 4 steps at shift 3: 1, .9, .75, .5; so a look at .9 is at step 1.
LOOK = 1


def arguments(**changes):
    # 96 x 96 pixels are 6 x 6 patches: room for a few instances and the gaps between them.
    return run_kwargs(height=96, width=96, output_type="latent", **changes)


def plain(pipe, **changes):
    return pipe(**arguments(**changes)).frames


def counted(pipe, found, counts=None, **changes):
    options = {key: changes.pop(key) for key in ("mode", "rounds", "on_oom") if key in changes}
    call = arguments(**changes)
    prompt = call.pop("prompt")
    wish = {"cats": 3} if counts is None else counts
    return generate(pipe, prompt, counts=wish, preset=Given(found=found), **options, **call)


def is_clean(pipe):
    """Whether nothing of ours is left on the pipeline."""
    transformer = pipe.transformer
    kinds = {type(processor).__name__ for processor in transformer.attn_processors.values()}
    return (
        kinds == {"WanAttnProcessor"}
        and "cache_context" not in vars(transformer)
        and "encode_prompt" not in vars(pipe)
        and not transformer._forward_hooks
        and not transformer._forward_pre_hooks
        and pipe._progress_bar_config == {"disable": True}
    )

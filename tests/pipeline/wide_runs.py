"""Counted runs of any family's tiny pipeline, and what each of them must leave as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from numina.pipeline import generate
from tests.calls import wide_call
from tests.integrations.seam_runs import processors
from tests.pipeline.given import Given

# Half of Mochi's steps lie above .97; every family has a step below this and one behind it.
LOOK = 0.98


@dataclass(frozen=True)
class Finds(Given):
    """Looks as soon as every family can be looked at."""

    verdict: float = LOOK
    looks: tuple[float, ...] = (LOOK,)


def counted(pipe, preset, mode, **changes):
    call = wide_call(pipe, **changes)
    prompt = call.pop("prompt")
    counts = "auto" if isinstance(prompt, list) else {"cats": 3}
    return generate(pipe, prompt, counts=counts, preset=preset, mode=mode, **call)


@contextmanager
def left_as_it_was(pipe, **changes) -> Iterator[torch.Tensor]:
    """The plain video. After the block, the pipeline must be as before and make it again."""
    before, plain = processors(pipe), pipe(**wide_call(pipe, **changes)).frames
    yield plain
    assert processors(pipe) == before
    assert "cache_context" not in vars(pipe.transformer)
    assert "encode_prompt" not in vars(pipe)
    assert torch.equal(pipe(**wide_call(pipe, **changes)).frames, plain)

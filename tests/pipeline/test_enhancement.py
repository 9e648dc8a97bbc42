"""Rewritten prompts: drawn as rewritten, counted as given."""

import pytest
import torch

from numina.errors import PromptError, TargetError
from numina.pipeline import generate
from numina.searching import search
from tests.pipeline.given import Given
from tests.pipeline.short_runs import arguments, plain

PROMPT = "three cats"


def enhance(prompt):
    return f"a video of {prompt} playing with two dogs on the grass"


def run(pipe, found, prompt=PROMPT, enhance=enhance, counts="auto", **changes):
    call = arguments(**changes)
    call.pop("prompt")
    return generate(pipe, prompt, counts=counts, preset=Given(found=found), enhance=enhance, **call)


def test_the_rewritten_prompt_is_drawn(pipe):
    video = run(pipe, (3,))
    assert torch.equal(video.frames, plain(pipe, prompt=enhance(PROMPT)))
    assert video.report.prompt == enhance(PROMPT)


def test_counts_are_those_of_the_prompt_as_given(pipe):
    (target,) = run(pipe, (3,)).report.targets
    assert (target.noun, target.count) == ("cats", 3)
    (start, stop) = target.spans[0]
    assert enhance(PROMPT)[start:stop] == "cats"


def test_given_counts_name_the_prompt_as_given(pipe):
    (target,) = run(pipe, (4,), counts={"cats": 4}).report.targets
    assert target.count == 4
    with pytest.raises(TargetError, match="dogs"):
        run(pipe, (4,), counts={"dogs": 2})


def test_each_prompt_of_a_list_is_rewritten(pipe):
    video = run(pipe, (3, 2), prompt=["three cats", "two dogs"])
    assert [report.prompt for report in video.reports] == [
        enhance("three cats"),
        enhance("two dogs"),
    ]


def test_a_prompt_without_counts_is_drawn_as_rewritten(pipe):
    video = run(pipe, (3,), prompt="cats on the grass", enhance=lambda prompt: f"two {prompt}")
    assert torch.equal(video.frames, plain(pipe, prompt="two cats on the grass"))
    assert video.report.decision == "continued"


@pytest.mark.parametrize(
    ("written", "complaint"),
    [("a video of dogs", "no longer names"), ("", "must return a text"), (None, "must return a")],
)
def test_a_rewriting_that_loses_the_count_is_refused(pipe, written, complaint):
    with pytest.raises(PromptError, match=complaint):
        run(pipe, (3,), enhance=lambda _: written)


def test_a_search_rewrites_once(pipe):
    calls = []

    def noted(prompt):
        calls.append(prompt)
        return enhance(prompt)

    call = arguments()
    call.pop("prompt"), call.pop("generator")
    video = search(pipe, PROMPT, preset=Given(found=(2, 3)), enhance=noted, **call)
    assert calls == [PROMPT]
    assert video.report.prompt == enhance(PROMPT)

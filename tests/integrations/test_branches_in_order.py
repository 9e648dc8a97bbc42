"""Families whose branches have passes of their own that nothing announces: told by their order."""

import pytest

from numina.integrations import Site
from tests.families import FAMILIES, STEPS
from tests.integrations.seam_runs import moments


@pytest.fixture(params=["kandinsky-5", "cosmos-1.0", "cosmos-2.5"])
def pipe(request):
    return FAMILIES[request.param].build()


def test_the_conditional_pass_comes_first_and_nothing_says_so(pipe):
    seen = moments(pipe, Site(0, "cross"))
    assert [(m.step, m.branch) for m in seen] == [
        (step, branch) for step in range(STEPS) for branch in ("cond", "uncond")
    ]
    assert {m.grid.shape for m in seen} == {(3, 2, 2)}


def test_without_a_scale_every_pass_is_conditional(pipe):
    seen = moments(pipe, Site(0, "cross"), guidance_scale=1.0)
    assert [(m.step, m.branch) for m in seen] == [(step, "cond") for step in range(STEPS)]

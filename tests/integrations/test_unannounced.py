"""Passes that no cache_context announces: followed where it is clear what they are."""

import pytest
import torch
from torch import Tensor, nn

from numina.errors import AlreadyGuidedError, UnsupportedModelError
from numina.integrations import Site, attached
from numina.integrations.wan import WanAdapter
from numina.video import VideoGrid


class Attention(nn.Module):
    """Attends to nothing, but through a processor."""

    processor = staticmethod(lambda: None)

    def set_processor(self, processor) -> None:
        self.processor = processor


class Bare(nn.Module):
    """A transformer without a cache: it has no ``cache_context``."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()

    def forward(self, hidden_states: Tensor, timestep: Tensor) -> tuple[Tensor]:
        self.attention.processor()
        return (hidden_states,)


class BareAdapter(WanAdapter):
    def num_layers(self, transformer):
        return 1

    def module(self, transformer, site):
        return transformer.attention

    def grid(self, transformer, forward):
        return VideoGrid(*forward.latents.shape[2:])

    def processor(self, stock, attend, clock, layer):
        return lambda: attend(None, None, None, clock.now(layer), None)


def run(passes):
    """The moments of forward passes, each given by its rows and its timestep."""
    seen, transformer = [], Bare()

    def record(query, key, value, moment, stock):
        seen.append((moment.step, moment.branch, moment.noise))

    with attached(transformer, {Site(0, "cross"): record}, BareAdapter()) as clock:
        for rows, timestep in passes:
            # By position: nothing says the names.
            transformer(torch.zeros(rows, 4, 1, 2, 2), torch.tensor([timestep]))
    assert not vars(transformer).get("cache_context")
    return seen, clock.forwards


def test_two_rows_are_both_branches_and_each_pass_is_a_step():
    seen, forwards = run([(2, 750.0), (2, 250.0)])
    assert seen == [(0, "both", 0.75), (1, "both", 0.25)]
    assert forwards == 4


def test_one_row_is_the_conditional_branch():
    seen, forwards = run([(1, 750.0), (1, 250.0)])
    assert seen == [(0, "cond", 0.75), (1, "cond", 0.25)]
    assert forwards == 2


def test_branches_in_passes_of_their_own_are_refused():
    with pytest.raises(UnsupportedModelError, match=r"2 forward passes at timestep 750 .*announ"):
        run([(1, 750.0), (1, 750.0)])


def test_a_second_holder_is_refused_all_the_same():
    transformer = Bare()
    with (
        attached(transformer, {}, BareAdapter()),
        pytest.raises(AlreadyGuidedError, match="already guided"),
        attached(transformer, {}, BareAdapter()),
    ):
        pass
    with attached(transformer, {}, BareAdapter()):
        pass

"""The look at free memory before anything of a run is spent, with a stand-in for the device."""

import re
from dataclasses import replace

import pytest
import torch

from numina.attention.accounting import Machine, RunSize
from numina.errors import OutOfMemoryError
from numina.generation import headroom
from numina.generation.headroom import needed_bytes
from numina.integrations import Site
from numina.memory import free_bytes
from numina.methods.observing import Observing
from numina.methods.paper import Paper
from numina.methods.robust import Robust
from numina.pipeline import generate
from numina.searching import search
from numina.video import VideoGrid
from numina_kernels.impl import Impl
from tests.families import FAMILIES, LAYERS
from tests.pipeline.short_runs import arguments, counted, is_clean, plain
from tests.pipeline.wide_runs import Finds
from tests.pipeline.wide_runs import counted as counted_wide
from tests.tiny_wan import tiny_wan

GPU = Machine(Impl.TRITON, "cuda")
COGVIDEOX = RunSize(
    grid=VideoGrid(13, 30, 45),
    text=226,
    heads=48,
    head_dim=64,
    layers=42,
    joint=True,
    both_branches=True,
)


@pytest.fixture
def pipe():
    return tiny_wan()


@pytest.fixture
def free(monkeypatch):
    """Sets what the device has left, and counts how often it is asked."""

    class Device:
        left: int | None = None
        asked = 0

        def __call__(self, device: torch.device) -> int | None:
            self.asked += 1
            return self.left

    device = Device()
    monkeypatch.setattr(headroom, "free_bytes", device)
    return device


def layers_run(pipe) -> list[int]:
    """Grows by one with every attention layer that runs."""
    ran: list[int] = []
    for block in pipe.transformer.blocks:
        block.attn2.register_forward_hook(lambda *_: ran.append(1))
    return ran


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_what_cannot_fit_is_refused_in_the_first_layer(pipe, free, mode):
    free.left, ran = 10_000, layers_run(pipe)
    with pytest.raises(OutOfMemoryError, match="3 x 6 x 6 patches with 1 counted nouns") as refusal:
        counted(pipe, (2, 3), mode=mode)
    assert len(ran) == 0
    told = str(refusal.value)
    assert re.search(r"needs \d+ MiB on cpu, but 0 MiB are free", told)
    assert "enable_model_cpu_offload" in told
    assert "half as many frames" in told
    assert 'on_oom="unguided"' in told
    assert is_clean(pipe)


def test_unguided_on_request_where_it_cannot_fit(pipe, free):
    free.left = 10_000
    with pytest.warns(UserWarning, match="running plainly"):
        video = counted(pipe, (2, 3), on_oom="unguided")
    assert video.report.decision == "unguided"
    assert torch.equal(video.frames, plain(pipe))


def test_a_search_is_refused_as_well(pipe, free):
    free.left = 10_000
    call = arguments()
    del call["generator"]
    with pytest.raises(OutOfMemoryError, match="but 0 MiB are free"):
        search(pipe, call.pop("prompt"), seeds=[1], **call)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_fits_runs_and_is_asked_for_once(name, free):
    """Free is what a layer needs by the account itself: the very limit."""
    pipe, limits = FAMILIES[name].build(), []
    stock = headroom.needed_bytes

    def watched(*arguments):
        limits.append(stock(*arguments))
        return limits[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headroom, "needed_bytes", watched)
        free.left = 1 << 40
        counted_wide(pipe, Finds(found=(2, 3)), "one-pass")
        (needed,) = limits
        assert free.asked == 1
        free.left = needed
        assert counted_wide(pipe, Finds(found=(2, 3)), "one-pass").report.decision == "guided"
        free.left = needed - 1
        with pytest.raises(OutOfMemoryError):
            counted_wide(pipe, Finds(found=(2, 3)), "one-pass")


def test_where_nobody_knows_what_is_free_nothing_is_refused(pipe, free):
    assert free.left is None
    assert counted(pipe, (2, 3)).report.decision == "guided"
    assert free_bytes(torch.device("cpu")) is None


def test_a_prompt_without_counts_is_not_asked_about(pipe, free):
    free.left = 0
    call = arguments(prompt="grass in the wind")
    generate(pipe, call.pop("prompt"), **call)
    assert free.asked == 0


def test_only_the_first_site_is_wrapped(free):
    def attend(*_):
        raise AssertionError

    sites = [Site(layer, "cross") for layer in (2, 0, 1)]
    wrapped = headroom.with_headroom(dict.fromkeys(sites, attend), None, Robust(), LAYERS)
    assert [wrapped[site] is attend for site in sites] == [True, False, True]
    assert headroom.with_headroom({}, None, Robust(), LAYERS) == {}


def test_joined_rows_are_what_a_guided_layer_of_both_branches_needs():
    """17,776 tokens of 48 heads of 64 in bfloat16 are 104 MiB; two rows are made and joined."""
    needed = needed_bytes(COGVIDEOX, GPU, Robust())
    rows = 17_776 * 48 * 64 * 2
    assert 4 * rows <= needed <= 1.02 * 4 * rows
    apart = needed_bytes(replace(COGVIDEOX, both_branches=False), GPU, Robust())
    assert rows <= apart <= 1.1 * rows


def test_who_only_looks_needs_no_room_for_guidance():
    assert needed_bytes(COGVIDEOX, GPU, Observing(Robust())) < 10 << 20


def test_head_statistics_need_room_of_their_own_and_another_preset_does_without(free):
    pipe = tiny_wan()
    free.left = 100
    with pytest.raises(OutOfMemoryError, match='preset="robust", which sketches no maps'):
        counted_wide(pipe, "paper", "restart", num_inference_steps=8)
    apart = replace(COGVIDEOX, both_branches=False)
    observing = needed_bytes(apart, GPU, Observing(Robust()))
    assert needed_bytes(apart, GPU, Observing(Paper())) > 5 * observing


def test_only_what_helps_is_advised(pipe, free):
    free.left = 10_000
    with pytest.raises(OutOfMemoryError) as refusal:
        counted(pipe, (2, 3))
    assert "one video at a time" not in str(refusal.value)
    assert "counting one noun" not in str(refusal.value)

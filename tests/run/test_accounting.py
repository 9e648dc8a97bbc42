"""What is accounted for against what is really held, in a layer of every family."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from numina.attention.accounting import (
    Machine,
    RunSize,
    guidance_peak,
    look_host_peak,
    look_peak,
    plan_peak,
    sketch_peak,
)
from numina.attention.capture import Recorder
from numina.attention.guide import Guide
from numina.attention.text import Text
from numina.estimating import estimate
from numina.guidance.whole_layout import ClassTargets, RobustPlan
from numina.identify.sketch import SketchSpec
from numina.integrations import Site
from numina.integrations.sizes import model_size
from numina.layout import Layout, LayoutEdit
from numina.methods.robust import Robust
from numina_kernels import KeyGroups
from numina_kernels.impl import Impl
from tests.calls import short_call
from tests.families import FAMILIES, LAYERS
from tests.held_bytes import most_held
from tests.integrations.seam_runs import Seen, seen_at
from tests.tiny_cogvideox import TEXT_KEYS

# Of what the C++ allocates torch knows nothing.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("only_eager")]

SAMPLES = ClassTargets().samples
EAGER = Machine(Impl.EAGER, "cpu")
# 12 x 12 patches a frame, so that what grows with them outgrows the odd number here and there. The
# positions of CogVideoX 1.5 are made for one size.
SIDES = {"ltx-video": 224, "cogvideox-1.5": 96}
SIDE = 192
# An accounted sum takes every part at its largest, and never are all of them alive at once.
SLACK = 3.0


@dataclass(frozen=True)
class Layer:
    """One layer of a run, and what numina knows of it beforehand."""

    seen: Seen
    size: RunSize
    text: Text

    @property
    def call(self) -> tuple[Any, ...]:
        """In half precision, as large models run: float32 is laid out as it must be already."""
        return (*(x.bfloat16() for x in self.seen.tokens), self.seen.moment)


def stub(query, key, value):
    """Attention that allocates its output and nothing else, as a fused one does."""
    return torch.empty_like(query)


def positions(nouns: int) -> list[list[int]]:
    return [[3 + 2 * noun, 4 + 2 * noun] for noun in range(nouns)]


@pytest.fixture(scope="module", params=FAMILIES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def pipe(name) -> Any:
    return FAMILIES[name].build()


@pytest.fixture(scope="module")
def frame(name) -> dict[str, int]:
    side = SIDES.get(name, SIDE)
    return {"height": side, "width": side}


@pytest.fixture(scope="module", params=[1, 3], ids=["one-noun", "three-nouns"])
def layer(request, pipe, frame) -> Layer:
    keys = short_call(pipe).get("max_sequence_length", TEXT_KEYS)
    sizes = {**frame, "num_frames": 9, "max_sequence_length": keys}
    told = estimate(pipe, nouns=request.param, num_inference_steps=4, **sizes)
    seen, _ = seen_at(pipe, [Site(1, "cross")], **frame)
    conditional = next(each for each in seen if each.moment.branch != "uncond")
    text = Text(KeyGroups.from_positions(positions(request.param), keys))
    return Layer(conditional, replace(told.size, itemsize=2), text)


def test_the_size_is_that_of_the_run(layer):
    query, key, _, moment = layer.call
    size = layer.size
    assert size.grid == moment.grid
    assert (size.heads, size.head_dim) == query.shape[2:]
    assert size.tokens == query.shape[1]
    assert size.keys == key.shape[1]
    assert size.joint == (moment.joint is not None)
    assert size.both_branches == (moment.branch == "both")
    assert size.layers == LAYERS
    assert size.output_bytes == query.nbytes / (2 if size.both_branches else 1)


def test_numbers_are_at_least_of_16_bits_however_the_weights_are_stored():
    transformer = FAMILIES["wan"].build().transformer
    stored = [torch.float32, torch.bfloat16, torch.float8_e4m3fn]
    assert [model_size(transformer.to(dtype)).itemsize for dtype in stored] == [4, 2, 2]


def test_a_look_holds_what_is_accounted_for(layer):
    query, key, value, moment = layer.call
    recorder = Recorder(layer.text, {moment.step})
    held = most_held(lambda: recorder.cross(query, key, value, moment, lambda *_: query))
    accounted = look_peak(layer.size, EAGER).bytes
    assert held <= accounted <= SLACK * held


def test_a_guided_layer_holds_what_is_accounted_for(layer):
    query, key, value, moment = layer.call
    guide = guiding(layer)
    # The tensor of the strength is made once.
    guide(query, key, value, moment, stub)
    held = most_held(lambda: guide(query, key, value, moment, stub))
    output = layer.size.output_bytes * (2 if layer.size.both_branches else 1)
    accounted = guidance_peak(layer.size, EAGER, SAMPLES).bytes + output
    assert held <= accounted <= SLACK * held


def guiding(layer: Layer) -> Guide:
    guide = Guide(layer.text, lambda _: 1.0)
    guide.enforce(plan_of(layer))
    return guide


def plan_of(layer: Layer) -> RobustPlan:
    """Kept instances wide enough that as many patches are sampled as may ever be."""
    grid, nouns = layer.size.grid, layer.size.nouns
    stripes = np.arange(grid.columns) * (nouns + 1) // grid.columns
    layout = Layout(np.broadcast_to(stripes, grid.shape).astype(np.int16), tuple(range(nouns)))
    return RobustPlan([LayoutEdit(layout, layout)], nouns)


def test_a_plan_holds_what_is_accounted_for(layer):
    plan = plan_of(layer)
    held = sum(part.nbytes for part in (plan._classes, plan._sample, plan._sampled))
    assert held <= plan_peak(layer.size, SAMPLES).bytes <= SLACK * held


def test_sketching_holds_what_is_accounted_for(layer, pipe, frame):
    moment = layer.seen.moment
    seen, _ = seen_at(pipe, [Site(1, "self")], **frame)
    one = next(each for each in seen if each.moment.branch != "uncond")
    recorder = Recorder(layer.text, {moment.step})
    halved = [x.bfloat16() for x in one.tokens]
    held = most_held(lambda: recorder.self_attention(*halved, one.moment, lambda *_: one.query))
    accounted = sketch_peak(layer.size, EAGER, SketchSpec()).bytes
    assert held <= accounted <= SLACK * held


def test_making_sense_of_a_look_holds_what_is_accounted_for(layer):
    query, key, value, moment = layer.call
    recorder = Recorder(layer.text, {moment.step})
    for index in range(LAYERS):
        there = replace(moment, layer=index)
        recorder.cross(query, key, value, there, lambda *_: query)
    method = Robust(evidence="attention")

    def look():
        return [method.identify(capture) for capture in recorder.captures()]

    held = most_held(look)
    # What the recorder keeps was allocated before.
    kept = layer.size.maps * LAYERS * (4 if layer.size.joint else 2)
    accounted = look_host_peak(layer.size, LAYERS).bytes - kept
    assert held <= accounted <= SLACK * held

"""Looking and guiding where the model masks the padding of its text: LTX-Video and Allegro."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from numina.attend import Moment
from numina.attention.capture import Recorder
from numina.integrations import Site
from tests.run.given_nouns import NOUNS, attend_with, guide, text
from tests.tiny_allegro import tiny_allegro
from tests.tiny_cogvideox import TEXT_KEYS, wide_kwargs
from tests.tiny_ltx_video import tiny_ltx_video

LAYER, LAYERS, STEP = 1, 3, 2
SITE = Site(LAYER, "cross")


@pytest.fixture(params=[tiny_ltx_video, tiny_allegro], ids=["ltx-video", "allegro"])
def pipe(request):
    return request.param()


@dataclass(frozen=True, eq=False)
class Layer:
    """What one layer attended to: unconditional and conditional rows, and the model's own way."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    moment: Moment
    stock: Any

    def probs(self, row: int) -> torch.Tensor:
        """The whole map of a row under the mask, ``[H, Q, K]`` float64."""
        query, key = self.query[row].double(), self.key[row].double()
        scores = torch.einsum("qhd,khd->hqk", query * query.shape[-1] ** -0.5, key)
        return (scores + self.moment.key_offset[row]).softmax(-1)


@pytest.fixture
def layer(pipe) -> Layer:
    seen = {}

    def record(query, key, value, moment, stock):
        seen[moment.step] = Layer(query.clone(), key.clone(), value.clone(), moment, stock)
        return stock(query, key, value)

    attend_with(pipe, {SITE: record})
    return seen[STEP]


def test_capturing_is_bit_identical_and_sees_the_masked_softmax(pipe, layer):
    plain = pipe(**wide_kwargs()).frames
    recorder = Recorder(text(), wanted={STEP})
    captured = attend_with(
        pipe, {SITE: recorder.cross, Site(LAYER, "self"): recorder.self_attention}
    )
    assert torch.equal(captured, plain)

    (capture,) = recorder.captures()
    probs = layer.probs(row=1)
    assert int((layer.moment.key_offset[1] < 0).sum()) > 0
    nouns = torch.stack([probs[..., list(noun)].sum(-1) for noun in NOUNS], dim=1)
    seen = capture.probs[0].flatten(-3).double()
    torch.testing.assert_close(seen, nouns, atol=1e-3, rtol=1e-3)
    # Without the mask the padding would take its share.
    assert float(probs[..., layer.moment.key_offset[1] < 0].max()) == 0.0
    assert capture.features.isfinite().all()


def test_the_models_own_attention_serves_the_first_rows_alone(layer):
    whole = layer.stock(layer.query, layer.key, layer.value)
    first = layer.stock(layer.query[:1], layer.key[:1], layer.value[:1])
    torch.testing.assert_close(first, whole[:1])
    # The mask is of use: as many keys of the other row would give another result.
    swapped = layer.stock(layer.query[1:], layer.key[1:], layer.value[1:])
    assert not torch.allclose(swapped, whole[1:], atol=1e-4)


def test_strong_suppression_removes_a_noun_in_its_region_and_nowhere_else(layer):
    patches = 20
    # Values that tell a key: what comes out is the probability of each noun, and of the padding.
    value = torch.zeros_like(layer.value)
    for noun, tokens in enumerate(NOUNS):
        value[:, list(tokens), :, noun] = 1.0
    value[..., 2] = (layer.moment.key_offset < 0).float()[..., None]
    seen = guide(patches)(layer.query, layer.key, value, layer.moment, layer.stock)
    plain = layer.stock(layer.query, layer.key, value)

    torch.testing.assert_close(seen[0], plain[0], atol=1e-6, rtol=1e-5)
    assert float(seen[..., 2].abs().max()) == 0.0
    first, second = (seen[1, ..., noun] for noun in range(2))
    assert float(first[:patches].max()) == 0.0
    # The rest of a row takes over what the noun lost, in proportion.
    kept = plain[1, :patches, :, 1] / (1 - plain[1, :patches, :, 0])
    torch.testing.assert_close(second[:patches], kept, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(seen[1, patches:], plain[1, patches:], atol=1e-6, rtol=1e-5)


def test_a_masked_text_is_never_folded(layer):
    nouns = text()
    nouns.measure(torch.zeros(1, TEXT_KEYS, 3))
    reading = nouns.reading(layer.query, layer.key, layer.value, layer.moment)
    assert reading.text.key.shape[1] == TEXT_KEYS
    assert torch.equal(reading.text.key_offset, layer.moment.key_offset[1:])


def test_a_strength_of_zero_is_bit_identical(pipe):
    plain = pipe(**wide_kwargs()).frames
    for strength, same in ((0.0, True), (1.0, False)):
        function = guide(20, strength)
        frames = attend_with(pipe, {Site(each, "cross"): function for each in range(LAYERS)})
        assert torch.equal(frames, plain) is same

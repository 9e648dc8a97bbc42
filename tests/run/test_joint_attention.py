"""Looking and guiding in a joint attention: the paper's decomposition, and nothing else touched."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from numina.attend import Attention, Moment, conditional
from numina.attention.capture import Recorder
from numina.identify.sketch import SketchSpec, fixed_signs
from numina.integrations import Site
from tests.calls import wide_call
from tests.families import JOINT, LAYERS
from tests.run.given_nouns import NOUNS, attend_with, guide, text
from tests.tiny_cogvideox import TEXT_KEYS

pytestmark = pytest.mark.slow

LAYER, HEADS = 1, 2
# Among the ten tokens of the prompt, which all families see; some mask the padding behind them.


@pytest.fixture(params=JOINT)
def pipe(request):
    return JOINT[request.param].build()


@dataclass(frozen=True)
class Layer:
    """What one layer attended to, ``[B, S, H, D]``, the last row of it for a prompt with nouns."""

    query: Tensor
    key: Tensor
    value: Tensor
    moment: Moment
    stock: Attention

    @property
    def probs(self) -> Tensor:
        """The whole map of the conditional row, ``[H, S, S]`` float64."""
        query, key = self.query[-1].double(), self.key[-1].double()
        scores = torch.einsum("qhd,khd->hqk", query * query.shape[-1] ** -0.5, key)
        return (scores if self.offset is None else scores + self.offset.double()).softmax(-1)

    @property
    def offset(self) -> Tensor | None:
        """The model's mask of the keys of the conditional row, ``[S]``."""
        return None if self.moment.key_offset is None else self.moment.key_offset[-1]

    @property
    def attended(self) -> Tensor:
        """Tokens that anyone attends to, ``[S]``; what becomes of the others has no effect."""
        if self.offset is None:
            return torch.ones(self.key.shape[1], dtype=torch.bool)
        return self.offset == 0

    @property
    def nouns(self) -> list[list[int]]:
        """Keys of each noun."""
        start = self.moment.joint.text_rows.start
        return [[start + position for position in noun] for noun in NOUNS]

    @property
    def video(self) -> slice:
        return self.moment.joint.video_rows


def layer_of(pipe, step=2) -> Layer:
    seen = {}

    def record(query, key, value, moment, stock):
        if moment.branch != "uncond":
            seen[moment.step] = Layer(query.clone(), key.clone(), value.clone(), moment, stock)
        return stock(query, key, value)

    attend_with(pipe, {Site(LAYER, "cross"): record})
    return seen[step]


def test_capturing_is_bit_identical_and_materialises_the_papers_decomposition(pipe):
    plain = pipe(**wide_call(pipe)).frames
    # Some components of random weights lie within 2 % of each other.
    recorder = Recorder(text(), wanted={2}, sketch=SketchSpec(rounds=6))
    captured = attend_with(
        pipe,
        {Site(LAYER, "cross"): recorder.cross, Site(LAYER, "self"): recorder.self_attention},
    )
    assert torch.equal(captured, plain)

    layer, (capture,) = layer_of(pipe), recorder.captures()
    probs, video, grid = layer.probs, layer.video, layer.moment.grid
    nouns = torch.stack([probs[:, video, noun].sum(-1) for noun in layer.nouns], dim=1)
    torch.testing.assert_close(capture.probs[0].flatten(-3).double(), nouns, atol=1e-7, rtol=1e-4)

    between = probs[:, video, video].unflatten(1, (grid.frames, -1)).unflatten(3, (grid.frames, -1))
    for frame in range(grid.frames):
        for head in range(HEADS):
            within = between[head, frame, :, frame]
            within = within / within.sum(-1, keepdim=True)
            left, values, _ = torch.linalg.svd(within - within.mean(0))
            expected = fixed_signs((left * values)[:, :3])
            seen = capture.features[frame, head].double()
            scale = float(expected.norm(dim=0)[0])
            torch.testing.assert_close(seen, expected, atol=1e-3 * scale, rtol=0)


def test_strong_suppression_removes_a_noun_in_its_region_and_nowhere_else(pipe):
    layer, patches = layer_of(pipe), 20
    # Values that tell a key: what comes out is the probability of each noun.
    value = torch.zeros_like(layer.value)
    for noun, keys in enumerate(layer.nouns):
        value[:, keys, :, noun] = 1.0
    seen = guide(patches)(layer.query, layer.key, value, layer.moment, layer.stock)
    plain = layer.stock(layer.query, layer.key, value)

    assert torch.equal(seen[:-1], plain[:-1])
    assert len(conditional(layer.moment.branch, seen)) == 1
    seen, plain = seen[-1], plain[-1]
    first, second = (seen[..., noun] for noun in range(2))
    region = slice(layer.video.start, layer.video.start + patches)
    assert float(first[region].max()) == 0.0
    # The rest of a row takes over what the noun lost, in proportion.
    kept = plain[region, :, 1] / (1 - plain[region, :, 0])
    torch.testing.assert_close(second[region], kept, atol=1e-6, rtol=1e-4)
    outside = layer.attended.clone()
    outside[region] = False
    torch.testing.assert_close(seen[outside], plain[outside], atol=1e-6, rtol=1e-5)


def test_masked_text_stays_masked_under_guidance(pipe):
    layer = layer_of(pipe)
    joint, length = layer.moment.joint, layer.key.shape[1]
    mask = torch.zeros(len(layer.key), length)
    # From before the end of the prompt, so that what the model masks itself is among them.
    masked = slice(joint.text_rows.start + 8, joint.text_rows.stop)
    mask[:, masked] = -torch.inf
    # Values that tell masked keys from all others.
    value = torch.zeros_like(layer.value)
    value[:, masked] = 1.0

    def stock_with_mask(query, key, value):
        output = torch.nn.functional.scaled_dot_product_attention(
            *(x.transpose(1, 2) for x in (query, key, value)), attn_mask=mask[:1, None, None]
        )
        return output.transpose(1, 2)

    moment = replace(layer.moment, key_offset=mask)
    guided = guide(20)(layer.query, layer.key, value, moment, stock_with_mask)
    assert torch.equal(guided, torch.zeros_like(guided))

    recorder = Recorder(text(), wanted={moment.step})
    recorder.cross(layer.query, layer.key, value, moment, lambda *tokens: tokens[0])
    scores = torch.einsum(
        "qhd,khd->hqk", layer.query[-1] * layer.query.shape[-1] ** -0.5, layer.key[-1]
    )
    probs = (scores + mask[-1]).softmax(-1)[:, layer.video]
    expected = torch.stack([probs[..., noun].sum(-1) for noun in layer.nouns], dim=1)
    seen = recorder.captures()[0].probs[0].flatten(-3)
    torch.testing.assert_close(seen, expected, atol=1e-6, rtol=1e-4)


def test_text_queries_attend_as_before(pipe):
    layer = layer_of(pipe)
    tokens = layer.query, layer.key, layer.value
    seen = guide(layer.moment.grid.tokens)(*tokens, layer.moment, layer.stock)[-1]
    expected = layer.stock(*tokens)[-1]
    rows = layer.attended.clone()
    rows[layer.video] = False
    torch.testing.assert_close(seen[rows], expected[rows], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(seen[layer.video], expected[layer.video], atol=1e-4)


def test_a_strength_of_zero_is_bit_identical(pipe):
    plain = pipe(**wide_call(pipe)).frames
    for strength, same in ((0.0, True), (1.0, False)):
        function = guide(20, strength)
        frames = attend_with(pipe, {Site(layer, "cross"): function for layer in range(LAYERS)})
        assert torch.equal(frames, plain) is same


def test_strengths_are_measured_on_text_and_video_as_if_they_attended_apart(pipe):
    layer = layer_of(pipe)
    nouns = text()
    reading = nouns.reading(layer.query, layer.key, layer.value, layer.moment)
    joint = layer.moment.joint
    assert torch.equal(reading.query, layer.query[-1:, joint.video_rows])
    assert torch.equal(reading.text.key, layer.key[-1:, joint.text_rows])
    assert reading.groups.index.shape == (1, TEXT_KEYS)


def test_the_text_is_never_folded(pipe):
    """Its tokens are queries too, so that no two of them stay equal."""
    layer, nouns = layer_of(pipe), text()
    nouns.measure(torch.zeros(1, TEXT_KEYS, 3))
    reading = nouns.reading(layer.query, layer.key, layer.value, layer.moment)
    assert reading.text.key.shape[1] == TEXT_KEYS
    if layer.offset is None:
        assert reading.text.key_offset is None
    else:
        own = layer.offset[layer.moment.joint.text_rows]
        assert torch.equal(reading.text.key_offset, own[None])

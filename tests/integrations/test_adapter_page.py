"""The example of docs/write-an-adapter.md, held to what the page asks of every adapter."""

import re
import sys
import tomllib
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType

import pytest
import torch
from diffusers import (
    AnyFlowPipeline,
    AnyFlowTransformer3DModel,
    FlowMapEulerDiscreteScheduler,
)
from diffusers.models.transformers import transformer_anyflow

from numina.errors import UnsupportedModelError
from numina.generation.run import PipelineRun
from numina.integrations import Site, adapter_for, registry
from numina.pipeline import generate
from tests.integrations.seam_runs import latents, processors, seen_at, stock_attend, through_seam
from tests.pipeline.given import Given
from tests.run.given_nouns import NOUNS, attend_with, guide
from tests.tiny_cogvideox import wide_kwargs
from tests.tiny_wan import (
    TEXT_DIM,
    run_kwargs,
    tiny_autoencoder,
    tiny_text_encoder,
    tiny_tokenizer,
)

PAGE = Path(__file__).parents[2] / "docs" / "write-an-adapter.md"
STEPS, LAYERS = 4, 3
ALL_SITES = [Site(layer, kind) for layer in range(LAYERS) for kind in ("self", "cross")]


def blocks(language):
    """The code blocks of the page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)


@pytest.fixture
def example(monkeypatch) -> ModuleType:
    """The page's adapter, declared by the page's entry point, as an installed package would."""
    (declaration,) = blocks("toml")
    groups = tomllib.loads(declaration)["project"]["entry-points"]
    ((family, value),) = groups[registry.ENTRY_POINTS].items()
    module = ModuleType(value.partition(":")[0])
    exec(compile(blocks("python")[0], str(PAGE), "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "my_package", ModuleType("my_package"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    declared = EntryPoints([EntryPoint(family, value, registry.ENTRY_POINTS)])
    monkeypatch.setattr(registry, "entry_points", declared.select)
    return module


def tiny_transformer() -> AnyFlowTransformer3DModel:
    torch.manual_seed(0)
    transformer = AnyFlowTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        text_dim=TEXT_DIM,
        ffn_dim=32,
        num_layers=LAYERS,
        rope_max_seq_len=32,
    ).eval()
    # All norms begin alike, which would leave out that query and key have their own.
    for block in transformer.blocks:
        for attention in (block.attn1, block.attn2):
            for norm in (attention.norm_q, attention.norm_k):
                torch.nn.init.normal_(norm.weight, mean=1.0, std=0.3)
    return transformer


def tiny_anyflow() -> AnyFlowPipeline:
    tokenizer = tiny_tokenizer()
    pipe = AnyFlowPipeline(
        tokenizer=tokenizer,
        text_encoder=tiny_text_encoder(len(tokenizer)),
        transformer=tiny_transformer(),
        vae=tiny_autoencoder(),
        scheduler=FlowMapEulerDiscreteScheduler(shift=3.0),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def pipe(example) -> AnyFlowPipeline:
    return tiny_anyflow()


def test_the_page_declares_its_adapter(example, pipe):
    assert type(adapter_for(pipe.transformer)) is example.AnyFlowAdapter


def test_the_first_proof_holds(example, pipe):
    _, proof = blocks("python")
    before = processors(pipe)
    names = {**vars(example), "pipe": pipe}
    exec(compile(proof, str(PAGE), "exec"), names)
    assert names["everywhere"] == ALL_SITES
    assert processors(pipe) == before


def test_an_attend_gets_what_the_model_would_have_attended_to(pipe, monkeypatch):
    theirs = []
    stock_dispatch = transformer_anyflow.dispatch_attention_fn

    def spy(query, key, value, **kwargs):
        theirs.append((query.clone(), key.clone(), value.clone()))
        return stock_dispatch(query, key, value, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(transformer_anyflow, "dispatch_attention_fn", spy)
        latents(pipe)
    ours = [each.tokens for each in seen_at(pipe, ALL_SITES)[0]]

    assert len(ours) == len(theirs) == STEPS * len(ALL_SITES)
    for mine, expected in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, expected, strict=True))


def test_moments_follow_the_loop(pipe):
    # Higher than wide, so that rows and columns are not mistaken for each other.
    size = {"height": 64, "width": 32}
    moments = [each.moment for each in seen_at(pipe, [Site(1, "cross")], **size)[0]]
    expected = [(step, "both", 1) for step in range(STEPS)]
    assert [(m.step, m.branch, m.layer) for m in moments] == expected
    assert {m.grid.shape for m in moments} == {(3, 4, 2)}
    levels = PipelineRun(pipe, run_kwargs(**size)).noises
    assert [m.noise for m in moments] == pytest.approx(levels)
    alone = seen_at(pipe, [Site(1, "cross")], guidance_scale=1.0)[0]
    assert [each.moment.branch for each in alone] == ["cond"] * STEPS


def test_what_an_attend_returns_is_what_the_layer_uses(pipe):
    def silence(query, key, value, moment, stock):
        return torch.zeros_like(query)

    plain = latents(pipe)
    for site in ALL_SITES:
        assert not torch.equal(through_seam(pipe, {site: silence})[0], plain)


def test_a_strength_of_zero_is_bit_identical(pipe):
    plain = pipe(**wide_kwargs()).frames
    for strength, same in ((0.0, True), (1.0, False)):
        function = guide(20, strength)
        frames = attend_with(pipe, {Site(layer, "cross"): function for layer in range(LAYERS)})
        assert torch.equal(frames, plain) is same


def test_strong_suppression_removes_a_noun_in_its_region_and_nowhere_else(pipe):
    seen, patches = seen_at(pipe, [Site(1, "cross")], height=96, width=96)[0], 20
    layer = seen[2]
    # Values that tell a key: what comes out is the probability of each noun.
    value = torch.zeros_like(layer.value)
    for noun, keys in enumerate(NOUNS):
        value[:, list(keys), :, noun] = 1.0
    both = guide(patches)(layer.query, layer.key, value, layer.moment, layer.stock)
    unconditional, guided = both
    left_alone, plain = layer.stock(layer.query, layer.key, value)

    torch.testing.assert_close(unconditional, left_alone, atol=1e-6, rtol=1e-5)
    assert float(plain[:patches, :, 0].min()) > 0.0
    assert float(guided[:patches, :, 0].max()) == 0.0
    # The rest of a row takes over what the noun lost, in proportion.
    kept = plain[:patches, :, 1] / (1 - plain[:patches, :, 0])
    torch.testing.assert_close(guided[:patches, :, 1], kept, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(guided[patches:], plain[patches:], atol=1e-6, rtol=1e-5)


def test_the_clean_latent_has_channels_before_frames(pipe):
    seen = []
    frames, _ = through_seam(pipe, {}, watch=seen.append, guidance_scale=1.0)
    assert {p.latents.shape for p in seen} == {(1, 16, 3, 4, 4)}
    last = seen[-1]
    torch.testing.assert_close(last.latents - last.noise * last.velocity, frames)


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
@pytest.mark.parametrize(("found", "decision"), [((3,), "continued"), ((2, 3), "guided")])
def test_generate_guides_wrong_counts_alone_and_leaves_no_trace(pipe, mode, found, decision):
    before, plain = processors(pipe), pipe(**wide_kwargs()).frames
    call = wide_kwargs()
    prompt = call.pop("prompt")
    video = generate(pipe, prompt, counts={"cats": 3}, preset=Given(found=found), mode=mode, **call)

    assert video.report.decision == decision
    assert torch.equal(video.frames, plain) is (decision == "continued")
    assert processors(pipe) == before
    assert not pipe.transformer._forward_hooks
    assert not pipe.transformer._forward_pre_hooks
    assert torch.equal(pipe(**wide_kwargs()).frames, plain)


def test_everything_is_taken_off_after_an_exception(pipe):
    before, plain = processors(pipe), latents(pipe)

    def fail(query, key, value, moment, stock):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        through_seam(pipe, {Site(1, "cross"): fail, Site(1, "self"): stock_attend})
    assert processors(pipe) == before
    assert torch.equal(latents(pipe), plain)


def test_nouns_are_looked_for_in_the_text_that_the_tokenizer_sees(pipe):
    tokenized, tokenizer = [], pipe.tokenizer
    # The tokenizer is called by its class; encode_prompt reads it from the pipeline.
    pipe.tokenizer = lambda text, **options: tokenized.extend(text) or tokenizer(text, **options)
    prompt = "three  cats &amp; two dogs "
    pipe.encode_prompt(prompt, do_classifier_free_guidance=False, max_sequence_length=16)
    assert tokenized == [adapter_for(pipe.transformer).clean_prompt(prompt, {})]
    assert tokenized == ["three cats & two dogs"]


def test_the_users_backend_stays_in_use(pipe):
    pipe.transformer.set_attention_backend("_native_math")
    plain = latents(pipe)
    seen, _ = seen_at(pipe, ALL_SITES)
    assert {each.stock.backend for each in seen} == {"_native_math"}
    assert torch.equal(through_seam(pipe, dict.fromkeys(ALL_SITES, stock_attend))[0], plain)


def test_half_precision_keeps_its_bits(pipe):
    pipe.transformer.to(torch.bfloat16)
    plain = latents(pipe)
    assert torch.equal(through_seam(pipe, dict.fromkeys(ALL_SITES, stock_attend))[0], plain)


def test_a_foreign_processor_is_refused_by_name(pipe):
    foreign = type("Foreign", (transformer_anyflow.AnyFlowCrossAttnProcessor,), {})()
    pipe.transformer.blocks[1].attn2.processor = foreign
    with pytest.raises(UnsupportedModelError, match=r"layer 1 attends through Foreign"):
        through_seam(pipe, {Site(1, "cross"): stock_attend})


@pytest.mark.parametrize("name", ["video", "video_latents"])
def test_what_guidance_could_not_follow_is_refused(pipe, name):
    with pytest.raises(UnsupportedModelError, match=f"{name}=Tensor goes on from given frames"):
        PipelineRun(pipe, run_kwargs(**{name: torch.zeros(1, 1, 16, 4, 4)}))


def test_without_the_declaration_the_model_is_unknown():
    """What the tests above declare is gone with them."""
    with pytest.raises(UnsupportedModelError, match="no adapter for AnyFlowTransformer3DModel"):
        adapter_for(tiny_transformer())

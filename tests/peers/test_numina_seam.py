"""The plugin for the tests of diffusers: a pass attends through us, and is what it was."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from numina.integrations import Site, adapter_for
from tests.families import FAMILIES
from tests.integrations.seam_runs import latents, processors
from tests.peers import numina_seam


@pytest.fixture(autouse=True)
def passes(monkeypatch) -> Counter:
    counted: Counter[str] = Counter()
    monkeypatch.setattr(numina_seam, "PASSES", counted)
    return counted


@pytest.mark.parametrize(
    "name",
    [
        "wan",
        "wan-image-2.1",
        "wan-vace",
        "skyreels-v2",
        "ltx-video",
        "ltx-2.0",
        "allegro",
        "kandinsky-5",
        "cosmos-1.0",
        "cosmos-2.5",
        "cogvideox-5b",
        "hunyuan-video",
        "hunyuan-video-1.5",
        "mochi",
    ],
)
def test_a_pipeline_makes_the_same_video_through_our_processors(name, monkeypatch, passes):
    pipe = FAMILIES[name].build()
    transformer = pipe.transformer
    before, plain = processors(pipe), latents(pipe)
    family = type(transformer)
    monkeypatch.setattr(family, "__call__", numina_seam.through_seam(family.__call__))
    seen = set()
    last = adapter_for(transformer).num_layers(transformer) - 1
    watched = adapter_for(transformer).module(transformer, Site(last, "cross"))
    watched.register_forward_pre_hook(lambda module, _: seen.add(type(module.processor).__module__))
    assert torch.equal(latents(pipe), plain)
    assert passes[family.__name__] > 0
    assert all(module.startswith("numina.") for module in seen)
    assert seen
    assert processors(pipe) == before


def test_a_session_in_which_nothing_passed_does_not_count_as_passed(passes):
    session = SimpleNamespace(testscollected=3, exitstatus=pytest.ExitCode.OK)
    numina_seam.pytest_sessionfinish(session)
    assert session.exitstatus != pytest.ExitCode.OK
    passes["WanTransformer3DModel"] = 1
    session.exitstatus = pytest.ExitCode.OK
    numina_seam.pytest_sessionfinish(session)
    assert session.exitstatus == pytest.ExitCode.OK

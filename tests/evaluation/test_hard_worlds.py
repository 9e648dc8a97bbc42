"""Identification in hard worlds: the pipeline is led through clips whose truth is known."""

import pickle

import numpy as np
import pytest
import torch

from benchmarks import hard_worlds
from numina.attention.capture import Capture
from numina.evaluation.hard_worlds import (
    HardSuite,
    MergedByAffinity,
    our_readers,
    published_readers,
)
from numina.evaluation.identification import read_clip
from numina.evaluation.methods import SPRITE_PATCHES
from numina.evaluation.suites import MaskedSuite
from numina.identify.sketch import frame_features
from numina.methods.robust import Robust
from numina.sprites.hard_worlds import WORLDS
from numina.video import VideoGrid
from tests.evaluation.test_methods import _one_thread  # noqa: F401

# At so little noise the shipped model sees what is there.
SUITE = HardSuite("few", seed=1, levels=(0.3,))
READERS = {**our_readers(), **published_readers(WORLDS["few"])}


@pytest.fixture(scope="module")
def pipe():
    return SUITE.load()


@pytest.fixture(scope="module")
def shown():
    return []


@pytest.fixture(scope="module")
def clip(pipe, shown):
    class Seen(HardSuite):
        def count(self, frames, case):
            shown.append(frames)
            return super().count(frames, case)

    forwards = []
    hook = pipe.transformer.register_forward_pre_hook(lambda *_: forwards.append(1))
    suite = Seen(SUITE.world, SUITE.seed, levels=SUITE.levels)
    read = read_clip(pipe, suite, suite.case(0), suite.levels, READERS)
    hook.remove()
    # One step of both branches, and nothing after the last look.
    assert len(forwards) == 2
    return read


def test_the_finished_clip_is_the_rendered_one(clip, shown):
    rendered = SUITE.clip(SUITE.case(0)).frames / 255
    assert np.abs(shown[0] - rendered).mean() < 0.02
    assert clip.held == clip.targets
    assert clip.true == tuple(3 * count for count in clip.targets)


def test_every_reader_looks_and_ours_finds_what_is_there(clip):
    readings = {reading.evidence: reading for reading in clip.readings}
    assert list(readings) == list(READERS)
    assert all(reading.noise == pytest.approx(0.3) for reading in clip.readings)
    assert readings["robust"].seen == clip.targets
    assert [one.f1 for one in clip.matches(readings["robust"])] == [1.0] * len(clip.nouns)


def test_a_suite_tells_all_that_its_results_depend_on():
    told = SUITE.describe()
    assert told["suite"] == "hard-few"
    assert told["world"] == repr(WORLDS["few"])
    assert told["call"]["num_inference_steps"] == 2
    assert isinstance(SUITE, MaskedSuite)
    assert pickle.loads(pickle.dumps(SUITE)) == SUITE
    again = HardSuite("few", seed=1)
    case = SUITE.case(2)
    assert case == again.case(2)
    np.testing.assert_array_equal(SUITE.clip(case).frames, again.clip(case).frames)
    with pytest.raises(ValueError, match="world must be one of ordinary, touching"):
        HardSuite("dull")
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        HardSuite("few", seed=-1)


def test_the_published_rule_is_scaled_to_the_sprites_of_the_world():
    patches = [
        published_readers(WORLDS[name])["paper-scaled"].method.instance_patches
        for name in ("few", "large")
    ]
    assert patches == [SPRITE_PATCHES, pytest.approx(2.25 * SPRITE_PATCHES)]


def test_ours_are_the_presets_and_the_same_without_merging():
    ours = {name: reader.method for name, reader in our_readers().items()}
    assert ours["robust"] == Robust()
    assert ours["attention"] == Robust(evidence="attention")
    assert ours["robust-fragments"].latent.smallest == 0
    assert ours["attention-fragments"].attention.smallest == 0
    assert ours["attention-affinity"].attention == Robust().attention


def test_regions_that_self_attention_does_not_tell_apart_are_merged():
    grid = VideoGrid(3, 12, 12)
    focus = torch.zeros(1, 2, 1, *grid.shape)
    for left in (1, 5):  # two bumps that touch, with a valley in between
        focus[..., 4:8, left : left + 4] += torch.tensor([0.3, 1.0, 1.0, 0.3])
    focus += 0.01 * torch.rand(focus.shape)
    owner = torch.zeros(12, 12, dtype=torch.long)
    owner[4:8, 1:5], owner[4:8, 5:9] = 1, 2

    def found(alike):
        labels = owner.clamp(max=1) if alike else owner
        tokens = torch.nn.functional.one_hot(labels.flatten(), 4).float()
        tokens = 8 * tokens.repeat(3, 1)[None, :, None]  # [1, S, 1, D]
        features = frame_features(tokens, tokens, grid)
        capture = Capture(grid, 3, 0.6, (0,), focus, features, 0)
        layout, _ = MergedByAffinity().regions(capture)
        return layout.count_per_frame(0).tolist()

    assert found(alike=False) == [2, 2, 2]
    assert found(alike=True) == [1, 1, 1]


def test_the_command_reads_or_draws_the_worlds(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(hard_worlds, "read_noise_levels", lambda *given: asked.append(given))
    arguments = ["--out", str(tmp_path), "--worlds", "posts", "fast", "--clips", "3"]
    assert hard_worlds.main([*arguments, "--seed", "5", "--levels", ".9", ".5"]) == 0
    assert [given[0] for given in asked] == [
        HardSuite(name, 5, None, (0.9, 0.5)) for name in ("posts", "fast")
    ]
    assert [given[1:5] for given in asked] == [
        (3, tmp_path / name, 1, [0.9, 0.5]) for name in ("posts", "fast")
    ]
    assert [list(given[5]) for given in asked] == [list(our_readers())] * 2
    asked.clear()
    assert hard_worlds.main(["--out", str(tmp_path), "--published", "--worlds", "heads"]) == 0
    assert asked[0][2] == tmp_path / "heads" / "published"
    assert list(asked[0][5]) == ["paper", "paper-scaled"]
    picture = tmp_path / "worlds.png"
    assert hard_worlds.main(["--picture", str(picture), "--worlds", "posts"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")

"""The two methods that come along, from a planted capture to a plan."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from numina.attention.capture import Capture
from numina.layout import Layout, LayoutEdit
from numina.methods.paper import Paper
from numina.methods.presets import method_named
from numina.methods.robust import Robust
from numina.video import VideoGrid

GRID = VideoGrid(3, 16, 16)
PLACES = {0: [(3, 3), (3, 11)], 1: [(11, 7)]}  # noun: upper left corners


def planted(*, noise=0.05, heads=4, seed=0) -> Capture:
    """Two instances of the first noun and one of the second, drifting right; half the heads see."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((2, *GRID.shape))
    clean = np.zeros((4, GRID.frames, 2 * GRID.rows, 2 * GRID.columns))
    for noun, corners in PLACES.items():
        for row, column in corners:
            for frame in range(GRID.frames):
                y, x = row, column + frame
                truth[noun, frame, y : y + 3, x : x + 3] = 1
                clean[:, frame, 2 * y : 2 * y + 6, 2 * x : 2 * x + 6] = 3.0 if noun else -3.0
    clean += noise * rng.normal(size=clean.shape)
    maps = 0.05 + noise * rng.random((2, heads, 2, *GRID.shape))
    maps[:, : heads // 2] += 0.6 * truth
    features = rng.normal(size=(GRID.frames, heads, GRID.patches, 3)) * 0.1
    labels = truth[0] + 2 * truth[1]
    features[:, 1, :, 0] += 3 * (labels == 1).reshape(GRID.frames, -1)
    features[:, 1, :, 1] += 3 * (labels == 2).reshape(GRID.frames, -1)
    return Capture(
        grid=GRID,
        step=2,
        noise=0.8,
        layers=(0, 1),
        probs=torch.from_numpy(maps).float(),
        features=torch.from_numpy(features).float(),
        feature_layer=1,
        clean=torch.from_numpy(clean).float(),
    )


@pytest.mark.parametrize("evidence", ["clean-latent", "attention"])
def test_robust_counts_the_planted_instances(evidence):
    sighting = Robust(evidence=evidence).identify(planted())
    assert [sighting.layout.count(noun) for noun in (0, 1)] == [2, 1]
    assert sighting.focus.shape == (2, *GRID.shape)
    assert len(sighting.heads) > 0


def test_robust_falls_back_to_attention_where_no_clean_latent_is_known():
    sighting = Robust().identify(replace(planted(), clean=None))
    assert sighting.layout.count(0) == 2


def test_robust_shows_what_the_heads_it_names_see():
    sighting = Robust().identify(planted())
    assert sighting.head_maps.shape == (len(sighting.heads), *GRID.shape[1:])
    assert sighting.head_maps.min((1, 2)).tolist() == [0] * len(sighting.heads)
    assert sighting.head_maps.max((1, 2)) == pytest.approx(1)


@pytest.mark.parametrize("value", [float("nan"), 0.25])
def test_a_capture_without_structure_has_no_usable_layout(value):
    flat = torch.full((2, 4, 2, *GRID.shape), value)
    assert Robust().identify(replace(planted(), probs=flat)) is None


@pytest.mark.parametrize("counts", [(3, 1), (1, 1), (2, 0), (4, 3)])
def test_robust_refines_whole_tracks_to_the_count(counts):
    method = Robust()
    sighting = method.identify(planted())
    assert not method.is_right(sighting, counts)
    edit = method.refine(sighting, counts)
    assert method.is_right(replace(sighting, layout=edit.after, tracks=None), counts)
    for frame in range(GRID.frames):
        assert [edit.after.count_per_frame(noun)[frame] for noun in (0, 1)] == list(counts)


def test_robust_judges_on_tracks():
    method = Robust()
    sighting = method.identify(planted())
    assert method.is_right(sighting, (2, 1))
    assert not method.is_right(sighting, (2, 2))


def test_the_paper_picks_the_head_that_separates_instances_and_the_ones_that_find_the_nouns():
    sighting = Paper(instance_patches=9.0).identify(planted(noise=0.01))
    assert all("head 1" in name for name in sighting.heads[: GRID.frames])
    assert sighting.head_maps.shape == GRID.shape
    assert sighting.head_maps.min() >= 0
    assert sighting.head_maps.max() <= 1
    assert (sighting.layout.count_per_frame(1) > 0).all()


def test_the_paper_is_triggered_by_a_single_frame():
    """Row 9 of the published method's faults, kept in its preset."""
    method = Paper()
    sighting = Robust().identify(planted())
    assert method.is_right(sighting, (2, 1))
    labels = sighting.layout.labels.copy()
    labels[1][labels[1] == 1] = 0
    flicker = replace(sighting, layout=Layout(labels, sighting.layout.nouns))
    assert not method.is_right(flicker, (2, 1))


def test_the_paper_without_self_attention_has_no_usable_layout():
    assert Paper().identify(replace(planted(), features=None)) is None


@pytest.mark.parametrize("method", [Robust(), Paper(instance_patches=9.0)])
def test_a_plan_leaves_rows_without_an_edit_alone(method):
    sighting = method.identify(planted())
    edit: LayoutEdit = method.refine(sighting, (4, 1))
    assert method.plan([edit, None], 2) is not None


def test_presets_have_names():
    for name in ("robust", "robust-attention", "paper"):
        assert method_named(name).name == name
    with pytest.raises(ValueError, match="no preset 'best'"):
        method_named("best")


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="evidence must be"):
        Robust(evidence="guess")

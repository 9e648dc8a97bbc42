"""Which heads separate instances, and which find a noun."""

import math

import numpy as np
import pytest
import torch

from numina.identify.heads import (
    HeadWeights,
    bimodality,
    consensus_focus,
    map_agreement,
    peak_heads,
    score_heads,
)
from numina.video import VideoGrid
from numina_kernels import ShapeError

PAPER, ROBUST = HeadWeights.PAPER, HeadWeights.ROBUST


def features_of(*pictures):
    """Features of one frame whose heads show one picture each in all three components."""
    stacked = torch.stack([torch.as_tensor(picture, dtype=torch.float32) for picture in pictures])
    return stacked.flatten(1)[None, :, :, None].expand(-1, -1, -1, 3)


def score(picture, weights):
    rows, columns = picture.shape
    return float(score_heads(features_of(picture), VideoGrid(1, rows, columns), weights))


def halves(side):
    picture = torch.zeros(side, side)
    picture[:, side // 2 :] = 1
    return picture


def instances(side=16, seed=0, number=5):
    """Discs in free places, in the unit of a 16th of the frame."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[:side, :side] + 0.5) * 16 / side
    picture = np.zeros((side, side))
    centres = []
    while len(centres) < number:
        centre = rng.uniform(1.5, 14.5, 2)
        if all(np.hypot(*(centre - other)) > 3.5 for other in centres):
            centres.append(centre)
            picture[np.hypot(y - centre[0], x - centre[1]) < 1.4] = 1
    return torch.from_numpy(picture).float()


def waves(side=16):
    """What heads that attend by position look like."""
    y, x = torch.meshgrid(*[(torch.arange(side) + 0.5) / side] * 2, indexing="ij")
    return {
        "columns": (x * 8).floor() % 2,
        "rows": torch.sin(9 * y),
        "ramp": x + y,
        "saddle": (x - 0.5) * (y - 0.5),
        "low waves": torch.cos(math.pi * x) * torch.cos(2 * math.pi * y),
        "slanting stripes": torch.sin(12 * (x + y)),
        "chequers": ((x * 8).floor() + (y * 8).floor()) % 2,
    }


def test_the_paper_score_by_hand():
    """Halves of 8 x 8: deviation 1/2, variance of the 64 blocks 1/4, Sobel 4 in 2 of 8 columns."""
    assert score(halves(8), PAPER) == pytest.approx(0.5 + 0.25 + 0.1 * 1.0)


def test_the_paper_score_grows_with_the_resolution():
    """Halves of 16 x 16: blocks of four patches sum to 0 or 4, of variance 4."""
    assert score(halves(16), PAPER) == pytest.approx(0.5 + 4.0 + 0.1 * 0.5)


def test_blocks_of_a_grid_that_eight_does_not_divide():
    """12 x 20 in blocks of 1 x 2: the rows and columns that are over are left out of the sums."""
    picture = torch.zeros(12, 20)
    picture[8:] = 1  # below the 8 blocks of one row
    picture[:, 16:] = 1  # beside the 8 blocks of two columns
    share = float(picture.mean())
    without_blocks = score(
        picture,
        HeadWeights(
            gamma=0, block_sums=True, working_side=None, positional_penalty=0, noise_penalty=0
        ),
    )
    assert without_blocks == pytest.approx((share * (1 - share)) ** 0.5)


def test_components_are_mixed_as_gray():
    """Only the first component differs: g is .299 times its stretched picture."""
    features = torch.zeros(1, 1, 64, 3)
    features[..., 0] = 7 * halves(8).flatten() - 3
    expected = 0.299 * 0.5 + 0.299**2 * 0.25 + 0.1 * 0.299
    assert float(score_heads(features, VideoGrid(1, 8, 8), PAPER)) == pytest.approx(expected)


@pytest.mark.parametrize("weights", [PAPER, ROBUST])
def test_scale_and_offset_of_a_component_do_not_matter(weights):
    features, grid = torch.randn(2, 3, 64, 3), VideoGrid(2, 8, 8)
    changed = features * torch.tensor([3.0, 0.1, 20.0]) - 5
    torch.testing.assert_close(
        score_heads(features, grid, weights), score_heads(changed, grid, weights), rtol=1e-3, atol=0
    )


def test_frames_and_heads_are_scored_alone():
    features, grid = torch.randn(3, 4, 60, 3), VideoGrid(3, 6, 10)
    together = score_heads(features, grid)
    assert together.shape == (3, 4)
    one = score_heads(features[1:2, 2:3], VideoGrid(1, 6, 10))
    torch.testing.assert_close(one[0, 0], together[1, 2])


@pytest.mark.parametrize("factor", [2, 3])
def test_the_robust_score_does_not_depend_on_the_resolution(factor):
    picture = instances(16)
    finer = picture.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    assert score(finer, ROBUST) == pytest.approx(score(picture, ROBUST), rel=1e-4)
    assert score(finer, PAPER) > 2 * score(picture, PAPER)


@pytest.mark.parametrize("side", [16, 40])
@pytest.mark.parametrize("seed", range(4))
def test_a_head_of_instances_beats_heads_of_position_and_noise(side, seed):
    noise = torch.randn(side, side)
    rivals = [*waves(side).values(), noise]
    shown = [p + 0.1 * p.std() * torch.randn(side, side) for p in (instances(side, seed), *rivals)]
    scores = score_heads(features_of(*shown), VideoGrid(1, side, side))[0]
    assert scores.argmax() == 0
    assert scores[0] > 1.3 * scores[1:].max()


def test_a_ramp_wins_the_paper_score():
    """The fault that the penalties mend."""
    pictures = features_of(instances(40, number=2), waves(40)["ramp"])
    assert score_heads(pictures, VideoGrid(1, 40, 40), PAPER).argmax() == 1
    assert score_heads(pictures, VideoGrid(1, 40, 40), ROBUST).argmax() == 0


@pytest.mark.parametrize("weights", [PAPER, ROBUST])
def test_a_flat_head_scores_nothing(weights):
    assert score(torch.full((16, 16), 0.3), weights) == 0.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 3)])
def test_tiny_frames_are_scored(shape):
    for weights in (PAPER, ROBUST):
        assert math.isfinite(score(torch.rand(shape), weights))


def test_features_of_another_grid_are_refused():
    with pytest.raises(ShapeError, match=r"features must be \[1, H, 64, 3\]"):
        score_heads(torch.zeros(1, 2, 63, 3), VideoGrid(1, 8, 8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": -1.0}, "must not be negative"),
        ({"noise_penalty": -1.0}, "must not be negative"),
        ({"blocks": 0}, "blocks must be at least 1"),
        ({"working_side": 4}, "at least blocks = 8, got 4"),
    ],
)
def test_senseless_weights_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        HeadWeights(**settings)


def test_the_peak_head_of_each_noun():
    probs = torch.rand(4, 2, 3, 5, 6) / 10
    probs[2, 0, 1, 4, 0] = 0.5  # one patch in one frame is enough
    probs[0, 1, 0, 0, 5] = 0.4
    assert peak_heads(probs).tolist() == [2, 0]


FRAMES, SIDE = 3, 16


def unit(picture):
    return (picture - picture.mean()) / picture.std()


def planted_maps():
    """Maps ``[M, 2, F, Y, X]`` as models have them, the nouns, and the deviation of each map.

    Six heads see the nouns, three of them in the first frame only and three in the others; twelve
    quiet ones all attend by the same position; six are noise.
    """
    nouns = torch.stack([instances(SIDE, seed) for seed in (1, 2)])[:, None]
    nouns = nouns.expand(-1, FRAMES, -1, -1)
    position = unit(waves(SIDE)["ramp"]).expand(2, FRAMES, -1, -1)
    first = torch.zeros(FRAMES, 1, 1)
    first[0] = 1
    maps = [0.10 * unit(nouns * first)] * 3 + [0.10 * unit(nouns * (1 - first))] * 3
    maps += [0.01 * position] * 12
    maps += [0.05 * torch.randn(2, FRAMES, SIDE, SIDE) for _ in range(6)]
    noisy = [one + 0.005 * torch.randn_like(one) for one in maps]
    return torch.stack(noisy) + 0.4, nouns


def correlation(one, other):
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


def test_the_consensus_sees_the_nouns_in_every_frame():
    maps, nouns = planted_maps()
    focus = consensus_focus(maps)
    assert focus.shape == nouns.shape
    scored = (maps - maps.mean((2, 3, 4), keepdim=True)) / maps.std((2, 3, 4), keepdim=True)
    for noun in range(2):
        for frame in range(FRAMES):
            seen = correlation(focus[noun, frame], nouns[noun, frame])
            assert seen > 0.65
            assert seen > correlation(scored.mean(0)[noun, frame], nouns[noun, frame]) + 0.1


def test_one_loud_head_does_not_take_over():
    maps, nouns = planted_maps()
    loud = torch.cat([maps, 1 + 4 * torch.randn(1, *maps.shape[1:])])
    ours, raw = consensus_focus(loud), loud.mean(0)
    assert correlation(ours[0], nouns[0]) > 0.45
    assert correlation(raw[0], nouns[0]) < 0.2


def test_the_consensus_by_hand():
    """Deviations of 1 and 4: the square roots weigh 1 and 2."""
    quiet = torch.tensor([-1.0, 1, -1, 1]).reshape(1, 1, 2, 2)
    loud = torch.tensor([4.0, 4, -4, -4]).reshape(1, 1, 2, 2)
    maps = torch.stack([quiet + 7, loud])
    torch.testing.assert_close(consensus_focus(maps), (quiet + loud / 2) / 2)
    torch.testing.assert_close(map_agreement(maps), torch.tensor([[1 / 5], [4 / 5]]))
    torch.testing.assert_close(consensus_focus(maps, top=1), loud / 2)


def test_shares_of_the_consensus_add_up():
    maps, _ = planted_maps()
    shares = map_agreement(maps)
    assert shares.shape == (24, 2)
    torch.testing.assert_close(shares.sum(0), torch.ones(2))
    assert shares[:6].min() > shares[6:18].max()
    contradicted = map_agreement(torch.cat([maps, -maps[:1]]))
    assert (contradicted[-1] < 0).all()


def test_flat_maps_say_nothing():
    maps, _ = planted_maps()
    flat = torch.full_like(maps[:3], 0.7)
    torch.testing.assert_close(
        consensus_focus(torch.cat([flat, maps])), consensus_focus(maps) * 24 / 27
    )
    assert (consensus_focus(flat) == 0).all()
    assert (map_agreement(flat) == 0).all()


def test_at_least_one_map_is_averaged():
    maps, _ = planted_maps()
    torch.testing.assert_close(consensus_focus(maps, top=99), consensus_focus(maps))
    with pytest.raises(ValueError, match="top must be None or at least 1, got 0"):
        consensus_focus(maps, top=0)


def test_bimodality_by_hand():
    two_values = halves(8)[None, None] * 5 + 1
    ramp = torch.arange(10_000.0).reshape(1, 1, 100, 100)
    heap = torch.randn(1, 4, 200, 200)
    assert float(bimodality(two_values)) == pytest.approx(1.0)
    assert float(bimodality(ramp)) == pytest.approx(0.75, abs=1e-3)
    assert float(bimodality(heap)) == pytest.approx(2 / math.pi, abs=0.01)
    assert float(bimodality(torch.full((1, 1, 4, 4), 0.1))) == 0.0


def test_bimodality_is_the_best_of_all_thresholds():
    maps = torch.rand(3, 2, 1, 5, 6)
    for index in np.ndindex(3, 2):
        values = maps[index].flatten().double()
        best = 0.0
        for threshold in values:
            low, high = values[values <= threshold], values[values > threshold]
            if len(high):
                share = len(low) / len(values)
                best = max(best, share * (1 - share) * float(low.mean() - high.mean()) ** 2)
        assert float(bimodality(maps)[index]) == pytest.approx(
            best / float(values.var(correction=0)), rel=1e-4
        )

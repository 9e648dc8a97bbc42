"""Principal components of attention maps that are never stored."""

import numpy as np
import pytest
import torch

from numina.identify import sketch
from numina.identify.heads import HeadWeights, score_heads
from numina.identify.sketch import SketchSpec, fixed_signs, frame_features
from numina.video import VideoGrid
from numina_kernels import AttentionMap, ShapeError

GRID = VideoGrid(frames=2, rows=9, columns=11)
HEADS, DIM = 3, 8


def draw(grid=GRID, heads=HEADS, dim=DIM, sharpness=3.0):
    """Queries and keys whose maps have parts: patches of one area attend to that area."""
    place = torch.stack(
        torch.meshgrid(torch.arange(grid.rows), torch.arange(grid.columns), indexing="ij"), -1
    ).reshape(-1, 2)
    area = place[:, 0] // 4 * 3 + place[:, 1] // 4
    directions = torch.randn(int(area.max()) + 1, heads, dim)
    tokens = directions[area].repeat(grid.frames, 1, 1) * sharpness**0.5
    query, key = (tokens + 0.3 * torch.randn_like(tokens) for _ in range(2))
    return query[None], key[None]


def exact_features(query, key, grid):
    """Float64 singular value decomposition of the materialised, centred maps."""
    features = np.empty((grid.frames, query.shape[2], grid.patches, 3))
    for frame in range(grid.frames):
        tokens = slice(frame * grid.patches, (frame + 1) * grid.patches)
        for head in range(query.shape[2]):
            q, k = (x[0, tokens, head].double().numpy() for x in (query, key))
            scores = q @ k.T / q.shape[1] ** 0.5
            probs = np.exp(scores - scores.max(1, keepdims=True))
            probs /= probs.sum(1, keepdims=True)
            left, values, _ = np.linalg.svd(probs - probs.mean(0), full_matrices=False)
            scaled = left[:, :3] * values[:3]
            features[frame, head] = scaled * np.where((scaled**3).sum(0) < 0, -1, 1)
    return torch.from_numpy(features)


@pytest.mark.parametrize("grid", [GRID, VideoGrid(1, 16, 16), VideoGrid(3, 5, 13)])
def test_features_are_the_leading_singular_vectors_of_each_frame(grid):
    query, key = draw(grid)
    features = frame_features(query, key, grid)
    exact = exact_features(query, key, grid)
    assert features.shape == (grid.frames, HEADS, grid.patches, 3)
    assert features.dtype == torch.float32

    cosines = torch.cosine_similarity(features.double(), exact, dim=2)
    assert cosines[..., 0].min() > 0.9999
    assert cosines.min() > 0.999
    torch.testing.assert_close(
        features.norm(dim=2).double(), exact.norm(dim=2), rtol=1e-3, atol=1e-6
    )


def test_head_scores_do_not_notice_the_sketch():
    query, key = draw()
    features, exact = frame_features(query, key, GRID), exact_features(query, key, GRID)
    for weights in (HeadWeights.PAPER, HeadWeights.ROBUST):
        sketched, true = (score_heads(x, GRID, weights) for x in (features, exact.float()))
        torch.testing.assert_close(sketched, true, rtol=1e-2, atol=0)
        assert torch.equal(sketched.argmax(1), true.argmax(1))


def test_more_rounds_come_closer():
    """Flat spectra are the hard case: noise alone, where no component leads by far."""
    query, key = 1.5 * torch.randn(2, 1, GRID.tokens, HEADS, DIM)
    exact = exact_features(query, key, GRID)
    worst = [
        torch.cosine_similarity(
            frame_features(query, key, GRID, SketchSpec(rounds=rounds)).double(), exact, dim=2
        ).min()
        for rounds in (1, 2, 6)
    ]
    assert worst[0] < worst[1] < worst[2]


def test_strong_patches_are_bright():
    features = frame_features(*draw(), GRID)
    assert ((features.double() ** 3).sum(2) >= 0).all()


def test_arbitrary_signs_are_mended():
    features = frame_features(*draw(), GRID)
    signs = torch.where(torch.rand(*features.shape[:2], 1, 3) < 0.5, -1.0, 1.0)
    assert (signs < 0).any()
    assert torch.equal(fixed_signs(features * signs), features)


def test_every_call_gives_the_same():
    query, key = draw()
    first = frame_features(query, key, GRID)
    torch.manual_seed(99)
    assert torch.equal(first, frame_features(query, key, GRID))


def test_seeds_hardly_matter():
    query, key = draw()
    one, other = (frame_features(query, key, GRID, SketchSpec(seed=seed)) for seed in (0, 1))
    assert not torch.equal(one, other)
    assert torch.cosine_similarity(one, other, dim=2).min() > 0.999


def test_frames_do_not_see_each_other():
    query, key = draw()
    alone = VideoGrid(1, GRID.rows, GRID.columns)
    both = frame_features(query, key, GRID)
    second = frame_features(query[:, GRID.patches :], key[:, GRID.patches :], alone)
    torch.testing.assert_close(both[1:], second, rtol=1e-4, atol=1e-6)


def test_heads_go_in_blocks_that_fit_the_memory(monkeypatch):
    products = []

    class Spy(AttentionMap):
        def apply(self, x):
            products.append(("apply", *x.shape[2:]))
            return super().apply(x)

        def apply_transposed(self, y):
            products.append(("apply_transposed", *y.shape[2:]))
            return super().apply_transposed(y)

    monkeypatch.setattr(sketch, "AttentionMap", Spy)
    query, key = draw()
    whole = frame_features(query, key, GRID)
    assert products == [
        (name, HEADS, 16)
        for name in ("apply", "apply_transposed", "apply", "apply_transposed", "apply")
    ]

    products.clear()
    sketch_bytes = 4 * GRID.tokens * 16 * 4
    in_blocks = frame_features(query, key, GRID, SketchSpec(memory_mib=2.5 * sketch_bytes / 2**20))
    assert [heads for _, heads, _ in products] == [2] * 5 + [1] * 5
    torch.testing.assert_close(in_blocks, whole, rtol=1e-4, atol=1e-6)


def test_strided_half_precision_tokens_are_taken_as_they_come():
    query, key = (x.bfloat16() for x in draw())
    strided = torch.stack([query, key], 3)  # as a fused projection hands them over
    torch.testing.assert_close(
        frame_features(strided[:, :, :, 0], strided[:, :, :, 1], GRID),
        frame_features(query, key, GRID),
    )


def test_a_flat_map_has_no_features():
    query = torch.randn(1, GRID.tokens, HEADS, DIM)
    features = frame_features(query, torch.zeros_like(query), GRID)
    assert torch.isfinite(features).all()
    assert features.abs().max() < 1e-6


def test_a_frame_of_two_patches_has_one_component():
    grid = VideoGrid(2, 1, 2)
    query, key = torch.randn(2, 1, grid.tokens, 1, DIM)
    features = frame_features(query, key, grid)
    scores = (query[0].unflatten(0, (2, 2)) * DIM**-0.5).transpose(1, 2) @ key[0].unflatten(
        0, (2, 2)
    ).permute(0, 2, 3, 1)
    probs = scores.softmax(-1)  # [F, 1, 2, 2]
    half = (probs[..., 0, :] - probs[..., 1, :]).norm(dim=-1) / 2
    torch.testing.assert_close(features[..., 0].abs(), half[..., None].expand(-1, -1, 2))
    torch.testing.assert_close(features[..., 0].sum(-1), torch.zeros(2, 1))
    assert features[..., 1:].abs().max() < 1e-6


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((1, 7, HEADS, DIM), "query"),
        ((2, GRID.tokens, HEADS, DIM), "query"),
        ((1, GRID.tokens, DIM), "query"),
    ],
)
def test_tokens_of_another_video_are_refused(shape, name):
    fitting = torch.zeros(1, GRID.tokens, HEADS, DIM)
    with pytest.raises(ShapeError, match=rf"{name} must be \[1, {GRID.tokens}, H, D\]"):
        frame_features(torch.zeros(shape), fitting, GRID)
    with pytest.raises(ShapeError, match="key must be"):
        frame_features(fitting, torch.zeros(shape), GRID)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": 2}, "columns must be at least 3, got 2"),
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"memory_mib": 0.0}, "memory_mib must be positive"),
    ],
)
def test_senseless_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SketchSpec(**settings)

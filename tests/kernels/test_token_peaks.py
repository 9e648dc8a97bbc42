import math

import pytest
import torch

from numina_kernels import KeyGroups, LayoutError, ShapeError, token_peaks, token_probs
from numina_kernels.testing import make_groups, make_qkv, poisoned_buffers

NAN, INF = math.nan, math.inf


def given_probs(probs):
    """Queries, keys and a noun whose probability is ``probs [Q]``: two keys share each query."""
    probs = torch.tensor(probs)
    query = (probs / (1 - probs)).log()[None, :, None, None]  # the score of the noun's key
    key = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    return query, key, KeyGroups.from_positions([[1]], keys=2)


def test_the_peak_of_every_frame_by_hand(impl):
    query, key, groups = given_probs([0.2, 0.7, 0.4, 0.5, 0.1, 0.3, 0.6, 0.8, 0.9])

    peaks, positions = token_peaks(query, key, groups, frames=3, scale=1.0, impl=impl)

    torch.testing.assert_close(peaks, torch.tensor([[[[0.7, 0.5, 0.9]]]]))
    assert positions.tolist() == [[[[1, 0, 2]]]]
    assert positions.dtype == torch.int64


@pytest.mark.parametrize("with_lse", [False, True])
def test_peaks_are_those_of_the_probabilities(impl, with_lse):
    # Frames of more than a tile of Triton, and more nouns than one of its rounds.
    query, key, _ = make_qkv(2, 2 * 150, 60, 2, 16, dtype=torch.float32)
    groups = KeyGroups((torch.arange(60) % 20 - 1).to(torch.int8)[None], 19)
    offset = torch.randn(1, 60, generator=torch.manual_seed(0))
    scores = (query.transpose(1, 2) @ key.permute(0, 2, 3, 1)) / 4 + offset
    lse = scores.logsumexp(-1) if with_lse else None

    with poisoned_buffers():
        peaks, positions = token_peaks(query, key, groups, 2, key_offset=offset, lse=lse, impl=impl)
    probs = token_probs(query, key, groups, key_offset=offset, impl="reference")

    expected = probs.unflatten(-1, (2, 150)).max(dim=-1)
    torch.testing.assert_close(peaks, expected.values)
    assert torch.equal(positions, expected.indices)
    assert peaks.is_contiguous()
    assert positions.is_contiguous()


@pytest.mark.parametrize("patches", [5, 300])
def test_of_equal_probabilities_the_first_counts(impl, patches):
    query, key = torch.zeros(1, 2 * patches, 1, 8), torch.zeros(1, 4, 1, 8)
    query[:, 0], query[:, patches + 3] = -1.0, 1.0
    key[:, 2] = 1.0
    groups = KeyGroups.from_positions([[2], [0, 3]], keys=4)

    _, positions = token_peaks(query, key, groups, 2, impl=impl)

    # The first query turns away from the noun of key 2, which favours the other noun.
    assert positions[0, 0].tolist() == [[1, 3], [0, 0]]


def test_where_nothing_attends_the_position_says_so(impl):
    query, key, _ = make_qkv(1, 6, 5, 2, 8, dtype=torch.float32)
    groups = KeyGroups.from_positions([[1, 2], []], keys=5)

    peaks, positions = token_peaks(query, key, groups, 3, impl=impl)
    assert (peaks[:, :, 0] > 0).all()
    assert (positions[:, :, 0] >= 0).all()
    assert (peaks[:, :, 1] == 0).all()
    assert (positions[:, :, 1] == -1).all()

    for lse in (None, torch.full((1, 2, 6), -INF)):
        peaks, positions = token_peaks(
            query, key, groups, 3, key_offset=torch.full((1, 5), -INF), lse=lse, impl=impl
        )
        assert (peaks == 0).all()
        assert (positions == -1).all()


@pytest.mark.parametrize(("queries", "keys"), [(0, 5), (6, 0)])
def test_empty_input_has_no_peak(impl, queries, keys):
    query, key, _ = make_qkv(1, queries, keys, 2, 8, dtype=torch.float32)

    peaks, positions = token_peaks(query, key, make_groups(1, keys, 2), 3, impl=impl)

    assert peaks.shape == positions.shape == (1, 2, 2, 3)
    assert (peaks == 0).all()
    assert (positions == -1).all()


def test_no_noun_is_an_empty_result(impl):
    query, key, _ = make_qkv(1, 6, 5, 2, 8, dtype=torch.float32)
    groups = KeyGroups(torch.full((1, 5), -1, dtype=torch.int8), 0)

    peaks, positions = token_peaks(query, key, groups, 2, impl=impl)

    assert peaks.shape == positions.shape == (1, 2, 0, 2)


def test_nan_is_the_peak_of_its_frame_alone(impl):
    query, key, groups = given_probs([0.2, 0.7, 0.4, 0.5, 0.1, 0.3])
    query[0, 4] = query[0, 5] = NAN

    peaks, positions = token_peaks(query, key, groups, frames=2, scale=1.0, impl=impl)

    assert peaks[..., 0].item() == pytest.approx(0.7)
    assert peaks[..., 1].isnan().all()
    assert positions.tolist() == [[[[1, 1]]]]


def test_float64_is_kept():
    query, key, _ = make_qkv(1, 6, 5, 2, 8, dtype=torch.float64)

    peaks, _ = token_peaks(query, key, make_groups(1, 5, 2), 2, impl="eager")

    assert peaks.dtype == torch.float64


def test_what_does_not_fit_is_refused():
    query, key, _ = make_qkv(2, 6, 5, 3, 8, dtype=torch.float32)
    groups = make_groups(1, 5, 2)
    for frames in (4, 0, -2):
        with pytest.raises(ShapeError, match=rf"frames must divide the 6 queries.*got {frames}"):
            token_peaks(query, key, groups, frames)
    with pytest.raises(LayoutError, match=r"groups.index must be \[1 or 2, 5\].*got \(3, 5\)"):
        token_peaks(query, key, make_groups(3, 5, 2), 2)
    with pytest.raises(LayoutError, match="key_offset must be"):
        token_peaks(query, key, groups, 2, key_offset=torch.zeros(1, 6))
    with pytest.raises(ShapeError, match=r"lse must be \[2, 3, 6\], got \(2, 6, 3\)"):
        token_peaks(query, key, groups, 2, lse=torch.zeros(2, 6, 3))

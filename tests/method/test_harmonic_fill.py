"""Hidden values continue what is seen around them, and nothing else changes."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.linalg import spsolve

from numina.guidance.harmonic_fill import harmonic_fill


def hole(rows, columns, top, left, height, width):
    hidden = torch.zeros(rows, columns, dtype=torch.bool)
    hidden[top : top + height, left : left + width] = True
    return hidden


def solved(values, hidden):
    """The same by a sparse matrix of every place of a frame."""
    rows, columns = values.shape
    matrix, right = sparse.lil_matrix((values.size, values.size)), values.ravel().copy()
    for at in range(values.size):
        y, x = divmod(at, columns)
        matrix[at, at] = 1.0
        if not hidden[y, x]:
            continue
        steps = ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1))
        near = [(v, u) for v, u in steps if 0 <= v < rows and 0 <= u < columns]
        matrix[at, at], right[at] = len(near), 0.0
        for v, u in near:
            matrix[at, v * columns + u] = -1.0
    return spsolve(matrix.tocsr(), right).reshape(values.shape)


def test_a_ramp_goes_on_behind_a_hole():
    ramp = 0.3 * torch.arange(20.0)[:, None] - torch.arange(24.0)
    filled = harmonic_fill(ramp, hole(20, 24, 5, 9, 6, 4), iterations=12)
    torch.testing.assert_close(filled, ramp, atol=2e-3, rtol=0)


@pytest.mark.parametrize("place", [(6, 7, 5, 6), (0, 3, 6, 5), (12, 15, 4, 5)])
def test_it_solves_laplaces_equation_inside_a_frame_and_at_its_border(place):
    values = torch.randn(16, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    hidden = hole(16, 20, *place)
    expected = solved(values.numpy(), hidden.numpy())
    filled = harmonic_fill(values, hidden, iterations=24).numpy()
    # A thousandth of the range, as the docstring says.
    np.testing.assert_allclose(filled, expected, atol=1e-3 * float(np.ptp(expected)))


def test_what_is_seen_is_untouched_and_bounds_what_is_filled():
    values = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    hidden = hole(16, 16, 4, 4, 5, 5)
    filled = harmonic_fill(values, hidden, iterations=20)
    assert torch.equal(filled[..., ~hidden], values[..., ~hidden])
    seen = values.masked_fill(hidden, 0)
    inside = filled[..., hidden]
    assert (inside <= seen.amax((-2, -1))[..., None]).all()
    assert (inside >= seen.amin((-2, -1))[..., None]).all()


def test_it_is_linear():
    first, second = torch.randn(2, 12, 12, generator=torch.Generator().manual_seed(3))
    hidden = hole(12, 12, 3, 4, 4, 4)
    both = harmonic_fill(first + 5 * (second - first), hidden, iterations=16)
    apart = harmonic_fill(first, hidden, 16) * -4 + harmonic_fill(second, hidden, 16) * 5
    torch.testing.assert_close(both, apart, atol=1e-3, rtol=0)


def test_frames_with_other_holes_or_none_do_not_disturb_each_other():
    values = torch.randn(3, 12, 12, generator=torch.Generator().manual_seed(4))
    hidden = torch.stack(
        [hole(12, 12, 2, 2, 4, 4), hole(12, 12, 0, 0, 0, 0), hole(12, 12, 6, 5, 3, 5)]
    )
    filled = harmonic_fill(values, hidden, iterations=16)
    for frame in range(3):
        alone = harmonic_fill(values[frame], hidden[frame], iterations=16)
        assert torch.equal(filled[frame], alone)
    assert torch.equal(filled[1], values[1])


def test_a_frame_without_a_seen_value_becomes_nothing():
    filled = harmonic_fill(torch.ones(4, 4), hole(4, 4, 0, 0, 4, 4), iterations=8)
    assert torch.equal(filled, torch.zeros(4, 4))

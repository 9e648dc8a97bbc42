import pytest
import torch

from numina_kernels import KeyGroups, LayoutError


def index(*rows):
    return torch.tensor(rows, dtype=torch.int8)


def test_columns_are_the_keys_with_a_noun_in_any_batch_row():
    groups = KeyGroups(index([-1, 0, -1, 1], [-1, 0, 1, -1]), 2)

    assert groups.columns.tolist() == [1, 2, 3]


def test_nouns_last_keeps_the_order_within_both_parts():
    groups = KeyGroups(index([-1, 0, -1, 1, -1], [-1, 0, 1, -1, -1]), 2)

    order, moved = groups.nouns_last()

    assert order.tolist() == [0, 4, 1, 2, 3]
    assert moved.index.tolist() == [[-1, -1, 0, -1, 1], [-1, -1, 0, 1, -1]]
    assert moved.columns.tolist() == [2, 3, 4]
    assert moved.count == 2


def test_nouns_last_without_a_noun_changes_nothing():
    groups = KeyGroups(index([-1, -1, -1]), 2)

    order, moved = groups.nouns_last()

    assert order.tolist() == [0, 1, 2]
    assert moved.columns.numel() == 0


def test_positions_become_an_index():
    groups = KeyGroups.from_positions([[1, 2], [], [5]], keys=7)

    assert groups.index.tolist() == [[-1, 0, 0, -1, -1, 2, -1]]
    assert groups.count == 3


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([[7]], "token 7 of noun 0 is outside the 7 keys"),
        ([[-1]], "token -1 of noun 0 is outside"),
        ([[1], [1]], "token 1 belongs to noun 0 and to noun 1"),
    ],
)
def test_impossible_positions_are_refused(positions, message):
    with pytest.raises(LayoutError, match=message):
        KeyGroups.from_positions(positions, keys=7)


@pytest.mark.parametrize(
    ("wrong", "count", "message"),
    [
        (index([0, 2]), 2, r"index must hold -1..1 for 2 nouns, got 0..2"),
        (index([-2, 0]), 1, r"got -2..0"),
        (torch.zeros(1, 3), 1, r"must be \[B or 1, K\] int8, got \(1, 3\) torch.float32"),
        (torch.zeros(3, dtype=torch.int8), 1, r"got \(3,\)"),
        (index([0]), 128, "count must be 0..127, got 128"),
    ],
)
def test_an_index_without_meaning_is_refused(wrong, count, message):
    with pytest.raises(LayoutError, match=message):
        KeyGroups(wrong, count)


def test_no_noun_and_no_key_are_groups_too():
    assert KeyGroups(index([-1, -1]), 0).columns.numel() == 0
    assert KeyGroups(torch.empty(1, 0, dtype=torch.int8), 2).columns.numel() == 0


def test_folding_keeps_the_real_keys_and_one_of_the_padding():
    groups = KeyGroups(index([-1, 0, 1, -1, -1, -1]), 2)

    assert groups.fold([3]).index.tolist() == [[-1, 0, 1, -1]]
    assert groups.fold([6]).index.tolist() == groups.index.tolist()


def test_a_noun_in_the_padding_cannot_be_folded():
    with pytest.raises(LayoutError, match="a noun owns a key at 2 or later"):
        KeyGroups(index([-1, 0, 1, -1]), 2).fold([2])

"""generate() on a transformer whose patches two ranks share, as Ulysses splits them."""

import pytest
import torch

from tests.combinations.split_runs import (
    CASES,
    PLACES,
    Compared,
    Outcome,
    everything,
    seven_patches,
)
from tests.combinations.two_ranks import on_two_ranks

pytestmark = pytest.mark.slow

# Far more than it takes: a guard against ranks that wait for each other.
SECONDS = 280
case = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each rank made; both have done all there is to do."""
    return on_two_ranks(everything, tmp_path_factory.mktemp("ranks"), SECONDS)


def case_of(ranks, name) -> Compared:
    return ranks[0]["cases"][name]


@case
def test_both_ranks_make_the_same_video_of_the_same_looks(ranks, name):
    first, second = (rank["cases"][name].split for rank in ranks)
    assert first.decisions == second.decisions
    for one, other in zip(everything_in(first), everything_in(second), strict=True):
        assert torch.equal(one, other)


@case
def test_split_runs_see_decide_and_ask_for_what_one_process_would(ranks, name):
    run = case_of(ranks, name)
    guided = "continued" if name.startswith("right") else "guided"
    assert set(run.split.decisions) == set(run.alone.decisions) == {guided}
    assert len(run.split.looks) == len(run.alone.looks) > 0
    for split, alone in zip(run.split.looks, run.alone.looks, strict=True):
        assert torch.equal(split, alone)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("right")])
def test_right_counts_are_the_plain_split_run_bit_for_bit(ranks, name):
    run = case_of(ranks, name)
    assert torch.equal(run.split.frames, run.split.plain)


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("right")])
def test_guided_videos_differ_from_those_of_one_process_as_by_rounding(ranks, name):
    """As plain split runs do, and by no more than twice what the last bits of the noise change."""
    run = case_of(ranks, name)
    assert not torch.equal(run.split.frames, run.split.plain)
    runs = (run.split, run.alone, run.shaken)
    for split, alone, shaken in zip(*map(everything_in, runs), strict=True):
        assert float((split - alone).abs().max()) <= 2 * float((shaken - alone).abs().max())


def test_a_search_finishes_the_right_seed_bit_for_bit(ranks):
    for rank in ranks:
        decision, found, plain = rank["search"]
        assert decision == "continued"
        assert torch.equal(found, plain)


def test_an_audit_counts_what_one_process_would(ranks):
    for rank in ranks:
        alone, split, plain = rank["audit"]
        assert split.record.nouns == alone.record.nouns
        assert split.record.nouns[0].seen is not None
        assert torch.equal(split.frames, plain)


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_ranks_that_make_different_videos_are_told_so(ranks, mode):
    """Else one of them would stop or guide alone, and the others wait for it for ever."""
    for rank in ranks:
        assert "a generator of the same seed" in rank["other noise"][mode]


def test_what_ranks_hold_is_put_together_in_the_order_of_the_patches(ranks):
    video = seven_patches()
    parts = [rank["exchanged"]["part"] for rank in ranks]
    assert [part.shape[1] for part in parts] == [4, 3]
    assert torch.equal(torch.cat(parts, dim=1), video)
    for rank in ranks:
        assert torch.equal(rank["exchanged"]["whole"], video)
        assert torch.equal(rank["exchanged"]["half"], video.half())
        assert torch.equal(rank["exchanged"]["at"], video[torch.arange(2)[:, None], PLACES])


def everything_in(outcome: Outcome) -> list[torch.Tensor]:
    return [outcome.plain, outcome.frames, *outcome.captures]

"""search(): seeds are left at the look, the first right one is finished, the best guided."""

import pytest
import torch

from numina.errors import CaptureMissedError, PromptError
from numina.searching import search
from tests.pipeline.given import Given
from tests.pipeline.short_runs import LOOK, STEPS, arguments, is_clean, plain

# Up to the layer that is looked at: both branches of every step before, then one.
LOOK_COST = 2 * LOOK + 1
RUN_COST = 2 * STEPS
SEEDS = (11, 5, 8)


def searched(pipe, found, counts=None, **changes):
    options = {key: changes.pop(key) for key in ("seeds", "rounds", "enhance") if key in changes}
    call = arguments(**changes)
    prompt, _ = call.pop("prompt"), call.pop("generator")
    wish = {"cats": 3} if counts is None else counts
    options = {"seeds": SEEDS, **options}
    return search(pipe, prompt, counts=wish, preset=Given(found=found), **options, **call)


def from_seed(seed):
    return torch.Generator("cpu").manual_seed(seed)


def test_the_first_right_seed_is_the_plain_run_of_that_seed(pipe):
    video = searched(pipe, (2, 3))
    assert video.seed == SEEDS[1]
    assert torch.equal(video.frames, plain(pipe, generator=from_seed(SEEDS[1])))
    assert video.report.decision == "continued"
    assert [(tried.seed, tried.error) for tried in video.tried] == [(11, 1), (5, 0)]
    assert is_clean(pipe)


def test_a_wrong_seed_costs_the_steps_before_the_look(pipe):
    video = searched(pipe, (2, 3))
    assert [tried.cost.forwards for tried in video.tried] == pytest.approx([LOOK_COST, RUN_COST])
    assert video.report.total.forwards == pytest.approx(LOOK_COST + RUN_COST)


def test_without_a_right_seed_the_nearest_one_is_guided(pipe):
    video = searched(pipe, (1, 2, 5, 3))
    assert video.seed == SEEDS[1]
    assert video.report.decision == "guided"
    assert "2 instead of 3" in video.report.reason
    assert video.report.total.forwards == pytest.approx(3 * LOOK_COST + RUN_COST)
    assert [look.round for look in video.report.looks] == [0, 1]
    assert is_clean(pipe)


def test_the_guided_seed_starts_from_its_own_noise(pipe):
    """Guidance of one seed alone gives the same video as guidance after a search."""
    alone = searched(pipe, (2, 3), seeds=(SEEDS[1],))
    after = searched(pipe, (1, 2, 5, 3))
    assert torch.equal(alone.frames, after.frames)
    assert not torch.equal(alone.frames, plain(pipe, generator=from_seed(SEEDS[1])))


def test_of_seeds_that_are_off_by_the_same_the_first_is_taken(pipe):
    assert searched(pipe, (2, 4, 2, 3)).seed == SEEDS[0]


def test_rounds_of_zero_make_the_best_seed_plainly(pipe):
    video = searched(pipe, (1, 2, 5), rounds=0)
    assert torch.equal(video.frames, plain(pipe, generator=from_seed(SEEDS[1])))
    assert video.report.decision == "unguided"
    assert "no seed was right" in video.report.reason


def test_further_rounds_follow_while_the_look_says_wrong(pipe):
    video = searched(pipe, (2, 2, 3), seeds=(1,), rounds=2)
    assert [look.round for look in video.report.looks] == [0, 1, 2]


def test_a_seed_without_a_usable_layout_is_never_taken_for_right(pipe):
    video = searched(pipe, (None, 3))
    assert video.seed == SEEDS[1]
    assert [tried.error for tried in video.tried] == [None, 0]


def test_where_no_seed_shows_a_layout_the_first_is_made_plainly_and_told(pipe):
    with pytest.warns(UserWarning, match="a look changed nothing"):
        video = searched(pipe, (None,))
    assert torch.equal(video.frames, plain(pipe, generator=from_seed(SEEDS[0])))
    assert (video.seed, video.report.decision) == (SEEDS[0], "unguided")
    assert video.report.reason == "no seed showed a usable layout"


def test_the_text_encoder_runs_once_for_all_seeds(pipe):
    calls = []
    handle = pipe.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    try:
        searched(pipe, (1, 2, 5, 3))
    finally:
        handle.remove()
    assert len(calls) == 2  # prompt and negative prompt


def test_the_noise_levels_are_worked_out_once_for_all_seeds(pipe, monkeypatch):
    calls, check_inputs = [], pipe.check_inputs
    monkeypatch.setattr(pipe, "check_inputs", lambda *args: calls.append(1) or check_inputs(*args))
    searched(pipe, (1, 2, 5, 3))
    # Up to the scheduler once, three looks, and the guided run.
    assert len(calls) == 1 + 3 + 1


def test_the_global_random_state_is_left_as_a_plain_run_leaves_it(pipe):
    torch.manual_seed(7)
    expected = torch.get_rng_state()
    searched(pipe, (1, 2, 5, 3))
    assert torch.equal(torch.get_rng_state(), expected)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"seeds": ()}, "at least one seed"),
        ({"seeds": (3, 3)}, "must differ"),
        ({"seeds": (2**32,)}, r"\[0, 2\*\*32\)"),
        ({"seeds": (1.0,)}, "integers"),
        ({"seeds": (True,)}, "integers"),
        ({"rounds": -1}, "rounds"),
        ({"latents": torch.zeros(1)}, "latents must not be given"),
        ({"num_videos_per_prompt": 2}, "num_videos_per_prompt"),
    ],
)
def test_what_no_search_can_use_is_refused_before_any_work(pipe, changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        searched(pipe, (3,), **changes)


def test_a_generator_of_its_own_is_refused(pipe):
    call = arguments()
    prompt = call.pop("prompt")
    with pytest.raises(ValueError, match="generator must not be given"):
        search(pipe, prompt, counts={"cats": 3}, **call)


def test_a_prompt_without_a_count_has_no_better_seed(pipe):
    for counts in ("auto", "required", {}):
        with pytest.raises(PromptError, match="no count was found"):
            searched(pipe, (3,), counts=counts, prompt="cats playing on the grass")
    with pytest.raises(PromptError, match="one text"):
        search(pipe, ["three cats", "two dogs"])


def test_layers_that_never_run_are_an_error_and_no_right_count(pipe, monkeypatch):
    monkeypatch.setattr(Given, "identify", lambda *_: pytest.fail("looked"))
    monkeypatch.setattr("numina.generation.trial._Judge.__call__", lambda *_: None)
    with pytest.raises(CaptureMissedError, match="without a look"):
        searched(pipe, (3,))

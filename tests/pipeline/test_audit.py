"""audit(): the plain video, what was seen in it, and what is refused."""

from dataclasses import replace

import pytest
import torch

import numina
from numina.auditing import audit
from numina.errors import PromptError
from numina.generation.run import denoisers
from numina.methods.observing import Observing
from numina.methods.paper import Paper
from numina.methods.robust import Robust
from numina.pipeline import generate
from tests.pipeline.given import Given
from tests.pipeline.short_runs import LOOK, STEPS, arguments, is_clean, plain


def audited(pipe, found, **changes):
    method = changes.pop("method", Given(found=found))
    options = {key: changes.pop(key) for key in ("counts", "seed") if key in changes}
    call = arguments(**changes)
    prompt = call.pop("prompt")
    if "generator" not in changes:
        call.pop("generator")
    return audit(pipe, prompt, method=method, **{"counts": {"cats": 3}, **options}, **call)


@pytest.fixture
def forwards(pipe):
    """Forward passes of the transformer, one entry each."""
    calls = []
    hooks = [
        model.register_forward_pre_hook(lambda *_: calls.append(1)) for model in denoisers(pipe)
    ]
    yield calls
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("found", [3, 2, 0])
def test_the_video_is_the_plain_one_bit_for_bit_and_no_forward_is_added(pipe, forwards, found):
    expected = plain(pipe)
    assert len(forwards) == 2 * STEPS
    forwards.clear()
    video = audited(pipe, (found,))
    assert torch.equal(video.frames, expected)
    assert len(forwards) == 2 * STEPS
    assert not pipe.transformer._forward_hooks


def test_the_real_method_leaves_the_video_alone_too(pipe):
    """Random weights show some layout or none; neither changes a bit."""
    method = replace(Robust(), verdict=0.9)
    assert torch.equal(audited(pipe, (), method=method, seed=0).frames, plain(pipe))


def test_a_wrong_count_is_flagged(pipe):
    record = audited(pipe, (2,)).record
    assert record.flagged
    (noun,) = record.nouns
    assert (noun.noun, noun.asked, noun.seen, noun.agrees) == ("cats", 3, 2, False)


def test_a_right_count_is_not_flagged(pipe):
    video = audited(pipe, (3,))
    assert not video.record.flagged
    assert video.record.nouns[0].agrees
    assert video.layout.count(0) == 3
    assert is_clean(pipe)


def test_one_wrong_noun_of_two_flags_the_record(pipe):
    prompt = "two dogs and one cat on the grass"
    record = audited(pipe, (2,), prompt=prompt, counts="auto").record
    assert [(each.noun, each.asked, each.seen) for each in record.nouns] == [
        ("dogs", 2, 2),
        ("cat", 1, 0),
    ]
    assert record.flagged


def test_the_look_is_that_of_the_verdict(pipe):
    method = Given(found=(3,))
    record = audited(pipe, (), method=method).record
    call = arguments()
    prompt = call.pop("prompt")
    counted = Given(found=(3,))
    report = generate(pipe, prompt, counts={"cats": 3}, preset=counted, mode="restart", **call)
    (look,) = report.report.looks
    assert (record.step, record.noise) == (look.step, look.noise)
    assert record.step == LOOK
    (ours,), (theirs,) = method.captures, counted.captures
    assert torch.equal(ours.probs, theirs.probs)
    assert torch.equal(ours.clean, theirs.clean)


def test_more_than_there_is_room_for_is_seen_and_flagged(pipe, recwarn):
    """Nothing is refined, so room is no matter."""
    record = audited(pipe, (2,), counts={"cats": 500}).record
    assert (record.nouns[0].seen, record.flagged) == (2, True)
    assert not [each for each in recwarn if "no room" in str(each.message)]


def test_what_cannot_be_seen_is_flagged(pipe):
    with pytest.warns(UserWarning, match="no usable layout"):
        video = audited(pipe, (None,))
    assert video.layout is None
    assert video.record.nouns[0].seen is None
    assert video.record.flagged
    assert video.record.step is None


def test_a_prompt_without_counts_is_run_and_not_flagged(pipe):
    prompt = "cats playing on the grass"
    video = audited(pipe, (3,), prompt=prompt, counts="auto")
    assert torch.equal(video.frames, plain(pipe, prompt=prompt))
    assert video.record.nouns == ()
    assert not video.record.flagged


def test_the_seed_is_that_of_the_noise(pipe):
    video = audited(pipe, (3,), seed=5)
    assert video.record.seed == 5
    assert torch.equal(video.frames, plain(pipe, generator=torch.Generator().manual_seed(5)))


def test_the_record_names_model_versions_and_settings(pipe):
    record = audited(pipe, (3,)).record
    assert record.model
    assert {"torch", "diffusers", "python"} <= set(record.versions)
    assert record.settings["num_inference_steps"] == STEPS
    assert record.settings["policy"] == "subjects"


def test_arguments_that_an_audit_cannot_have_are_refused(pipe, forwards):
    with pytest.raises(PromptError, match="prompt must be one text"):
        audit(pipe, ["three cats", "two dogs"])
    with pytest.raises(TypeError, match="method must be a Robust, got Paper"):
        audit(pipe, "three cats", method=Paper())
    with pytest.raises(TypeError, match="takes no rounds"):
        audit(pipe, "three cats", rounds=2)
    with pytest.raises(ValueError, match=r"generator must not be given.*seed="):
        audit(pipe, "three cats", generator=torch.Generator())
    with pytest.raises(ValueError, match="num_videos_per_prompt must be 1, got 2"):
        audit(pipe, "three cats", num_videos_per_prompt=2)
    assert not forwards


def test_observing_stops_nothing_and_guides_nothing_in_either_mode(pipe):
    for mode in ("one-pass", "restart"):
        call = arguments()
        prompt = call.pop("prompt")
        method = Observing(Given(found=(2,)))
        video = generate(pipe, prompt, counts={"cats": 3}, preset=method, mode=mode, **call)
        assert torch.equal(video.frames, plain(pipe))
        assert video.report.total.forwards == 2 * STEPS
        assert video.report.strengths == ()


def test_the_public_names_are_found():
    assert numina.audit is audit
    assert callable(numina.verify_audit)

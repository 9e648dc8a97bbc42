"""generate() and audit() where the prompt or the caller says where instances shall be."""

import pytest
import torch

from numina import Placed
from numina.auditing import audit
from numina.errors import TargetError
from numina.methods.paper import Paper
from numina.pipeline import generate
from numina.places import PLACES
from numina.refine.quotas import in_place
from numina.report.document import describe
from numina.report.story import RunStory
from tests.pipeline.given import Given
from tests.pipeline.short_runs import STEPS, arguments, counted, plain

# Three instances are found at columns 0, 2 and 4 of six: two on the left, one on the right.
AS_FOUND = Placed(left=2, right=1)
MIRRORED = Placed(left=1, right=2)
PROMPT = "one cat on the left and two cats on the right"


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_right_counts_in_right_places_give_the_plain_run(pipe, mode):
    video = counted(pipe, (3,), counts={"cats": AS_FOUND}, mode=mode)
    assert torch.equal(video.frames, plain(pipe))
    assert video.report.decision == "continued"
    assert video.report.total.forwards == 2 * STEPS


@pytest.mark.parametrize("mode", ["one-pass", "restart"])
def test_a_right_count_in_a_wrong_place_is_put_right(pipe, mode):
    report = counted(pipe, (3,), counts={"cats": MIRRORED}, mode=mode).report
    assert report.decision == "guided"
    assert "2 instead of 1 on the left for 'cats'" in report.reason
    assert "1 instead of 2 on the right for 'cats'" in report.reason
    edit = report.looks[0].edit
    assert (len(edit.removed), len(edit.added)) == (1, 1)
    assert in_place(edit.after, [3], [MIRRORED.parts])


def test_places_are_read_from_the_prompt(pipe):
    video = counted(pipe, (3,), counts="required", prompt=PROMPT)
    (target,) = video.report.targets
    assert (target.count, target.places) == (3, MIRRORED.parts)
    assert video.report.decision == "guided"
    anywhere = counted(pipe, (3,), counts={"cats": 3}, prompt=PROMPT)
    assert anywhere.report.decision == "continued"


def test_a_doubtful_place_is_told(pipe):
    prompt = "one dog and two cats on the left"
    report = counted(pipe, (1,), counts="required", prompt=prompt).report
    assert "counted anywhere: dog: 'on the left' may be said of something else" in report.reason


def test_a_full_place_leaves_the_run_unguided_and_says_so(pipe):
    with pytest.warns(UserWarning, match="30 instances of cats on the left were asked for"):
        video = counted(pipe, (3,), counts={"cats": Placed(left=30)})
    assert video.report.decision == "unguided"
    assert torch.equal(video.frames, plain(pipe))


def test_a_method_without_places_is_refused_before_any_work(pipe):
    calls = []
    handle = pipe.transformer.register_forward_pre_hook(lambda *_: calls.append(1))
    call = arguments()
    prompt = call.pop("prompt")
    try:
        with pytest.raises(TargetError, match=r"'paper' does not know places; .*\{'cats': 3\}"):
            generate(pipe, prompt, counts={"cats": AS_FOUND}, preset=Paper(), **call)
    finally:
        handle.remove()
    assert not calls


def test_an_audit_flags_every_place_by_its_name(pipe):
    call = arguments()
    call.pop("generator")
    prompt = call.pop("prompt")
    seen = audit(pipe, prompt, counts={"cats": MIRRORED}, method=Given(found=(3,)), **call)
    assert [(noun.noun, noun.asked, noun.seen) for noun in seen.record.nouns] == [
        ("cats on the left", 1, 2),
        ("cats on the right", 2, 1),
        ("cats elsewhere", 0, 0),
    ]
    assert seen.record.flagged
    right = audit(pipe, prompt, counts={"cats": AS_FOUND}, method=Given(found=(3,)), **call)
    assert not right.record.flagged


def test_the_record_names_the_places(pipe):
    report = counted(pipe, (3,), counts={"cats": MIRRORED}).report
    frames = torch.zeros(5, 8, 8, 3).numpy().astype("uint8")
    told = describe(RunStory(report=report, model="tiny", seed=0, after=frames))
    assert told["targets"][0]["places"] == {"on the left": 1, "on the right": 2}
    assert told["outcome"] == "open"
    assert "three cats (1 on the left and 2 on the right)" in told["verdict"]
    assert report.targets[0].places[0][0] is PLACES["left"]

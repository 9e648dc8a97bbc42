"""report.json: the keys that others read, and values that JSON can hold."""

import dataclasses
import json

from report import made

from numina.record import Cost
from numina.report.document import describe, to_json


def test_the_promised_keys_are_there():
    document = json.loads(to_json(made.story()))
    assert document["prompt"] == "a video of three apples drifting right at sea"
    assert document["seed"] == 7
    assert document["decision"] == "guided"
    (target,) = document["targets"]
    assert target["noun"] == "apples"
    assert target["count"] == 3
    assert target["before"] == [2] * 5
    assert target["after"] == [3] * 5
    assert document["forwards"] == {"before": 40.0, "after": 40.0}
    assert document["seconds"] == {"before": 3.98, "after": 4.21}
    assert document["versions"]["torch"] == "2.13.0"


def test_a_continued_run_has_equal_counts_before_and_after():
    story = made.story(decision="continued", exact=(made.counted(2, 2),))
    (target,) = describe(story)["targets"]
    assert target["before"] == target["after"]


def test_counts_of_a_layout_are_labelled_as_such():
    (target,) = describe(made.story(exact=None))["targets"]
    assert target["counted_by"] == {"before": "layout", "after": "plan"}


def test_without_a_plain_run_its_cost_is_null():
    document = json.loads(to_json(made.story(exact=None, compare=False)))
    assert document["forwards"] == {"before": None, "after": 40.0}


def test_a_look_tells_what_it_saw_and_changed():
    story = made.story(
        prompt="three apples and two stars",
        asked=(("apples", 3), ("stars", 2)),
        edit=made.removal((0, 0, 0, 0, 1, 1), (2,)),
        exact=None,
    )
    (look,) = describe(story)["looks"]
    untouched = {"added": 0, "removed": 0, "held": 0, "brief": 0}
    assert look["nouns"][0] == untouched | {"phrase": "apples", "seen": 4, "removed": 1}
    assert look["nouns"][1] == untouched | {"phrase": "stars", "seen": 2}


def test_a_look_tells_what_it_steadied():
    (look,) = describe(made.story(edit=made.steadied(), exact=None))["looks"]
    assert (look["nouns"][0]["held"], look["nouns"][0]["brief"]) == (1, 1)


def test_values_that_json_does_not_know_become_null():
    story = dataclasses.replace(made.story(), plain=Cost(float("nan"), float("inf")))
    document = json.loads(to_json(story))
    assert document["forwards"]["before"] is None
    assert document["seconds"]["before"] is None


def test_any_prompt_keeps_the_file_readable():
    prompt = 'three apples \ud800 "\u202e" \x00 果物'
    text = to_json(made.story(prompt=prompt))
    assert text.isascii()
    assert json.loads(text)["prompt"] == prompt

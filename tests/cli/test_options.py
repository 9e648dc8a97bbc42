"""--counts: a JSON object of whole numbers, and nothing that only looks like one."""

import typing

import pytest

from numina import pipeline
from numina.commands import options
from numina.errors import TargetError
from numina.generation import request
from numina.methods.presets import method_named
from numina.places import Placed


def test_counts_are_a_json_object():
    text = '{"red balls": 2, "cats": 0}'
    assert options.read_counts(text) == {"red balls": 2, "cats": 0}


def test_a_noun_may_be_counted_place_by_place():
    text = '{"stars": {"left": 2, "right": 3}, "cats": 1}'
    assert options.read_counts(text) == {"stars": Placed(left=2, right=3), "cats": 1}


@pytest.mark.parametrize("word", ["auto", "required", " auto "])
def test_counts_may_be_left_to_the_prompt(word):
    assert options.read_counts(word) == word.strip()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"cats": 2, "cats": 3}', "'cats' is named twice"),
        ('{"cats": NaN}', "got NaN"),
        ('{"cats": Infinity}', "got Infinity"),
        ('{"cats": 1e400}', "got 1e400"),
        ('{"cats": 2.5}', "got 2.5"),
        ('{"cats": 2.0}', "got 2.0"),
        ('{"cats": true}', "got True"),
        ('{"cats": "three"}', "got 'three'"),
        ('{"cats": -1}', "got -1"),
        ('{"cats": null}', "got None"),
        ('{"cats": {"dogs": 1}}', "'cats' has the place 'dogs'; choose from left, right"),
        ('{"cats": {"left": 1, "left": 2}}', "'left' is named twice"),
        ('{"cats": {"left": -1}}', "'cats': the count on the left must be a whole number"),
        ('{"cats": {"left": null}}', "'cats': Placed needs a place"),
        ('{"cats": {"left": {"top": 1}}}', "'cats': the count on the left must be a whole number"),
        ('{"cats": {}}', "'cats': Placed needs a place"),
        ('{"cats": {"left": 2, "upper_left": 1, "lower_left": 1}}', "leaves nothing on the left"),
        ("{}", "must be a JSON object"),
        ("[]", "must be a JSON object"),
        ("3", "must be a JSON object"),
        ("{cats: 3}", "must be .*got '{cats: 3}'"),
        ("", "must be"),
        ("[" * 100_000, "--counts"),
        ('{"cats": ' + "9" * 5000 + "}", "--counts"),
    ],
)
def test_everything_else_is_refused(text, complaint):
    with pytest.raises(TargetError, match=complaint):
        options.read_counts(text)


def test_the_choices_are_those_of_generate():
    assert {mode.value for mode in options.Mode} == set(typing.get_args(pipeline.Mode))
    assert {policy.value for policy in options.Policy} == set(typing.get_args(request.Policy))
    for preset in options.Preset:
        assert method_named(preset.value).name == preset.value

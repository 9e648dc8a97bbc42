"""Counted prompts: files checked to the last line, and natural ones made from a seed."""

from collections import Counter

import pytest

from numina import parse_counts, targets_from_counts
from numina.errors import FormatError
from numina.evaluation.natural_prompts import KINDS, natural_prompts
from numina.evaluation.prompt_files import (
    CountedPrompt,
    dump_counted_prompts,
    read_counted_prompts,
)
from numina.prompt.grammar.nouns import same_noun

PROMPTS = "three cats and two dogs playing on the grass\nEight red balls roll, one blue ball lies\n"
COUNTS = '{"cats": 3, "dogs": 2}\n{"red balls": 8, "blue ball": 1}\n'


@pytest.fixture
def read(tmp_path):
    def read(prompts, counts):
        paths = tmp_path / "prompts.txt", tmp_path / "noun_counts.jsonl"
        for path, content in zip(paths, (prompts, counts), strict=True):
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_counted_prompts(*paths)

    return read


def test_both_files_are_read_line_by_line(read):
    first, second = read(PROMPTS, COUNTS)
    assert first.prompt == "three cats and two dogs playing on the grass"
    assert first.counts == (("cats", 3), ("dogs", 2))
    assert second.counts == (("red balls", 8), ("blue ball", 1))


def test_line_ends_of_windows_and_a_missing_last_one_are_no_part_of_a_prompt(read):
    made = read(PROMPTS.replace("\n", "\r\n"), COUNTS.removesuffix("\n"))
    assert made == read(PROMPTS, COUNTS)


def test_what_is_written_is_read_again(read):
    made = (*natural_prompts(5), CountedPrompt("zwei Bären, drei 猫", (("猫", 3), ("Bären", 2))))
    assert read(*dump_counted_prompts(made).values()) == made


ONE = "three cats\n"
BROKEN = {
    "fewer counts": (PROMPTS, '{"cats": 3}\n', "has 2 lines and .* has 1"),
    "blank prompt": ("three cats\n\ntwo dogs\n", COUNTS, "prompts.txt, line 2: must not be blank"),
    "blank at the end": (ONE + "\n", '{"cats": 3}\n\n', "prompts.txt, line 2: must not be blank"),
    "nothing": ("", "", "prompts.txt, line 1: must not be blank"),
    "no UTF-8": (b"three cats\n\xff\n", COUNTS, "prompts.txt, line 2: must be UTF-8"),
    "byte order mark": (b"\xef\xbb\xbf" + ONE.encode(), '{"cats": 3}', "byte order mark"),
    "other noun": (PROMPTS, COUNTS.replace("dogs", "hens"), "jsonl, line 1: 'hens' is not in the"),
    "zero": (ONE, '{"cats": 0}', "line 1: the count of 'cats' must be 1 or more, got 0"),
    "negative": (ONE, '{"cats": -3}', "line 1: .*'cats'.* got -3"),
    "half": (ONE, '{"cats": 2.5}', "line 1: .*whole numbers, got 2.5"),
    "true": (ONE, '{"cats": true}', "line 1: .*got True"),
    "text": (ONE, '{"cats": "3"}', "line 1: .*got '3'"),
    "NaN": (ONE, '{"cats": NaN}', "line 1: .*got NaN"),
    "twice": (ONE, '{"cats": 3, "cats": 4}', "line 1: .*'cats' twice"),
    "no counts": (ONE, "{}", "line 1: .*needs a count at least"),
    "a list": (ONE, '["cats", 3]', "line 1: .*JSON object"),
    "torn": (ONE, '{"cats": 3', "line 1: counts must be one JSON object"),
}


@pytest.mark.parametrize(("prompts", "counts", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_line_is_named(read, prompts, counts, message):
    with pytest.raises(FormatError, match=message):
        read(prompts, counts)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"absent.txt cannot be read: no such file"):
        read_counted_prompts(tmp_path / "absent.txt", tmp_path / "absent.jsonl")


@pytest.fixture(scope="module")
def many():
    return [item for seed in range(500) for item in natural_prompts(5, seed)]


def test_what_a_natural_prompt_asks_for_is_what_is_read(many):
    for item in many:
        read = tuple((target.noun, target.count) for target in parse_counts(item.prompt))
        assert read == item.counts, item.prompt


def test_natural_counts_are_spread_evenly_over_all_kinds(many):
    counts = Counter(count for item in many for _, count in item.counts)
    assert sorted(counts) == list(range(1, 9))
    # A deck of eight is begun anew for every seed, so its last cards come a little less often.
    assert max(counts.values()) < 1.2 * min(counts.values())
    numbers = Counter(len(item.counts) for item in many)
    assert sorted(numbers) == [1, 2, 3]
    assert min(numbers.values()) > 100
    one_seed = Counter(count for item in natural_prompts(400, 1) for _, count in item.counts)
    assert max(one_seed.values()) - min(one_seed.values()) <= 1
    nouns = {noun for item in many for noun, _ in item.counts}
    for kind in KINDS.values():
        assert {form for thing in kind.things for form in thing} <= nouns


def test_plurals_are_plurals_of_their_singulars_to_the_parser_too():
    things = {thing for kind in KINDS.values() for thing in kind.things}
    assert {("children", "child"), ("geese", "goose"), ("knives", "knife")} <= things
    for several, one in things:
        assert same_noun(several, one), (several, one)


def test_a_seed_decides_and_a_larger_number_goes_on():
    assert natural_prompts(20, 3)[:7] == natural_prompts(7, 3)
    assert natural_prompts(20, 3) != natural_prompts(20, 4)
    for item in natural_prompts(20, 3):
        assert item.prompt[0].isupper()
        assert len(targets_from_counts(item.prompt, dict(item.counts))) == len(item.counts)
    with pytest.raises(ValueError, match="number must be 1 or more"):
        natural_prompts(0)

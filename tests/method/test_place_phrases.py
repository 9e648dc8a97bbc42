"""Where a prompt says that its things are: read where it is certain, told where it is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numina.errors import TargetError
from numina.places import PLACES, Place, Placed
from numina.prompt.counts import (
    CountTarget,
    abstentions,
    parse_counts,
    targets_from_counts,
    unplaced,
)
from numina.prompt.enhancement import counts_of
from numina.prompt.target import PlacedCount

SHORT = {place: name for name, place in PLACES.items()}


def read(prompt):
    return {
        target.phrase: {SHORT[part.place]: part.count for part in target.places} or target.count
        for target in parse_counts(prompt)
    }


@pytest.mark.parametrize(
    ("prompt", "counts"),
    [
        ("two stars on the left and three on the right", {"stars": {"left": 2, "right": 3}}),
        ("three cats on the left and one on the right", {"cats": {"left": 3, "right": 1}}),
        ("two stars on the left and two stars on the right", {"stars": {"left": 2, "right": 2}}),
        ("two stars on the left and the two on the right", {"stars": {"left": 2, "right": 2}}),
        ("2 stars on the left side, 3 on the right side", {"stars": {"left": 2, "right": 3}}),
        ("four apples at the bottom and six at the top", {"apples": {"bottom": 4, "top": 6}}),
        ("two dogs in the middle of the picture", {"dogs": {"middle": 2}}),
        ("two dogs in the center", {"dogs": {"middle": 2}}),
        ("two cats sleeping on the left-hand side", {"cats": {"left": 2}}),
        ("two cats in the left half of the frame", {"cats": {"left": 2}}),
        ("two cats in the top right corner", {"cats": {"upper_right": 2}}),
        ("two cats in the upper-left", {"cats": {"upper_left": 2}}),
        ("two cats in the lower right and one in the lower left", {
            "cats": {"lower_right": 2, "lower_left": 1}}),
        ("five stars: two on the left and three on the right", {"stars": {"left": 2, "right": 3}}),
        ("On the left two stars and on the right three balls", {
            "stars": {"left": 2}, "balls": {"right": 3}}),
        ("On the left, two stars and three balls; on the right, one fish", {
            "stars": {"left": 2}, "balls": {"left": 3}, "fish": {"right": 1}}),
        ("two red stars on the left, one on the right and three blue stars at the bottom", {
            "red stars": {"left": 2, "right": 1}, "blue stars": {"bottom": 3}}),
        ("two stars drifting left on the left, three drifting up", {"stars": {"left": 2}}),
        ("two stars on the left and three other stars on the right", {
            "stars": {"left": 2, "right": 3}}),
        ("a video of two stars on the left and three on the right drifting up at sea", {
            "stars": {"left": 2, "right": 3}}),
    ],
)  # fmt: skip
def test_places_are_read_beside_the_counts(prompt, counts):
    assert read(prompt) == counts
    assert unplaced(prompt) == ()


@pytest.mark.parametrize(
    "prompt",
    [
        "two stars drifting left",
        "two stars drift to the right",
        "two stars to the left of a moon",
        "two dogs run on the left bank of the river",
        "three cats sit in the middle of the road",
        "three stars at the top of the hill",
        "three people on top of a hill",
        "two boats in the middle distance",
        "two runners in the left lane",
        "two dolls on the top shelf",
    ],
)
def test_what_is_no_part_of_the_frame_is_no_place(prompt):
    (target,) = parse_counts(prompt)
    assert target.places == ()
    assert unplaced(prompt) == ()


@pytest.mark.parametrize(
    ("prompt", "counts", "doubtful"),
    [
        ("two stars and three balls on the left", {"stars": 2, "balls": 3}, ["stars", "balls"]),
        ("two cats beside a tree on the left", {"cats": 2}, ["cats"]),
        ("five stars, three on the right", {"stars": 5}, ["stars"]),
    ],
)
def test_a_place_that_may_be_anothers_is_not_given_and_says_so(prompt, counts, doubtful):
    assert read(prompt) == counts
    assert [each.noun for each in unplaced(prompt)] == doubtful
    assert all("Placed(left=<number>)" in each.reason for each in unplaced(prompt))


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("two stars, three on the right", "the numbers 2 and 3"),
        ("two stars on the left and three stars on the left", "two numbers for them on the left"),
        (
            "two stars on the left, one in the upper left and one in the lower left",
            "nothing is left on the left",
        ),
    ],
)
def test_places_that_contradict_the_counts_abstain(prompt, reason):
    assert parse_counts(prompt) == ()
    (left,) = abstentions(prompt)
    assert reason in left.reason


def test_every_mention_belongs_to_the_placed_noun():
    prompt = "two red stars on the left, three red stars on the right; the stars glow"
    (target,) = parse_counts(prompt)
    assert [prompt[slice(*span)] for span in target.spans] == ["stars"] * 3


WORDS = "two three one stars balls red on at in the left right top middle of frame and , a cat side"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=16).map(" ".join))
def test_whatever_is_read_adds_up(prompt):
    for target in parse_counts(prompt):
        if target.places:
            assert sum(part.count for part in target.places) == target.count
            assert len({part.place for part in target.places}) == len(target.places)


# Counts that the caller places.


def test_given_counts_may_be_placed():
    prompt = "some stars and cats"
    stars, cats = targets_from_counts(prompt, {"stars": Placed(left=2, right=3), "cats": 1})
    assert (stars.count, stars.parts) == (5, ((PLACES["left"], 2), (PLACES["right"], 3)))
    assert (cats.count, cats.parts) == (1, ())


def test_a_given_number_lets_them_be_anywhere():
    prompt = "two stars on the left and three on the right"
    (anywhere,) = targets_from_counts(prompt, {"stars": 5})
    assert (anywhere.count, anywhere.places) == (5, ())
    (again,) = targets_from_counts(prompt, {"stars": Placed(left=2, right=3)})
    assert again.places == parse_counts(prompt)[0].places
    (moved,) = targets_from_counts(prompt, {"stars": Placed(top=5)})
    assert moved.parts == ((PLACES["top"], 5),)


def test_counts_travel_with_their_places():
    targets = parse_counts("two stars on the left, three on the right and one cat")
    assert counts_of(targets) == {"stars": Placed(left=2, right=3), "cat": 1}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Placed(), "needs a place"),
        (lambda: Placed(left=-1), "the count on the left must be a whole number"),
        (lambda: Placed(left=2.5), "got 2.5"),
        (lambda: Placed(left=True), "got True"),
        (lambda: Placed(left=1, upper_left=0, lower_left=2), "leaves nothing on the left"),
        (lambda: Place("nowhere", rows=(0.5, 0.5)), "rows must rise"),
        (lambda: Place("beyond", columns=(0.5, 1.5)), "columns must rise"),
    ],
)
def test_what_is_no_place_is_refused(make, sentence):
    with pytest.raises(TargetError, match=sentence):
        make()


def test_places_of_a_target_add_up_and_differ():
    left = PLACES["left"]
    for places in ((PlacedCount(left, 2),), (PlacedCount(left, 1), PlacedCount(left, 2))):
        with pytest.raises(TargetError, match="places of 'stars' must"):
            CountTarget("stars", 3, ((0, 5),), 1.0, "stars", places=places)


def test_placed_is_told_by_its_places_alone():
    assert repr(Placed(left=2, upper_right=0)) == "Placed(left=2, upper_right=0)"
    assert Placed(left=2) == Placed(left=2)
    assert len({Placed(left=2), Placed(left=2), Placed(right=2)}) == 2


@pytest.mark.parametrize("size", [(16, 16), (30, 52), (5, 7)])
def test_halves_and_quarters_part_the_frame(size):
    masks = {name: place.mask(*size) for name, place in PLACES.items()}
    for one, other in (("left", "right"), ("top", "bottom")):
        assert (masks[one] ^ masks[other]).all()
    corners = [mask for name, mask in masks.items() if "_" in name]
    assert (sum(mask.astype(int) for mask in corners) == 1).all()
    assert masks["middle"].sum() == pytest.approx(size[0] * size[1] / 4, rel=0.4)

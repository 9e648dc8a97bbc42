"""Arrangements: inside the box, apart, evenly spread, and neighbours in a row."""

import numpy as np
import pytest

from numina.sprites.arrangement import arrange

LOW, HIGH, DISTANCE = (0, 16), (104, 104), 30


def arrangements(number: int, times: int = 20, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [arrange(number, LOW, HIGH, DISTANCE, rng) for _ in range(times)]


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.slow
def test_places_keep_their_distance_inside_the_box(number: int) -> None:
    for places in arrangements(number):
        assert places.shape == (number, 2)
        assert (places >= LOW).all()
        assert (places <= HIGH).all()
        gaps = np.abs(places[:, None] - places[None]).max(axis=-1)
        assert (gaps[np.triu_indices(number, 1)] >= DISTANCE).all()


def test_a_single_sprite_stands_near_the_middle() -> None:
    middle = (np.array(LOW) + HIGH) / 2
    for places in arrangements(1):
        assert (np.abs(places[0] - middle) < 10).all()


@pytest.mark.parametrize("number", [2, 4, 6])
def test_every_sprite_has_about_the_same_share_of_the_room(number: int) -> None:
    rng = np.random.default_rng(1)
    room = rng.uniform(LOW, HIGH, (4000, 2))
    for places in arrangements(number, times=8):
        distance = ((room[:, None] - places[None]) ** 2).sum(axis=-1)
        shares = np.bincount(distance.argmin(axis=1), minlength=number) / len(room)
        assert shares.min() > 0.5 / number


def test_the_first_places_lie_on_one_side_of_a_line() -> None:
    angles = np.linspace(0, 2 * np.pi, 720)
    directions = np.stack([np.sin(angles), np.cos(angles)])
    for places in arrangements(6):
        along = places @ directions
        assert (along[:3].max(axis=0) <= along[3:].min(axis=0)).any()


def test_places_differ_from_scene_to_scene() -> None:
    first, second, *_ = arrangements(5)
    assert not np.array_equal(first, second)

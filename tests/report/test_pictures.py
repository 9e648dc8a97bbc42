"""Pictures of a report: data URIs that hold what they should."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from report import made

from numina.report.pictures import (
    frame_of_latent,
    map_picture,
    moving_picture,
    spaced,
    spread,
    still_picture,
)
from numina.report.strip import draw_strip

GREEN, RED = (26, 127, 75), (190, 58, 38)


def opened(uri: str) -> Image.Image:
    head, body = uri.split(",")
    assert head.startswith("data:image/")
    return Image.open(BytesIO(base64.b64decode(body)))


def colours(picture: Image.Image) -> set[tuple[int, ...]]:
    return {colour for _, colour in picture.convert("RGB").getcolors(2**24)}


def test_a_moving_picture_shows_every_frame_for_its_time():
    picture = opened(moving_picture(made.story().after, fps=5))
    assert picture.n_frames == 5
    picture.seek(1)
    picture.load()
    assert picture.info["duration"] == 200


def test_long_videos_are_thinned_at_the_same_pace():
    frames = np.random.default_rng(0).integers(0, 255, (100, 4, 640, 3), dtype=np.uint8)
    picture = opened(moving_picture(frames, fps=10))
    assert picture.n_frames == 34
    picture.seek(1)
    picture.load()
    assert picture.info["duration"] == 300


def test_wide_frames_are_made_smaller_and_small_ones_larger():
    assert opened(still_picture(np.zeros((300, 900, 3), np.uint8))).size == (256, 85)
    assert opened(still_picture(np.zeros((64, 100, 3), np.uint8))).size == (200, 128)


def test_a_map_is_opaque_where_it_is_high():
    picture = opened(map_picture(np.array([[0.1, 0.3]], np.float32), (1, 2, 3)))
    assert [picture.getpixel((x, 0)) for x in (0, 1)] == [(1, 2, 3, 0), (1, 2, 3, 255)]


@pytest.mark.parametrize("value", [0.0, 5.0, np.nan, np.inf])
def test_a_map_without_differences_is_empty(value):
    assert not spread(np.full((2, 2), value, np.float32)).any()


def test_values_that_are_not_finite_are_the_lowest():
    values = np.array([np.nan, 1.0, 3.0, -np.inf], np.float32)
    assert spread(values).tolist() == [0.0, 0.0, 1.0, 0.0]


def test_frames_are_spread_from_the_first_to_the_last():
    assert spaced(21, 6) == (0, 4, 8, 12, 16, 20)
    assert spaced(3, 6) == (0, 1, 2)
    assert spaced(1, 6) == (0,)


def test_latent_frames_end_with_their_last_frame():
    assert [frame_of_latent(latent, 21, 81) for latent in (0, 1, 20)] == [0, 4, 80]
    assert frame_of_latent(0, 1, 1) == 0


def test_the_strip_shows_right_and_wrong_counts():
    strip = Image.open(BytesIO(draw_strip(made.story())))
    assert {GREEN, RED} <= colours(strip)
    wrong = Image.open(BytesIO(draw_strip(made.story(exact=(made.counted(2, 2),)))))
    assert GREEN not in colours(wrong)


def test_the_strip_has_one_row_where_nothing_changed():
    both = Image.open(BytesIO(draw_strip(made.story())))
    story = made.story(decision="continued", exact=(made.counted(3, 3),))
    one = Image.open(BytesIO(draw_strip(story)))
    assert one.height < both.height - 200


def test_counts_of_a_layout_are_not_written_under_frames():
    strip = Image.open(BytesIO(draw_strip(made.story(exact=None))))
    assert colours(strip).isdisjoint({GREEN, RED})


def test_a_strip_of_a_long_prompt_keeps_its_width():
    story = made.story(prompt="three apples " + "and then some more words " * 40)
    assert Image.open(BytesIO(draw_strip(story))).width < 1600

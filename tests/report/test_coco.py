"""COCO labels of hand-made layouts, in numbers worked out by hand."""

import json

import numpy as np
import pytest
from report import made

from numina.errors import LayoutError
from numina.layout import Layout
from numina.report.coco import coco_json, coco_labels


def drawn(*frames):
    """A layout from one text per latent frame: digits are labels, dots are background."""
    rows = [[[0 if c == "." else int(c) for c in row] for row in frame.split()] for frame in frames]
    return np.array(rows, np.int16)


# A dog that moves from the first to the second column, and a cat of three patches in an L.
LINKED = Layout(drawn("1... 1.2. ..22", ".1.. .12. ..22"), (1, 0))
# Latent frames of 3 x 4 patches over 5 frames of 30 x 80 pixels: a patch is 10 high and 20 wide.
SIZE = (5, 30, 80)


def boxes(labels, frame):
    return [each for each in labels["annotations"] if each["image_id"] == frame + 1]


def test_images_are_the_frames_and_categories_the_nouns():
    labels = coco_labels(LINKED, ["cats", "dogs"], SIZE, video="video.mp4")
    assert len(labels["images"]) == 5
    assert labels["images"][0] == {
        "id": 1,
        "file_name": "video/000001.png",
        "height": 30,
        "width": 80,
    }
    assert labels["categories"] == [{"id": 1, "name": "cats"}, {"id": 2, "name": "dogs"}]
    assert labels["info"]["source"] == "layout"


def test_boxes_are_in_pixels():
    dog, cat = boxes(coco_labels(LINKED, ["cats", "dogs"], SIZE, video="v.mp4"), 0)
    assert dog == {
        "id": 1,
        "image_id": 1,
        "category_id": 2,
        "bbox": [0, 0, 20, 20],
        "area": 400,
        "iscrowd": 0,
        "track_id": 1,
    }
    # Three patches in a box of four.
    assert (cat["bbox"], cat["area"], cat["category_id"]) == ([40, 10, 40, 20], 600, 1)
    assert cat["track_id"] == 2


def test_a_frame_belongs_to_the_latent_frame_that_ends_with_it_or_later():
    """Two latent frames end with the first frame and the last one."""
    labels = coco_labels(LINKED, ["cats", "dogs"], SIZE, video="v.mp4")
    dogs = [each["bbox"][0] for each in labels["annotations"] if each["track_id"] == 1]
    assert dogs == [0, 20, 20, 20, 20]


def test_three_latent_frames_end_with_frames_0_4_and_8():
    layout = Layout(drawn("1..", ".1.", "..1"), (0,))
    labels = coco_labels(layout, ["cats"], (9, 10, 30), video="v.mp4")
    assert [each["bbox"][0] for each in labels["annotations"]] == [0, *[10] * 4, *[20] * 4]
    assert [each["id"] for each in labels["annotations"]] == list(range(1, 10))


def test_instances_that_are_not_linked_have_no_track():
    layout = Layout(drawn("1..", "2..", "3.."), (0, 0, 0))
    labels = coco_labels(layout, ["cats"], (9, 10, 30), video="v.mp4")
    assert len(labels["annotations"]) == 9
    assert not any("track_id" in each for each in labels["annotations"])


def test_a_single_latent_frame_serves_all_frames():
    labels = coco_labels(Layout(drawn("1."), (0,)), ["cats"], (3, 4, 4), video="v.mp4")
    assert [each["image_id"] for each in labels["annotations"]] == [1, 2, 3]


def test_an_instance_that_covers_nothing_has_no_box():
    layout = Layout(drawn("2.", "2."), (0, 0))
    labels = coco_labels(layout, ["cats"], (2, 4, 4), video="v.mp4")
    assert [each["track_id"] for each in labels["annotations"]] == [2, 2]


def test_patches_that_do_not_divide_the_frame_have_broken_pixels():
    labels = coco_labels(Layout(drawn(".1."), (0,)), ["cats"], (1, 5, 10), video="v.mp4")
    (box,) = labels["annotations"]
    assert box["bbox"] == pytest.approx([10 / 3, 0, 10 / 3, 5])


def test_without_a_layout_there_are_images_and_no_boxes():
    labels = coco_labels(None, ["cats"], SIZE, video="v.mp4")
    assert labels["annotations"] == []
    assert len(labels["images"]) == 5
    assert labels["info"]["source"] is None


def test_the_labels_are_plain_json():
    labels = coco_labels(LINKED, ["cats", "“dogs”"], SIZE, video="v.mp4")
    assert json.loads(coco_json(labels)) == labels


def test_a_noun_without_a_name_and_a_video_without_pixels_are_refused():
    with pytest.raises(LayoutError, match="noun 1, but nouns names 1"):
        coco_labels(LINKED, ["cats"], SIZE, video="v.mp4")
    with pytest.raises(LayoutError, match=r"size must be .* got \(0, 30, 80\)"):
        coco_labels(LINKED, ["cats", "dogs"], (0, 30, 80), video="v.mp4")


def test_a_story_tells_the_layout_of_its_counted_video():
    layout, source = made.story().layout_after
    assert (layout.count(0), source) == (3, "plan")
    layout, source = made.story(decision="continued").layout_after
    assert (layout.count(0), source) == (2, "layout")
    assert made.story(looks=()).layout_after is None

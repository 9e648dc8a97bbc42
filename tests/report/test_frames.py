"""Frames of a pipeline become one array, whatever the output type."""

import numpy as np
import pytest
from PIL import Image

from numina.report.frames import single_video, to_uint8


def test_arrays_with_and_without_a_batch_are_one_video():
    video = np.zeros((5, 8, 8, 3), np.float32)
    assert single_video(video[None]).shape == single_video(video).shape == (5, 8, 8, 3)


def test_lists_of_pictures_are_one_video():
    pictures = [[Image.new("RGB", (6, 4), (10, 20, 30))] * 5]
    video = single_video(pictures)
    assert video.shape == (5, 4, 6, 3)
    assert video.dtype == np.uint8


@pytest.mark.parametrize("shape", [(2, 5, 8, 8, 3), (5, 8, 8), (1, 5, 3, 8, 8)])
def test_anything_else_is_refused(shape):
    with pytest.raises(ValueError, match=r"one video \[F, Y, X, 3\]"):
        single_video(np.zeros(shape, np.float32))


def test_floats_are_rounded_and_clipped():
    values = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan], np.float32)
    assert to_uint8(values).tolist() == [0, 0, 128, 255, 255, 0]

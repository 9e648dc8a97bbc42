"""From what a detector says to counts: by hand-made boxes and probabilities."""

import numpy as np
import pytest

from numina.evaluation import EvaluationError
from numina.evaluation.detections import Detections
from numina.evaluation.detectors import GROUNDING_DINO, OWLV2, DetectorSpec
from numina.evaluation.grounding_dino import caption_of, grounded, words_of
from numina.evaluation.owlv2 import best_fits

LEFT, RIGHT = (0.2, 0.5, 0.2, 0.4), (0.8, 0.5, 0.2, 0.4)


def found(boxes, scores, nouns):
    return Detections(np.array(boxes, float), np.array(scores, float), np.array(nouns, np.int64))


def test_two_boxes_of_one_thing_are_one_instance():
    # Shifted by a tenth of its width: 9/11 of the two are shared.
    both = found([(0, 0, 10, 10), (1, 0, 11, 10), (20, 0, 30, 10)], [0.5, 0.9, 0.4], [0, 0, 0])
    kept = both.suppressed(same_noun=0.8, any_noun=1.0)
    assert kept.counts(1).tolist() == [2]
    # The surer one stays.
    assert kept.scores.tolist() == [0.9, 0.4]
    np.testing.assert_array_equal(kept.boxes[0], (1, 0, 11, 10))


def test_the_overlap_must_exceed_its_threshold():
    # Three quarters and a quarter: the shared half is 50 of 100.
    both = found([(0, 0, 10, 10), (0, 5, 10, 10)], [0.9, 0.8], [0, 0])
    assert both.suppressed(0.5, 1.0).counts(1).tolist() == [2]
    assert both.suppressed(0.49, 1.0).counts(1).tolist() == [1]


def test_a_thing_is_not_two_nouns_but_things_of_two_nouns_may_overlap():
    both = found([(0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 6)], [0.6, 0.7, 0.5], [0, 1, 0])
    assert both.suppressed(0.3, 0.8).counts(2).tolist() == [1, 1]
    assert both.suppressed(0.3, 1.0).counts(2).tolist() == [1, 1]
    assert both.suppressed(0.3, 0.5).counts(2).tolist() == [0, 1]


def test_what_was_suppressed_suppresses_nothing():
    chain = found([(0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10)], [0.9, 0.8, 0.7], [0, 0, 0])
    assert chain.suppressed(0.4, 1.0).counts(1).tolist() == [2]


def test_nothing_found_is_a_count_of_zero_and_empty_boxes_are_no_error():
    nothing = found(np.zeros((0, 4)), [], [])
    assert nothing.suppressed(0.5, 0.5).counts(2).tolist() == [0, 0]
    points = found([(1, 1, 1, 1), (1, 1, 1, 1)], [0.9, 0.8], [0, 0])
    assert points.suppressed(0.5, 0.5).counts(1).tolist() == [2]


def test_the_caption_names_the_nouns_and_where_they_stand():
    caption, spans = caption_of(("Red  balls", "blue balls"))
    assert caption == "red balls. blue balls."
    assert [caption[slice(*span)] for span in spans] == ["red balls", "blue balls"]
    # [CLS] red balls . blue balls . [SEP], with specials at (0, 0).
    offsets = [(0, 0), (0, 3), (4, 9), (9, 10), (11, 15), (16, 21), (21, 22), (0, 0)]
    words = words_of(spans, offsets)
    assert [np.flatnonzero(row).tolist() for row in words] == [[1, 2], [4, 5]]


@pytest.mark.parametrize("noun", ["st. bernards", "cats?", " "])
def test_a_noun_that_would_split_the_caption_is_refused(noun):
    with pytest.raises(EvaluationError, match="without full stops"):
        caption_of(("dogs", noun))


WORDS = words_of(
    [(0, 9), (11, 21)], [(0, 0), (0, 3), (4, 9), (9, 10), (11, 15), (16, 21), (21, 22)]
)


def probs(red, balls, blue, others):
    """Probabilities of "[CLS] red balls . blue balls ."."""
    return (0.99, red, balls, 0.99, blue, others, 0.99)


def test_the_colour_tells_the_balls_apart():
    # Balls light up in both phrases, and of the last box the wrong ones most.
    rows = [
        probs(0.6, 0.5, 0.1, 0.5),
        probs(0.1, 0.5, 0.6, 0.5),
        probs(0.5, 0.45, 0.1, 0.52),
    ]
    boxes = np.array([LEFT, RIGHT, (0.5, 0.5, 0.2, 0.4)])
    seen = grounded(np.array(rows), boxes, WORDS, 0.32, 0.25)
    assert seen.nouns.tolist() == [0, 1, 0]
    assert seen.counts(2).tolist() == [2, 1]
    np.testing.assert_allclose(seen.boxes[0], (0.1, 0.3, 0.3, 0.7))


def test_both_thresholds_must_be_exceeded():
    rows = [
        probs(0.32, 0.0, 0.0, 0.0),
        probs(0.33, 0.0, 0.0, 0.0),
        # Sure of a full stop and of the start alone, which are no nouns.
        probs(0.0, 0.0, 0.0, 0.0),
    ]
    boxes = np.array([LEFT, RIGHT, RIGHT])
    assert grounded(np.array(rows), boxes, WORDS, 0.32, 0.25).scores.tolist() == [0.33]
    # A phrase whose surest word is not above the text threshold names no box, whatever its mean.
    low = np.array([probs(0.4, 0.0, 0.25, 0.25)])
    assert grounded(low, boxes[:1], WORDS, 0.32, 0.25).nouns.tolist() == [0]
    assert grounded(low, boxes[:1], WORDS, 0.32, 0.24).nouns.tolist() == [1]


def test_a_query_takes_the_boxes_that_fit_it_best():
    rows = np.array([(0.3, 0.2), (0.2, 0.3), (0.1, 0.05)])
    seen = best_fits(rows, np.array([LEFT, RIGHT, RIGHT]), 0.1)
    assert seen.nouns.tolist() == [0, 1]
    assert seen.scores.tolist() == [0.3, 0.3]


@pytest.mark.parametrize("spec", [GROUNDING_DINO, OWLV2], ids=lambda spec: spec.name)
def test_every_detector_is_pinned_to_a_commit(spec):
    assert len(spec.weights.revision) == 40
    assert spec.weights.pictures.endswith("Pil")


def test_a_threshold_is_a_probability():
    with pytest.raises(ValueError, match=r"box_threshold must be in 0..1, got 32"):
        DetectorSpec("owlv2", OWLV2.weights, 32, 0.25, 0.8)

"""Detectors as counters: tiny networks of the real classes, and what is no clip or no network."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from numina.evaluation import ClipScore, DetectorCounter, EvaluationError, SpritesCounter
from numina.evaluation.detectors import GROUNDING_DINO, OWLV2
from numina.evaluation.pretrained import Place
from tests.evaluation.tiny_networks import save_clip, save_grounding_dino, save_owlv2

NOUNS = ("red balls", "blue balls")
# Random networks are unsure: every box counts, and none is suppressed.
EAGER = {"box_threshold": 0.0, "text_threshold": 0.0, "same_noun_overlap": 1.0}


def frames(count=3):
    rng = np.random.default_rng(0)
    return rng.random((count, 48, 64, 3), np.float32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("networks")
    return {
        "grounding-dino": save_grounding_dino(root / "grounding-dino"),
        "owlv2": save_owlv2(root / "owlv2"),
        "clip": save_clip(root / "clip"),
    }


@pytest.fixture(params=[GROUNDING_DINO, OWLV2], ids=lambda spec: spec.name)
def counter(request, folders):
    spec = replace(request.param, any_noun_overlap=1.0, **EAGER)
    return DetectorCounter(spec, Place(folders[spec.name], "cpu"), batch=2)


def test_every_frame_is_counted_for_every_noun(counter):
    counts = counter.count(frames(), NOUNS)
    assert counts.shape == (2, 3)
    assert counts.dtype == np.int64
    boxes = 8 if counter.spec.name == "grounding-dino" else 16
    assert counts.sum(axis=0).tolist() == [boxes] * 3


def test_the_batch_changes_no_count_and_the_threshold_does(counter):
    whole = replace(counter, batch=8)
    np.testing.assert_array_equal(counter.count(frames(), NOUNS), whole.count(frames(), NOUNS))
    strict = replace(counter, spec=replace(counter.spec, box_threshold=1.0))
    assert strict.count(frames(), NOUNS).sum() == 0


def test_boxes_that_overlap_by_the_threshold_are_one(counter):
    few = replace(counter, spec=replace(counter.spec, same_noun_overlap=0.0, any_noun_overlap=0.0))
    many, kept = counter.detect(frames(1), NOUNS), few.detect(frames(1), NOUNS)
    assert 1 <= len(next(kept).scores) < len(next(many).scores)


def test_a_counter_travels_to_a_process_without_its_network(counter):
    counter.prepare()
    sent = pickle.dumps(counter)
    assert len(sent) < 2000
    assert pickle.loads(sent) == counter


def test_a_counter_says_what_its_counts_depend_on_and_not_where_it_lies(counter):
    told = counter.describe()
    assert json.loads(json.dumps(told)) == told
    assert told["model"]["dtype"] == "float32"
    assert len(told["model"]["sha256"]) == 64
    assert str(counter.place.folder) not in json.dumps(told)
    pinned = replace(counter, place=Place(device="cpu")).describe()["model"]
    assert pinned["revision"] == counter.spec.weights.revision


def test_low_precision_runs_too(counter):
    half = replace(counter, place=replace(counter.place, dtype="bfloat16"))
    assert half.count(frames(1), NOUNS).shape == (2, 1)


BROKEN = {
    "no video": (None, "must be an array .* got NoneType"),
    "no frames": (np.zeros((0, 48, 64, 3), np.float32), r"\(0, 48, 64, 3\)"),
    "one frame alone": (np.zeros((48, 64, 3), np.float32), r"\[F, Y, X, 3\]"),
    "no colours": (np.zeros((2, 48, 64, 1), np.float32), r"\[F, Y, X, 3\]"),
    "NaN": (np.full((2, 48, 64, 3), np.nan, np.float32), "not finite"),
    "bytes": (np.full((2, 48, 64, 3), 255, np.float32), "in 0..1, got values from 255"),
}


@pytest.mark.parametrize(("clip", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_clip_is_an_error_and_never_a_zero(counter, folders, clip, message):
    with pytest.raises(EvaluationError, match=message):
        counter.count(clip, NOUNS)
    with pytest.raises(EvaluationError, match=message):
        ClipScore(Place(folders["clip"], "cpu")).score(clip, "two cats")


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "bytes"])
def test_the_exact_counter_refuses_it_too(name):
    clip, message = BROKEN[name]
    with pytest.raises(EvaluationError, match=message):
        SpritesCounter().count(clip, ("apples",))


def test_the_exact_counter_names_what_it_knows():
    with pytest.raises(EvaluationError, match=r"knows apples, stars.*got dogs"):
        SpritesCounter().count(frames(), ("apples", "dogs"))


def test_no_nouns_and_too_long_nouns_are_refused(counter):
    with pytest.raises(EvaluationError, match="got none"):
        counter.count(frames(1), ())
    with pytest.raises(EvaluationError, match=r"reads (32|48) tokens"):
        counter.count(frames(1), ("balls " * 40,))


def test_a_noun_that_the_network_cannot_read_is_refused(folders):
    counter = DetectorCounter(GROUNDING_DINO, Place(folders["grounding-dino"], "cpu"))
    with pytest.raises(EvaluationError, match="cannot read 'zebras'"):
        counter.count(frames(1), ("dogs", "zebras"))


def test_a_network_gone_mad_is_an_error(counter):
    mad = replace(counter)
    mad.prepare()
    with torch.no_grad():
        for weight in mad._network.model.parameters():
            weight.fill_(torch.nan)
    with pytest.raises(EvaluationError, match="not finite; run it in float32"):
        mad.count(frames(1), NOUNS)


@pytest.fixture
def damaged(counter, tmp_path):
    """A copy of the counter's folder, to be damaged."""
    for path in counter.place.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return replace(counter, place=Place(tmp_path, "cpu"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", None),
        ("config.json", b"{"),
        ("model.safetensors", None),
        ("model.safetensors", b"\x10"),
        ("preprocessor_config.json", None),
        # Without it transformers makes up a tokenizer that knows no word.
        ("tokenizer.json", None),
        ("tokenizer.json", b""),
    ],
)
def test_a_folder_that_lacks_a_file_is_named(damaged, name, content):
    path = damaged.place.folder / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EvaluationError, match=r"counter_model .* cannot be loaded as") as caught:
        damaged.prepare()
    assert "\n" not in str(caught.value)
    assert damaged.spec.weights.repo in str(caught.value)


def test_missing_weights_are_not_made_up(damaged):
    path = damaged.place.folder / "model.safetensors"
    weights = load_file(path)
    lost = max(weights)
    save_file({name: w for name, w in weights.items() if name != lost}, path, {"format": "pt"})
    with pytest.raises(EvaluationError, match="1 weights are missing"):
        damaged.prepare()


def test_a_network_of_another_kind_is_refused(folders):
    counter = DetectorCounter(OWLV2, Place(folders["clip"], "cpu"))
    with pytest.raises(EvaluationError, match="it is of the type 'clip', not 'owlv2'"):
        counter.prepare()


def test_places_that_are_none_are_refused(tmp_path):
    empty, nothing = tmp_path / "empty", tmp_path / "nothing"
    empty.mkdir()
    for folder, message in ((empty, "is empty"), (nothing, "is no folder")):
        with pytest.raises(EvaluationError, match=f"counter_model must be the folder .*{message}"):
            DetectorCounter(place=Place(folder, "cpu")).prepare()
        with pytest.raises(EvaluationError, match=f"clip_model must be the folder .*{message}"):
            ClipScore(Place(folder, "cpu")).describe()
    with pytest.raises(EvaluationError, match=r"dtype must be .* got 'int8'"):
        Place(dtype="int8")
    with pytest.raises(EvaluationError, match=r"device must be .* got 'moon'"):
        DetectorCounter(place=Place(device="moon")).prepare()


def test_the_hub_is_not_asked_in_offline_mode():
    # The suite runs with HF_HUB_OFFLINE=1.
    with pytest.raises(EvaluationError, match="IDEA-Research/grounding-dino-base cannot be loaded"):
        DetectorCounter(place=Place(device="cpu")).prepare()


def test_the_clip_score_is_the_mean_cosine_of_frames_and_prompt(folders):
    scorer, clip = ClipScore(Place(folders["clip"], "cpu"), batch=2), frames()
    single = [scorer.score(clip[index : index + 1], "three cats") for index in range(3)]
    assert scorer.score(clip, "three cats") == pytest.approx(np.mean(single))
    assert all(-100 <= score <= 100 for score in single)
    assert scorer.score(clip, "two dogs") != scorer.score(clip, "three cats")
    # What the model cannot read is cut.
    assert np.isfinite(scorer.score(clip, "cats " * 100))
    assert pickle.loads(pickle.dumps(scorer)) == scorer


def test_a_score_that_is_no_number_is_an_error(folders):
    scorer = ClipScore(Place(folders["clip"], "cpu"))
    scorer.prepare()
    model = scorer._network.model
    with torch.no_grad():
        model.visual_projection.weight.zero_()
        model.text_projection.weight.zero_()
    with pytest.raises(EvaluationError, match="not finite"):
        scorer.score(frames(), "cats")

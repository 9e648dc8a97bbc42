"""Commands that lead to results again: complete, quoted, and none where there is none."""

import shlex

import pytest

from numina.errors import FormatError
from numina.evaluation.retrace import case_command, evaluation_command
from tests.evaluation.made_results import MANIFEST, row

COUNTBENCH = {
    "suite": "countbench",
    "seed": 7,
    "call": {"num_inference_steps": 30, "negative_prompt": "blurry"},
    "counter": {"name": "owlv2"},
    "model": {"repo": "owner/model", "revision": "abc", "device": "cuda", "dtype": "bfloat16"},
}


def test_an_evaluation_of_sprites_needs_what_is_not_usual():
    command = evaluation_command(MANIFEST, ("plain", "robust"), 6, strips=3)
    # Sixteen steps are usual, the scale is not; where another model lay is not known.
    assert command == (
        "numina evaluate --suite sprites --methods plain,robust --prompts 6 --seed 100 "
        "--model MODEL --guidance-scale 2.5 --strips 3 --out FOLDER"
    )


def test_the_embedded_model_needs_no_option():
    from numina.evaluation import SpritesSuite

    manifest = SpritesSuite(100_000).describe()
    assert evaluation_command(manifest, ("plain",), 2) == (
        "numina evaluate --suite sprites --methods plain --prompts 2 --seed 100000 --out FOLDER"
    )


def test_an_evaluation_of_files_names_pipeline_and_counter():
    assert evaluation_command(COUNTBENCH, ("plain", "robust"), 9) == (
        "numina evaluate --suite countbench --methods plain,robust --prompts 9 --seed 7 "
        "--prompts-file PROMPTS --counts-file COUNTS --model owner/model --revision abc "
        "--device cuda --dtype bfloat16 --steps 30 --negative-prompt blurry --counter owlv2 "
        "--out FOLDER"
    )


def test_one_case_of_sprites_is_an_evaluation_of_its_seed():
    rows = [row(method, 104, 2, 1) for method in ("plain", "robust", "oracle")]
    command = case_command(MANIFEST, rows)
    assert "--methods plain,robust,oracle --prompts 1 --seed 104" in command
    assert command.endswith("--strips 1 --out FOLDER")


def test_one_case_of_a_file_is_a_generation_whose_prompt_is_quoted():
    noun = "cats'; rm -rf ~ #"
    rows = [row(method, 9, 3, 2, noun) for method in ("plain", "one-pass")]
    words = shlex.split(case_command(COUNTBENCH, rows))
    assert words[:5] == [
        *("numina", "generate", f"3 {noun} at sea", "--counts", f'{{"{noun}": 3}}'),
    ]
    assert words[5:11] == ["--seed", "9", "--mode", "one-pass", "--compare", "--model"]


def test_what_has_no_command_gets_none():
    own = {"suite": "made", "seed": 1}
    assert evaluation_command(own, ("plain",), 1) is None
    assert case_command(own, [row("plain", 1, 2, 2), row("robust", 1, 2, 2)]) is None
    searched = [row("plain", 1, 2, 2), row("seed-search-5", 1, 2, 2)]
    assert case_command(COUNTBENCH, searched) is None
    assert evaluation_command({**COUNTBENCH, "call": {"max_area": 1}}, ("plain",), 1) is None


def test_a_manifest_that_lacks_something_is_an_error():
    with pytest.raises(FormatError, match="'model_sha256'"):
        evaluation_command({"suite": "sprites", "seed": 1}, ("plain",), 1)

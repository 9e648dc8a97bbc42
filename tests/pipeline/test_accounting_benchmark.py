"""The benchmark that accounts for published models, on one of each kind of attention."""

from benchmarks.accounting import KEYS_OF_A_NOUN, MODELS, NOUNS, WAYS, rows


def test_it_has_a_row_for_every_way_and_number_and_finds_the_grids_of_the_models():
    chosen = [model for model in MODELS if model.name in ("LTX-Video 0.9", "CogVideoX 2B")]
    told = list(rows(chosen))
    assert len(told) == len(chosen) * len(WAYS) * len(NOUNS) * len(KEYS_OF_A_NOUN)
    grids = {row["model"]: row["grid"] for row in told}
    assert grids == {"LTX-Video 0.9": (21, 16, 22), "CogVideoX 2B": (13, 30, 45)}
    assert all(row["source"] for row in told)
    assert all(row["forwards, right"] == 1.0 <= row["forwards, wrong"] < 2.0 for row in told)

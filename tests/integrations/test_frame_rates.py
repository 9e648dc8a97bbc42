"""Frames a second of each family's videos, as published with the models."""

import pytest

from numina.integrations.frame_rates import frame_rate
from tests.families import FAMILIES

RATES = {
    "wan": 16,
    "wan-image-2.1": 16,
    "wan-image-2.2-5b": 24,
    "wan-vace": 16,
    "skyreels-v2": 24,
    "skyreels-v2-image": 24,
    "ltx-video": 25,
    "ltx-2.0": 24,
    "ltx-2.3": 24,
    "allegro": 15,
    "kandinsky-5": 24,
    "cosmos-1.0": 30,
    "cosmos-2.5": 16,
    "cogvideox-2b": 8,
    "cogvideox-5b": 8,
    "cogvideox-1.5": 16,
    "hunyuan-video": 24,
    "hunyuan-video-1.5": 24,
    "mochi": 30,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_the_rate_of_its_models(name):
    assert frame_rate(FAMILIES[name].build()) == RATES[name]


def test_an_unknown_pipeline_has_one_all_the_same():
    class Unknown:
        def __call__(self, prompt):
            raise AssertionError("is not called")

    assert frame_rate(Unknown()) == 16

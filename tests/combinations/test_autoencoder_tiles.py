"""generate() on pipelines that decode in tiles and slices."""

from unittest.mock import patch

import pytest

from tests.combinations.ways import counts_are_kept
from tests.families import FAMILIES


@pytest.mark.parametrize("name", ["wan", "cogvideox-5b"])
def test_counts_are_kept_where_the_autoencoder_decodes_in_tiles(name):
    pipe = FAMILIES[name].build()
    # Smaller than the frames of 96 x 96 pixels, or there would be one tile.
    pipe.vae.enable_tiling(tile_sample_min_height=64, tile_sample_min_width=64)
    pipe.vae.enable_slicing()
    with patch.object(pipe.vae, "tiled_decode", wraps=pipe.vae.tiled_decode) as tiled:
        counts_are_kept(pipe, output_type="pt")
    # Two plain runs, a right count, a wrong one in each mode; a stopped attempt decodes nothing.
    assert tiled.call_count == 5

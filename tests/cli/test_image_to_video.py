"""``numina generate --image`` on a real folder: from a file on the disk to the files of a run."""

import av
import pytest
from typer.testing import CliRunner

from numina import cli
from tests.tiny_wan_image import tiny_image, tiny_wan_image

SIZE = ["--steps", "8", "--frames", "9", "--height", "96", "--width", "96"]


# On random weights a look may find no usable layout.
@pytest.mark.filterwarnings("ignore:a look changed nothing")
def test_a_video_is_made_from_an_image_at_the_rate_of_its_model(tmp_path):
    tiny_wan_image("2.2-5b").save_pretrained(tmp_path / "model")
    tiny_image().save(tmp_path / "first.png")
    named = {"--model": "model", "--image": "first.png", "--out": "out"}
    paths = [word for name, path in named.items() for word in (name, str(tmp_path / path))]
    result = CliRunner().invoke(
        cli.app, ["generate", "three cats playing", *paths, "--device", "cpu", *SIZE]
    )
    assert result.exit_code == 0, result.output
    with av.open(tmp_path / "out" / "after.mp4") as video:
        (stream,) = video.streams.video
        assert (stream.width, stream.height, stream.average_rate) == (96, 96, 24)

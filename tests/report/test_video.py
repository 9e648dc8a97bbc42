"""Videos go out as H.264 and come back; a broken one is an error that names the file."""

from io import BytesIO

import av
import numpy as np
import pytest
from PIL import Image

from numina.errors import FormatError
from numina.report.video import encode_mp4, read_video


def moving_square(height: int = 48, width: int = 64, frames: int = 6) -> np.ndarray:
    video = np.full((frames, height, width, 3), 40, np.uint8)
    for index in range(frames):
        video[index, 10:26, 4 * index : 4 * index + 16] = 220
    return video


@pytest.mark.parametrize("size", [(48, 64), (33, 47)])
def test_what_is_written_is_read_again(tmp_path, size):
    path = tmp_path / "video.mp4"
    video = moving_square(*size)
    path.write_bytes(encode_mp4(video, fps=5))
    read = read_video(path)
    assert read.shape == (6, size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    difference = np.abs(read[:, : size[0], : size[1]].astype(int) - video)
    assert difference.mean() < 4


def test_the_file_is_h264_that_every_player_shows():
    with av.open(BytesIO(encode_mp4(moving_square(), fps=5))) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 5
        assert stream.frames == 6


def test_a_single_frame_is_a_video(tmp_path):
    path = tmp_path / "one.mp4"
    path.write_bytes(encode_mp4(moving_square(frames=1), fps=5))
    assert len(read_video(path)) == 1


def test_frames_of_another_type_are_refused():
    with pytest.raises(ValueError, match=r"frames must be \[F, Y, X, 3\] uint8"):
        encode_mp4(moving_square().astype(np.float32), fps=5)


def broken(kind: str) -> bytes:
    whole = encode_mp4(moving_square(64, 64, 30), fps=5)
    return {
        "empty": b"",
        "text": b"no video at all\n" * 50,
        "cut in the index": whole[: whole.index(b"moov") + 200],
        "cut in half": whole[: len(whole) // 2],
        "header only": whole[:40],
    }[kind]


@pytest.mark.parametrize(
    "kind", ["empty", "text", "cut in the index", "cut in half", "header only"]
)
def test_a_broken_video_is_an_error_that_names_the_file(tmp_path, kind):
    path = tmp_path / "broken clip.mp4"
    path.write_bytes(broken(kind))
    with pytest.raises(FormatError, match=r"broken clip\.mp4"):
        read_video(path)


def test_damaged_frames_are_noticed(tmp_path):
    path = tmp_path / "torn.mp4"
    whole = bytearray(encode_mp4(moving_square(64, 64, 30), fps=5))
    start, end = whole.index(b"mdat") + 4, whole.index(b"moov") - 4
    middle = (start + end) // 2
    whole[middle:end] = bytes(end - middle)
    path.write_bytes(bytes(whole))
    with pytest.raises(FormatError, match=r"torn\.mp4"):
        read_video(path)


def test_frames_that_the_index_promises_must_be_there(tmp_path):
    """With the index at the front, a file that was cut off still opens."""
    path = tmp_path / "download.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=5)
        stream.height = stream.width = 64
        stream.pix_fmt = "yuv420p"
        stream.options = {"g": "1"}
        for frame in np.random.default_rng(0).integers(0, 255, (10, 64, 64, 3), dtype=np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    whole = path.read_bytes()
    assert len(read_video(path)) == 10
    with av.open(str(path)) as container:
        starts = [packet.pos for packet in container.demux(video=0) if packet.pos]
    # Cut between two frames there is nothing damaged, only too little.
    path.write_bytes(whole[: starts[7]])
    with pytest.raises(FormatError, match=r"download\.mp4 is truncated: 7 of 10 frames"):
        read_video(path)


def test_a_picture_is_no_video(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(moving_square()[0]).save(path)
    with pytest.raises(FormatError, match=r"picture\.png is no readable video"):
        read_video(path)


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FormatError, match=r"gone\.mp4 cannot be read"):
        read_video(tmp_path / "gone.mp4")


def test_a_folder_is_no_video(tmp_path):
    with pytest.raises(FormatError, match="cannot be read"):
        read_video(tmp_path)


def test_a_playlist_cannot_name_other_files(tmp_path):
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(encode_mp4(moving_square(), fps=5))
    for name, text in (
        ("list.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", f"ffconcat version 1.0\nfile '{secret}'\n"),
    ):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(FormatError, match="no readable video"):
            read_video(path)


def test_sound_without_pictures_is_no_video(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(FormatError, match=r"sound\.mp4 holds no video stream"):
        read_video(path)

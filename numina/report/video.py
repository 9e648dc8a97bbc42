"""Videos as files: H.264 in mp4 on the way out, whatever FFmpeg decodes on the way in."""

from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.stream import VideoStream

from numina.errors import FormatError
from numina.report.story import Frames, require_frames

_ENCODER = "libx264"
# Constant quality; at 16 flat colours and thin edges show no artefacts.
_QUALITY = "16"
# Containers that hold one video in one file. Playlists (HLS, concat) would let a file name others,
# or fetch them from the network.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,apng,webp,mpeg,mpegts,ogg,h264"


def encode_mp4(frames: Frames, fps: int) -> bytes:
    """Encode a video as H.264 in mp4.

    4:2:0 colour needs even sides: an odd one gets its last row or column twice.

    Args:
        frames: ``[F, Y, X, 3]`` uint8.
        fps: Frames a second.

    Raises:
        ValueError: If ``frames`` is no such video.
    """
    require_frames("frames", frames)
    rows, columns = frames.shape[1] % 2, frames.shape[2] % 2
    even = np.pad(frames, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="edge")
    target = BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_stream(_ENCODER, rate=fps)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": _QUALITY}
        for frame in even:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return target.getvalue()


def encoder_version() -> str | None:
    """Version of the library that encodes, or None where it was built without H.264."""
    return av.__version__ if _ENCODER in av.codecs_available else None


def read_video(path: Path) -> Frames:
    """Read all frames of a video, ``[F, Y, X, 3]`` uint8.

    Raises:
        FormatError: Naming the file, if it is missing, empty, truncated, damaged, or no video.
    """
    try:
        with path.open("rb") as file:
            return _decode(path, file)
    except FFmpegError as error:
        raise FormatError(f"{path} is no readable video: {error.strerror}") from error
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror}") from error


def _decode(path: Path, file: object) -> Frames:
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
    with av.open(file, "r", options=options) as container:
        if not container.streams.video:
            raise FormatError(f"{path} holds no video stream")
        stream = container.streams.video[0]
        stream.codec_context.options = {"err_detect": "explode"}
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        promised = stream.frames
    if not frames:
        raise FormatError(f"{path} holds no frames")
    if promised and len(frames) < promised:
        raise FormatError(f"{path} is truncated: {len(frames)} of {promised} frames are there")
    if len({frame.shape for frame in frames}) > 1:
        raise FormatError(f"{path} changes its frame size, which no count can follow")
    return np.stack(frames)

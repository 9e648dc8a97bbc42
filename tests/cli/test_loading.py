"""Loading by folder or hub name: one commit, safe weights, clear refusals."""

import json
from types import SimpleNamespace

import diffusers
import huggingface_hub
import pytest
import torch

from numina.errors import FormatError, UnsupportedModelError
from numina.integrations.loading import load_pipeline
from numina.pipeline import generate
from tests.calls import wide_call
from tests.pipeline.given import Given
from tests.tiny_allegro import tiny_allegro
from tests.tiny_cogvideox import tiny_cogvideox
from tests.tiny_hunyuan_video import tiny_hunyuan_video
from tests.tiny_ltx2 import tiny_ltx2
from tests.tiny_ltx_video import tiny_ltx_video
from tests.tiny_mochi import tiny_mochi
from tests.tiny_skyreels_v2 import tiny_skyreels_v2
from tests.tiny_wan_vace import tiny_wan_vace


@pytest.fixture
def wan(monkeypatch):
    """WanPipeline.from_pretrained, remembered instead of run."""
    seen = SimpleNamespace(calls=[], pipe=SimpleNamespace(to=lambda device: None))

    def from_pretrained(name, **arguments):
        seen.calls.append((name, arguments))
        return seen.pipe

    monkeypatch.setattr(diffusers.WanPipeline, "from_pretrained", from_pretrained)
    return seen


def folder_with(tmp_path, index: str):
    (tmp_path / "model_index.json").write_text(index)
    return str(tmp_path)


def test_a_folder_is_loaded_as_it_says(tmp_path, wan):
    folder = folder_with(tmp_path, '{"_class_name": "WanPipeline"}')
    loaded = load_pipeline(folder, device="cpu")
    assert loaded.name == tmp_path.name
    assert loaded.revision is None
    ((name, arguments),) = wan.calls
    assert name == folder
    assert arguments["use_safetensors"] is True
    assert "trust_remote_code" not in arguments


def test_a_hub_name_is_pinned_to_its_commit(tmp_path, wan, monkeypatch):
    commit = tmp_path / "snapshots" / ("c" * 40)
    commit.mkdir(parents=True)
    (commit / "model_index.json").write_text('{"_class_name": "WanPipeline"}')
    asked = []

    def download(name, file, revision):
        asked.append((name, file, revision))
        return str(commit / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    loaded = load_pipeline("owner/name", revision="main", device="cpu")
    assert asked == [("owner/name", "model_index.json", "main")]
    assert loaded.revision == wan.calls[0][1]["revision"] == "c" * 40


def test_offline_mode_is_honoured(monkeypatch, tmp_path):
    # The suite runs with HF_HUB_OFFLINE=1: a model that is not in the cache is not asked for.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FormatError, match="no-such-owner/no-such-model cannot be had"):
        load_pipeline("no-such-owner/no-such-model")


@pytest.mark.parametrize(
    "name", ["no/such/model", "../up", "nothing", "", "https://x.y/z", "a/b\n"]
)
def test_what_is_neither_folder_nor_name_is_refused(name):
    with pytest.raises(FormatError, match="neither a folder nor a hub name"):
        load_pipeline(name)


@pytest.mark.parametrize(
    ("index", "error", "complaint"),
    [
        ("{", FormatError, "cannot be read"),
        ("[]", FormatError, "must hold a JSON object"),
        ('{"_class_name": "NoSuchPipeline"}', UnsupportedModelError, "'NoSuchPipeline'"),
        ('{"_class_name": "AutoencoderKLWan"}', UnsupportedModelError, "'AutoencoderKLWan'"),
        ('{"_class_name": ["mine.py", "Mine"]}', UnsupportedModelError, "does not have"),
    ],
)
def test_a_damaged_or_foreign_index_is_refused(tmp_path, index, error, complaint):
    with pytest.raises(error, match=complaint):
        load_pipeline(folder_with(tmp_path, index))


def test_a_folder_without_an_index_is_no_pipeline(tmp_path):
    with pytest.raises(FormatError, match=r"holds no model_index\.json"):
        load_pipeline(str(tmp_path))


def test_a_folder_has_no_revision(tmp_path):
    with pytest.raises(FormatError, match="a revision belongs to a hub model"):
        load_pipeline(str(tmp_path), revision="main")


def test_a_device_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    folder = folder_with(tmp_path, '{"_class_name": "WanPipeline"}')
    with pytest.raises(UnsupportedModelError, match="no CUDA device"):
        load_pipeline(folder, device="cuda")


@pytest.mark.parametrize(
    ("pipeline", "with_image", "complaint"),
    [
        ("WanPipeline", True, "WanPipeline, which takes no image"),
        ("CogVideoXPipeline", True, "CogVideoXPipeline, which takes no image"),
        ("WanImageToVideoPipeline", False, r"starts from an image; .*--image FILE"),
        ("SkyReelsV2ImageToVideoPipeline", False, r"starts from an image; .*--image FILE"),
    ],
)
def test_an_image_too_many_or_too_few_is_refused_before_weights_are_read(
    tmp_path, monkeypatch, pipeline, with_image, complaint
):
    read = []
    monkeypatch.setattr(
        diffusers.DiffusionPipeline, "from_pretrained", lambda *_, **__: read.append(1)
    )
    folder = folder_with(tmp_path, json.dumps({"_class_name": pipeline}))
    with pytest.raises(UnsupportedModelError, match=complaint):
        load_pipeline(folder, device="cpu", with_image=with_image)
    assert not read


def test_missing_parts_are_told_in_one_line(tmp_path):
    folder = folder_with(
        tmp_path,
        json.dumps({"_class_name": "WanPipeline", "vae": ["diffusers", "AutoencoderKLWan"]}),
    )
    with pytest.raises(FormatError, match="cannot be loaded") as caught:
        load_pipeline(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_real_folder_is_loaded_in_the_precision_asked_for(tmp_path, tiny_wan, recwarn):
    tiny_wan(layers=1).save_pretrained(tmp_path / "tiny")
    pipe = load_pipeline(str(tmp_path / "tiny"), device="cpu", dtype="bfloat16").pipe
    assert type(pipe) is diffusers.WanPipeline
    assert pipe.transformer.dtype == torch.bfloat16
    assert pipe.vae.dtype == torch.float32
    assert not [each for each in recwarn if "dtype" in str(each.message)]


@pytest.mark.parametrize(
    ("build", "decodes_in"),
    [
        # Some pipelines hand the autoencoder latents of the transformer's dtype.
        (tiny_cogvideox, torch.bfloat16),
        (tiny_mochi, torch.bfloat16),
        (tiny_hunyuan_video, torch.float32),
        (tiny_ltx_video, torch.float32),
        (tiny_allegro, torch.float32),
        (tiny_skyreels_v2, torch.float32),
        (tiny_wan_vace, torch.float32),
        (tiny_ltx2, torch.float32),
    ],
    ids=[
        "cogvideox",
        "mochi",
        "hunyuan-video",
        "ltx-video",
        "allegro",
        "skyreels-v2",
        "wan-vace",
        "ltx-2.0",
    ],
)
def test_a_folder_of_every_family_is_loaded_as_it_decodes_and_guided(tmp_path, build, decodes_in):
    build().save_pretrained(tmp_path)
    pipe = load_pipeline(str(tmp_path), device="cpu", dtype="bfloat16").pipe
    assert pipe.transformer.dtype == torch.bfloat16
    assert pipe.vae.dtype == decodes_in
    # Allegro's autoencoder refuses to decode otherwise.
    assert getattr(pipe.vae, "use_tiling", False) is (build is tiny_allegro)
    call = wide_call(pipe, output_type="pt")
    prompt = call.pop("prompt")
    method = Given(found=(2,), looks=(0.98,))
    video = generate(pipe, prompt, counts={"cats": 3}, preset=method, **call)
    assert video.report.decision == "guided"
    assert video.frames.isfinite().all()

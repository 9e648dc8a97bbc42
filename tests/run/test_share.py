"""The slice of a video's patches that a rank holds; what ranks exchange needs two of them."""

import pytest
import torch
from torch import distributed

from numina.errors import UnsupportedParallelismError
from numina.share import AllPatches, PatchSlice


@pytest.mark.parametrize("total", [2, 7, 108])
@pytest.mark.parametrize("ranks", [2, 3])
def test_slices_are_those_that_diffusers_cuts(monkeypatch, total, ranks):
    patches = torch.arange(total).expand(2, total)
    cut = patches.tensor_split(ranks, dim=-1)
    monkeypatch.setattr(distributed, "get_world_size", lambda group: ranks)
    for rank in range(ranks):
        monkeypatch.setattr(distributed, "get_rank", lambda group, rank=rank: rank)
        assert torch.equal(PatchSlice.of_this_rank(total, None).own(patches), cut[rank])


def test_other_patches_than_those_of_the_slice_are_refused():
    share = PatchSlice(start=0, size=4, total=7, group=None)
    with pytest.raises(
        UnsupportedParallelismError, match=r"from 7 patches where its slice of 7 is 4"
    ):
        share.whole(torch.zeros(2, 7), dim=1)


def test_a_slice_beyond_the_video_is_refused():
    with pytest.raises(ValueError, match=r"4 patches from 5 on of 7"):
        PatchSlice(start=5, size=4, total=7, group=None)


def test_one_process_holds_and_is_given_the_very_same_tensors():
    share, video = AllPatches(), torch.randn(2, 7, 3)
    rows, patches = torch.arange(2)[:, None], torch.tensor([[6, 0], [3, 3]])
    assert share.own(video) is video
    assert share.whole(video, dim=1) is video
    assert torch.equal(share.at(video, rows, patches), video[rows, patches])
    share.require_same(video)

"""The exported step: the same mask as the network, frame by frame, from a file."""

import warnings

import pytest
import torch

from course_utils.export import OneFrame, empty_memory, export_one_frame
from course_utils.models import Denoiser, MaskNet


@pytest.fixture(scope="module")
def denoiser():
    torch.manual_seed(1)
    return Denoiser(MaskNet(257, channels=(4, 4, 4), hidden_size=8)).eval()


def run(step, frames, memory):
    masks = []
    for frame in frames.split(1, dim=-1):
        mask, *memory = step(frame, *memory)
        masks.append(mask)
    return torch.cat(masks, dim=-1)


def test_one_frame_at_a_time_gives_the_mask_of_the_whole(denoiser):
    frames = torch.rand(1, 257, 30)
    with torch.inference_mode():
        whole = denoiser.net(frames)
        stepped = run(OneFrame(denoiser.net), frames, empty_memory(denoiser))
    assert torch.allclose(stepped, whole, atol=1e-6)


def test_the_file_gives_the_same_mask_and_writing_it_says_nothing(denoiser, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Python 3.13.0 alone: PyTorch recommends 3.13.1.
        warnings.filterwarnings("ignore", message="Guards may run slower")
        export_one_frame(denoiser, tmp_path / "step.pt2")
    assert [path.name for path in tmp_path.iterdir()] == ["step.pt2"]
    step = torch.export.load(tmp_path / "step.pt2").module()
    frames = torch.rand(1, 257, 12)
    with torch.inference_mode():
        whole = denoiser.net(frames)
    stepped = run(step, frames, empty_memory(denoiser))
    assert torch.allclose(stepped, whole, atol=1e-5)
    forgetful = torch.cat([step(f, *empty_memory(denoiser))[0] for f in frames.split(1, -1)], -1)
    assert not torch.allclose(forgetful, whole, atol=1e-3), "the memory must matter"


def test_what_cannot_be_exported_is_refused_in_words(denoiser, tmp_path):
    with pytest.raises(ValueError, match="eval mode"):
        export_one_frame(Denoiser(MaskNet()).train(), tmp_path / "step.pt2")
    with pytest.raises(ValueError, match="must end in .pt2"):
        export_one_frame(denoiser, tmp_path / "step.pt")
    with pytest.raises(ValueError, match="folder that exists"):
        export_one_frame(denoiser, tmp_path / "nowhere" / "step.pt2")

"""The exported step: the same mask as the network, frame by frame, from a file."""

import os
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from full_disk import no_more_than

from course_utils import features
from course_utils.checkpoints import DEFAULT_CHECKPOINT, load_checkpoint
from course_utils.corpus import select
from course_utils.denoise import export
from course_utils.denoise.export import OPSET, OneFrame, empty_memory, export_one_frame, export_onnx
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


@pytest.mark.slow
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


def run_onnx(path, frames, memory):
    """Run a file frame by frame, with nothing of PyTorch in the loop: masks, (1, freq, frame)."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names, masks = [each.name for each in session.get_inputs()], []
    for frame in np.split(frames, frames.shape[-1], axis=-1):
        mask, *memory = session.run(None, dict(zip(names, [frame, *memory], strict=True)))
        masks.append(mask)
    return np.concatenate(masks, axis=-1)


@pytest.mark.slow
def test_onnx_gives_the_same_numbers_over_a_recording_and_writing_it_says_nothing(tmp_path, capfd):
    shipped = load_checkpoint(DEFAULT_CHECKPOINT)
    path = tmp_path / "step.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Guards may run slower")  # Python 3.13.0 alone
        export_onnx(shipped, path)
    assert [each.name for each in tmp_path.iterdir()] == ["step.onnx"]
    assert capfd.readouterr() == ("", "")
    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    assert [each.version for each in graph.opset_import if each.domain == ""] == [OPSET]
    assert [each.name for each in graph.graph.output] == [
        *("mask", "next_memory_0", "next_memory_1", "next_memory_2")
    ]

    noisy = select(role="speech", split="test")[0].load()[:, :40_000]
    noisy = noisy + 0.02 * torch.randn(noisy.shape, generator=torch.Generator().manual_seed(0))
    spectrogram = features.stft(noisy, shipped.config)
    levels = features.frame_levels(spectrogram.abs(), shipped.config)
    gain = shipped.gain(levels, shipped.measure_level(noisy))[:, None]
    frames = (spectrogram.abs() * gain).numpy()
    memory = [part.numpy() for part in empty_memory(shipped)]
    masks = torch.from_numpy(run_onnx(path, frames, memory))
    with torch.inference_mode():
        expected, whole = shipped.net(torch.from_numpy(frames)), shipped(noisy)
    assert torch.allclose(masks, expected, atol=1e-5) and float(expected.std()) > 0.1
    estimate = features.istft(spectrogram * masks, shipped.config, length=noisy.shape[-1])
    assert torch.allclose(estimate, whole, atol=1e-5)


def test_onnx_is_missed_in_words(denoiser, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="onnx and onnxscript"):
        export_onnx(denoiser, tmp_path / "step.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
@pytest.mark.parametrize(("write", "name"), [(export_one_frame, "a.pt2"), (export_onnx, "a.onnx")])
def test_a_full_disk_is_a_sentence_and_keeps_what_was_there(denoiser, tmp_path, write, name):
    """PyTorch's own writer ends the whole program where the disk is full."""
    path = tmp_path / name
    path.write_bytes(b"precious")
    for room in (0, 20_000):
        with no_more_than(room), pytest.raises(OSError, match=name) as error:
            write(denoiser, path)
        assert "\n" not in str(error.value)
        assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"precious"]


def test_what_cannot_be_exported_is_refused_in_words(denoiser, tmp_path):
    with pytest.raises(ValueError, match="eval mode"):
        export_one_frame(Denoiser(MaskNet()).train(), tmp_path / "step.pt2")
    with pytest.raises(ValueError, match=r"\.pt2"):
        export_one_frame(denoiser, tmp_path / "step.pt")
    with pytest.raises(ValueError, match=r"\.onnx"):
        export_onnx(denoiser, tmp_path / "step.pt2")
    with pytest.raises(ValueError, match="eval mode"):
        export_onnx(Denoiser(MaskNet()).train(), tmp_path / "step.onnx")
    with pytest.raises(FileNotFoundError, match="folder"):
        export_one_frame(denoiser, tmp_path / "nowhere" / "step.pt2")

"""The denoise command and its function: any length, rate and channel count, and no surprises."""

import subprocess
import sys

import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_utils import denoise
from course_utils.audio import audio_info, load_audio, save_audio
from course_utils.baselines import do_nothing, wiener_filter
from course_utils.denoise import denoise_waveform
from course_utils.models import Denoiser, MaskNet
from course_utils.training import load_checkpoint, save_checkpoint

RATE = 16_000


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small network that nobody trained: enough to see that the plumbing is tight."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pt"
    net = MaskNet(257, channels=(4, 4, 4), hidden_size=8)
    save_checkpoint(path, Denoiser(net))
    return path


def tone(seconds, rate, frequency=440.0, channels=1):
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    rows = [torch.sin(2 * torch.pi * frequency * (k + 1) * time) for k in range(channels)]
    return 0.3 * torch.stack(rows).float()


def write(path, waveform, rate, subtype="PCM_16"):
    save_audio(path, waveform, rate, subtype=subtype)
    return path


def run(*arguments):
    return denoise.main([str(argument) for argument in arguments])


# --- denoise_waveform ----------------------------------------------------------------------


@given(
    num_samples=st.integers(1, 5000),
    rate=st.sampled_from([8000, 11_025, 16_000, 22_050, 44_100, 48_000]),
    shape=st.sampled_from([(), (1,), (2,), (2, 3)]),
    dtype=st.sampled_from([torch.float16, torch.float32, torch.float64]),
)
def test_shape_and_dtype_stay_at_any_length_and_rate(num_samples, rate, shape, dtype):
    waveform = (0.1 * torch.randn(*shape, num_samples)).to(dtype)
    copy = waveform.clone()
    for denoiser in (do_nothing, wiener_filter):
        estimate = denoise_waveform(waveform, rate, denoiser)
        assert estimate.shape == waveform.shape and estimate.dtype == dtype
        assert torch.isfinite(estimate).all() and torch.equal(waveform, copy)
        assert not estimate.is_inference() and not estimate.requires_grad


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
def test_doing_nothing_changes_nothing_below_8_khz(rate):
    waveform = tone(1.0, rate, channels=2)
    estimate = denoise_waveform(waveform, rate, do_nothing)
    edge = rate // 50
    difference = (estimate - waveform)[:, edge:-edge].abs().max()
    assert float(difference) < (1e-7 if rate == 16_000 else 2e-3)


def test_channels_do_not_leak_into_each_other():
    both = torch.cat([tone(1.0, RATE), torch.zeros(1, RATE)])
    estimate = denoise_waveform(both, RATE, wiener_filter)
    assert torch.count_nonzero(estimate[1]) == 0
    assert torch.allclose(estimate[0], denoise_waveform(both[0], RATE, wiener_filter))


@pytest.mark.parametrize("seconds", [6.0, 9.0, 9.01, 10.0, 23.37])
def test_blocks_put_together_are_the_whole(seconds):
    """With a denoiser that changes nothing every seam would show."""
    waveform = torch.randn(2, round(seconds * RATE))
    estimate = denoise_waveform(waveform, RATE, do_nothing, block_seconds=4)
    assert torch.allclose(estimate, waveform, atol=1e-5)


def test_no_seam_between_blocks_of_a_network_with_memory(checkpoint):
    denoiser = load_checkpoint(checkpoint)
    waveform = tone(20.0, RATE) + 0.02 * torch.randn(1, 20 * RATE)
    whole = denoise_waveform(waveform, RATE, denoiser)
    blocks = denoise_waveform(waveform, RATE, denoiser, block_seconds=5)
    assert float((whole - blocks).norm() / whole.norm()) < 0.1
    steps = [(x[..., 1:] - x[..., :-1]).abs().max() for x in (whole, blocks)]
    assert float(steps[1]) < 1.05 * float(steps[0]), "a click is a step larger than any other"


def test_blocks_at_another_rate_have_the_length_of_the_input():
    waveform = 0.1 * torch.randn(1, 44_100 * 7 + 5)
    whole = denoise_waveform(waveform, 44_100, do_nothing)
    blocks = denoise_waveform(waveform, 44_100, do_nothing, block_seconds=3)
    assert blocks.shape == waveform.shape
    assert float((whole - blocks).abs().max()) < 1e-3


def test_unusable_arguments_are_refused_in_words():
    waveform = torch.randn(1, 100)
    with pytest.raises(TypeError, match="waveform must hold floating-point"):
        denoise_waveform(waveform.int(), RATE, do_nothing)
    with pytest.raises(ValueError, match="waveform must be finite"):
        denoise_waveform(waveform / 0, RATE, do_nothing)
    with pytest.raises(TypeError, match="sample_rate must be an int in Hz, got 16000.0"):
        denoise_waveform(waveform, 16000.0, do_nothing)
    with pytest.raises(ValueError, match="block_seconds must be at least 2, got 1"):
        denoise_waveform(waveform, RATE, do_nothing, block_seconds=1)
    with pytest.raises(ValueError, match=r"give back the shape \(1, 100\) .* got \(1, 99\)"):
        denoise_waveform(waveform, RATE, lambda noisy: noisy[..., 1:])
    with pytest.raises(ValueError, match="give back the shape .* got NoneType"):
        denoise_waveform(waveform, RATE, lambda noisy: None)
    with pytest.raises(ValueError, match="denoiser must give back finite samples"):
        denoise_waveform(waveform, RATE, lambda noisy: noisy * float("nan"))


# --- the command ---------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_the_result_has_rate_channels_length_and_depth_of_the_input(
    tmp_path, checkpoint, rate, channels, subtype
):
    noisy = write(tmp_path / "noisy.wav", tone(0.5, rate, channels=channels), rate, subtype)
    assert run(noisy, tmp_path / "clean.wav", "--checkpoint", checkpoint) == 0
    assert audio_info(tmp_path / "clean.wav") == audio_info(noisy)
    assert float(load_audio(tmp_path / "clean.wav")[0].abs().max()) > 0.001


@pytest.mark.parametrize("num_samples", [1, 7, 800])
def test_very_short_files_work(tmp_path, checkpoint, num_samples):
    noisy = write(tmp_path / "noisy.wav", 0.1 * torch.ones(1, num_samples), RATE)
    assert run(noisy, tmp_path / "clean.wav", "--checkpoint", checkpoint) == 0
    assert audio_info(tmp_path / "clean.wav").num_frames == num_samples


def test_silence_stays_silence(tmp_path, checkpoint):
    noisy = write(tmp_path / "noisy.wav", torch.zeros(1, RATE), RATE)
    assert run(noisy, tmp_path / "clean.flac", "--checkpoint", checkpoint) == 0
    assert torch.count_nonzero(load_audio(tmp_path / "clean.flac")[0]) == 0


def test_formats_in_and_out(tmp_path, checkpoint):
    ogg = tmp_path / "noisy.ogg"
    soundfile.write(str(ogg), tone(0.5, RATE)[0].numpy(), RATE)
    assert run(ogg, tmp_path / "a.wav", "--checkpoint", checkpoint) == 0
    assert audio_info(tmp_path / "a.wav").subtype == "PCM_16"
    wav = write(tmp_path / "noisy.wav", tone(0.5, RATE), RATE, "FLOAT")
    assert run(wav, tmp_path / "b.flac", "--checkpoint", checkpoint) == 0
    assert audio_info(tmp_path / "b.flac").subtype == "PCM_24"  # FLAC holds no floats


def test_a_result_beyond_full_scale_is_turned_down_and_says_so(
    tmp_path, checkpoint, monkeypatch, capsys
):
    monkeypatch.setattr(denoise, "load_checkpoint", lambda path: lambda noisy: 5 * noisy)
    noisy = write(tmp_path / "noisy.wav", tone(0.5, RATE), RATE)
    assert run(noisy, tmp_path / "clean.wav") == 0
    assert "turned down to 0.67 of its level" in capsys.readouterr().out
    clean = load_audio(tmp_path / "clean.wav")[0]
    assert float(clean.abs().max()) == pytest.approx(1.0, abs=1e-4)
    assert float(clean.abs().median()) == pytest.approx(0.707, abs=0.01)  # scaled, not cut off


def test_an_existing_file_is_kept_without_force_and_replaced_with_it(tmp_path, checkpoint, capsys):
    noisy = write(tmp_path / "noisy.wav", tone(0.5, RATE), RATE)
    target = tmp_path / "clean.wav"
    target.write_bytes(b"precious")
    assert run(noisy, target, "--checkpoint", checkpoint) == 2
    assert target.read_bytes() == b"precious"
    assert "exists already; pass --force" in capsys.readouterr().err
    assert run(noisy, target, "--checkpoint", checkpoint, "--force") == 0
    assert audio_info(target).num_frames == RATE // 2


def test_the_input_is_never_overwritten(tmp_path, checkpoint, capsys):
    noisy = write(tmp_path / "noisy.wav", tone(0.5, RATE), RATE)
    before = noisy.read_bytes()
    assert run(noisy, tmp_path / "." / "noisy.wav", "--checkpoint", checkpoint, "--force") == 2
    assert "another file than noisy" in capsys.readouterr().err and noisy.read_bytes() == before


@pytest.mark.parametrize(
    ("noisy", "clean", "extra", "message"),
    [
        ("missing.wav", "clean.wav", (), "does not exist"),
        ("text.wav", "clean.wav", (), "no audio"),
        ("empty.wav", "clean.wav", (), "empty file"),
        (".", "clean.wav", (), "folder"),
        ("noisy.wav", "clean.mp3", (), "must end in .wav or .flac"),
        ("noisy.wav", "nowhere/clean.wav", (), "folder that exists"),
        ("noisy.wav", "clean.wav", ("--checkpoint", "missing.pt"), "does not exist"),
        ("noisy.wav", "clean.wav", ("--checkpoint", "text.wav"), "cannot be read"),
    ],
)
def test_what_cannot_work_is_one_sentence_and_leaves_nothing_behind(
    tmp_path, checkpoint, capsys, monkeypatch, noisy, clean, extra, message
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "noisy.wav", tone(0.2, RATE), RATE)
    (tmp_path / "text.wav").write_text("this is no sound")
    (tmp_path / "empty.wav").write_bytes(b"")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert run(noisy, clean, *(extra or ("--checkpoint", checkpoint))) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_denoiser_that_fails_leaves_nothing_half_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(denoise, "load_checkpoint", lambda path: lambda noisy: noisy / 0)
    noisy = write(tmp_path / "noisy.wav", tone(0.5, RATE), RATE)
    assert run(noisy, tmp_path / "clean.wav") == 2
    assert "finite samples" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["noisy.wav"]


def test_from_the_shell_without_a_traceback(tmp_path, checkpoint):
    noisy = write(tmp_path / "noisy.wav", tone(0.5, RATE), RATE)
    command = [sys.executable, "-m", "course_utils.denoise", str(noisy), str(tmp_path / "c.wav")]
    command += ["--checkpoint", str(checkpoint)]
    good = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert good.returncode == 0 and "0.5 s, 16000 Hz, 1 channel" in good.stdout
    again = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert again.returncode == 2 and "Traceback" not in again.stderr and "--force" in again.stderr

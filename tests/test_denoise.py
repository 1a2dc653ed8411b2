"""The denoise command and its function: any length, rate and channel count, and no surprises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_ffmpeg import make, picture

from course_utils import ffmpeg
from course_utils.audio import audio_info, load_audio, resample, save_audio
from course_utils.baselines import do_nothing, wiener_filter
from course_utils.checkpoints import load_checkpoint, save_checkpoint
from course_utils.denoise import __main__ as command
from course_utils.denoise import files
from course_utils.denoise.waveform import denoise_waveform
from course_utils.models import Denoiser, MaskNet
from course_utils.readers import open_audio

RATE = 16_000
STATUS = Path("/proc/self/status")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small network that nobody trained: enough to see that the plumbing is tight."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pt"
    net = MaskNet(257, channels=(4, 4, 4), hidden_size=8)
    save_checkpoint(path, Denoiser(net))
    return path


class FixedMask(torch.nn.Module):
    """Answers every frame with one number; `at_call` is called with the number of the block."""

    def __init__(self, value, at_call=lambda n: None):
        super().__init__()
        self.value, self.at_call, self.calls = value, at_call, 0

    def forward_block(self, magnitude, state):
        self.calls += 1
        self.at_call(self.calls)
        return torch.full_like(magnitude, self.value), state


def use_mask(monkeypatch, value, **options):
    """Let the command find a denoiser that only multiplies."""
    denoiser = Denoiser(FixedMask(value, **options)).eval()
    monkeypatch.setattr(command, "load_checkpoint", lambda path: denoiser)


def tone(seconds, rate, frequency=440.0, channels=1):
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    rows = [torch.sin(2 * torch.pi * frequency * (k + 1) * time) for k in range(channels)]
    return 0.3 * torch.stack(rows).float()


def write(path, waveform, rate, subtype="PCM_16"):
    save_audio(path, waveform, rate, subtype=subtype)
    return path


def run(*arguments):
    return command.main([str(argument) for argument in arguments])


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


@pytest.mark.parametrize("seconds", [0.7, 2.0, 2.01, 7.37])
@pytest.mark.parametrize("block_seconds", [1, 3])
def test_blocks_of_a_denoiser_are_the_whole(checkpoint, seconds, block_seconds):
    denoiser = load_checkpoint(checkpoint)
    waveform = tone(seconds, RATE, channels=2) * torch.tensor([[1.0], [0.01]])
    waveform += 0.02 * torch.randn(waveform.shape)
    with torch.inference_mode():
        whole = denoiser(waveform)
    options = {"block_seconds": block_seconds, "channels": "separate"}
    blocks = denoise_waveform(waveform, RATE, denoiser, **options)
    assert blocks.shape == whole.shape and not blocks.is_inference()
    assert torch.allclose(blocks, whole, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000])
def test_blocks_at_another_rate_are_the_whole(checkpoint, rate):
    denoiser = load_checkpoint(checkpoint)
    waveform = 0.1 * torch.randn(1, 3 * rate)  # no tone: its ripple would outweigh all bins
    waveform = waveform[:, :-7]
    blocks = denoise_waveform(waveform, rate, denoiser, block_seconds=1)
    assert blocks.shape == waveform.shape
    at_once = denoise_waveform(waveform, rate, denoiser, block_seconds=60)
    assert torch.allclose(blocks, at_once, atol=1e-6)
    with torch.inference_mode():
        whole = resample(denoiser(resample(waveform, rate, RATE)), RATE, rate)
    difference = torch.fft.rfft(blocks - whole[:, : waveform.shape[-1]]).abs()
    if rate > RATE:  # from 4 kHz on, the resampler itself leaves a few per cent
        difference = difference[:, : 4000 * waveform.shape[-1] // rate]
    scale = torch.fft.rfft(waveform).abs().mean()
    assert float(difference.max()) < 0.02 * float(scale)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("value", [1.0, 0.5])
def test_an_even_mask_turns_the_full_band_down_evenly(rate, value):
    """A closed form: the low band and the highs together give back the recording, times the mask.

    Two milliseconds at each end are left out, where the resampler has nothing to look at.
    """
    waveform = 0.1 * torch.randn(2, rate, generator=torch.Generator().manual_seed(0))
    denoiser = Denoiser(FixedMask(value)).eval()
    estimate = denoise_waveform(waveform, rate, denoiser)
    edge = rate // 500
    difference = (estimate - value * waveform)[:, edge:-edge].abs().max()
    assert float(difference) < 1e-3


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_channels_together_keep_level_and_phase_between_them(checkpoint, rate):
    denoiser = load_checkpoint(checkpoint)
    left = tone(1.0, rate) + 0.1 * torch.randn(1, rate)
    estimate = denoise_waveform(torch.cat([left, -0.25 * left]), rate, denoiser)
    assert torch.allclose(estimate[1], -0.25 * estimate[0], atol=1e-6)
    alone = denoise_waveform(left, rate, denoiser)[0]
    assert torch.allclose(estimate[0], alone, atol=1e-5)  # antiphase cancels nothing
    other = torch.cat([left, tone(1.0, rate, frequency=900.0)])
    separate = denoise_waveform(other, rate, denoiser, channels="separate")
    assert torch.allclose(separate[0], alone, atol=1e-5)
    with pytest.raises(ValueError, match="channels.*apart"):
        denoise_waveform(left, rate, denoiser, channels="apart")


def test_unusable_arguments_are_refused_in_words():
    waveform = torch.randn(1, 100)
    with pytest.raises(TypeError, match="waveform"):
        denoise_waveform(waveform.int(), RATE, do_nothing)
    with pytest.raises(ValueError, match="waveform.*finite"):
        denoise_waveform(waveform / 0, RATE, do_nothing)
    with pytest.raises(TypeError, match="sample_rate.*got 16000.0"):
        denoise_waveform(waveform, 16000.0, do_nothing)
    with pytest.raises(ValueError, match="block_seconds.*got 0"):
        denoise_waveform(waveform, RATE, do_nothing, block_seconds=0)
    with pytest.raises(ValueError, match=r"\(1, 99\).*\(1, 100\)"):
        denoise_waveform(waveform, RATE, lambda noisy: noisy[..., 1:])
    with pytest.raises(TypeError, match="NoneType"):
        denoise_waveform(waveform, RATE, lambda noisy: None)
    with pytest.raises(ValueError, match="denoiser.*finite"):
        denoise_waveform(waveform, RATE, lambda noisy: noisy * float("nan"))


# --- the command ---------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16_000, 44_056, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
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


def test_a_result_beyond_full_scale_is_turned_down_and_says_so(tmp_path, monkeypatch, capsys):
    use_mask(monkeypatch, 5.0)
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
    assert "--force" in capsys.readouterr().err
    assert run(noisy, target, "--checkpoint", checkpoint, "--force") == 0
    assert audio_info(target).num_frames == RATE // 2


def test_the_input_is_never_overwritten(tmp_path, checkpoint, capsys):
    noisy = write(tmp_path / "noisy.wav", tone(0.5, RATE), RATE)
    before = noisy.read_bytes()
    assert run(noisy, tmp_path / "." / "noisy.wav", "--checkpoint", checkpoint, "--force") == 2
    assert "noisy" in capsys.readouterr().err and noisy.read_bytes() == before


@pytest.mark.parametrize(
    ("noisy", "clean", "extra", "message"),
    [
        ("missing.wav", "clean.wav", (), "missing.wav"),
        ("text.wav", "clean.wav", (), "text.wav"),
        ("empty.wav", "clean.wav", (), "empty.wav"),
        (".", "clean.wav", (), "clean must be a folder"),
        (".", "text.txt", (), "clean must be a folder"),
        (".", ".", (), "another folder"),
        (".", "nowhere/result", (), "clean"),
        ("silent", "result", (), "noisy"),
        ("noisy.wav", "silent", (), ".flac"),
        ("noisy.wav", "folder.wav", (), "folder.wav"),
        ("nan.wav", "clean.wav", (), "finite"),
        ("noisy.wav", "clean.wav", ("--mix", "1.5"), "got 1.5"),
        ("noisy.wav", "clean.wav", ("--mix", "nan"), "got nan"),
        ("strange.wav", "clean.wav", (), "10 and 16000"),
        ("noisy.wav", "clean.mp3", (), ".flac"),
        ("noisy.wav", "nowhere/clean.wav", (), "nowhere"),
        ("noisy.wav", "clean.wav", ("--checkpoint", "missing.pt"), "missing.pt"),
        ("noisy.wav", "clean.wav", ("--checkpoint", "text.wav"), "text.wav"),
    ],
)
def test_what_cannot_work_is_one_sentence_and_leaves_nothing_behind(
    tmp_path, checkpoint, capsys, monkeypatch, noisy, clean, extra, message
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "noisy.wav", tone(0.2, RATE), RATE)
    (tmp_path / "text.wav").write_text("this is no sound")
    (tmp_path / "text.txt").write_text("this is no folder")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "silent").mkdir()
    (tmp_path / "folder.wav").mkdir()
    write(tmp_path / "strange.wav", tone(20, 10, 1.0), 10)
    soundfile.write(str(tmp_path / "nan.wav"), [0.1, float("nan")], RATE, subtype="FLOAT")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert run(noisy, clean, *(extra or ("--checkpoint", checkpoint))) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_denoiser_that_fails_leaves_nothing_half_written(tmp_path, monkeypatch, capsys):
    use_mask(monkeypatch, float("nan"))
    noisy = write(tmp_path / "noisy.wav", tone(0.5, RATE), RATE)
    assert run(noisy, tmp_path / "clean.wav") == 2
    assert "finite" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["noisy.wav"]


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_a_file_in_blocks_is_the_recording_in_memory_mixed_with_the_noisy_one(
    tmp_path, checkpoint, monkeypatch, mix, rate
):
    monkeypatch.setattr(files, "_BLOCK_SECONDS", 1)
    waveform = tone(3.3, rate, channels=2) + 0.05 * torch.randn(2, round(3.3 * rate))
    noisy = write(tmp_path / "noisy.wav", waveform, rate, "FLOAT")
    assert run(noisy, tmp_path / "clean.wav", "--checkpoint", checkpoint, "--mix", mix) == 0
    clean, _ = load_audio(tmp_path / "clean.wav", mono=False)
    estimate = denoise_waveform(waveform, rate, load_checkpoint(checkpoint), block_seconds=60)
    assert torch.allclose(clean, (1 - mix) * estimate + mix * waveform, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells the peak of one program")
def test_the_memory_does_not_grow_with_the_recording(tmp_path, checkpoint):
    """Six minutes instead of one: the five more would take 38 MB as samples alone."""
    program = (
        "import sys; from course_utils.denoise.__main__ import main; main(sys.argv[1:]);"
        f"print(*(line for line in open({str(STATUS)!r}) if 'VmHWM' in line))"
    )
    peaks = []
    for minutes in (1, 6):
        sound = tone(1.0, RATE, channels=2).repeat(1, 60 * minutes)
        noisy = write(tmp_path / f"{minutes}.wav", sound, RATE)
        command = [sys.executable, "-c", program, str(noisy), str(tmp_path / f"{minutes}.flac")]
        command += ["--checkpoint", str(checkpoint)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        peaks.append(int(done.stdout.split()[-2]) / 1000)  # MB
    assert peaks[1] - peaks[0] < 20, peaks


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_a_file_cut_short_is_refused_and_leaves_nothing(tmp_path, checkpoint, suffix, capsys):
    whole = tmp_path / f"whole.{suffix}"
    samples = tone(20.0, RATE)[0] + 0.1 * torch.randn(20 * RATE)
    soundfile.write(str(whole), samples.numpy(), RATE)
    assert run(whole, tmp_path / "a.wav", "--checkpoint", checkpoint) == 0
    length = audio_info(tmp_path / "a.wav").num_frames
    assert length == len(soundfile.read(str(whole))[0])
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    code = run(cut, tmp_path / "b.wav", "--checkpoint", checkpoint)
    names = sorted(path.name for path in tmp_path.iterdir())
    if suffix == "flac":  # the two others do not say in their first bytes how long they are
        assert code == 2 and "cut short or damaged" in capsys.readouterr().err
        assert names == ["a.wav", "cut.flac", "whole.flac"]
    else:
        assert names[:1] == ["a.wav"] and not [name for name in names if "tmp" in name]


def test_ctrl_c_stops_and_leaves_nothing_half_written(tmp_path, monkeypatch, capsys):
    def press(n):
        if n == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "_BLOCK_SECONDS", 1)
    use_mask(monkeypatch, 0.5, at_call=press)
    noisy = write(tmp_path / "noisy.wav", tone(5.0, RATE), RATE)
    assert run(noisy, tmp_path / "clean.wav") == 130
    assert "stopped" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["noisy.wav"]


def test_a_long_file_says_how_far_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "_LONG_SECONDS", 4)
    monkeypatch.setattr(files, "_BLOCK_SECONDS", 1)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    use_mask(monkeypatch, 0.5)
    for seconds in (3.0, 5.0):
        noisy = write(tmp_path / f"{seconds}.wav", tone(seconds, RATE), RATE)
        assert run(noisy, tmp_path / f"clean_{seconds}.wav") == 0
        said = capsys.readouterr().err
        assert ("100%, 0 s left" in said and "\n" not in said) if seconds == 5.0 else said == ""


def test_a_result_too_long_for_wav_becomes_rf64(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_WAV_BYTES", 30_000)
    use_mask(monkeypatch, 0.5)
    for seconds, kind in ((0.5, b"RIFF"), (1.0, b"RF64")):
        noisy = write(tmp_path / f"{seconds}.wav", tone(seconds, RATE), RATE)
        clean = tmp_path / f"clean_{seconds}.wav"
        assert run(noisy, clean) == 0 and clean.read_bytes()[:4] == kind
        difference = load_audio(clean)[0] - 0.5 * load_audio(noisy)[0]
        assert difference.shape == (1, round(seconds * RATE)) and difference.abs().max() < 1e-4


# --- folders -------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Four recordings, of which one is broken, and a text."""
    path = tmp_path / "in"
    path.mkdir()
    write(path / "a.wav", tone(0.2, RATE), RATE)
    write(path / "b.flac", tone(0.3, 44_100, channels=2), 44_100, "PCM_24")
    soundfile.write(str(path / "c.mp3"), tone(0.4, RATE)[0].numpy(), RATE)
    (path / "broken.wav").write_text("this is no sound")
    (path / "notes.txt").write_text("this does not want to be sound")
    return path


def test_a_bad_file_of_a_folder_does_not_stop_the_others(tmp_path, folder, checkpoint, capsys):
    target = tmp_path / "out"
    assert run(folder, target, "--checkpoint", checkpoint) == 1
    said = capsys.readouterr()
    assert sorted(path.name for path in target.iterdir()) == ["a.wav", "b.flac", "c.mp3.wav"]
    assert audio_info(target / "b.flac") == audio_info(folder / "b.flac")
    assert said.out.count("denoised in") == 3
    assert said.err.startswith("error: 1 of 4 files are not done:\n  broken.wav: path ")
    assert "audio" in said.err and said.err.count("\n") == 2
    (folder / "broken.wav").unlink()
    before = (target / "a.wav").stat().st_mtime_ns
    assert run(folder, target, "--checkpoint", checkpoint) == 0
    said = capsys.readouterr()
    assert said.err == "" and said.out.startswith("0 cleaned, 4 skipped, 0 not done.\n")
    assert said.out.count("done already; --force") == 3 and "notes.txt: not known" in said.out
    assert (target / "a.wav").stat().st_mtime_ns == before
    assert run(folder, target, "--checkpoint", checkpoint, "--force") == 0
    assert (target / "a.wav").stat().st_mtime_ns > before


def test_a_folder_of_bad_files_leaves_no_folder(tmp_path, folder, checkpoint):
    for name in ("a.wav", "b.flac", "c.mp3"):
        (folder / name).unlink()
    assert run(folder, tmp_path / "out", "--checkpoint", checkpoint) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_ctrl_c_in_a_folder_keeps_what_is_whole(tmp_path, folder, monkeypatch):
    def press(n):
        if n == 3:  # a file takes two calls: its frames, and its end
            raise KeyboardInterrupt

    use_mask(monkeypatch, 0.5, at_call=press)
    assert run(folder, tmp_path / "out") == 130
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.wav"]


def test_two_recordings_for_one_place_are_named_before_anything_is_written(
    tmp_path, checkpoint, capsys
):
    folder = tmp_path / "in"
    folder.mkdir()
    soundfile.write(str(folder / "call.mp3"), tone(0.4, RATE)[0].numpy(), RATE)
    write(folder / "call.mp3.wav", tone(0.2, RATE), RATE)
    assert run(folder, tmp_path / "out", "--checkpoint", checkpoint, "--force") == 2
    said = capsys.readouterr().err
    assert "'call.mp3' and 'call.mp3.wav'" in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="links need a permission on Windows")
def test_a_place_that_leads_back_to_the_recordings_is_refused(tmp_path, folder, checkpoint):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.flac").symlink_to(folder / "b.flac")
    before = (folder / "b.flac").read_bytes()
    assert run(folder, tmp_path / "out", "--checkpoint", checkpoint, "--force") == 2
    assert (folder / "b.flac").read_bytes() == before


def test_a_folder_says_what_it_leaves_out(tmp_path, folder, checkpoint, capsys):
    (folder / "broken.wav").unlink()
    (folder / "._a.wav").write_text("a shadow")
    (folder / "more").mkdir()
    assert run(folder, tmp_path / "out", "--checkpoint", checkpoint) == 0
    said = capsys.readouterr().out
    assert "3 cleaned, 3 skipped, 0 not done." in said
    for words in ("._a.wav: hidden", "more: a folder", "notes.txt: not known as sound"):
        assert f"skipped {words}" in said


# --- what is kept ------------------------------------------------------------------------------


def tagged(path, subtype="PCM_16"):
    with soundfile.SoundFile(str(path), "w", RATE, 1, subtype) as file:
        file.title, file.artist, file.license = "Caf\u00e9", "Ann", "CC0"
        file.write(tone(0.3, RATE)[0].numpy())
    return path


@pytest.mark.parametrize("source", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("target", ["b.wav", "b.flac"])
def test_titles_are_carried_over_or_named(tmp_path, checkpoint, capsys, source, target):
    subtype = {"a.ogg": "VORBIS", "a.mp3": "MPEG_LAYER_III"}.get(source, "PCM_16")
    noisy = tagged(tmp_path / source, subtype)
    assert run(noisy, tmp_path / target, "--checkpoint", checkpoint) == 0
    before, after = open_audio(noisy).tags, open_audio(tmp_path / target).tags
    said = capsys.readouterr().out
    assert (after["title"], after["artist"]) == ("Caf\u00e9", "Ann")
    assert set(before) - set(after) == ({"license"} if "not kept: license" in said else set())


def test_chunks_of_a_wav_file_are_carried_over_or_named(tmp_path, checkpoint, capsys):
    noisy = tagged(tmp_path / "a.wav")
    content = bytearray(noisy.read_bytes())
    bext, cue = b"who recorded it".ljust(603, b"\0"), (1).to_bytes(4, "little") + bytes(24)
    content += b"bext" + len(bext).to_bytes(4, "little") + bext + b"\0"
    content += b"cue " + len(cue).to_bytes(4, "little") + cue
    content[4:8] = (len(content) - 8).to_bytes(4, "little")
    noisy.write_bytes(content)
    assert run(noisy, tmp_path / "b.wav", "--checkpoint", checkpoint) == 0
    kept = dict(open_audio(tmp_path / "b.wav").chunks)
    assert kept[b"bext"] == bext and kept[b"cue "] == cue
    assert "not kept" not in capsys.readouterr().out
    result = (tmp_path / "b.wav").read_bytes()
    assert int.from_bytes(result[4:8], "little") == len(result) - 8
    assert run(noisy, tmp_path / "b.flac", "--checkpoint", checkpoint) == 0
    assert "not kept: broadcast data (bext), cue points" in capsys.readouterr().out


def test_which_channel_is_which_loudspeaker_stays(tmp_path, checkpoint):
    noisy = tmp_path / "a.wav"
    soundfile.write(str(noisy), tone(0.2, RATE, channels=6).T.numpy(), RATE, format="WAVEX")
    content = bytearray(noisy.read_bytes())
    place = content.index(b"fmt ") + 28
    content[place : place + 4] = (0x60F).to_bytes(4, "little")  # 5.1 with side loudspeakers
    noisy.write_bytes(content)
    assert run(noisy, tmp_path / "b.wav", "--checkpoint", checkpoint) == 0
    result = (tmp_path / "b.wav").read_bytes()
    start = result.index(b"fmt ") + 28
    assert result[start : start + 4] == content[place : place + 4]
    assert audio_info(tmp_path / "b.wav") == audio_info(noisy)


def test_what_was_wrong_with_a_file_is_said(tmp_path, checkpoint, capsys):
    noisy = write(tmp_path / "a.wav", tone(0.3, RATE), RATE)
    noisy.write_bytes(noisy.read_bytes() * 2)
    assert run(noisy, tmp_path / "b.wav", "--checkpoint", checkpoint) == 0
    assert "note: 2 recordings stand in one file" in capsys.readouterr().out
    assert audio_info(tmp_path / "b.wav").duration == pytest.approx(0.6)


@pytest.mark.skipif(not ffmpeg.is_installed(), reason="needs FFmpeg")
def test_a_video_becomes_a_video_or_its_sound(tmp_path, checkpoint, capsys):
    talk = make(tmp_path / "talk.mp4")
    assert run(talk, tmp_path / "talk.wav", "--checkpoint", checkpoint) == 0
    assert "not kept: picture" in capsys.readouterr().out
    assert audio_info(tmp_path / "talk.wav").num_frames == audio_info(talk).num_frames
    assert run(talk, tmp_path / "clean.mp4", "--checkpoint", checkpoint) == 0
    assert "not kept" not in capsys.readouterr().out
    assert picture(tmp_path / "clean.mp4") == picture(talk)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean.mp4", "talk.mp4", "talk.wav"]


@pytest.mark.skipif(not ffmpeg.is_installed(), reason="needs FFmpeg")
@pytest.mark.parametrize(("codec", "subtype"), [("alac", "PCM_24"), ("aac", "PCM_16")])
def test_a_codec_that_loses_nothing_keeps_its_depth(tmp_path, checkpoint, codec, subtype):
    deep = tmp_path / "deep.wav"
    save_audio(deep, 0.3 * tone(0.5, RATE), RATE, subtype="PCM_24")
    coded = tmp_path / "coded.m4a"
    command = ["ffmpeg", "-v", "error", "-i", str(deep), "-c:a", codec, str(coded)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    assert run(coded, tmp_path / "clean.wav", "--checkpoint", checkpoint) == 0
    assert audio_info(tmp_path / "clean.wav").subtype == subtype


def test_only_a_video_becomes_a_video(tmp_path, checkpoint, capsys):
    noisy = write(tmp_path / "a.wav", tone(0.2, RATE), RATE)
    assert run(noisy, tmp_path / "b.mp4", "--checkpoint", checkpoint) == 2
    assert "no picture" in capsys.readouterr().err


# --- the shell -----------------------------------------------------------------------------


@pytest.mark.slow
def test_from_the_shell_without_a_traceback(tmp_path, checkpoint):
    noisy = write(tmp_path / "noisy.wav", tone(0.5, RATE), RATE)
    command = [sys.executable, "-m", "course_utils.denoise", str(noisy), str(tmp_path / "c.wav")]
    command += ["--checkpoint", str(checkpoint)]
    good = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert good.returncode == 0 and "0.5 s, 16000 Hz, 1 channel" in good.stdout
    again = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert again.returncode == 2 and "Traceback" not in again.stderr and "--force" in again.stderr

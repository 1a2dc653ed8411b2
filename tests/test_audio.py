import math
import os
import struct

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
import torchaudio.functional
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils import audio
from course_utils.audio import (
    SAMPLE_RATE,
    AudioInfo,
    audio_info,
    load_audio,
    resample,
    save_audio,
    to_mono,
)

BITS = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}


def noise(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(*shape, generator=generator, dtype=torch.float64) * 1.9 - 0.95).to(dtype)


def sine(frequency, num_samples, sample_rate, phase=0.0):
    n = torch.arange(num_samples, dtype=torch.float64)
    return torch.sin(2 * math.pi * frequency * n / sample_rate + phase)


@pytest.fixture
def clip(tmp_path):
    """One second of stereo in a 16-bit WAV file at 8 kHz."""
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(8000, 2).numpy(), 8000, subtype="PCM_16")
    return path


def assert_one_sentence(error):
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert ". " not in text.replace("(Format not recognised.); ", "")


# --- audio_info and load_audio -------------------------------------------------------------------


def test_audio_info_agrees_with_the_writer(clip):
    expected = AudioInfo(8000, 2, 8000, 1.0, "PCM_16", "WAV")
    assert audio_info(clip) == expected
    assert audio_info(str(clip)) == expected


def test_load_audio_shape_type_and_range(clip):
    waveform, sample_rate = load_audio(clip)
    assert waveform.shape == (1, 8000)
    assert waveform.dtype == torch.float32
    assert sample_rate == 8000
    stereo, _ = load_audio(clip, mono=False)
    assert stereo.shape == (2, 8000)
    torch.testing.assert_close(waveform, stereo.mean(0, keepdim=True))
    assert stereo.is_contiguous()


def test_load_audio_divides_16_bit_integers_by_32768(tmp_path):
    integers = np.array([-32768, -1, 0, 1, 16384, 32767], dtype=np.int16)
    path = tmp_path / "integers.wav"
    soundfile.write(path, integers, 16000, subtype="PCM_16")
    waveform, _ = load_audio(path)
    assert waveform[0].tolist() == (integers.astype(np.float64) / 32768).tolist()


def test_load_audio_reads_the_wanted_part(clip):
    whole, _ = load_audio(clip, mono=False)
    part, _ = load_audio(clip, mono=False, offset=0.25, duration=0.5)
    assert torch.equal(part, whole[:, 2000:6000])
    tail, _ = load_audio(clip, mono=False, offset=0.75, duration=9)
    assert torch.equal(tail, whole[:, 6000:])
    one, _ = load_audio(clip, duration=1e-9)
    assert one.shape == (1, 1)


def test_load_audio_resamples_the_whole_file_to_the_wanted_rate(clip):
    original, _ = load_audio(clip)
    waveform, sample_rate = load_audio(clip, sample_rate=16000)
    assert sample_rate == 16000
    assert torch.equal(waveform, resample(original, 8000, 16000))


@pytest.mark.parametrize("suffix", [".flac", ".ogg"])
def test_load_audio_reads_other_formats(tmp_path, suffix):
    path = tmp_path / f"tone{suffix}"
    tone = 0.5 * sine(440, 16000, 16000)
    soundfile.write(path, tone.numpy(), 16000)
    waveform, _ = load_audio(path)
    assert waveform.shape == (1, 16000)
    tolerance = 1e-4 if suffix == ".flac" else 0.05  # Ogg is lossy
    torch.testing.assert_close(waveform[0].double(), tone, atol=tolerance, rtol=0)


def test_load_audio_of_silence_and_of_one_sample(tmp_path):
    for num_samples in (1, 100):
        path = tmp_path / f"{num_samples}.wav"
        soundfile.write(path, np.zeros(num_samples), 16000)
        waveform, _ = load_audio(path)
        assert torch.equal(waveform, torch.zeros(1, num_samples))
        assert load_audio(path, sample_rate=8000)[0].abs().max() == 0


def write_bad_files(folder):
    good = noise(8000).numpy()
    soundfile.write(folder / "good.wav", good, 8000)
    soundfile.write(folder / "good.flac", good, 8000)
    (folder / "text.wav").write_text("Hello, I am a letter and not a sound.\n" * 50)
    (folder / "nothing.wav").write_bytes(b"")
    for suffix in ("wav", "flac"):
        content = (folder / f"good.{suffix}").read_bytes()
        (folder / f"short.{suffix}").write_bytes(content[: len(content) // 2])
    (folder / "header.wav").write_bytes((folder / "good.wav").read_bytes()[:20])
    (folder / "header.flac").write_bytes((folder / "good.flac").read_bytes()[:20])
    soundfile.write(folder / "no_samples.wav", np.zeros(0), 8000)
    good[17] = np.nan
    soundfile.write(folder / "nan.wav", good, 8000, subtype="FLOAT")
    good[17] = np.inf
    soundfile.write(folder / "inf.wav", good, 8000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.wav", "missing.wav"),
        ("", "folder"),
        ("text.wav", "text.wav"),
        ("nothing.wav", "nothing.wav.* 0 bytes"),
        ("short.wav", "8022 bytes"),
        ("short.flac", r"\d+ of 8000 frames"),
        ("header.wav", "header.wav"),
        ("header.flac", "header.flac"),
        ("no_samples.wav", "samples"),
        ("nan.wav", "nan.wav.*finite"),
        ("inf.wav", "inf.wav.*finite"),
    ],
)
def test_load_audio_refuses_bad_files_in_one_sentence(tmp_path, name, message):
    write_bad_files(tmp_path)
    kind = FileNotFoundError if name == "missing.wav" else ValueError
    with pytest.raises(kind, match=message) as error:
        load_audio(tmp_path / name)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize("name", ["missing.wav", "", "text.wav", "nothing.wav", "short.wav"])
def test_audio_info_refuses_the_same_files(tmp_path, name):
    write_bad_files(tmp_path)
    kind = FileNotFoundError if name == "missing.wav" else ValueError
    with pytest.raises(kind, match="path"):
        audio_info(tmp_path / name)


def test_an_mp3_that_ends_early_is_told(tmp_path):
    path = tmp_path / "clip.mp3"
    soundfile.write(path, noise(80000).numpy(), 16000)
    assert load_audio(path)[0].shape == (1, audio_info(path).num_frames)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"[1-9]\d* of \d+ frames"):
        load_audio(path)


def test_an_mp3_without_a_length_in_its_header_is_read(tmp_path):
    path = tmp_path / "clip.mp3"
    soundfile.write(
        path, noise(80000).numpy(), 16000, bitrate_mode="CONSTANT", compression_level=0.9
    )
    frames = path.read_bytes()
    frames = frames[frames.index(frames[:2], 2) :]  # the first frame holds the exact length
    tag = b"ID3\x04" + bytes(5) + b"\x40" + bytes(64)  # now the guess counts 64 bytes too many
    path.write_bytes(tag + frames)
    waveform, _ = load_audio(path)
    assert waveform.shape[-1] == audio_info(path).num_frames
    assert waveform.shape[-1] == pytest.approx(80000, abs=1500)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_wav_written_to_a_pipe_is_no_truncated_file(clip, length):
    content = bytearray(clip.read_bytes())
    struct.pack_into("<I", content, content.index(b"data") + 4, length)
    clip.write_bytes(content)
    waveform, _ = load_audio(clip)
    assert waveform.shape == (1, 8000)


def test_wav_with_more_chunks_is_read(tmp_path, clip):
    content = clip.read_bytes()
    extra = b"note" + struct.pack("<I", 3) + b"abc\0"  # odd length, padded
    start = content.index(b"data")
    path = tmp_path / "chunks.wav"
    path.write_bytes(content[:start] + extra + content[start:] + extra)
    assert torch.equal(load_audio(path)[0], load_audio(clip)[0])
    path.write_bytes(content[:start] + extra + content[start:-1])
    with pytest.raises(ValueError, match="1 bytes"):
        load_audio(path)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"sample_rate": 0}, ValueError, "sample_rate.*got 0"),
        ({"sample_rate": -8000}, ValueError, r"got -8000"),
        ({"sample_rate": 16000.0}, TypeError, "sample_rate.*got 16000"),
        ({"sample_rate": "16k"}, TypeError, r"got '16k'"),
        ({"sample_rate": True}, TypeError, r"got True"),
        ({"offset": -1}, ValueError, "offset.*got -1"),
        ({"offset": 1.0}, ValueError, "offset.*got 1.0 s"),
        ({"offset": math.nan}, ValueError, "offset.*got nan"),
        ({"offset": "1"}, TypeError, "offset.*got '1'"),
        ({"duration": 0}, ValueError, "duration.*got 0"),
        ({"duration": math.inf}, ValueError, r"got inf"),
        ({"duration": [1]}, TypeError, "duration"),
    ],
)
def test_load_audio_refuses_bad_options(clip, options, kind, message):
    with pytest.raises(kind, match=message) as error:
        load_audio(clip, **options)
    assert_one_sentence(error)


def test_paths_must_be_paths():
    for call in (load_audio, audio_info):
        with pytest.raises(TypeError, match="path.*got int"):
            call(3)


# --- save_audio ----------------------------------------------------------------------------------


@pytest.mark.parametrize("subtype", [*BITS, "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2])
def test_save_and_load_differ_by_at_most_half_a_step(tmp_path, subtype, channels):
    waveform = noise(channels, 4000, dtype=torch.float64)
    path = tmp_path / "clip.wav"
    save_audio(path, waveform, 16000, subtype=subtype)
    samples, sample_rate = soundfile.read(path, dtype="float64", always_2d=True)
    assert sample_rate == 16000
    assert audio_info(path).subtype == subtype
    step = 2.0 ** (1 - BITS[subtype]) if subtype in BITS else {"FLOAT": 1e-7, "DOUBLE": 0}[subtype]
    assert np.abs(samples.T - waveform.numpy()).max() <= step / 2
    loaded, _ = load_audio(path, mono=False)
    assert (loaded.double() - waveform).abs().max() <= step / 2 + 1e-7


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
def test_flac_differs_by_at_most_half_a_step(tmp_path, subtype):
    waveform = noise(1, 4000)
    save_audio(tmp_path / "clip.flac", waveform, 16000, subtype=subtype)
    loaded, _ = load_audio(tmp_path / "clip.flac")
    bits = {**BITS, "PCM_S8": 8}[subtype]
    assert (loaded.double() - waveform.double()).abs().max() <= 2.0**-bits
    assert audio_info(tmp_path / "clip.flac").format == "FLAC"


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_a_file_saved_again_and_again_does_not_change(tmp_path, subtype):
    first, second = tmp_path / "first.wav", tmp_path / "second.wav"
    waveform = noise(1, 2000)
    waveform[0, :2] = torch.tensor([1.0, -1.0])
    save_audio(first, waveform, 16000, subtype=subtype)
    save_audio(second, load_audio(first)[0], 16000, subtype=subtype)
    assert first.read_bytes() == second.read_bytes()


def test_full_scale_is_written_as_the_largest_integer(tmp_path):
    save_audio(tmp_path / "clip.wav", torch.tensor([1.0, -1.0]), 16000)
    integers, _ = soundfile.read(tmp_path / "clip.wav", dtype="int16")
    assert integers.tolist() == [32767, -32768]


@settings(max_examples=25, deadline=None)
@given(
    num_samples=st.integers(1, 500),
    channels=st.integers(1, 4),
    level=st.floats(0, 1),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    sample_rate=st.sampled_from([1, 8000, 16000, 44100, 192000]),
    suffix=st.sampled_from(["wav", "flac"]),
)
def test_round_trip_of_any_shape(
    tmp_path_factory, num_samples, channels, level, dtype, sample_rate, suffix
):
    waveform = level * noise(channels, num_samples, dtype=dtype)
    original = waveform.clone()
    path = tmp_path_factory.mktemp("any") / f"clip.{suffix}"
    save_audio(path, waveform, sample_rate)
    loaded, loaded_rate = load_audio(path, mono=False)
    assert loaded_rate == sample_rate
    assert loaded.shape == waveform.shape
    assert (loaded.double() - waveform.double()).abs().max() <= 1 / 32768
    assert torch.equal(waveform, original)


def test_save_audio_accepts_views_gradients_and_one_axis(tmp_path):
    waveform = noise(4000, 2, seed=1).T[:, ::2].requires_grad_()
    save_audio(tmp_path / "view.wav", waveform, 16000)
    assert load_audio(tmp_path / "view.wav", mono=False)[0].shape == (2, 2000)
    save_audio(tmp_path / "flat.wav", waveform[0], 16000)
    assert load_audio(tmp_path / "flat.wav", mono=False)[0].shape == (1, 2000)


def test_samples_beyond_full_scale_need_one_gain_or_a_float_file(tmp_path):
    waveform = torch.tensor([[0.5, -1.25]])
    with pytest.raises(ValueError, match="1.250"):
        save_audio(tmp_path / "loud.wav", waveform, 16000)
    assert list(tmp_path.iterdir()) == []
    save_audio(tmp_path / "loud.wav", waveform, 16000, subtype="FLOAT")
    assert torch.equal(load_audio(tmp_path / "loud.wav")[0], waveform)


def test_save_audio_never_overwrites_unasked(tmp_path, clip):
    before = clip.read_bytes()
    with pytest.raises(ValueError, match="clip.wav.*overwrite=True"):
        save_audio(clip, noise(1, 100), 16000)
    assert clip.read_bytes() == before
    save_audio(clip, noise(1, 100), 16000, overwrite=True)
    assert audio_info(clip).num_frames == 100
    assert [each.name for each in tmp_path.iterdir()] == ["clip.wav"]


@pytest.mark.parametrize("step", ["write", "replace"])
@pytest.mark.parametrize("failure", [OSError("no space left"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path, clip, monkeypatch, step, failure
):
    before = clip.read_bytes()
    real_write = soundfile.SoundFile.write

    def broken(*arguments):
        if step == "write":
            real_write(*arguments)  # half the work is on the disk when it fails
        raise failure

    place = (soundfile.SoundFile, "write") if step == "write" else (os, "replace")
    monkeypatch.setattr(*place, broken)
    expected = ValueError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="no space" if expected is ValueError else None):
        save_audio(clip, noise(1, 100), 16000, overwrite=True)
    assert clip.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["clip.wav"]


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"waveform": torch.zeros(1, 1, 9)}, ValueError, r"\(1, 1, 9\)"),
        ({"waveform": torch.zeros(1, 0)}, ValueError, "waveform"),
        ({"waveform": torch.tensor([math.nan])}, ValueError, "waveform.*finite"),
        ({"waveform": torch.tensor([math.inf])}, ValueError, "waveform.*finite"),
        ({"waveform": torch.ones(9, dtype=torch.int16)}, TypeError, "waveform.*torch.int16"),
        ({"waveform": np.zeros(9)}, TypeError, r"got ndarray"),
        ({"sample_rate": 0}, ValueError, "sample_rate.*got 0"),
        ({"sample_rate": 44.1}, TypeError, "sample_rate.*got 44.1"),
        ({"subtype": "PCM_17"}, ValueError, "subtype.*got 'PCM_17'"),
        ({"subtype": "PCM_S8"}, ValueError, "got 'PCM_S8'"),
        ({"path": "clip.mp3"}, ValueError, r"path.*\.mp3"),
        ({"path": "clip"}, ValueError, r"path.*\.flac"),
        ({"path": "nowhere/clip.wav"}, FileNotFoundError, "nowhere"),
        ({"path": "folder.wav"}, ValueError, "folder"),
    ],
)
def test_save_audio_refuses_in_one_sentence(tmp_path, change, kind, message):
    (tmp_path / "folder.wav").mkdir()
    arguments = {"waveform": noise(1, 9), "sample_rate": 16000, "path": "clip.wav", **change}
    path = tmp_path / arguments.pop("path")
    waveform, sample_rate = arguments.pop("waveform"), arguments.pop("sample_rate")
    with pytest.raises(kind, match=message) as error:
        save_audio(path, waveform, sample_rate, **arguments)
    assert_one_sentence(error)
    assert [each.name for each in tmp_path.iterdir()] == ["folder.wav"]


def test_what_the_format_cannot_hold_becomes_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="clip.flac.*channels"):
        save_audio(tmp_path / "clip.flac", noise(9, 100), 16000)  # FLAC ends at 8 channels
    assert list(tmp_path.iterdir()) == []


# --- resample ------------------------------------------------------------------------------------

RATES = [(44100, 16000), (22050, 16000), (11025, 16000), (48000, 16000), (16000, 8000)]


@pytest.mark.parametrize(("orig_freq", "new_freq"), [*RATES, (8000, 16000), (16000, 44100)])
def test_resample_of_a_tone_is_the_same_tone_at_the_new_rate(orig_freq, new_freq):
    """The closed form: a sine below both Nyquist frequencies, sampled at the new instants."""
    tone = sine(1000, orig_freq, orig_freq, phase=0.3)
    resampled = resample(tone, orig_freq, new_freq)
    expected = sine(1000, new_freq, new_freq, phase=0.3)
    assert resampled.shape == expected.shape
    inner = slice(200, -200)  # the filter sees zeros beyond the ends
    torch.testing.assert_close(resampled[inner], expected[inner], atol=2e-3, rtol=0)


@pytest.mark.parametrize(("orig_freq", "new_freq"), RATES)
def test_resample_agrees_with_scipy_on_noise_below_the_transition_band(orig_freq, new_freq):
    white = np.random.default_rng(0).standard_normal(orig_freq)
    cutoff = 0.7 * min(orig_freq, new_freq) / 2
    lowpass = scipy.signal.butter(8, cutoff, fs=orig_freq, output="sos")
    band = scipy.signal.sosfiltfilt(lowpass, white).copy()
    divisor = math.gcd(orig_freq, new_freq)
    expected = scipy.signal.resample_poly(
        band, new_freq // divisor, orig_freq // divisor, window=("kaiser", 12.0)
    )
    resampled = resample(torch.from_numpy(band), orig_freq, new_freq).numpy()
    inner = slice(300, -300)
    error = resampled[inner] - expected[: len(resampled)][inner]
    assert np.sqrt(np.mean(error**2)) < 0.005 * np.sqrt(np.mean(expected[inner] ** 2))


ODD_RATES = [(44056, 16000), (16000, 44056), (44101, 16000), (16000, 44101), (47999, 16000)]


@pytest.mark.parametrize(("orig_freq", "new_freq"), ODD_RATES)
def test_odd_rates_give_the_same_tone_too(orig_freq, new_freq):
    tone = sine(1000, orig_freq, orig_freq, phase=0.3)
    expected = sine(1000, new_freq, new_freq, phase=0.3)
    resampled = resample(tone, orig_freq, new_freq)
    assert resampled.shape == expected.shape
    torch.testing.assert_close(resampled[200:-200], expected[200:-200], atol=2e-3, rtol=0)


@pytest.mark.parametrize(("orig_freq", "new_freq"), [*RATES, (8000, 44100), *ODD_RATES[:2]])
@pytest.mark.parametrize("num_samples", [1, 500, 20_001])
def test_the_filter_for_odd_rates_is_that_of_torchaudio(
    monkeypatch, orig_freq, new_freq, num_samples
):
    monkeypatch.setattr(audio, "_MAX_KERNEL_SIZE", 0)
    waveform = noise(2, num_samples, dtype=torch.float64)
    expected = torchaudio.functional.resample(waveform, orig_freq, new_freq)
    torch.testing.assert_close(resample(waveform, orig_freq, new_freq), expected)


def test_resample_removes_what_the_lower_rate_cannot_hold():
    tone = sine(6000, 16000, 16000)
    assert resample(tone, 16000, 8000)[100:-100].abs().max() < 0.01
    assert tone[::2].abs().max() > 0.9  # naive decimation folds it down to 2 kHz instead


@settings(max_examples=40, deadline=None)
@given(
    num_samples=st.integers(1, 3000),
    shape=st.sampled_from([(), (1,), (2,), (3, 2)]),
    rates=st.sampled_from([*RATES, (16000, 48000), (16000, 16000), (8000, 44100)]),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_resample_keeps_shape_dtype_and_input(num_samples, shape, rates, dtype):
    waveform = noise(*shape, num_samples, dtype=dtype)
    original = waveform.clone()
    resampled = resample(waveform, *rates)
    assert resampled.shape == (*shape, math.ceil(num_samples * rates[1] / rates[0]))
    assert resampled.dtype == dtype
    assert torch.isfinite(resampled).all()
    assert torch.equal(waveform, original)
    resampled.zero_()
    assert torch.equal(waveform, original)  # no shared memory


def test_resample_takes_views_and_equals_one_by_one():
    batch = noise(4000, 3).T  # not contiguous
    together = resample(batch, 16000, 8000)
    for item, single in zip(together, batch, strict=True):
        torch.testing.assert_close(item, resample(single, 16000, 8000))


@pytest.mark.parametrize(
    ("rates", "kind", "message"),
    [
        ((0, 16000), ValueError, "orig_freq.*got 0"),
        ((16000, -1), ValueError, "new_freq.*got -1"),
        ((16000.0, 8000), TypeError, "orig_freq.*got 16000.0"),
        ((16000, None), TypeError, "new_freq"),
        ((1, 16001), ValueError, "1 and 16001"),
        ((4_000_000_000, 16000), ValueError, "4000000000 and 16000"),
    ],
)
def test_resample_refuses_bad_rates(rates, kind, message):
    with pytest.raises(kind, match=message) as error:
        resample(noise(1, 100), *rates)
    assert_one_sentence(error)


# --- to_mono -------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    channels=st.integers(1, 6),
    num_samples=st.integers(1, 200),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    batch=st.sampled_from([(), (2,), (2, 3)]),
)
def test_to_mono_is_the_average_and_keeps_the_axis(channels, num_samples, dtype, batch):
    waveform = noise(*batch, channels, num_samples, dtype=dtype)
    original = waveform.clone()
    mono = to_mono(waveform)
    assert mono.shape == (*batch, 1, num_samples)
    assert mono.dtype == dtype
    expected = sum(waveform[..., i, :] for i in range(channels)) / channels
    torch.testing.assert_close(mono[..., 0, :], expected)
    assert mono.abs().max() <= waveform.abs().max() + 1e-6  # an average cannot clip
    mono.zero_()
    assert torch.equal(waveform, original)


def test_out_of_phase_stereo_folds_down_to_silence():
    left = noise(1, 100)
    assert to_mono(torch.cat([left, -left])).abs().max() == 0


def test_to_mono_asks_for_a_channel_axis():
    with pytest.raises(ValueError, match=r"\(100,\)"):
        to_mono(noise(100))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_device_is_kept(tmp_path):
    waveform = noise(2, 4000).cuda()
    assert resample(waveform, 16000, 8000).device == waveform.device
    assert to_mono(waveform).device == waveform.device
    save_audio(tmp_path / "clip.wav", waveform, SAMPLE_RATE)
    assert load_audio(tmp_path / "clip.wav", mono=False)[0].shape == (2, 4000)

"""Players: the sound inside the page, its level, one common gain, and refusals."""

import base64
import io
import math
import re

import numpy as np
import pytest
import soundfile
import torch
from IPython.display import HTML

from course_utils.listening import audio_player, compare_audio

RATE = 16_000


def sine(amplitude=0.1, num_samples=RATE, frequency=440.0):
    times = torch.arange(num_samples) / RATE
    return amplitude * torch.sin(2 * math.pi * frequency * times)[None]


def decode(page):
    """Read every clip of a page back: list of ((time, channel) samples, rate)."""
    clips = re.findall(r'src="data:audio/flac;base64,([^"]+)"', page.data)
    return [soundfile.read(io.BytesIO(base64.b64decode(c)), always_2d=True) for c in clips]


def levels(page):
    return re.findall(r"level (silent|-?[\d.]+ dBFS)", page.data)


def test_player_holds_the_very_samples():
    page = audio_player(sine(), RATE, title="a tone")
    assert isinstance(page, HTML) and page._repr_html_().startswith(page.data)
    [(samples, rate)] = decode(page)
    assert rate == RATE and samples.shape == (RATE, 1)
    np.testing.assert_allclose(samples[:, 0], sine()[0].numpy(), atol=1 / 32768)
    assert "a tone" in page.data and "One gain" not in page.data


def test_player_has_controls_and_never_starts_by_itself():
    page = compare_audio({"a": sine(), "b": sine(0.2)}, RATE)
    assert page.data.count("<audio controls") == 2
    assert page.data.count('preload="auto"') == 2
    assert "autoplay" not in page.data and "loop" not in page.data


def test_levels_are_those_of_the_clips():
    page = compare_audio({"a": sine(0.1), "b": sine(1.0), "none": torch.zeros(1, RATE)}, RATE)
    assert levels(page) == ["-23.0 dBFS", "-3.0 dBFS", "silent"]
    assert "One gain for all: 0.0 dB" in page.data


def test_quiet_clips_stay_quiet():
    loud, quiet = (
        samples for samples, _ in decode(compare_audio({"l": sine(0.5), "q": sine(0.005)}, RATE))
    )
    assert np.abs(loud).max() == pytest.approx(0.5, abs=1e-3)
    assert np.abs(quiet).max() == pytest.approx(0.005, abs=1e-4)


def test_beyond_full_scale_brings_the_whole_row_down_and_says_so():
    page = compare_audio({"hot": sine(2.0), "usual": sine(0.5)}, RATE)
    hot, usual = (samples for samples, _ in decode(page))
    assert np.abs(hot).max() == pytest.approx(1.0, abs=1e-3)
    assert np.abs(usual).max() == pytest.approx(0.25, abs=1e-3)
    np.testing.assert_allclose(hot / 4, usual, atol=1e-4)  # nothing was clipped
    assert "One gain for all: -6.0 dB" in page.data and "+6.0 dBFS" in page.data
    assert levels(page) == ["3.0 dBFS", "-9.0 dBFS"]  # of the clips, before the gain


def test_a_single_hot_clip_is_brought_down_too():
    page = audio_player(sine(4.0), RATE)
    assert np.abs(decode(page)[0][0]).max() <= 1.0
    assert "Gain: -12.0 dB, because the clip goes beyond full scale" in page.data


def test_exactly_full_scale_is_left_alone():
    page = compare_audio({"a": torch.ones(1, 100), "b": -torch.ones(1, 100)}, RATE)
    assert "0.0 dB, played as stored" in page.data
    assert decode(page)[1][0].min() == -1.0


def test_removed_part_is_the_difference():
    page = compare_audio(
        {"noisy": sine(0.3), "denoised": sine(0.1)}, RATE, removed=("noisy", "denoised")
    )
    assert "removed: noisy minus denoised" in page.data
    noisy, denoised, removed = (samples for samples, _ in decode(page))
    np.testing.assert_allclose(removed, noisy - denoised, atol=2 / 32768)
    assert np.abs(removed).max() == pytest.approx(0.2, abs=1e-3)


def test_removed_part_counts_for_the_common_gain():
    page = compare_audio({"a": sine(0.9), "b": sine(-0.9)}, RATE, removed=("a", "b"))
    assert all(np.abs(samples).max() <= 1.0 for samples, _ in decode(page))
    assert "One gain for all: -5.1 dB" in page.data


def test_clips_are_cut_and_the_cut_fades():
    clip = torch.full((1, 4 * RATE), 0.5)
    [(samples, _)] = decode(compare_audio({"a": clip}, RATE, seconds=0.5))
    assert len(samples) == RATE // 2
    assert samples[0, 0] == pytest.approx(0.5, abs=1e-4) and abs(samples[-1, 0]) < 1e-3
    [(whole, _)] = decode(compare_audio({"a": clip}, RATE, seconds=None))
    assert len(whole) == 4 * RATE and whole[-1, 0] == pytest.approx(0.5, abs=1e-4)


def test_different_lengths_are_fine_once_cut():
    page = compare_audio(
        {"a": sine(num_samples=9000), "b": sine(num_samples=8000)}, RATE, seconds=0.5
    )
    assert [len(samples) for samples, _ in decode(page)] == [8000, 8000]


def test_stereo_keeps_its_two_sides():
    both = torch.cat([sine(0.1), sine(0.4)])
    [(samples, _)] = decode(audio_player(both, RATE))
    assert samples.shape == (RATE, 2)
    np.testing.assert_allclose(samples.T, both.numpy(), atol=1 / 32768)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_dtypes_and_gradients_are_no_obstacle(dtype):
    clip = sine().to(dtype).requires_grad_()
    assert levels(audio_player(clip[0], RATE)) == ["-23.0 dBFS"]


def test_one_sample_plays():
    assert decode(audio_player(torch.tensor([0.5]), RATE))[0][0].shape == (1, 1)


def test_inputs_are_not_changed():
    clip = sine(2.0)
    kept = clip.clone()
    compare_audio({"a": clip, "b": clip}, RATE, removed=("a", "b"), seconds=0.2)
    assert torch.equal(clip, kept)


def test_titles_are_escaped():
    page = compare_audio({'<b>bold</b> & "more"': sine()}, RATE)
    assert "<b>bold" not in page.data
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; &quot;more&quot;" in page.data


def test_page_has_no_colour_of_its_own():
    """Text takes the theme's colour, so that the row reads on light and on dark pages."""
    page = compare_audio({"a": sine()}, RATE)
    assert not re.search(r"(?<!border-)\bcolor:|background", page.data)


@pytest.mark.parametrize(
    ("clip", "error", "message"),
    [
        (torch.zeros(1, 0), ValueError, r"\(1, 0\)"),
        (torch.tensor([[0.0, math.nan]]), ValueError, "finite"),
        (torch.tensor([[0.0, math.inf]]), ValueError, "finite"),
        (torch.zeros(1, 9, dtype=torch.int16), TypeError, "got torch.int16"),
        ([0.0, 0.1], TypeError, "got list"),
        (torch.zeros(3, 9), ValueError, r"\(3, 9\)"),
        (torch.zeros(100, 1), ValueError, r"\(100, 1\)"),
        (torch.zeros(1, 1, 9), ValueError, "batch"),
    ],
)
def test_bad_clips_are_refused(clip, error, message):
    with pytest.raises(error, match=f"waveform .*{message}"):
        audio_player(clip, RATE)
    with pytest.raises(error, match=rf"clips\['x'\] .*{message}"):
        compare_audio({"x": clip}, RATE)


@pytest.mark.parametrize(
    ("rate", "error"),
    [(16000.0, TypeError), (True, TypeError), (0, ValueError), (10**6, ValueError)],
)
def test_bad_rates_are_refused(rate, error):
    with pytest.raises(error, match=f"sample_rate.*got {rate}"):
        audio_player(sine(), rate)
    with pytest.raises(error, match="sample_rate"):
        compare_audio({"a": sine()}, rate)


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"clips.*\(1, 100\).*\(1, 90\)"):
        compare_audio({"a": sine(num_samples=100), "b": sine(num_samples=90)}, RATE)
    with pytest.raises(ValueError, match="clips.*shape"):
        compare_audio({"mono": torch.zeros(1, 9), "stereo": torch.zeros(2, 9)}, RATE)


def test_bad_rows_are_refused():
    with pytest.raises(ValueError, match="clips.*{}"):
        compare_audio({}, RATE)
    with pytest.raises(TypeError, match="clips.*got list"):
        compare_audio([sine()], RATE)
    with pytest.raises(ValueError, match="removed.*'b'"):
        compare_audio({"a": sine()}, RATE, removed=("a", "b"))
    with pytest.raises(ValueError, match="removed.*got 'ab'"):
        compare_audio({"a": sine(), "b": sine()}, RATE, removed="ab")
    with pytest.raises(ValueError, match="seconds.*got 0"):
        compare_audio({"a": sine()}, RATE, seconds=0)
    with pytest.raises(TypeError, match="seconds.*got '3'"):
        compare_audio({"a": sine()}, RATE, seconds="3")

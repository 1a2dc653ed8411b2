"""Explorers: a moved control changes values, picture and sound; a bad one says a sentence."""

import base64
import io
import math
import re
from functools import cache

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from PIL import Image

from course_utils.features import STFTConfig
from course_utils.mixing import mix_at_snr
from course_utils.models import Denoiser, MaskNet
from course_utils.widgets import (
    alignment_explorer,
    denoise_explorer,
    mask_explorer,
    sampling_explorer,
    snr_explorer,
    stft_explorer,
)

RATE = 16_000


def clips(num_samples=RATE):
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(num_samples) / RATE
    clean = 0.1 * torch.sin(2 * math.pi * 1000 * times) * (times < 0.5)
    return clean[None], 0.1 * torch.randn(1, num_samples, generator=generator)


def make(name):
    clean, noise = clips()
    if name == "snr":
        return snr_explorer(clean, noise, RATE)
    if name == "stft":
        return stft_explorer(clean + noise, RATE)
    if name == "alignment":
        return alignment_explorer(mix_at_snr(clean, noise, 5.0), clean + 0.3 * noise, RATE)
    if name == "sampling":
        return sampling_explorer(clean + noise, RATE)
    if name == "denoise":
        voices = {"first": clean, "second": clean.flip(-1)}
        return denoise_explorer(voices, {"hiss": noise, "hum": clean}, network())
    return mask_explorer(mix_at_snr(clean, noise, 0.0), clean, STFTConfig())


@cache
def first_made(name):
    """One explorer of each name, and where its controls stood."""
    explorer = make(name)
    return explorer, {key: control.value for key, control in explorer.controls.items()}


def made(name):
    """The explorer with every control where it began; making a new one takes half a second."""
    explorer, start = first_made(name)
    for key, value in start.items():
        explorer.controls[key].value = value
    return explorer


def network():
    torch.manual_seed(0)
    return Denoiser(MaskNet()).eval()


def picture(explorer):
    return np.asarray(Image.open(io.BytesIO(explorer.image.value)).convert("RGB"))


def sounds(explorer):
    found = re.findall(r"base64,([^\"]+)\"", explorer.player.value)
    return [soundfile.read(io.BytesIO(base64.b64decode(clip)))[0] for clip in found]


MOVES = [
    ("snr", "snr_db", -10.0),
    ("stft", "n_fft", 1024),
    ("stft", "hop_length", 64),
    ("stft", "scale", "linear"),
    ("stft", "scale", "mel, dB"),
    ("stft", "win_length", 256),
    ("stft", "window", "rectangular"),
    ("mask", "strength", 0.0),
    ("mask", "floor_db", -12.0),
    ("mask", "kind", "threshold"),
    ("alignment", "slip", -90),
    ("sampling", "keep_every", 2),
    ("sampling", "low_pass", True),
    ("denoise", "clip", "second"),
    ("denoise", "noise", "hum"),
    ("denoise", "snr_db", -10.0),
]
NAMES = sorted({name for name, *_ in MOVES})


@pytest.mark.parametrize(("name", "control", "value"), MOVES)
def test_a_move_changes_picture_and_facts_and_back_again(name, control, value):
    explorer = made(name)
    before = explorer.image.value, explorer.facts.value, explorer.player.value
    start = explorer.controls[control].value
    explorer.controls[control].value = value
    assert explorer.image.value != before[0]
    assert explorer.message.value == ""
    if control != "window":  # the window changes the picture, not the numbers beside it
        assert explorer.facts.value != before[1]
    explorer.controls[control].value = start
    # Nothing of the detour is left: the kept figure shows what a new one would.
    assert (explorer.image.value, explorer.facts.value, explorer.player.value) == before


@pytest.mark.parametrize("name", NAMES)
def test_picture_is_a_png_with_axes_and_data(name):
    explorer = made(name)
    pixels = picture(explorer)
    assert pixels.shape[1] == 720 and pixels.shape[2] == 3
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    assert explorer.image.format == "png"
    assert [explorer.image in explorer.children, explorer.message in explorer.children] == [
        True
    ] * 2


@pytest.mark.parametrize("name", NAMES)
def test_sliders_wait_until_they_are_let_go(name):
    for control in made(name).controls.values():
        assert getattr(control, "continuous_update", False) is False


@pytest.mark.parametrize("name", [name for name in NAMES if name != "stft"])
def test_players_never_start_by_themselves(name):
    page = made(name).player.value
    assert "<audio controls" in page and "autoplay" not in page and "loop" not in page


@pytest.mark.parametrize("slip", [-320, -1, 0, 7, 320])
def test_alignment_finds_the_slip_that_was_set(slip):
    generator = torch.Generator().manual_seed(0)
    clean, noise = 0.1 * torch.randn(2, 1, RATE, generator=generator)
    explorer = alignment_explorer(mix_at_snr(clean, noise, 0.0), clean, RATE)
    explorer.controls["slip"].value = slip
    assert f"the peak is at <b>{slip}</b>" in explorer.facts.value
    score = float(re.search(r"SI-SDR <b>(\S+) dB", explorer.facts.value)[1])
    if slip == 0:
        assert score == 100
    else:  # white noise shifted against itself is as good as strange: energy ratio of about 0
        assert score < -10


@pytest.mark.parametrize(("low_pass", "heard_at_hz"), [(False, 1000), (True, None)])
def test_sampling_folds_a_tone_unless_it_is_filtered(low_pass, heard_at_hz):
    times = torch.arange(RATE) / RATE
    tone = 0.5 * torch.sin(2 * math.pi * 7000 * times)[None]
    explorer = sampling_explorer(tone, RATE)
    explorer.controls["keep_every"].value = 2  # 8000 a second: 7000 Hz folds to 1000
    explorer.controls["low_pass"].value = low_pass
    assert "Nyquist frequency <b>4,000 Hz</b>" in explorer.facts.value
    [heard] = sounds(explorer)
    spectrum = np.abs(np.fft.rfft(heard)) / (RATE / 2)
    if heard_at_hz is None:
        assert spectrum.max() < 0.01
    else:
        assert spectrum.argmax() == heard_at_hz and spectrum.max() > 0.4


def test_sampling_that_keeps_everything_changes_nothing():
    clean, noise = clips()
    explorer = sampling_explorer(clean + noise, RATE)
    explorer.controls["keep_every"].value = 1
    [heard] = sounds(explorer)
    np.testing.assert_allclose(heard, (clean + noise)[0].numpy(), atol=2 / 32768)


def test_the_three_players_of_the_denoiser_add_up():
    explorer = made("denoise")
    noisy, estimate, _clean, removed = sounds(explorer)
    np.testing.assert_allclose(noisy - estimate, removed, atol=4 / 32768)
    clean, noise = clips()
    expected = network()(mix_at_snr(clean, noise, 5.0)).detach()[0].numpy()
    gain = np.abs(estimate).max() / np.abs(expected).max()
    np.testing.assert_allclose(estimate, gain * expected, atol=4 / 32768)


def test_the_mask_of_a_model_joins_the_menu():
    clean, noise = clips()
    noisy, denoiser = mix_at_snr(clean, noise, 0.0), network()
    explorer = mask_explorer(noisy, clean, denoiser.config, denoiser=denoiser)
    assert explorer.controls["kind"].options == ("ideal ratio", "threshold", "model")
    explorer.controls["kind"].value = "model"
    heard = sounds(explorer)[1]
    with torch.inference_mode():
        expected = denoiser(noisy)[0].numpy()
    gain = np.abs(heard).max() / np.abs(expected).max()
    np.testing.assert_allclose(heard, gain * expected, atol=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, n: alignment_explorer(c, n[:, 1:], RATE), "clean.*shape"),
        (lambda c, n: alignment_explorer(c[:, :999], n[:, :999], RATE), "length of clean.*0.1"),
        (lambda c, n: denoise_explorer({}, {"hiss": n}, network()), "clips.*{}"),
        (lambda c, n: denoise_explorer({"a": 0 * c}, {"hiss": n}, network()), "silent"),
        (
            lambda c, n: mask_explorer(c, n, STFTConfig(n_fft=1024), denoiser=network()),
            "config",
        ),
    ],
)
def test_the_newer_explorers_refuse_in_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call(*clips())


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 30.0])
def test_snr_is_measured_and_heard(snr_db):
    clean, noise = clips()
    explorer = snr_explorer(clean, noise, RATE)
    explorer.controls["snr_db"].value = snr_db
    assert f"measured on this mixture: <b>{snr_db:.2f} dB</b>" in explorer.facts.value
    [heard] = sounds(explorer)
    expected = mix_at_snr(clean, noise, snr_db)[0].numpy()
    expected = expected / max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(heard, expected, atol=2 / 32768)


def test_text_names_the_controls_and_not_the_picture():
    explorer = made("mask")
    assert repr(explorer) == "Explorer(kind='ideal ratio', strength=1.0, floor_db=-60.0)"
    bundle = explorer._repr_mimebundle_()
    assert bundle["text/plain"].endswith("run this cell, and the sliders appear here.")
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_snr_slider_covers_the_promised_range():
    slider = made("snr").controls["snr_db"]
    assert (slider.min, slider.max) == (-10.0, 30.0)


def test_stft_facts_are_those_of_the_config():
    explorer = made("stft")
    explorer.controls["n_fft"].value = 1024
    explorer.controls["hop_length"].value = 128
    facts = explorer.facts.value
    config = STFTConfig(n_fft=1024, win_length=512, hop_length=128)
    assert f"<b>(513, {config.num_frames(RATE)})</b>" in facts
    assert "15.6 Hz per bin" in facts and "8.0 ms per frame" in facts
    assert "<b>invertible</b>" in facts


def test_stft_says_when_there_is_no_way_back():
    explorer = made("stft")
    explorer.controls["hop_length"].value = 512
    assert "<b>not invertible</b>" in explorer.facts.value
    explorer.controls["window"].value = "rectangular"
    assert "<b>invertible</b>" in explorer.facts.value


@pytest.mark.parametrize(
    ("control", "value", "sentence"),
    [
        ("hop_length", 1024, "hop_length must not exceed win_length = 512, got 1024"),
        ("win_length", 1024, "win_length must not exceed n_fft = 512, got 1024"),
        ("n_fft", 256, "win_length must not exceed n_fft = 256, got 512"),
    ],
)
def test_a_combination_that_cannot_work_says_so_and_keeps_the_picture(control, value, sentence):
    explorer = made("stft")
    before = explorer.image.value, explorer.facts.value
    start = explorer.controls[control].value
    explorer.controls[control].value = value
    assert sentence in explorer.message.value
    assert 'role="alert"' in explorer.message.value and "Traceback" not in explorer.message.value
    assert (explorer.image.value, explorer.facts.value) == before
    explorer.controls[control].value = start
    assert explorer.message.value == ""


def test_every_combination_of_the_stft_sliders_ends_in_a_picture_or_a_sentence():
    explorer = made("stft")
    controls = [explorer.controls[name] for name in ("n_fft", "win_length", "hop_length")]
    shown = refused = 0
    for n_fft in controls[0].options[::2]:
        controls[0].value = n_fft
        for win_length in controls[1].options[::2]:
            controls[1].value = win_length
            for hop_length in controls[2].options[::2]:
                controls[2].value = hop_length
                legal = hop_length <= win_length <= n_fft
                assert (explorer.message.value == "") is legal
                shown, refused = shown + legal, refused + (not legal)
    assert shown >= 10 and refused >= 10


def test_a_tone_stands_at_its_frequency_in_the_picture():
    """Axes are drawn once; whatever the sliders, 1 kHz stays where the axis says 1 kHz."""
    clean, _ = clips()
    explorer = stft_explorer(clean + 1e-6, RATE)
    rows = []
    for n_fft in (512, 2048, 4096):  # the largest is thinned out before it is drawn
        explorer.controls["n_fft"].value = n_fft
        bright = picture(explorer)[:, 100:200].astype(int).sum(axis=(1, 2))[20:210]
        rows.append(int(bright.argmax()))
    assert max(rows) - min(rows) <= 3


def test_the_scales_show_the_same_tone_at_its_level_and_place():
    """A 1 kHz sine of amplitude 0.1: -20 dB, a magnitude of 0.1, a line at 1 kHz on each axis."""
    clean, _ = clips()
    explorer = stft_explorer(clean + 1e-6, RATE)
    axes = explorer._moving[0].axes
    for scale, level in (("dB", -20.0), ("linear", 0.1)):
        explorer.controls["scale"].value = scale
        values = axes.images[0].get_array()
        assert values.max() == pytest.approx(level, rel=0.01)
        assert int(values.max(axis=1).argmax()) == 1000 / 31.25
    explorer.controls["scale"].value = "mel, dB"
    assert "<b>(64, 64)</b>" in explorer.facts.value
    triangles = torchaudio.transforms.MelScale(64, RATE, n_stft=257).fb.T  # (mel, freq)
    brightest = int(axes.images[0].get_array().max(axis=1).argmax())
    assert triangles[brightest, 32] == triangles[:, 32].max()  # the triangle that holds bin 32
    places = dict(
        zip([t.get_text() for t in axes.get_yticklabels()], axes.get_yticks(), strict=True)
    )
    assert abs((brightest + 0.5) / 64 * places["8"] - places["1"]) < places["8"] / 64


def test_the_player_of_the_stft_explorer_plays_what_the_picture_holds():
    clean, noise = clips()
    explorer = stft_explorer(clean + noise, RATE)
    (exact,) = sounds(explorer)
    np.testing.assert_allclose(exact, (clean + noise)[0], atol=2 / 32768)
    explorer.controls["scale"].value = "mel, dB"
    (rough,) = sounds(explorer)
    assert 0.05 < np.abs(rough - exact).max() < 1
    explorer.controls["hop_length"].value = 512
    assert sounds(explorer) == [] and "not invertible" in explorer.facts.value


def test_bins_too_wide_for_mel_are_a_sentence():
    explorer = made("stft")
    explorer.controls["hop_length"].value = 64
    explorer.controls["win_length"].value = 128
    explorer.controls["scale"].value = "mel, dB"
    before = explorer.image.value
    explorer.controls["n_fft"].value = 128
    assert "got 128" in explorer.message.value and explorer.image.value == before


def test_errors_that_are_no_sentence_surface(monkeypatch):
    """A defect in a handler must reach the learner (and nbval), not vanish."""
    explorer = made("stft")

    def broken(**_):
        raise RuntimeError("a defect")

    monkeypatch.setattr(explorer, "_update", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        explorer.controls["n_fft"].value = 1024


def test_strength_zero_removes_nothing():
    explorer = made("mask")
    explorer.controls["strength"].value = 0.0
    noisy, masked, _clean, removed = sounds(explorer)
    np.testing.assert_allclose(masked, noisy, atol=2 / 32768)
    assert np.abs(removed).max() <= 1 / 32768
    assert "keeps <b>100%</b>" in explorer.facts.value


def test_floor_zero_removes_nothing_either():
    explorer = made("mask")
    explorer.controls["floor_db"].value = 0.0
    noisy, masked, *_ = sounds(explorer)
    np.testing.assert_allclose(masked, noisy, atol=2 / 32768)


def test_ideal_mask_brings_the_error_down():
    explorer = made("mask")
    change = float(re.search(r"changes by <b>([+-][\d.]+) dB", explorer.facts.value).group(1))
    assert change < -6
    noisy, masked, clean, _ = sounds(explorer)
    better = np.mean((masked - clean) ** 2) / np.mean((noisy - clean) ** 2)
    assert 10 * math.log10(better) == pytest.approx(change, abs=0.1)


def test_only_the_beginning_of_a_long_clip_is_used():
    clean, noise = clips(5 * RATE)
    [heard] = sounds(snr_explorer(clean, noise, RATE))
    assert len(heard) == 3 * RATE


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c, n: snr_explorer(c, torch.zeros_like(n), RATE), ValueError, "silent|silence"),
        (lambda c, n: snr_explorer(c[0], n, RATE), ValueError, r"clean.*\(16000,\)"),
        (lambda c, n: snr_explorer(c, n[:, :9], RATE), ValueError, "noise"),
        (lambda c, n: stft_explorer(c.int(), RATE), TypeError, "waveform.*torch.int32"),
        (lambda c, n: stft_explorer(c[:, :0], RATE), ValueError, r"waveform.*\(1, 0\)"),
        (lambda c, n: stft_explorer(c * math.nan, RATE), ValueError, "waveform.*finite"),
        (
            lambda c, n: mask_explorer(n, c[:, :9], STFTConfig()),
            ValueError,
            r"clean.*\(1, 16000\)",
        ),
        (
            lambda c, n: mask_explorer(n, c, STFTConfig(hop_length=512)),
            ValueError,
            "config",
        ),
    ],
)
def test_bad_material_is_refused_at_once(call, error, message):
    with pytest.raises(error, match=message):
        call(*clips())

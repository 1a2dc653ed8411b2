"""Augmentation: what changes, what must not, and that a seed repeats it."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.augmentation import (
    _HZ,
    _N_TAPS,
    _filter,
    change_speed,
    codec_noise,
    draw_speed,
    equalize,
    level_jump,
    silence,
    swell,
    uniform,
)

CHANGES = [equalize, codec_noise, swell, level_jump, silence]


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def _noise(time=16000, seed=0):
    return 0.1 * torch.randn(1, time, generator=_seeded(seed))


def _level_db(waveform, low, high):
    """Level of a band, from the squared Fourier transform."""
    power = torch.fft.rfft(waveform[0].double()).abs().square()
    hz = torch.linspace(0, 8000, power.numel())
    return 10 * torch.log10(power[(hz >= low) & (hz < high)].sum()).item()


@pytest.mark.parametrize("change", CHANGES)
def test_a_seed_repeats_the_change_and_another_does_not(change):
    clip = _noise()
    before = clip.clone()
    first, again = change(clip, generator=_seeded(1)), change(clip, generator=_seeded(1))
    assert torch.equal(first, again) and torch.equal(clip, before)
    others = [change(clip, generator=_seeded(s)) for s in range(2, 8)]
    assert any(o.shape != first.shape or not torch.equal(o, first) for o in others)


@pytest.mark.parametrize("change", CHANGES)
def test_silence_stays_silence(change):
    assert change(torch.zeros(1, 1000), generator=_seeded()).abs().max() == 0


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("shape", [(1000,), (2, 1, 1000)])
def test_another_shape_gets_a_sentence(change, shape):
    with pytest.raises(ValueError, match=r"\(channel, time\)"):
        change(torch.zeros(shape))


@settings(max_examples=30, deadline=None)
@given(time=st.integers(1, 3000), seed=st.integers(0, 1000))
def test_any_length_stays_finite(time, seed):
    clip = _noise(time)
    for change in CHANGES:
        changed = change(clip, generator=_seeded(seed))
        assert changed.shape == clip.shape and torch.isfinite(changed).all()


@pytest.mark.parametrize("speed", [0.5, 0.75, 0.95, 1.0, 1.3, 2.0])
def test_a_faster_voice_is_shorter_and_higher(speed):
    """A 400 Hz tone of one second becomes a tone of 400 Hz times the speed, and as much shorter."""
    t = torch.arange(16000) / 16000
    tone = torch.sin(2 * torch.pi * 400 * t)[None]
    changed = change_speed(tone, speed)
    assert changed.shape[-1] == math.ceil(16000 / speed)
    spectrum = torch.fft.rfft(changed[0] * torch.hann_window(changed.shape[-1]), 2**16).abs()
    assert spectrum.argmax().item() * 16000 / 2**16 == pytest.approx(400 * speed, rel=0.005)


def test_change_of_speed_keeps_its_input_and_refuses_what_it_cannot_do():
    clip = _noise()
    before = clip.clone()
    assert torch.equal(change_speed(clip, 1.0), clip)
    change_speed(clip, 0.8)
    assert torch.equal(clip, before)
    assert change_speed(torch.zeros(1, 1000), 1.2).abs().max() == 0
    for wrong in (0.4, 2.1, float("nan")):
        with pytest.raises(ValueError, match="speed"):
            change_speed(clip, wrong)


def test_speeds_stay_within_what_was_asked():
    def drawn(**bounds):
        return [draw_speed(generator=_seeded(s), **bounds) for s in range(200)]

    assert drawn() == drawn()
    assert min(drawn()) == 0.75 and max(drawn()) == 1.3 and len(set(drawn())) > 8
    assert min(drawn(slowest=0.5, fastest=2.0)) == 0.5 and max(drawn(fastest=2.0)) == 2.0
    for wrong in ({"slowest": 0.4}, {"slowest": 1.1}, {"fastest": 2.5}, {"fastest": 0.9}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            draw_speed(**wrong)


def test_the_equalizer_keeps_the_level_and_its_promise_in_db():
    clip = _noise(64000)
    bands = [(100 * 2**i, 120 * 2**i) for i in range(6)]
    for seed in range(5):
        changed = equalize(torch.cat([clip, clip]), max_db=6.0, generator=_seeded(seed))
        curves = []
        for channel in changed.split(1):
            assert channel.square().mean().sqrt() == pytest.approx(0.1, rel=0.02)
            curves.append([_level_db(channel, *b) - _level_db(clip, *b) for b in bands])
            assert max(curves[-1]) - min(curves[-1]) <= 12.5  # from -6 dB to +6 dB
        assert max(curves[0]) - min(curves[0]) > 0.5
        assert max(abs(a - b) for a, b in zip(*curves, strict=True)) > 0.5  # a curve for each


def test_the_filter_is_the_convolution_with_its_taps():
    """SciPy's direct form, silence before and after; the delay of half the taps is taken back."""
    clip, gain = _noise(5000), torch.rand(len(_HZ), generator=_seeded(1))
    taps = np.roll(np.fft.irfft(gain.double().numpy()), _N_TAPS // 2)
    expected = scipy.signal.convolve(clip[0].double().numpy(), taps, method="direct")
    filtered = _filter(clip, gain[None])[0]
    assert torch.allclose(
        filtered.double(), torch.from_numpy(expected[_N_TAPS // 2 :][:5000]), atol=1e-6
    )


def test_equalizer_of_0_db_changes_nothing():
    clip = _noise()
    assert torch.allclose(equalize(clip, max_db=0.0, generator=_seeded()), clip, atol=1e-6)


def test_a_band_limit_removes_the_highs():
    clip = _noise(64000)
    limited = equalize(clip, max_db=0.0, band_limit=1.0, generator=_seeded())
    assert _level_db(limited, 7500, 8000) < _level_db(clip, 7500, 8000) - 40
    assert _level_db(limited, 500, 2500) == pytest.approx(_level_db(clip, 500, 2500), abs=4)


def test_codec_noise_follows_the_highs_of_the_signal():
    """What is added lies 15 to 30 dB below the highs, and vanishes where they do."""
    clip = _noise(32000)
    added = codec_noise(clip, generator=_seeded()) - clip
    depth = 10 * torch.log10(added.square().mean()).item() - (
        _level_db(clip, 4000, 8000) - 10 * torch.log10(torch.tensor(32000.0 * 16000)).item()
    )
    assert -31 <= depth <= -14
    t = torch.arange(32000) / 16000
    low = torch.sin(2 * torch.pi * 500 * t)[None]
    low = low * torch.hann_window(32000)
    assert (codec_noise(low, generator=_seeded()) - low).abs().max() < 1e-3


def test_uniform_fills_its_range():
    generator = _seeded()
    draws = torch.tensor([uniform(-2.0, 3.0, generator) for _ in range(2000)])
    assert draws.min() >= -2 and draws.max() < 3
    assert draws.mean() == pytest.approx(0.5, abs=0.15)


def test_a_swell_is_slow_and_stays_within_its_gains():
    gain_db = 20 * torch.log10(swell(torch.ones(1, 48000), max_db=8.0, generator=_seeded()))
    assert gain_db.abs().max() <= 8.01 and gain_db.max() - gain_db.min() > 2
    assert gain_db.diff().abs().max() < 16.0 / 4000  # never the whole range within 250 ms


def test_a_level_jump_is_one_step_for_all_channels():
    for seed in range(20):
        gain = level_jump(torch.ones(2, 10_000), max_db=30.0, generator=_seeded(seed))
        assert torch.equal(gain[0], gain[1])
        steps = gain[0].diff().nonzero().flatten()
        assert len(steps) == 1 and 1990 <= steps.item() <= 8000
        assert gain[0, 0] == 1 and abs(20 * math.log10(gain[0, -1].item())) <= 30.01


def test_a_silence_is_one_stretch_of_zeros_and_the_rest_is_untouched():
    lengths = []
    for seed in range(50):
        gated = silence(torch.ones(2, 10_000), generator=_seeded(seed))
        assert torch.equal(gated[0], gated[1]) and set(gated.unique().tolist()) == {0.0, 1.0}
        zeros = (gated[0] == 0).nonzero().flatten()
        assert zeros[-1] - zeros[0] + 1 == len(zeros)
        lengths.append(len(zeros))
    assert min(lengths) >= 1000 and max(lengths) <= 7000

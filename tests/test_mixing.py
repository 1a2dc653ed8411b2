"""Mixing: the ratio that was asked for is the ratio that is measured, and pairs stay aligned."""

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import fftconvolve

from course_utils.mixing import add_reverberation, fit_noise, mix_at_snr
from course_utils.noise import babble


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sound(*shape: int, seed: int = 0, level: float = 0.1, dtype=torch.float32) -> torch.Tensor:
    return (level * torch.randn(*shape, generator=seeded(seed))).to(dtype)


def measured_snr_db(clean: torch.Tensor, noisy: torch.Tensor) -> float:
    """The definition, written again in NumPy and float64."""
    speech = clean.numpy().astype(np.float64)
    residue = noisy.numpy().astype(np.float64) - speech
    return 10 * np.log10(np.mean(speech**2) / np.mean(residue**2))


# --- mix_at_snr ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    snr_db=st.floats(-40, 40),
    num_samples=st.integers(2, 3000),
    channels=st.integers(1, 3),
    clean_level=st.floats(1e-4, 1.0),
    noise_level=st.floats(1e-4, 1.0),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_measured_ratio_is_the_one_asked(
    snr_db, num_samples, channels, clean_level, noise_level, dtype
):
    clean = sound(channels, num_samples, seed=1, level=clean_level, dtype=dtype)
    noise = sound(channels, num_samples, seed=2, level=noise_level, dtype=dtype)
    noisy = mix_at_snr(clean, noise, snr_db)
    assert noisy.shape == clean.shape and noisy.dtype == dtype
    assert measured_snr_db(clean, noisy) == pytest.approx(snr_db, abs=5e-3)


def test_closed_form_equal_powers_at_0_db_is_the_plain_sum():
    clean = torch.tensor([[0.5, -0.5, 0.5, -0.5]])
    noise = torch.tensor([[0.25, 0.25, -0.25, -0.25]])
    assert torch.allclose(mix_at_snr(clean, noise, 0.0), clean + 2 * noise)
    assert torch.allclose(mix_at_snr(clean, noise, 20.0), clean + 0.2 * noise)
    assert torch.allclose(mix_at_snr(clean, noise, -20), clean + 20 * noise)


@pytest.mark.parametrize("snr_db", [-100.0, -5.0, 12.5, 100.0])
def test_against_torchaudio(snr_db):
    clean, noise = sound(3, 2000, seed=1, level=0.3), sound(3, 2000, seed=2, level=0.02)
    snr = torch.full((3,), snr_db)
    expected = torchaudio.functional.add_noise(clean.double(), noise.double(), snr.double())
    mixed = mix_at_snr(clean[:, None], noise[:, None], snr)[:, 0].double()
    assert torch.allclose(mixed, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 0.05), (torch.bfloat16, 0.3)])
def test_half_precision_is_kept_and_still_close(dtype, tolerance):
    clean, noise = sound(1, 8000, seed=1, dtype=dtype), sound(1, 8000, seed=2, dtype=dtype)
    noisy = mix_at_snr(clean, noise, 5.0)
    assert noisy.dtype == dtype
    assert measured_snr_db(clean.double(), noisy.double()) == pytest.approx(5.0, abs=tolerance)


def test_very_quiet_half_precision_does_not_underflow():
    clean, noise = torch.full((1, 64), 1e-6).half(), sound(1, 64, seed=2).half()
    assert torch.isfinite(mix_at_snr(clean, noise, 0.0)).all()


def test_batch_equals_one_by_one():
    clean, noise = sound(4, 1, 900, seed=1), sound(4, 1, 900, seed=2)
    snr_db = torch.tensor([-5.0, 0.0, 7.5, 20.0])
    together = mix_at_snr(clean, noise, snr_db)
    for k in range(4):
        alone = mix_at_snr(clean[k], noise[k], float(snr_db[k]))
        assert torch.equal(together[k], alone)
        assert measured_snr_db(clean[k], together[k]) == pytest.approx(float(snr_db[k]), abs=1e-3)


def test_channels_of_one_clip_share_one_gain():
    clean, noise = sound(2, 500, seed=1), sound(2, 500, seed=2)
    clean[1] *= 0.01
    residue = mix_at_snr(clean, noise, 3.0).double() - clean.double()
    gains = (residue / noise.double()).median(dim=-1).values
    assert float(gains[0] / gains[1]) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("snr_db", [5, 5.0, np.float32(5), torch.tensor(5), torch.tensor(5.0)])
def test_numbers_of_all_kinds_mean_the_same(snr_db):
    clean, noise = sound(1, 400, seed=1), sound(1, 400, seed=2)
    assert torch.equal(mix_at_snr(clean, noise, snr_db), mix_at_snr(clean, noise, 5.0))


def test_one_dimension_and_leading_shape_agree():
    clean, noise = sound(300, seed=1), sound(300, seed=2)
    assert torch.equal(mix_at_snr(clean, noise, 4.0), mix_at_snr(clean[None], noise[None], 4.0)[0])


def test_inputs_are_unchanged_and_the_level_of_the_noise_does_not_matter():
    clean, noise = sound(1, 700, seed=1), sound(1, 700, seed=2)
    before = clean.clone(), noise.clone()
    noisy = mix_at_snr(clean, noise, 0.0)
    noisy.zero_()  # a view of an input would be seen below
    assert torch.equal(clean, before[0]) and torch.equal(noise, before[1])
    assert torch.allclose(
        mix_at_snr(clean, noise, 6.0), mix_at_snr(clean, 0.01 * noise, 6.0), atol=1e-6
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a second device")
def test_device_is_kept():
    clean, noise = sound(2, 1, 700, seed=1).cuda(), sound(2, 1, 700, seed=2).cuda()
    noisy = mix_at_snr(clean, noise, 3.0)
    assert noisy.device == clean.device
    assert torch.allclose(noisy.cpu(), mix_at_snr(clean.cpu(), noise.cpu(), 3.0), atol=1e-6)
    assert fit_noise(noise, 2000).device == noise.device
    wet = add_reverberation(clean, sound(1, 50, seed=3))
    assert wet.device == clean.device
    with pytest.raises(ValueError, match="cpu.*cuda"):
        mix_at_snr(clean, noise.cpu(), 3.0)


@pytest.mark.parametrize("which", ["clean", "noise"])
@pytest.mark.parametrize("level", [0.0, 1e-12])
def test_silence_is_refused_with_a_sentence(which, level):
    parts = {"clean": sound(1, 100, seed=1), "noise": sound(1, 100, seed=2)}
    parts[which] = torch.full((1, 100), level)
    with pytest.raises(ValueError, match=f"{which}.*silent"):
        mix_at_snr(**parts, snr_db=5.0)


def test_one_silent_clip_in_a_batch_is_refused():
    clean, noise = sound(3, 1, 100, seed=1), sound(3, 1, 100, seed=2)
    clean[1] = 0.0
    with pytest.raises(ValueError, match="clean.*silent"):
        mix_at_snr(clean, noise, 5.0)


@pytest.mark.parametrize("shape", [(1, 99), (2, 100), (100,), (1, 1, 100)])
def test_shape_mismatch_is_refused_with_both_shapes(shape):
    with pytest.raises(ValueError, match=r"noise.*clean.*\(1, 100\)"):
        mix_at_snr(sound(1, 100), sound(*shape), 5.0)


def test_noise_of_another_dtype_is_converted():
    clean, noise = sound(1, 100, seed=1), sound(1, 100, seed=2)
    assert torch.equal(mix_at_snr(clean, noise.double(), 5.0), mix_at_snr(clean, noise, 5.0))


@pytest.mark.parametrize("which", ["clean", "noise"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_samples_that_are_not_numbers_are_refused(which, bad):
    parts = {"clean": sound(1, 100, seed=1), "noise": sound(1, 100, seed=2)}
    parts[which][0, 50] = bad
    with pytest.raises(ValueError, match=which):
        mix_at_snr(**parts, snr_db=5.0)


@pytest.mark.parametrize("bad", [torch.ones(1, 9, dtype=torch.int16), [[0.1]], None])
def test_wrong_type_is_refused(bad):
    with pytest.raises(TypeError, match="clean"):
        mix_at_snr(bad, torch.ones(1, 9), 5.0)


def test_empty_is_refused():
    with pytest.raises(ValueError, match="noise"):
        mix_at_snr(torch.ones(1, 0), torch.ones(1, 0), 5.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -101.0, torch.tensor([1.0, 1e9])])
def test_unusable_ratio_is_refused(bad):
    with pytest.raises(ValueError, match="snr_db.*-100.*100"):
        mix_at_snr(sound(2, 1, 50), sound(2, 1, 50, seed=1), bad)


@pytest.mark.parametrize("bad", ["loud", None, True, 1j])
def test_ratio_that_is_no_number_is_refused(bad):
    with pytest.raises(TypeError, match="snr_db"):
        mix_at_snr(sound(1, 50), sound(1, 50, seed=1), bad)


def test_wrong_number_of_ratios_is_refused():
    with pytest.raises(ValueError, match=r"snr_db.*\(2,\).*\(3,\)"):
        mix_at_snr(sound(2, 1, 50), sound(2, 1, 50, seed=1), torch.zeros(3))


def test_half_precision_overflow_is_refused():
    clean, noise = sound(1, 50, level=1.0).half(), sound(1, 50, seed=1).half()
    with pytest.raises(ValueError, match="torch.float16"):
        mix_at_snr(clean, noise, -100.0)


# --- fit_noise ----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 3000), num_samples=st.integers(1, 5000), seed=st.integers(0, 99))
def test_fit_gives_any_length_from_any_length(length, num_samples, seed):
    noise = sound(2, length, seed=seed)
    before = noise.clone()
    fitted = fit_noise(noise, num_samples, generator=seeded(seed))
    assert fitted.shape == (2, num_samples) and fitted.dtype == noise.dtype
    assert torch.isfinite(fitted).all()
    fitted.zero_()  # must be a copy
    assert torch.equal(noise, before)


def test_fit_cuts_a_piece_that_exists_at_varying_places():
    noise = torch.arange(1000.0).unsqueeze(0)
    starts = set()
    for seed in range(30):
        piece = fit_noise(noise, 100, generator=seeded(seed))
        start = int(piece[0, 0])
        assert torch.equal(piece, noise[:, start : start + 100])
        starts.add(start)
    assert len(starts) > 15 and max(starts) > 600 and min(starts) < 300


def test_fit_can_reach_both_ends():
    noise = torch.arange(3.0)
    starts = {int(fit_noise(noise, 2, generator=seeded(s))[0]) for s in range(30)}
    assert starts == {0, 1}


def test_fit_of_the_same_length_is_a_copy():
    noise = sound(1, 50)
    fitted = fit_noise(noise, 50)
    assert torch.equal(fitted, noise) and fitted.data_ptr() != noise.data_ptr()


def test_fit_repeats_with_one_period():
    noise = sound(1, 4000, seed=5)
    looped = fit_noise(noise, 20_000, generator=seeded(3))
    period = 4000 - 320
    assert torch.equal(looped[:, period:], looped[:, :-period])


def test_the_seam_does_not_click_and_keeps_the_power():
    """Equal-power crossfade: for noise the power stays level; for a ramp no jump is left."""
    noise = sound(1, 8000, seed=6)
    looped = fit_noise(noise, 80_000, generator=seeded(1))
    assert float(looped.square().mean()) == pytest.approx(float(noise.square().mean()), rel=0.05)
    ramp = torch.linspace(-1.0, 1.0, 8000).unsqueeze(0)
    steps = fit_noise(ramp, 40_000, generator=seeded(1)).diff(dim=-1).abs()
    assert float(steps.max()) < 0.02  # cut and joined hard it would be 2.0


def test_fit_is_reproducible():
    noise = sound(1, 1000, seed=2)
    for num_samples in (300, 3000):
        first = fit_noise(noise, num_samples, generator=seeded(4))
        assert torch.equal(first, fit_noise(noise, num_samples, generator=seeded(4)))


@pytest.mark.parametrize("bad, error", [(0, ValueError), (2.0, TypeError), (True, TypeError)])
def test_fit_refuses_bad_lengths(bad, error):
    with pytest.raises(error, match=f"num_samples.*{bad}"):
        fit_noise(sound(1, 10), bad)


# --- add_reverberation --------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 1, 37, 499])
@pytest.mark.parametrize("gain", [1.0, 0.3, -0.8])
def test_a_shifted_impulse_is_no_room_at_all(delay, gain):
    dry = sound(2, 1, 2000, seed=1)
    room = torch.zeros(1, 500)
    room[0, delay] = gain
    assert torch.allclose(add_reverberation(dry, room), dry, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(num_samples=st.integers(1, 3000), room_samples=st.integers(1, 900), seed=st.integers(0, 999))
def test_against_scipy(num_samples, room_samples, seed):
    dry = sound(1, num_samples, seed=seed, dtype=torch.float64)
    room = sound(room_samples, seed=seed + 1, dtype=torch.float64)
    direct = int(room.abs().argmax())
    h = (room / room[direct]).numpy()
    expected = fftconvolve(dry[0].numpy(), h)[direct : direct + num_samples]
    assert np.allclose(add_reverberation(dry, room)[0].numpy(), expected, atol=1e-10)


def test_an_echo_by_hand():
    dry = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.5, 0.0]])
    room = torch.tensor([0.0, 0.0, 0.4, 0.0, 0.0, 0.2])  # direct at 2, echo 3 later at half
    expected = torch.tensor([[1.0, 0.0, 0.0, 0.5, 0.5, 0.0]])
    assert torch.allclose(add_reverberation(dry, room), expected, atol=1e-6)


def test_reverberation_batch_dtype_and_inputs():
    dry, room = sound(3, 1, 400, seed=1), sound(1, 80, seed=2)
    before = dry.clone(), room.clone()
    wet = add_reverberation(dry, room)
    assert wet.shape == dry.shape
    for k in range(3):
        assert torch.allclose(wet[k], add_reverberation(dry[k], room), atol=1e-6)
    assert torch.equal(dry, before[0]) and torch.equal(room, before[1])
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert add_reverberation(dry.to(dtype), room).dtype == dtype


def test_reverberation_is_linear():
    a, b, room = sound(1, 300, seed=1), sound(1, 300, seed=2), sound(60, seed=3)
    together = add_reverberation(a + 2 * b, room)
    apart = add_reverberation(a, room) + 2 * add_reverberation(b, room)
    assert torch.allclose(together, apart, atol=1e-5)


@pytest.mark.parametrize(
    "room, error, sentence",
    [
        (torch.zeros(1, 50), ValueError, "impulse_response.*silent"),
        (torch.ones(2, 50), ValueError, r"impulse_response.*\(2, 50\)"),
    ],
)
def test_bad_rooms_get_their_sentence(room, error, sentence):
    with pytest.raises(error, match=sentence):
        add_reverberation(sound(1, 100), room)


def test_silence_stays_silence():
    """Between the doors nothing is checked, and still no NaN comes out of finite sound."""
    silence = torch.zeros(2, 1, 500)
    assert not add_reverberation(silence, sound(60, seed=3)).any()
    assert not fit_noise(silence, 900).any()


def test_nan_passes_no_helper_that_a_lesson_calls():
    clip, broken = torch.ones(1, 100), torch.full((1, 100), float("nan"))
    for call in (
        lambda: fit_noise(broken, 50),
        lambda: add_reverberation(clip, broken),
        lambda: add_reverberation(broken, clip),
        lambda: mix_at_snr(clip, broken, 0.0),
        lambda: babble([clip, broken], 50),
        lambda: babble([clip[:, :0]], 50),
    ):
        with pytest.raises(ValueError, match="must"):
            call()

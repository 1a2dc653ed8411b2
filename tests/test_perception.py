"""The two judges with a gradient, against the judges themselves (pystoi, pesq) and their laws."""

import numpy as np
import pystoi
import pytest
import torch
from pystoi.utils import thirdoct
from scipy.stats import spearmanr

from course_utils.corpus import select
from course_utils.features import STFTConfig, magnitude, stft
from course_utils.metrics import pesq
from course_utils.mixing import fit_noise, mix_at_snr
from course_utils.perception import (
    _THIRD_OCTAVES,
    _band_matrix,
    envelope_correlation,
    loudness_disturbance,
)

CONFIG = STFTConfig()
JUDGES = [envelope_correlation, loudness_disturbance]


def _sizes(waveform):
    return magnitude(stft(waveform, CONFIG))


def _judge(judge, estimate, reference):
    return judge(estimate=_sizes(estimate), reference=_sizes(reference))


@pytest.fixture(scope="module")
def voice():
    return max(select(role="speech", split="validation"), key=lambda c: c.duration).load()


@pytest.fixture(scope="module")
def mixtures():
    """Real voices in real noises at several SNRs: (noisy, clean)."""
    voices = select(role="speech", split="validation")[:4]
    noises = select(role="noise", split="validation")[:5]
    pairs = []
    for n, noise in enumerate(noises):
        for k, snr_db in enumerate((-5.0, 2.0, 10.0, 20.0, 35.0)):
            clean = voices[(n + k) % 4].load()
            generator = torch.Generator().manual_seed(n)
            fitted = fit_noise(noise.load(), clean.shape[-1], generator=generator)
            pairs.append((mix_at_snr(clean, fitted, snr_db), clean))
    return pairs


def test_envelope_correlation_follows_estoi(mixtures):
    ours = np.array([_judge(envelope_correlation, *pair).item() for pair in mixtures])
    theirs = np.array(
        [
            pystoi.stoi(clean[0].numpy(), noisy[0].numpy(), 16000, extended=True)
            for noisy, clean in mixtures
        ]
    )
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99
    assert np.abs(ours - theirs).max() < 0.08


def test_loudness_disturbance_follows_pesq(mixtures):
    ours = np.array([_judge(loudness_disturbance, *pair).item() for pair in mixtures])
    theirs = np.array([pesq(estimate=noisy, reference=clean) for noisy, clean in mixtures])
    as_pesq = 0.999 + 4 / (1 + np.exp(1.3669 * ours - 2.3287))
    assert spearmanr(as_pesq, theirs)[0] > 0.97
    assert np.abs(as_pesq - theirs).mean() < 0.2


def test_the_clean_clip_is_perfect(voice):
    assert _judge(envelope_correlation, voice, voice).item() == pytest.approx(1, abs=1e-3)
    assert _judge(loudness_disturbance, voice, voice).item() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("gain", [0.3, 3.0])
def test_level_does_not_count(judge, gain, mixtures):
    noisy, clean = mixtures[1]
    plain = _judge(judge, noisy, clean)
    assert _judge(judge, gain * noisy, clean).item() == pytest.approx(plain.item(), rel=0.02)


def test_an_unrelated_sound_has_no_words(voice):
    generator = torch.Generator().manual_seed(0)
    hiss = 0.1 * torch.randn(voice.shape, generator=generator)
    assert abs(_judge(envelope_correlation, hiss, voice).item()) < 0.15


def test_noise_left_over_disturbs_more_than_as_much_voice_lost(voice):
    """Halfway to silence in the gaps of a spectrogram, against twice as much in them."""
    sizes = _sizes(voice)
    faint = sizes < sizes.quantile(0.7)
    more = loudness_disturbance(estimate=torch.where(faint, 4 * sizes, sizes), reference=sizes)
    less = loudness_disturbance(estimate=torch.where(faint, sizes / 4, sizes), reference=sizes)
    assert more > 1.5 * less


def test_bands_are_those_of_pystoi():
    theirs = thirdoct(16000, 512, 15, 150)[0]
    ours = _band_matrix(_THIRD_OCTAVES, CONFIG).numpy()
    assert np.abs(ours - theirs).max() < 1  # a bin at an edge is shared here, rounded there
    assert np.abs(ours.sum(axis=1) - theirs.sum(axis=1)).max() < 1
    assert np.all(
        ours[(theirs == 1) & (np.roll(theirs, 1, 1) == 1) & (np.roll(theirs, -1, 1) == 1)] == 1
    )


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("silent", ["estimate", "reference", "both"])
def test_silence_gives_a_finite_number_and_gradient(judge, silent, voice):
    sizes = _sizes(voice[..., :16000])
    estimate = torch.zeros_like(sizes) if silent != "reference" else sizes.clone()
    reference = torch.zeros_like(sizes) if silent != "estimate" else sizes
    value = judge(estimate=estimate.requires_grad_(), reference=reference)
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(estimate.grad).all()


@pytest.mark.parametrize("judge", JUDGES)
def test_one_number_a_clip_whatever_its_neighbours(judge, mixtures):
    clips = [(noisy[..., :16000], clean[..., :16000]) for noisy, clean in mixtures[:3]]
    alone = torch.stack([_judge(judge, *clip) for clip in clips])
    together = _judge(judge, *(torch.stack(side) for side in zip(*clips, strict=True)))
    assert together.shape == (3, 1)
    assert torch.allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("judge", JUDGES)
def test_a_clip_shorter_than_a_piece_is_judged_whole(judge, voice):
    short = voice[..., 8000:10000]
    assert torch.isfinite(_judge(judge, 0.5 * short + 0.01, short)).all()


@pytest.mark.parametrize("judge", JUDGES)
def test_following_the_slope_makes_it_better(judge, mixtures):
    noisy, clean = (x[..., :32000] for x in mixtures[1])
    sizes, target = _sizes(noisy), _sizes(clean)
    gain = torch.ones_like(sizes).requires_grad_()
    value = judge(estimate=gain * sizes, reference=target)
    value.sum().backward()
    sign = 1 if judge is envelope_correlation else -1
    with torch.no_grad():
        step = sign * 0.05 * gain.grad / gain.grad.abs().max()
        after = judge(estimate=(gain + step) * sizes, reference=target)
    assert sign * (after - value).item() > 0


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(
    "shapes", [((257, 9), (1, 257, 9)), ((129, 9), (129, 9)), ((257,), (257,))]
)
def test_shapes_that_do_not_fit_are_refused(judge, shapes):
    estimate, reference = (torch.ones(shape) for shape in shapes)
    with pytest.raises(ValueError, match="257"):
        judge(estimate=estimate, reference=reference)


@pytest.mark.parametrize("judge", JUDGES)
def test_another_transform_gives_about_the_same(judge, mixtures):
    fine = STFTConfig(n_fft=1024, win_length=1024, hop_length=128)
    noisy, clean = mixtures[2]
    sizes = {"estimate": magnitude(stft(noisy, fine)), "reference": magnitude(stft(clean, fine))}
    again = judge(**sizes, config=fine).item()
    assert again == pytest.approx(_judge(judge, noisy, clean).item(), rel=0.25)

"""Losses: closed forms, torch's own numbers, gradients at silence, and refusals."""

import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from course_utils.features import STFTConfig, magnitude, stft
from course_utils.losses import compressed_mse, denoising_loss, magnitude_mse, waveform_mse
from course_utils.perception import envelope_correlation, loudness_disturbance

LOSSES = [waveform_mse, magnitude_mse, compressed_mse, denoising_loss]
_ONLY_SPECTRUM = {"si_sdr_weight": 0.0, "correlation_weight": 0.0, "disturbance_weight": 0.0}


def _pair(seed=0, time=4000):
    generator = torch.Generator().manual_seed(seed)
    reference = 0.1 * torch.randn(2, 1, time, generator=generator)
    return reference + 0.02 * torch.randn(2, 1, time, generator=generator), reference


def test_waveform_mse_is_the_mean_of_squares():
    estimate, reference = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])
    assert waveform_mse(estimate, reference).item() == 2.5


def test_magnitude_mse_equals_torch_stft_by_hand():
    estimate, reference = _pair(time=4096)
    window = torch.hann_window(512)
    sizes = [
        torch.stft(x[:, 0], 512, 256, window=window, pad_mode="constant", return_complex=True).abs()
        for x in (estimate, reference)
    ]
    expected = (sizes[0] - sizes[1]).square().mean()
    assert torch.isclose(magnitude_mse(estimate, reference), expected)


def test_flipped_sign_is_heard_by_the_waveform_loss_alone():
    _, reference = _pair()
    assert waveform_mse(-reference, reference) > 0.01
    assert magnitude_mse(-reference, reference) == 0
    assert compressed_mse(-reference, reference) == 0


def test_compression_lets_a_soft_sound_count():
    """The share of a sound 40 dB below another is 1e-4 of the MSE, far more when compressed."""
    t = torch.arange(16000) / 16000
    loud, soft = torch.sin(2 * torch.pi * 500 * t)[None], 0.01 * torch.sin(2 * torch.pi * 3000 * t)
    both = loud + soft
    shares = [
        float(loss(loud, both) / loss(soft[None], both)) for loss in (magnitude_mse, compressed_mse)
    ]
    assert shares[0] < 2e-4
    assert shares[1] > 30 * shares[0]


@pytest.mark.parametrize("weight", ["si_sdr_weight", "correlation_weight", "disturbance_weight"])
def test_denoising_loss_leaves_silent_references_out_of_what_needs_a_voice(weight):
    """A clip of noise only has no SI-SDR and no words; it must not dilute those of the others."""
    estimate, reference = _pair()
    with_silence = [torch.cat([x, silent]) for x, silent in ((estimate, estimate[:1]),
                    (reference, torch.zeros_like(reference[:1])))]  # fmt: skip
    parts = [
        denoising_loss(e, r, **_ONLY_SPECTRUM | {weight: 1.0})
        - denoising_loss(e, r, **_ONLY_SPECTRUM)
        for e, r in ((estimate, reference), with_silence)
    ]
    assert abs(parts[0].item()) > 1e-3
    assert parts[1].item() == pytest.approx(parts[0].item(), rel=1e-4)


@pytest.mark.parametrize(
    ("weight", "judge", "sign"),
    [
        ("correlation_weight", envelope_correlation, -1),
        ("disturbance_weight", loudness_disturbance, 1),
    ],
)
def test_denoising_loss_adds_what_the_judges_say(weight, judge, sign):
    estimate, reference = _pair(time=16000)
    sizes = {"estimate": estimate, "reference": reference}
    sizes = {name: magnitude(stft(x, STFTConfig())) for name, x in sizes.items()}
    both = [denoising_loss(estimate, reference, **_ONLY_SPECTRUM | {weight: w}) for w in (0.0, 0.5)]
    expected = sign * 0.5 * judge(**sizes).mean()
    assert (both[1] - both[0]).item() == pytest.approx(expected.item(), rel=1e-4)


def test_denoising_loss_counts_si_sdr_in_decibels():
    estimate, reference = _pair()
    without = denoising_loss(estimate, reference, si_sdr_weight=0.0)
    with_it = denoising_loss(estimate, reference, si_sdr_weight=1.0)
    oracle = scale_invariant_signal_distortion_ratio(estimate, reference, zero_mean=True).mean()
    assert (without - with_it).item() == pytest.approx(oracle.item(), abs=0.05)


def test_denoising_loss_without_its_other_parts_is_compressed_mse():
    estimate, reference = _pair()
    plain = denoising_loss(estimate, reference, **_ONLY_SPECTRUM | {"complex_weight": 0.0})
    assert torch.isclose(plain, compressed_mse(estimate, reference))


@pytest.mark.parametrize("loss", LOSSES)
def test_less_noise_is_less_loss(loss):
    noisier, reference = _pair()
    better = reference + 0.3 * (noisier - reference)
    assert loss(better, reference) < loss(noisier, reference)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("silent", ["estimate", "reference", "both"])
def test_silence_gives_a_finite_loss_and_gradient(loss, silent):
    estimate, reference = _pair()
    if silent != "reference":
        estimate = torch.zeros_like(estimate)
    if silent != "estimate":
        reference = torch.zeros_like(reference)
    estimate.requires_grad_()
    value = loss(estimate, reference)
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(estimate.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_shapes_that_would_broadcast_are_refused(loss):
    with pytest.raises(ValueError, match=r"\(2, 4000\)"):
        loss(torch.ones(2, 4000), torch.ones(2, 1, 4000))


def test_the_stft_can_be_chosen():
    estimate, reference = _pair()
    fine = magnitude_mse(
        estimate,
        reference,
        config=STFTConfig(n_fft=256, win_length=256, hop_length=64),
    )
    assert not torch.isclose(fine, magnitude_mse(estimate, reference))

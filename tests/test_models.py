"""The network: shapes, causality, blocks, level, silence, and that it can learn."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils import models
from course_utils.features import STFTConfig, istft, stft
from course_utils.losses import denoising_loss
from course_utils.models import Decoder, Denoiser, Encoder, MaskNet, count_parameters


@pytest.fixture(scope="module")
def denoiser():
    torch.manual_seed(0)
    return Denoiser(MaskNet()).eval()


def _noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_mask_has_the_input_shape_and_lies_between_0_and_1(denoiser):
    with torch.no_grad():
        mask = denoiser.net(_noise(2, 257, 40).abs() * 50)
    assert mask.shape == (2, 257, 40)
    assert mask.min() >= 0 and mask.max() <= 1


def test_every_layer_has_the_shape_its_comment_says():
    x = torch.rand(1, 1, 128, 9)
    x = Encoder(1, 16, stride=4)(x)
    assert x.shape == (1, 16, 32, 8)
    x = Encoder(16, 32, stride=2)(x)
    assert x.shape == (1, 32, 16, 7)
    assert Decoder(32, 16, stride=2)(x).shape == (1, 16, 32, 7)


@settings(max_examples=25, deadline=None)
@given(
    time=st.integers(1, 3000),
    channels=st.integers(1, 2),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_any_length_keeps_shape_and_dtype(denoiser, time, channels, dtype):
    noisy = _noise(channels, time).to(dtype)
    before = noisy.clone()
    with torch.no_grad():
        estimate = denoiser(noisy)
    assert estimate.shape == noisy.shape and estimate.dtype == dtype
    assert torch.isfinite(estimate).all() and torch.equal(noisy, before)


def test_the_past_is_unmoved_by_the_future(denoiser):
    first, second = _noise(1, 257, 50).abs(), _noise(1, 257, 50).abs()
    second[..., 30:] *= 40
    with torch.no_grad():
        a, b = denoiser.net(first), denoiser.net(second)
    assert torch.equal(a[..., :30], b[..., :30])
    assert not torch.allclose(a[..., 30:], b[..., 30:])


@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_of_any_length_give_the_mask_of_the_whole(denoiser, block, monkeypatch):
    noisy = _noise(2, 40000)
    with torch.no_grad():
        whole = denoiser(noisy)
        monkeypatch.setattr(models, "_BLOCK_FRAMES", block)
        in_blocks = denoiser(noisy)
    assert torch.allclose(whole, in_blocks, atol=1e-6)


@pytest.mark.parametrize("gain_db", [-60, -30, 30, 60])
def test_the_level_does_not_matter(denoiser, gain_db):
    noisy, gain = _noise(1, 16000), 10 ** (gain_db / 20)
    with torch.no_grad():
        expected, estimate = denoiser(noisy), denoiser(noisy * gain) / gain
    assert torch.allclose(estimate, expected, atol=1e-6)


def test_batch_equals_one_by_one(denoiser):
    batch = torch.stack([_noise(1, 8000, seed=1), 0.01 * _noise(1, 8000, seed=2)])
    with torch.no_grad():
        together, alone = denoiser(batch), torch.stack([denoiser(clip) for clip in batch])
    assert torch.allclose(together, alone, atol=1e-6)


def test_silence_in_silence_out(denoiser):
    with torch.no_grad():
        assert denoiser(torch.zeros(1, 5000)).abs().max() == 0


def test_denoiser_is_the_masked_spectrogram(denoiser):
    """Put a fixed mask in the network's place: the result must be what stft and istft give."""

    class Half(torch.nn.Module):
        def forward(self, magnitude):
            return torch.full_like(magnitude, 0.5)

    noisy, config = _noise(1, 5000), STFTConfig()
    expected = istft(0.5 * stft(noisy, config), config, length=5000)
    assert torch.allclose(Denoiser(Half(), config)(noisy), expected, atol=1e-6)
    assert torch.allclose(expected, 0.5 * noisy, atol=1e-6)


def test_gradients_are_finite_at_silence():
    model = Denoiser(MaskNet(channels=(4, 4, 4), hidden_size=8))
    clips = torch.stack([torch.zeros(1, 4000), _noise(1, 4000)])
    model(clips).square().mean().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(g).all() for g in gradients)


def test_count_parameters_by_hand():
    assert count_parameters(torch.nn.Linear(3, 5)) == 3 * 5 + 5
    assert count_parameters(MaskNet()) <= 500_000


def test_wrong_number_of_bins_is_refused(denoiser):
    with pytest.raises(RuntimeError, match="257.*129"):
        denoiser.net(torch.zeros(1, 129, 10))
    with pytest.raises(ValueError, match="n_bands.*got 100"):
        MaskNet(n_bands=100)


@pytest.mark.parametrize(
    ("noisy", "error"),
    [
        (torch.zeros(1, 0), ValueError),
        (torch.full((1, 100), float("nan")), ValueError),
        (torch.zeros(1, 100, dtype=torch.int16), TypeError),
        ([0.0, 0.1], TypeError),
    ],
)
def test_bad_input_is_refused_by_name(denoiser, noisy, error):
    with pytest.raises(error, match="noisy"):
        denoiser(noisy)


def test_one_pair_is_learned_in_sixty_steps():
    """A tone in noise: after a few steps the estimate is far closer than doing nothing."""
    torch.manual_seed(0)
    t = torch.arange(16000) / 16000
    clean = 0.1 * torch.sin(2 * torch.pi * 440 * t) * (torch.sin(2 * torch.pi * 3 * t) > 0)
    clean = clean.view(1, 1, -1)
    noisy = clean + _noise(1, 1, 16000)
    model = Denoiser(MaskNet(channels=(8, 8, 8), hidden_size=32))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    nothing = denoising_loss(noisy, clean).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = denoising_loss(model(noisy), clean)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 * nothing


def test_nothing_below_50_hz_is_seen_or_kept(denoiser):
    """Bins lie 31.25 Hz apart: the first two, 0 and 31.25 Hz, are shut, the third is not."""
    magnitude = _noise(1, 257, 20).abs()
    louder = magnitude.clone()
    louder[:, :2] *= 1000
    with torch.no_grad():
        mask, same = denoiser.net(magnitude), denoiser.net(louder)
    assert torch.count_nonzero(mask[:, :2]) == 0 and mask[:, 2].min() > 0
    assert torch.equal(mask, same)


def test_a_constant_offset_changes_only_the_ends(denoiser):
    """Hann's window keeps a constant in the two shut bins; only the ends hold a step."""
    noisy = _noise(1, 40 * 256)
    magnitude = stft(noisy, denoiser.config).abs()[..., 2:-2]
    offset = stft(noisy + 0.1, denoiser.config).abs()[..., 2:-2]
    assert torch.allclose(offset[:, 2:], magnitude[:, 2:], atol=1e-3)
    with torch.no_grad():
        expected, mask = denoiser.estimate_mask(magnitude), denoiser.estimate_mask(offset)
    assert torch.allclose(mask, expected, atol=1e-3)


@pytest.mark.parametrize("n_hops", [1, 40, 700])
def test_digital_silence_before_changes_nothing(denoiser, n_hops):
    noisy = _noise(1, 16000)
    late = torch.cat([torch.zeros(1, n_hops * 256), noisy], dim=-1)
    with torch.no_grad():
        expected, estimate = denoiser(noisy), denoiser(late)[:, n_hops * 256 :]
    assert torch.allclose(estimate, expected, atol=1e-6)


def test_digital_silence_is_left_out_row_by_row(denoiser):
    """As if it had been cut out, and silence in one clip of a batch is nothing to another."""
    magnitude = stft(_noise(2, 16000), denoiser.config).abs()
    gap = torch.zeros(2, 257, 50)
    gapped = torch.cat([magnitude[..., :30], gap, magnitude[..., 30:]], dim=-1)
    gapped[1, :, 30:80] = 0.1
    with torch.no_grad():
        expected, mask = denoiser.estimate_mask(magnitude), denoiser.estimate_mask(gapped)
        alone = denoiser.estimate_mask(gapped[1:])
    assert torch.allclose(torch.cat([mask[0, :, :30], mask[0, :, 80:]], -1), expected[0], atol=1e-6)
    assert torch.count_nonzero(mask[0, :, 30:80]) == 0
    assert torch.allclose(mask[1], alone[0], atol=1e-6)

"""The shipped denoiser, as people will use it: what it must do to any recording."""

import json
import statistics

import pytest
import torch

from course_utils.audio import SAMPLE_RATE
from course_utils.baselines import wiener_filter
from course_utils.checkpoints import DEFAULT_CHECKPOINT, load_checkpoint
from course_utils.corpus import select
from course_utils.denoise.waveform import denoise_waveform
from course_utils.evaluate.pairs import make_test_pairs, score_pairs
from course_utils.metrics import pesq, si_sdr
from course_utils.models import count_parameters


@pytest.fixture(scope="module")
def denoiser():
    return load_checkpoint(DEFAULT_CHECKPOINT)


@pytest.fixture(scope="module")
def noisy():
    pair = make_test_pairs(snrs_db=(5,), sentences_per_noise=1, noises_per_kind=1)[0]
    return pair.noisy


def test_it_is_small_and_says_how_it_was_made(denoiser):
    report = json.loads(DEFAULT_CHECKPOINT.with_suffix(".json").read_text())
    size = (
        DEFAULT_CHECKPOINT.stat().st_size + DEFAULT_CHECKPOINT.with_suffix(".json").stat().st_size
    )
    assert size < 4_000_000 and count_parameters(denoiser) == report["parameters"] <= 500_000
    told = {"command", "data", "hours_of_mixtures", "config", "commit", "test_scores"}
    assert told <= report.keys() and report["command"].startswith("python -m course_utils.train")


@pytest.mark.parametrize("gain_db", [-30, 30])
def test_the_level_of_the_input_does_not_matter(denoiser, noisy, gain_db):
    gain = 10 ** (gain_db / 20)
    with torch.inference_mode():
        same = denoiser(gain * noisy) / gain
        assert float(si_sdr(estimate=same, reference=denoiser(noisy))) > 80
    assert torch.allclose(same, denoiser(noisy).detach(), atol=1e-4)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_silence_in_silence_out(denoiser, rate):
    silence = torch.zeros(1, 2 * rate)
    assert torch.equal(denoise_waveform(silence, rate, denoiser), silence)


@pytest.mark.slow
def test_clean_speech_passes_nearly_untouched(denoiser):
    clips = select(role="speech", split="test")
    scores = []
    with torch.inference_mode():
        for clip in clips:
            clean = clip.load()[:, : 8 * SAMPLE_RATE]
            scores.append(pesq(estimate=denoiser(clean), reference=clean, sample_rate=SAMPLE_RATE))
    assert statistics.mean(scores) > 4.0
    for voice in {clip.kind for clip in clips}:  # a codec can spoil one voice alone
        of_voice = [s for s, clip in zip(scores, clips, strict=True) if clip.kind == voice]
        assert statistics.mean(of_voice) > 4.0, voice


@pytest.mark.slow
def test_it_beats_the_wiener_filter_on_voices_and_noises_it_never_met(denoiser):
    pairs = make_test_pairs(snrs_db=(0, 10), sentences_per_noise=1, noises_per_kind=1)
    rows = score_pairs(
        pairs, {"net": denoiser, "wiener": wiener_filter}, scores=("pesq", "estoi", "si_sdr")
    )
    for score in ("pesq", "estoi", "si_sdr"):
        net, wiener = (
            statistics.mean(row[score] for row in rows if row["method"] == method)
            for method in ("net", "wiener")
        )
        assert net > wiener, score


@pytest.mark.parametrize("seconds", [0.05, 0.2, 1.0, 7.3])
def test_any_length_gives_as_much_and_nothing_that_is_not_a_number(denoiser, noisy, seconds):
    piece = noisy.repeat(1, 3)[:, : round(seconds * SAMPLE_RATE)]
    estimate = denoise_waveform(piece, SAMPLE_RATE, denoiser)
    assert estimate.shape == piece.shape and torch.isfinite(estimate).all()
    assert estimate.abs().max() <= 1.5 * piece.abs().max()


@pytest.mark.slow
def test_sixty_blocks_go_through_without_a_click(denoiser, noisy):
    """A quiet hiss for ten minutes: its estimate must be as smooth at every seam as anywhere."""
    generator = torch.Generator().manual_seed(0)
    hiss = 0.01 * torch.randn(1, 600 * SAMPLE_RATE, generator=generator)
    hiss[:, : noisy.shape[-1]] += noisy
    estimate = denoise_waveform(hiss, SAMPLE_RATE, denoiser, block_seconds=10)
    assert estimate.shape == hiss.shape and torch.isfinite(estimate).all()
    jumps = estimate.diff(dim=-1).abs()[0, 20 * SAMPLE_RATE :]
    assert jumps.max() <= hiss.diff(dim=-1).abs().max()


def test_blocks_of_the_network_leave_no_seam(denoiser, noisy, monkeypatch):
    long = noisy.repeat(1, 4)
    with torch.inference_mode():
        whole = denoiser(long)
        monkeypatch.setattr("course_utils.models._BLOCK_FRAMES", 37)
        blocks = denoiser(long)
    assert torch.allclose(blocks, whole, atol=1e-5)

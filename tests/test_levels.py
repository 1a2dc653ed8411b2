"""Levels: RMS by hand, one number for each clip, and silence refused where it is divided by."""

import math

import pytest
import torch

from course_utils.levels import (
    SILENCE_PEAK,
    SILENCE_RMS,
    active_level,
    audible_peak,
    audible_rms,
    follow_level,
    rms,
    validate_audible,
)


def test_rms_by_hand():
    assert float(rms(torch.tensor([[3.0, -4.0]]))) == pytest.approx(math.sqrt(12.5))
    assert float(rms(torch.zeros(2, 5))) == 0


@pytest.mark.parametrize("shape", [(50,), (2, 50), (3, 2, 50)])
def test_audible_rms_has_one_number_for_each_clip(shape):
    waveform = torch.randn(shape)
    levels = audible_rms(waveform, "clean")
    assert levels.shape == shape[:-1]
    torch.testing.assert_close(levels, waveform.square().mean(dim=-1).sqrt())


def test_one_silent_clip_in_a_batch_is_found():
    waveform = torch.ones(3, 9)
    waveform[1] = 0.1 * SILENCE_RMS
    with pytest.raises(ValueError, match="clean.*silent"):
        audible_rms(waveform, "clean")


def test_audible_peak_is_the_largest_sample_or_a_sentence():
    assert audible_peak(torch.tensor([0.25, -0.5]), "noise") == 0.5
    with pytest.raises(ValueError, match="noise.*silent"):
        audible_peak(torch.full((1, 9), 0.1 * SILENCE_PEAK), "noise")


def test_validate_audible():
    assert validate_audible(SILENCE_RMS, "noise") is None
    with pytest.raises(ValueError, match="noise.*0.5"):
        validate_audible(0.5, "noise", minimum=0.6)


def test_pauses_and_digital_silence_do_not_set_the_level():
    steady = torch.full((1, 50), 0.2)
    assert float(active_level(steady)) == pytest.approx(0.2)
    for pause in (0.0, 0.002):
        rare = torch.cat([torch.full((1, 950), pause), steady], dim=-1)  # in 5 % of the time
        assert float(active_level(rare)) == pytest.approx(0.2)
    assert float(active_level(torch.zeros(1, 9))) == 0


@pytest.mark.parametrize("step_db", [-60, -30, 30])
def test_a_jump_is_followed_within_half_a_second_and_a_small_one_is_not(step_db):
    step = 10 ** (step_db / 20)
    levels = torch.cat([torch.ones(1, 100), torch.full((1, 100), step)], dim=-1)
    followed = follow_level(levels, torch.ones(1, 1), frames_per_second=60)[0]
    assert torch.equal(followed[:100], torch.ones(100))
    error_db = 20 * math.log10(float(followed[100 + 30]) / step)
    assert abs(error_db) == pytest.approx(12, abs=0.01)  # as near as a level is believed
    small = torch.cat([torch.ones(1, 100), torch.full((1, 100), 0.5)], dim=-1)
    assert torch.equal(follow_level(small, torch.ones(1, 1), frames_per_second=60), small * 0 + 1)


def test_following_in_pieces_is_following_the_whole():
    levels = torch.rand(2, 400)
    whole = follow_level(levels, None, frames_per_second=60)
    second = follow_level(levels[:, 250:], None, frames_per_second=60, past=levels[:, 50:250])
    assert torch.allclose(second, whole[:, 250:], atol=1e-6)

"""Levels: RMS by hand, one number for each clip, and silence refused where it is divided by."""

import math

import pytest
import torch

from course_utils.levels import (
    SILENCE_PEAK,
    SILENCE_RMS,
    audible_peak,
    audible_rms,
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

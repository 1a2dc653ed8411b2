"""The checks at the door: what each refuses, in one sentence that names the parameter."""

import math

import numpy as np
import pytest
import soundfile
import torch

from course_utils.audio import load_audio, save_audio
from course_utils.mixing import mix_at_snr
from course_utils.models import Denoiser, MaskNet
from course_utils.preprocessing import normalize_pair
from course_utils.validate import (
    existing_file,
    existing_folder,
    is_finite,
    validate_channels,
    validate_choice,
    validate_integer,
    validate_not_empty,
    validate_number,
    validate_one_channel,
    validate_pair,
    validate_same_shape,
    validate_waveform,
)


def assert_one_sentence(error):
    text = str(error.value)
    assert "\n" not in text and text.endswith(".") and "; " in text


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        ([0.0, 1.0], TypeError, "speech.*got list"),
        (np.zeros(3), TypeError, "speech.*got ndarray"),
        (None, TypeError, r"got NoneType"),
        (torch.zeros(1, 9, dtype=torch.int16), TypeError, "torch.int16"),
        (torch.zeros(1, 9, dtype=torch.bool), TypeError, r"torch.bool"),
        (torch.zeros(1, 9, dtype=torch.complex64), TypeError, r"torch.complex64"),
        (torch.zeros(1, 0), ValueError, r"\(1, 0\)"),
        (torch.zeros(0, 5), ValueError, r"\(0, 5\)"),
        (torch.tensor(0.5), ValueError, r"\(\)"),
        (torch.tensor([[0.0, math.nan]]), ValueError, "speech.*finite"),
        (torch.tensor([math.inf, -math.inf, 0]), ValueError, "finite"),
    ],
)
def test_validate_waveform_refuses_in_one_sentence(bad, kind, message):
    with pytest.raises(kind, match=message) as error:
        validate_waveform(bad, name="speech")
    assert_one_sentence(error)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1,), (1, 1), (2, 5), (3, 2, 7)])
def test_validate_waveform_accepts_sound_silence_and_overs(dtype, shape):
    for value in (0.0, 0.5, 3.0):
        assert validate_waveform(torch.full(shape, value, dtype=dtype)) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 3, -1])
def test_is_finite_finds_one_bad_number_anywhere(dtype, bad, place):
    tensor = torch.randn(40, dtype=dtype)
    assert is_finite(tensor) and is_finite(tensor.conj())
    tensor[place] = complex(0, bad) if dtype.is_complex else bad
    assert not is_finite(tensor) and not is_finite(tensor.reshape(4, 10).T)


@pytest.mark.parametrize(
    ("second", "kind", "message"),
    [
        (torch.ones(9), ValueError, r"\(1, 9\) and \(9,\)"),  # would broadcast
        (torch.ones(1, 8), ValueError, r"\(1, 9\) and \(1, 8\)"),
        (torch.ones(1, 9, dtype=torch.int16), TypeError, "right.*int16"),
        (torch.full((1, 9), math.nan), ValueError, "right.*finite"),
    ],
)
def test_validate_pair_refuses(second, kind, message):
    with pytest.raises(kind, match=message) as error:
        validate_pair(torch.ones(1, 9), second, ("left", "right"))
    assert_one_sentence(error)


def test_validate_pair_accepts_silence_and_two_dtypes():
    assert validate_pair(torch.zeros(2, 9), torch.ones(2, 9).double(), ("left", "right")) is None


def test_validate_same_shape():
    assert validate_same_shape(torch.ones(2, 3), torch.zeros(2, 3), ("left", "right")) is None
    with pytest.raises(ValueError, match=r"left.*right.*\(2, 3\) and \(2, 1\)") as error:
        validate_same_shape(torch.ones(2, 3), torch.ones(2, 1), ("left", "right"))
    assert_one_sentence(error)


@pytest.mark.parametrize("value", [16e3, "16k", True, None, torch.tensor(3), np.float64(3)])
def test_validate_integer_refuses_other_types(value):
    with pytest.raises(TypeError, match="rate") as error:
        validate_integer(value, "rate")
    assert_one_sentence(error)


def test_validate_integer_has_a_minimum():
    assert validate_integer(-3, "rate") is None and validate_integer(3, "rate", minimum=3) is None
    with pytest.raises(ValueError, match="rate.* 3.*got 2") as error:
        validate_integer(2, "rate", minimum=3)
    assert_one_sentence(error)


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (math.nan, {}),
        (math.inf, {}),
        (0, {"above": 0}),
        (-0.1, {"minimum": 0}),
        (1.1, {"maximum": 1}),
        (2, {"minimum": 0, "maximum": 1}),
        (math.nan, {"above": 0, "maximum": 1}),
    ],
)
def test_validate_number_refuses_what_is_out_of_range(value, bounds):
    with pytest.raises(ValueError, match=f"share.*got {value}") as error:
        validate_number(value, "share", **bounds)
    assert_one_sentence(error)


@pytest.mark.parametrize("value", ["1", True, None, 1j, [1]])
def test_validate_number_refuses_other_types(value):
    with pytest.raises(TypeError, match="share") as error:
        validate_number(value, "share")
    assert_one_sentence(error)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.float64(1)])
def test_validate_number_accepts_the_ends_and_numbers_of_numpy(value):
    assert validate_number(value, "share", minimum=0, maximum=1) is None


def test_existing_file_and_existing_folder(tmp_path):
    path = tmp_path / "clip.wav"
    path.touch()
    assert existing_file(str(path)) == path and existing_folder(str(tmp_path)) == tmp_path
    for call, wrong, kind in (
        (existing_file, tmp_path / "gone.wav", FileNotFoundError),
        (existing_file, tmp_path, ValueError),
        (existing_file, 3, TypeError),
        (existing_folder, tmp_path / "gone", FileNotFoundError),
        (existing_folder, path, ValueError),
    ):
        with pytest.raises(kind, match="name") as error:
            call(wrong, "name")
        assert_one_sentence(error)


# --- the doors themselves ------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("door", ["load", "mix", "normalize", "forward", "save"])
def test_a_sample_that_is_not_a_number_passes_no_door(tmp_path, door, bad):
    good = 0.1 * torch.randn(1, 2000)
    broken = good.clone()
    broken[0, 1000] = bad
    path = tmp_path / "clip.wav"
    if door == "load":
        soundfile.write(path, broken[0].numpy(), 16_000, subtype="FLOAT")
    doors = {
        "load": lambda: load_audio(path),
        "mix": lambda: mix_at_snr(good, broken, 5.0),
        "normalize": lambda: normalize_pair(broken, good),
        "forward": lambda: Denoiser(MaskNet(channels=(4, 4, 4), hidden_size=8))(broken),
        "save": lambda: save_audio(path, broken, 16_000),
    }
    with pytest.raises(ValueError, match="finite"):
        doors[door]()
    assert path.exists() == (door == "load")


def test_validate_channels_wants_the_shape_of_a_file():
    validate_channels(torch.zeros(2, 8))
    for shape in ((8,), (1, 2, 8)):
        with pytest.raises(ValueError, match=r"clip.*\(channel, time\).*8"):
            validate_channels(torch.zeros(shape), name="clip")


def test_validate_one_channel_refuses_several():
    for shape in ((8,), (1, 8), (1, 1, 8)):
        validate_one_channel(torch.zeros(shape))
    for shape in ((2, 8), (3, 1, 8)):
        with pytest.raises(ValueError, match="clip.*8"):
            validate_one_channel(torch.zeros(shape), name="clip")


def test_validate_choice_names_what_there_is():
    validate_choice(8000, "rate", (8000, 16_000))
    with pytest.raises(ValueError, match="rate.*8000, 16000.*'8k'"):
        validate_choice("8k", "rate", (8000, 16_000))


@pytest.mark.parametrize("empty", [[], (), {}, ""])
def test_validate_not_empty(empty):
    validate_not_empty([0], "clips")
    with pytest.raises(ValueError, match="clips"):
        validate_not_empty(empty, "clips")

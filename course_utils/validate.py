"""The checks at the door: one for each kind of mistake, and one wording for each.

Sound is looked at where it enters and where it leaves: in `audio.load_audio`, in
`mixing.mix_at_snr`, in `models.Denoiser` and in `audio.save_audio`. What lies between trusts what
it is given. Every sentence names the parameter, the value that came, and what to do about it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sized
from numbers import Real
from pathlib import Path

import torch
from torch import Tensor


def validate_waveform(waveform: Tensor, *, name: str = "waveform") -> None:
    """Refuse what is not usable sound.

    Silence and samples beyond full scale pass: both are legal, and the functions that cannot
    work with them say so themselves.

    Args:
        waveform: Float tensor (..., time).
        name: The parameter's name, used in the message.

    Raises:
        TypeError: Not a tensor, or its samples are not floating-point numbers.
        ValueError: A tensor without samples or with NaN or infinity in it.

    Notebook: 02
    """
    if not isinstance(waveform, Tensor):
        raise TypeError(
            f"{name} must be a torch.Tensor, got {type(waveform).__name__}; "
            "convert it first, for example with torch.as_tensor."
        )
    if not waveform.dtype.is_floating_point:
        raise TypeError(
            f"{name} must hold floating-point samples, got {waveform.dtype}; "
            "convert 16-bit integers with waveform.float() / 32768."
        )
    if waveform.ndim == 0 or waveform.numel() == 0:
        raise ValueError(
            f"{name} must hold at least one sample in a shape (..., time), "
            f"got shape {tuple(waveform.shape)}; check how it was loaded or cut."
        )
    if not is_finite(waveform):
        num_bad = int((~torch.isfinite(waveform)).sum())
        raise ValueError(
            f"{name} must be finite, got {num_bad} samples that are NaN or infinite; "
            "find the step that made them (often a division by zero on silence)."
        )


def validate_pair(first: Tensor, second: Tensor, names: tuple[str, str]) -> None:
    """Refuse two waveforms that cannot be compared or mixed sample by sample.

    Args:
        first: Float tensor (..., time).
        second: Another one, of the same shape, on the same device.
        names: The names of both parameters, used in the message.

    Raises:
        TypeError: One of them is not a float tensor.
        ValueError: No samples, NaN or infinity in one of them; different shapes or devices.

    Notebook: 02
    """
    validate_waveform(first, name=names[0])
    validate_waveform(second, name=names[1])
    validate_same_shape(first, second, names)
    if first.device != second.device:
        raise ValueError(
            f"{names[0]} must be on the device of {names[1]}, got {first.device} and "
            f"{second.device}; move one with .to(...)."
        )


def validate_same_shape(first: Tensor, second: Tensor, names: tuple[str, str]) -> None:
    """Refuse two tensors that a calculation would silently broadcast.

    Args:
        first: Any tensor.
        second: Another one.
        names: The names of both parameters, used in the message.

    Raises:
        ValueError: The shapes differ.

    Notebook: 05
    """
    if first.shape != second.shape:
        raise ValueError(
            f"{names[0]} must have the shape of {names[1]}, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}; bring both to one length and one number of channels."
        )


def validate_channels(waveform: Tensor, *, name: str = "waveform") -> None:
    """Refuse what does not have the shape of a file, (channel, time).

    Args:
        waveform: A tensor.
        name: The parameter's name, used in the message.

    Raises:
        ValueError: Another number of axes.

    Notebook: 02
    """
    if waveform.ndim != 2:
        raise ValueError(
            f"{name} must have shape (channel, time), got {tuple(waveform.shape)}; take one clip "
            "of a batch, and give a single channel as waveform[None]."
        )


def validate_one_channel(waveform: Tensor, *, name: str = "waveform") -> None:
    """Refuse several clips or channels where one is needed.

    Args:
        waveform: A tensor.
        name: The parameter's name, used in the message.

    Raises:
        ValueError: More than one clip or channel.

    Notebook: 01
    """
    if waveform.numel() != waveform.shape[-1]:
        raise ValueError(
            f"{name} must be one mono clip, (time,) or (1, time), got {tuple(waveform.shape)}; "
            "fold it down with to_mono, or take clips and channels one by one."
        )


def validate_choice(value: object, name: str, choices: Iterable[object]) -> None:
    """Refuse what is not one of a few names or numbers.

    Args:
        value: What was asked for.
        name: The parameter's name, used in the message.
        choices: What there is.

    Raises:
        ValueError: Something else.

    Notebook: 02
    """
    choices = list(choices)
    if value not in choices:
        raise ValueError(
            f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}; choose one."
        )


def validate_not_empty(items: Sized, name: str) -> None:
    """Refuse an empty list, dict or tuple.

    Args:
        items: Anything with a length.
        name: The parameter's name, used in the message.

    Raises:
        ValueError: There is nothing in it.

    Notebook: 05
    """
    if len(items) == 0:
        raise ValueError(f"{name} must not be empty, got {items!r}; give at least one.")


def validate_integer(
    value: int, name: str, *, minimum: int | None = None, maximum: int | None = None
) -> None:
    """Refuse a count, a length or a rate that is not a whole number or outside its range.

    Args:
        value: The number.
        name: The parameter's name, used in the message.
        minimum: The smallest value that makes sense; None for any.
        maximum: The largest value that makes sense; None for any.

    Raises:
        TypeError: Not an int; True and False are not numbers here.
        ValueError: Out of range.

    Notebook: 02
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"{name} must be an integer, got {value!r}; write a whole number such as 5."
        )
    if minimum is not None and value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}; choose a larger one.")
    if maximum is not None and value > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {value}; choose a smaller one.")


def validate_number(
    value: float,
    name: str,
    *,
    above: float | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> None:
    """Refuse a number that is not finite or lies outside its range.

    Args:
        value: The number.
        name: The parameter's name, used in the message.
        above: It must be larger than this; None for any.
        minimum: The smallest value allowed; None for any.
        maximum: The largest value allowed; None for any.

    Raises:
        TypeError: Not a number; True and False are not numbers here.
        ValueError: NaN, infinite or out of range.

    Notebook: 02
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}; write it without quotes.")
    bounds = [f"above {above}"] if above is not None else []
    bounds += [f"at least {minimum}"] if minimum is not None else []
    bounds += [f"at most {maximum}"] if maximum is not None else []
    low = -math.inf if minimum is None else minimum
    high = math.inf if maximum is None else maximum
    if not (math.isfinite(value) and low <= value <= high and (above is None or value > above)):
        raise ValueError(
            f"{name} must be {' and '.join(bounds) or 'finite'}, got {value}; change it."
        )


def existing_file(path: str | os.PathLike, name: str = "path") -> Path:
    """Find a file, or say that it is not there.

    Args:
        path: Where it should lie.
        name: The parameter's name, used in the message.

    Returns:
        The path.

    Raises:
        TypeError: Neither a string nor a path.
        FileNotFoundError: There is nothing.
        ValueError: It is a folder.

    Notebook: 02
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"{name} must be a string or a pathlib.Path, got {type(path).__name__}; "
            "pass the name of a file."
        )
    found = Path(path)
    if found.is_dir():
        raise ValueError(
            f"{name} must be a file, got the folder {str(found)!r}; pick a file in it."
        )
    if not found.exists():
        raise FileNotFoundError(
            f"{name} must be a file that exists, got {str(found)!r}; check the spelling and the "
            "folder."
        )
    return found


def existing_folder(folder: str | os.PathLike, name: str = "folder") -> Path:
    """Find a folder, or say that it is not there.

    Args:
        folder: Where it should lie.
        name: The parameter's name, used in the message.

    Returns:
        The path.

    Raises:
        FileNotFoundError: There is nothing.
        ValueError: It is a file.

    Notebook: 01
    """
    found = Path(folder)
    if not found.exists():
        raise FileNotFoundError(
            f"{name} must be a folder that exists, got {str(found)!r}; check the path or make it "
            "first."
        )
    if not found.is_dir():
        raise ValueError(f"{name} must be a folder, got the file {str(found)!r}; check the path.")
    return found


def is_finite(tensor: Tensor) -> bool:
    """Tell whether every number is finite; ten times quicker than ``isfinite(...).all()``.

    The smallest and the largest number are found in one pass, and NaN passes through both.

    Args:
        tensor: Real or complex, not empty, any shape.

    Returns:
        False if there is a NaN or an infinity.

    Notebook: 02
    """
    tensor = tensor.detach()
    real = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    low, high = torch.aminmax(real)
    return math.isfinite(low.item()) and math.isfinite(high.item())

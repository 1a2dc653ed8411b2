"""Checkpoints: a denoiser's weights and settings in one file, and what a stopped run left."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from course_utils.corpus import DATA_DIR
from course_utils.features import STFTConfig
from course_utils.models import Denoiser, MaskNet
from course_utils.targets import named, write_whole
from course_utils.validate import existing_file, is_finite

DEFAULT_CHECKPOINT = DATA_DIR / "pretrained" / "denoiser.pt"
"""The denoiser that the course ships."""

_NO_SETTINGS = ("command", "run")  # what differs in any two sittings, or in none
_RUN_KEYS = ("model", "optimizer", "rng", "history", "best", "metadata")


def save_checkpoint(
    path: str | os.PathLike, model: nn.Module, *, metadata: dict | None = None
) -> None:
    """Write a denoiser's weights and settings; the file appears whole or not at all.

    Args:
        path: Where to write, usually ``.pt``; an older checkpoint there is replaced.
        model: The denoiser.
        metadata: Plain numbers, strings, lists and dicts to keep beside the weights.

    Raises:
        TypeError: If ``model`` is not a denoiser.

    Notebook: 05
    """
    denoiser = as_denoiser(model)
    content = {
        "stft": asdict(denoiser.config),
        "net": denoiser.net.settings,
        "weights": denoiser.net.state_dict(),
        "metadata": metadata or {},
    }
    _save(path, content)


def as_denoiser(model: nn.Module) -> Denoiser:
    """Say that a model is a denoiser, which a checkpoint can hold, or refuse it.

    Args:
        model: Any model.

    Returns:
        The same model.

    Raises:
        TypeError: If it is not a denoiser around a `MaskNet`.

    Notebook: 05
    """
    if not isinstance(model, Denoiser) or not isinstance(model.net, MaskNet):
        net = getattr(model, "net", None)
        raise TypeError(
            f"model must be a Denoiser around a MaskNet, got {type(model).__name__} around "
            f"{type(net).__name__}; a checkpoint holds the settings of these two alone."
        )
    return model


def load_checkpoint(path: str | os.PathLike) -> Denoiser:
    """Read a denoiser that `save_checkpoint` wrote, ready to use.

    Args:
        path: The checkpoint file.

    Returns:
        The denoiser on the CPU, in eval mode; its metadata is in ``.metadata``.

    Raises:
        TypeError: If ``path`` is neither a string nor a path.
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a checkpoint of this course.

    Notebook: 05, 06
    """
    path = existing_file(path)
    try:
        saved = _load(path)
        model = Denoiser(MaskNet(**saved["net"]), STFTConfig(**saved["stft"]))
        model.net.load_state_dict(saved["weights"])
        if model.config.n_freqs != model.net.settings["n_freqs"]:
            raise ValueError("its STFT and its network do not fit together")
        if not all(is_finite(weight) for weight in saved["weights"].values()):
            raise ValueError("its weights hold NaN or infinity")
    except Exception as error:
        raise ValueError(
            f"path must be a checkpoint of this course, got {str(path)!r}, which cannot be read "
            f"as one ({type(error).__name__}); train it again or take data/pretrained/denoiser.pt."
        ) from error
    model.metadata = saved.get("metadata", {})
    return model.eval()


def stopped_run(checkpoint_path: str | os.PathLike | None) -> dict | None:
    """Read what a stopped run left beside its checkpoint.

    Args:
        checkpoint_path: The ``checkpoint_path`` of `fit`.

    Returns:
        Weights, optimizer, random state, history, best weights and metadata; None if there is no
        such file.

    Raises:
        ValueError: If the file is damaged or of another kind.

    Notebook: 05
    """
    if checkpoint_path is None or not last_path(checkpoint_path).exists():
        return None
    path = last_path(checkpoint_path)
    try:
        saved = _load(path)
        return {key: saved[key] for key in _RUN_KEYS}
    except Exception as error:
        raise ValueError(
            f"checkpoint_path must have a file of this course beside it to go on from, got "
            f"{str(path)!r}, which cannot be read as one ({type(error).__name__}); remove it and "
            "start anew."
        ) from error


def is_of_run(checkpoint_path: str | os.PathLike, run: str | None) -> bool:
    """Tell whether a checkpoint was made by a certain run, or is not there yet.

    Args:
        checkpoint_path: The checkpoint.
        run: The name that the run has in its metadata; None for runs of earlier editions.

    Returns:
        False for what another run has made, and for any other file.

    Notebook: 05
    """
    if not Path(checkpoint_path).exists():
        return True
    try:  # not as a model: that would draw random weights first, and the run others after it
        return _load(Path(checkpoint_path))["metadata"].get("run") == run
    except Exception:  # damaged, or of another kind
        return False


def changes_since(saved: dict, metadata: dict) -> list[dict]:
    """List what differs between the sittings of a run, those of earlier stops first.

    Args:
        saved: From `stopped_run`.
        metadata: Of the sitting that begins now, with its ``config``.

    Returns:
        One dict for each stop after which something was different: ``after_epoch``, the epochs
        done until then, and for each difference its name with the value before and the value now.

    Notebook: 05
    """
    before, now = _settings(saved["metadata"]), _settings(metadata)
    different = {
        name: [before[name], now[name]]
        for name in before.keys() & now.keys()
        if before[name] != now[name]
    }
    changes = list(saved["metadata"].get("changes", []))
    if different:
        changes.append({"after_epoch": len(saved["history"]), **dict(sorted(different.items()))})
    return changes


def save_run(checkpoint_path: str | os.PathLike, state: dict) -> None:
    """Keep what a stopped run needs to go on, beside its checkpoint.

    Args:
        checkpoint_path: The checkpoint of the run; ``.last`` stands before its suffix.
        state: Weights, optimizer, random state, history, best weights and metadata.

    Notebook: 05
    """
    _save(last_path(checkpoint_path), {key: state[key] for key in _RUN_KEYS})


def forget_run(checkpoint_path: str | os.PathLike) -> None:
    """Remove what an earlier run left to go on from: the run that begins now is another one.

    Args:
        checkpoint_path: The checkpoint of the run.

    Notebook: 05
    """
    last_path(checkpoint_path).unlink(missing_ok=True)


def _save(path: str | os.PathLike, content: dict) -> None:
    """Write a file of PyTorch's whole or not at all, in a folder that is made if needed."""
    memory = io.BytesIO()
    torch.save(content, memory)
    with named(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, memory.getvalue())


def _load(path: Path) -> dict:
    """Read a file of PyTorch's; every part of it must have the checksum that it was saved with.

    PyTorch saves a ZIP archive, in which each part has a CRC-32, and does not look at it itself:
    a flipped byte in a weight would pass. The oldest files of PyTorch are no archives.
    """
    content = io.BytesIO(path.read_bytes())
    if zipfile.is_zipfile(content):
        with zipfile.ZipFile(content) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"{damaged} has another checksum than when it was saved")
    content.seek(0)
    return torch.load(content, map_location="cpu", weights_only=True)


def _settings(metadata: dict) -> dict:
    """Take the plain values out of a run's metadata: what it was told, and what it works on."""
    plain = {**metadata, **metadata.get("config", {})}
    return {
        name: value
        for name, value in plain.items()
        if name not in _NO_SETTINGS and isinstance(value, str | int | float | bool | None)
    }


def last_path(checkpoint_path: str | os.PathLike) -> Path:
    """Name the file for resuming: ``denoiser.pt`` has ``denoiser.last.pt`` beside it.

    Args:
        checkpoint_path: The checkpoint of a run.

    Returns:
        Where `save_run` writes.

    Notebook: 05
    """
    path = Path(checkpoint_path)
    return path.with_name(f"{path.stem}.last{path.suffix}")

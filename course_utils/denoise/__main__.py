"""The command `python -m course_utils.denoise noisy.wav clean.wav`, for files and folders."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from course_utils.audio import audio_info
from course_utils.checkpoints import DEFAULT_CHECKPOINT, load_checkpoint
from course_utils.denoise.files import denoise_file, refuse_target
from course_utils.files import AUDIO_SUFFIXES, WRITABLE_SUFFIXES
from course_utils.models import Denoiser
from course_utils.validate import existing_file, existing_folder, validate_number

_LONG_SECONDS = 30  # from here on, the command says how far it is
_CLEAR = "\033[K"  # wipes what is left of the line in a terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What stands behind the command; None takes it from the shell.

    Returns:
        The exit code: 0 when everything is written, 1 when some files of a folder are not, 2
        after a sentence about what is wrong, 130 when stopped with Ctrl-C.

    Notebook: 06
    """
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.denoise", description="Remove noise from recordings."
    )
    parser.add_argument(
        "noisy", type=Path, help="WAV, FLAC, Ogg, MP3, any rate and channels; or a folder of them"
    )
    parser.add_argument("clean", type=Path, help="the .wav or .flac to write; or a folder")
    parser.add_argument(
        "--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, help="a trained denoiser (.pt)"
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--mix", type=float, default=0.0, help="keep so much of the noisy sound, 0 to 1 (0)"
    )
    options = parser.parse_args(arguments)
    try:
        validate_number(options.mix, "mix", minimum=0, maximum=1)
        if options.noisy.is_dir():
            return _denoise_folder(options)
        existing_file(options.noisy, "noisy")
        refuse_target(options.noisy, options.clean, replace=options.force)
        audio_info(options.noisy)
        denoiser = load_checkpoint(options.checkpoint)
        print(_denoise_one(options.noisy, options.clean, denoiser, options))
    except (ValueError, TypeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped: the file in work is not written.", file=sys.stderr)
        return 130
    return 0


def _denoise_folder(options: argparse.Namespace) -> int:
    """Clean every sound file of a folder; a bad one does not stop the others."""
    source, target = options.noisy, options.clean
    existing_folder(target.parent, "the folder of clean")
    if target.is_file() or target.suffix.lower() in AUDIO_SUFFIXES:
        raise ValueError(f"clean must be a folder, like noisy, got {str(target)!r}; rename it.")
    if target.exists() and target.samefile(source):
        raise ValueError(f"clean must be another folder than noisy, got {str(target)!r} twice.")
    files = [file for file in sorted(source.iterdir()) if file.suffix.lower() in AUDIO_SUFFIXES]
    files = [file for file in files if file.is_file() and not file.name.startswith(".")]
    if not files:
        raise ValueError(f"noisy must hold sound files, got none in {str(source)!r}; add some.")
    denoiser = load_checkpoint(options.checkpoint)
    failed: dict[str, Exception] = {}
    made = not target.exists()
    target.mkdir(exist_ok=True)
    try:
        for file in files:
            keeps_name = file.suffix.lower() in WRITABLE_SUFFIXES
            name = file.name if keeps_name else f"{file.name}.wav"  # call.mp3 and call.wav differ
            try:
                print(_denoise_one(file, target / name, denoiser, options), flush=True)
            except (ValueError, TypeError, OSError) as error:
                failed[file.name] = error
    finally:
        if made and not any(target.iterdir()):
            target.rmdir()
    if failed:
        print(f"error: {len(failed)} of {len(files)} files are not done:", file=sys.stderr)
        print(*(f"  {name}: {error}" for name, error in failed.items()), sep="\n", file=sys.stderr)
    return 1 if failed else 0


def _denoise_one(noisy: Path, clean: Path, denoiser: Denoiser, options: argparse.Namespace) -> str:
    """Clean one file, with a line of progress if it is long; say in a line what was done."""
    info = audio_info(noisy)
    started = time.perf_counter()

    def show(done: int, total: int) -> None:
        spent = time.perf_counter() - started
        left = f"{done / total:4.0%}, {spent * (total - done) / done:.0f} s left"
        print(f"\r{noisy.name}: {left}{_CLEAR}", end="\r", file=sys.stderr, flush=True)

    long = info.duration > _LONG_SECONDS and sys.stderr.isatty()
    gain = denoise_file(
        noisy, clean, denoiser,
        mix=options.mix, overwrite=options.force, on_block=show if long else None,
    )  # fmt: skip
    if long:
        print(end=_CLEAR, file=sys.stderr, flush=True)
    note = f", turned down to {gain:.2f} of its level to stay within full scale"
    return (
        f"{clean}: {info.duration:.1f} s, {info.sample_rate} Hz, {info.num_channels} channel(s), "
        f"denoised in {time.perf_counter() - started:.1f} s{note if gain < 1 else ''}"
    )


if __name__ == "__main__":
    sys.exit(main())

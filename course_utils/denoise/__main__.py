"""The command `python -m course_utils.denoise noisy.wav clean.wav`, for files and folders."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from course_utils.checkpoints import DEFAULT_CHECKPOINT, load_checkpoint
from course_utils.commands import command_line
from course_utils.denoise.files import denoise_file, refuse_target
from course_utils.denoise.streaming import CHANNELS
from course_utils.files import (
    AUDIO_SUFFIXES,
    VIDEO_SUFFIXES,
    VIDEO_TARGETS,
    WRITABLE_SUFFIXES,
    folder_sounds,
)
from course_utils.models import Denoiser
from course_utils.readers import open_audio
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
        prog="python -m course_utils.denoise",
        description="Remove noise from recordings.",
        epilog="A name that begins with a dash goes behind --, as in: -- -noisy.wav clean.wav",
    )
    parser.add_argument(
        "noisy",
        type=Path,
        help="WAV, FLAC, Ogg, MP3 and, with FFmpeg, M4A, WMA, MP4 and more; or a folder of them",
    )
    parser.add_argument(
        "clean",
        type=Path,
        help="the .wav or .flac to write; for a video also .mp4, .mov, .mkv, .webm; or a folder",
    )
    parser.add_argument(
        "--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, help="a trained denoiser (.pt)"
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--mix", type=float, default=0.0, help="keep so much of the noisy sound, 0 to 1 (0)"
    )
    parser.add_argument(
        "--channels",
        choices=CHANNELS,
        default=CHANNELS[0],
        help="together keeps the stereo image; separate is for two microphones of an interview",
    )
    options = parser.parse_args(arguments)
    with command_line():
        try:
            validate_number(options.mix, "mix", minimum=0, maximum=1)
            if options.noisy.is_dir():
                return _denoise_folder(options)
            existing_file(options.noisy, "noisy")
            refuse_target(options.noisy, options.clean, replace=options.force)
            open_audio(options.noisy)
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
    suffixes = AUDIO_SUFFIXES + VIDEO_SUFFIXES
    if (target.exists() and not target.is_dir()) or target.suffix.lower() in suffixes:
        raise ValueError(f"clean must be a folder, like noisy, got {str(target)!r}; rename it.")
    if target.exists() and target.samefile(source):
        raise ValueError(f"clean must be another folder than noisy, got {str(target)!r} twice.")
    files, left_out = folder_sounds(source, suffixes=suffixes)
    if not files:
        raise ValueError(f"noisy must hold sound files, got none in {str(source)!r}; add some.")
    work = _plan(files, target)
    done = {file for file, clean in work.items() if clean.exists() and not options.force}
    left_out |= {file: "done already; --force does it again" for file in sorted(done)}
    left_out.pop(target, None)
    denoiser = load_checkpoint(options.checkpoint)
    failed: dict[Path, Exception] = {}
    made = not target.exists()
    target.mkdir(exist_ok=True)
    try:
        for file, clean in work.items():
            if file in done:
                continue
            try:
                print(_denoise_one(file, clean, denoiser, options), flush=True)
            except (ValueError, TypeError, OSError) as error:
                failed[file] = error
    finally:
        if made and not any(target.iterdir()):
            target.rmdir()
    num_cleaned = len(files) - len(done) - len(failed)
    print(f"{num_cleaned} cleaned, {len(left_out)} skipped, {len(failed)} not done.")
    print(
        *(f"  skipped {path.name}: {reason}\n" for path, reason in left_out.items()), sep="", end=""
    )
    if failed:
        print(f"error: {len(failed)} of {len(files)} files are not done:", file=sys.stderr)
        for file, complaint in failed.items():
            print(f"  {file.name}: {complaint}", file=sys.stderr)
    return 1 if failed else 0


def _plan(files: list[Path], target: Path) -> dict[Path, Path]:
    """Give each recording its place, and refuse two for one place, or a place among the inputs."""
    taken: dict[Path, Path] = {}
    inputs = {os.path.realpath(file): file for file in files}
    for file in files:
        keeps_name = file.suffix.lower() in WRITABLE_SUFFIXES + VIDEO_TARGETS
        clean = target / (file.name if keeps_name else f"{file.name}.wav")
        if clean in taken:
            raise ValueError(
                f"noisy must hold recordings with results of their own, got {taken[clean].name!r} "
                f"and {file.name!r}, which would both become {clean.name!r}; rename one."
            )
        if overwritten := inputs.get(os.path.realpath(clean)):
            raise ValueError(
                f"clean must not lead back to noisy, got {str(clean)!r}, which is "
                f"{str(overwritten)!r}; choose another folder."
            )
        taken[clean] = file
    return {file: clean for clean, file in taken.items()}


def _denoise_one(noisy: Path, clean: Path, denoiser: Denoiser, options: argparse.Namespace) -> str:
    """Clean one file, with a line of progress if it is long; say in a line what was done."""
    info = open_audio(noisy).info
    started = time.perf_counter()

    def show(done: int, total: int) -> None:
        spent = time.perf_counter() - started
        left = f"{done / total:4.0%}, {spent * (total - done) / done:.0f} s left"
        print(f"\r{noisy.name}: {left}{_CLEAR}", end="\r", file=sys.stderr, flush=True)

    long = info.duration > _LONG_SECONDS and sys.stderr.isatty()
    result = denoise_file(
        noisy, clean, denoiser,
        mix=options.mix, channels=options.channels, overwrite=options.force,
        on_block=show if long else None,
    )  # fmt: skip
    if long:
        print(end=_CLEAR, file=sys.stderr, flush=True)
    said = [
        f"{clean}: {info.duration:.1f} s, {info.sample_rate} Hz, {info.num_channels} channel(s), "
        f"denoised in {time.perf_counter() - started:.1f} s"
    ]
    if result.gain < 1:
        said.append(f"turned down to {result.gain:.2f} of its level to stay within full scale")
    if result.lost:
        said.append(f"not kept: {', '.join(result.lost)}")
    if result.note:
        said.append(f"note: {result.note}")
    return "; ".join(said)


if __name__ == "__main__":
    sys.exit(main())

"""Clean recordings: `python -m course_utils.denoise noisy.wav clean.wav`, or two folders.

The result has the sample rate, the channels, the length, the titles and the bit depth of the
input, and what it holds above 8 kHz, where the network hears nothing, is cleaned along with the
rest. Files go through in blocks: hours need no more memory than seconds.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from course_utils import ffmpeg
from course_utils.audio import SUBTYPE_BITS, write_blocks
from course_utils.containers import add_blocks, add_chunks, comment_names
from course_utils.denoise.streaming import CHANNELS, block_network
from course_utils.denoise.waveform import denoise_blocks, measure_level
from course_utils.files import (
    DECODED_SUFFIXES,
    VIDEO_TARGETS,
    WRITABLE_SUFFIXES,
    written_whole,
)
from course_utils.models import Denoiser
from course_utils.readers import Recording, open_audio
from course_utils.validate import (
    existing_file,
    existing_folder,
    validate_choice,
    validate_number,
    validate_waveform,
)

_BLOCK_SECONDS = 10
_CHUNK_NAMES = {
    **{b"bext": "broadcast data (bext)", b"iXML": "iXML", b"cue ": "cue points"},
    **{b"smpl": "loops", b"id3 ": "ID3 tags", b"ID3 ": "ID3 tags", b"axml": "axml"},
    **{b"\2": "application data", b"\5": "cue sheet", b"\6": "cover picture"},
}
_KINDS_OF_WAV = ("WAV", "WAVEX", "RF64")
_CODEC_SECONDS = 0.2  # what the first and last frames of a codec may add or leave out
_WAV_BYTES = 2**32 - 2**16  # a WAV file counts its bytes with 32 bits; RF64 is the longer kind


@dataclass(frozen=True)
class Cleaned:
    """What became of a recording.

    Attributes:
        gain: The factor by which the result was turned down so that it does not run beyond full
            scale; nearly always 1.
        note: What differed from what the file promises; nearly always "".
        lost: What the recording held and the result does not, such as a cover picture.
    """

    gain: float
    note: str
    lost: tuple[str, ...]


def denoise_file(
    noisy: str | os.PathLike,
    clean: str | os.PathLike,
    denoiser: Denoiser,
    *,
    mix: float = 0.0,
    channels: str = "together",
    overwrite: bool = False,
    on_block: Callable[[int, int], None] | None = None,
) -> Cleaned:
    """Clean a sound file of any length in constant memory, block by block.

    The file is read twice: once to see how loud it is, because the network works at one level,
    and once to clean it. The result is written beside its place, read back, and gets its name when
    it is whole; a stop in between leaves nothing behind.

    Args:
        noisy: A file that `open_audio` reads: WAV, FLAC, Ogg, MP3 and more, or a video.
        clean: The file to write, in a folder that exists: .wav or .flac, or, where `noisy` is a
            video, another one, with the same picture.
        denoiser: On the CPU, in eval mode.
        mix: Share of the noisy sound in the result, (1 - mix) * estimate + mix * noisy, 0 to 1.
        channels: "together" keeps the stereo image; "separate" is for channels that have nothing
            to do with each other, such as two microphones of an interview.
        overwrite: Replace `clean` if it is there.
        on_block: Called with (samples done, samples in all) after each block.

    Returns:
        By what factor the result was turned down, what was wrong with the file, what is lost.

    Raises:
        FileExistsError: Another program wrote `clean` in the meantime, and not `overwrite`.
        FileNotFoundError: `noisy` or the folder of `clean` does not exist.
        TypeError: `mix` is not a number, or `denoiser` not a Denoiser.
        ValueError: `mix` is out of range, `denoiser` in training mode, `noisy` cannot be read
            whole, or `clean` cannot be written.

    Notebook: 06
    """
    target = Path(clean)
    validate_number(mix, "mix", minimum=0, maximum=1)
    validate_choice(channels, "channels", CHANNELS)
    source = existing_file(noisy, "noisy")
    refuse_target(source, target, replace=overwrite)
    block_network(denoiser)  # or say now, and not after the first reading, that it cannot be used
    recording = open_audio(source)
    sample_rate = recording.info.sample_rate
    level = measure_level(_read_blocks(recording), sample_rate, denoiser.config, channels=channels)
    peak = 0.0

    def estimates() -> Iterator[Tensor]:
        nonlocal peak
        done = 0
        blocks = _read_blocks(recording)
        for piece in denoise_blocks(
            blocks, sample_rate, denoiser, level=level, mix=mix, channels=channels
        ):
            validate_waveform(piece, name="what denoiser gives back")
            peak = max(peak, float(piece.abs().max()))
            yield piece
            done += piece.shape[-1]
            if on_block:
                on_block(done, recording.info.num_frames)

    write = _write_video if target.suffix.lower() in VIDEO_TARGETS else _write_sound
    try:
        with written_whole(target, exclusive=not overwrite) as temporary:
            limited = write(temporary, recording, estimates())
            loud = limited and peak > 1  # the tops were cut off: once more, softer
            if loud:
                write(temporary, recording, (piece / peak for piece in estimates()))
            lost = _lost(recording, open_audio(temporary))
    except FileExistsError:
        raise
    except (soundfile.LibsndfileError, ffmpeg.Failure, OSError) as error:
        raise ValueError(
            f"clean must be a file that can be written, got {str(target)!r} ({error}); check the "
            "number of channels, the sample rate and the free space."
        ) from error
    return Cleaned(1 / peak if loud else 1.0, recording.info.note, lost)


def refuse_target(noisy: Path, clean: Path, *, replace: bool) -> None:
    """Refuse a file to write before any work is done for it.

    Args:
        noisy: The file to read; it exists.
        clean: The file to write.
        replace: Whether one that is there may be replaced.

    Raises:
        FileNotFoundError: The folder of `clean` does not exist.
        ValueError: `clean` cannot be written.
    """
    existing_folder(clean.parent, "the folder of clean")
    suffix = clean.suffix.lower()
    if suffix not in WRITABLE_SUFFIXES + VIDEO_TARGETS or clean.is_dir():
        raise ValueError(
            f"clean must be a .wav or .flac file, or for a video one of "
            f"{', '.join(VIDEO_TARGETS)}, got {str(clean)!r}; rename it."
        )
    if suffix in VIDEO_TARGETS and noisy.suffix.lower() in DECODED_SUFFIXES:
        raise ValueError(
            f"clean must be a .wav or .flac file, got {str(clean)!r}, and {str(noisy)!r} has no "
            "picture to put there; rename it."
        )
    if clean.exists() and clean.samefile(noisy):
        raise ValueError(f"clean must be another file than noisy, got {str(clean)!r} twice.")
    if clean.exists() and not clean.is_file():
        raise ValueError(
            f"clean must be a file, got {str(clean)!r}, a pipe or a device; rename it."
        )
    if clean.exists() and not replace:
        raise ValueError(f"clean {str(clean)!r} exists already; pass --force to replace it.")


def _read_blocks(recording: Recording) -> Iterator[Tensor]:
    """Read a recording as (channel, time) blocks; a damaged one is an error in words."""
    for samples in recording.blocks(_BLOCK_SECONDS * recording.info.sample_rate):
        block = torch.from_numpy(samples.T.copy())
        validate_waveform(block, name=f"the audio in {str(recording.path)!r}")
        yield block


def _write_sound(path: Path, recording: Recording, blocks: Iterator[Tensor]) -> bool:
    """Write a .wav or .flac file like the recording; tell whether it ends at full scale."""
    info = recording.info
    kind = path.suffix[1:].upper()
    subtype = _subtype(recording, kind)
    num_bytes = SUBTYPE_BITS[subtype] // 8 * info.num_frames * info.num_channels
    num_bytes += sum(len(body) + 9 for _, body in recording.chunks)  # each with its own header
    file_format = info.format if kind == "WAV" and info.format in _KINDS_OF_WAV else kind
    if kind == "WAV" and num_bytes > _WAV_BYTES:
        file_format = "RF64"
    if subtype.startswith("PCM"):
        blocks = (block.clamp(-1, 1) for block in blocks)
    same = kind == ("WAV" if info.format in _KINDS_OF_WAV else info.format)
    write_blocks(
        path, blocks, info.sample_rate, info.num_channels,
        subtype=subtype, file_format=file_format, tags={} if same else recording.tags,
    )  # fmt: skip
    if same and recording.chunks:
        (add_chunks if kind == "WAV" else add_blocks)(path, recording.chunks)
    return subtype.startswith("PCM")


def _write_video(path: Path, recording: Recording, blocks: Iterator[Tensor]) -> bool:
    """Write a video with the recording's picture; tell whether its sound ends at full scale."""
    if recording.sound is None:
        raise ffmpeg.Failure("there is no picture to put beside the sound")
    samples = (block.clamp(-1, 1).T.numpy() for block in blocks)
    ffmpeg.replace_sound(recording.path, recording.sound, path, samples)
    written, wanted = open_audio(path).info, recording.info
    if abs(written.duration - wanted.duration) > _CODEC_SECONDS:
        raise ffmpeg.Failure(
            f"{written.duration:.1f} of {wanted.duration:.1f} s of the sound can be read back"
        )
    return True


def _subtype(recording: Recording, file_format: str) -> str:
    """Store samples as the input did, as far as the format of the result can."""
    subtype, sound = recording.info.subtype, recording.sound
    if subtype not in SUBTYPE_BITS:  # a codec: those that lose nothing know their depth
        deep = sound.bits > 16 if sound else subtype in ("ALAC_20", "ALAC_24", "ALAC_32")
        return "PCM_24" if deep else "PCM_16"
    if soundfile.check_format(file_format, subtype):
        return subtype
    return "PCM_16" if subtype in ("PCM_U8", "PCM_S8") else "PCM_24"


def _lost(recording: Recording, result: Recording) -> tuple[str, ...]:
    """Name what a recording holds and its result does not."""
    lost = [name for name in recording.left_behind if name not in result.left_behind]
    lost += [
        name
        for name, text in recording.tags.items()
        if not result.tags.get(name, "").startswith(text)  # soundfile signs the "software"
    ]
    kept = {name for name, _ in result.chunks}
    names = {name for name, _ in recording.chunks} - kept
    if b"\4" in names:
        comments = comment_names(dict(recording.chunks)[b"\4"])
        lost += [
            name for name in comments if name not in (*recording.tags, "encoder", "description")
        ]
    names -= {b"fmt ", b"LIST", b"\4"}  # titles, which are among the tags
    lost += sorted(_CHUNK_NAMES.get(name, f"chunk {name.decode()!r}") for name in names)
    if recording.info.subtype in ("FLOAT", "DOUBLE") and result.info.subtype.startswith("PCM"):
        lost.append(f"the depth of {recording.info.subtype} samples")
    return tuple(lost)

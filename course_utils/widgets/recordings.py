"""The learner's own sound: into a lesson by file or microphone, and out of it as a file.

Page and kernel exchange files in pieces, because Jupyter's server hangs up at a message of more
than 10 MB, which is half a minute of stereo. What the microphone hears becomes a WAV file in the
page and takes the same way as an upload. Nothing leaves the machine that runs the notebook.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anywidget
import traitlets
from torch import Tensor

from course_utils.audio import audio_info, load_audio, resample, save_audio, to_mono
from course_utils.files import AUDIO_SUFFIXES, DECODED_SUFFIXES, VIDEO_SUFFIXES, written_whole
from course_utils.levels import rms_db
from course_utils.validate import existing_file, validate_channels, validate_waveform

OWN_FOLDER = Path("output/own")
"""Where own sound is kept, seen from notebooks/; nothing in it is ever overwritten."""

MAX_SECONDS = 600

_SUFFIXES = AUDIO_SUFFIXES + VIDEO_SUFFIXES
_MAX_BYTES = 600_000_000  # ten minutes of six channels at 48 kHz and 24 bits fit
_MUTED_PEAK = 2**-15  # one step of 16 bits; a microphone that is on gives more
_PIECE = 2**20  # bytes


class AudioInput(anywidget.AnyWidget):
    """A place for the learner's own sound: a file, the microphone, or else a clip of the course.

    A file or recording that cannot be used is refused in a sentence, and what was there before
    stays. What is taken is kept in ``folder``, under a name that begins with a fingerprint of its
    content: the same name means the same sound, and nothing is overwritten.

    Args:
        label: What the page calls it, such as "My voice".
        waveform: The clip that stands in until there is something else, shape
            ``(channel, time)``.
        sample_rate: Samples per second of ``waveform``, in Hz.
        folder: Where uploads and recordings are kept; made when it is needed.

    Attributes:
        waveform: The present sound with all its channels, shape ``(channel, time)``.
        sample_rate: Its samples per second, in Hz.
        path: Its file, or None while the clip of the course stands in.

    Raises:
        TypeError: If ``waveform`` is not a floating-point tensor.
        ValueError: If ``waveform`` is empty, not finite, or not of shape ``(channel, time)``.

    Notebook: 01, 06
    """

    _esm = Path(__file__).with_name("recordings_input.js")
    label = traitlets.Unicode().tag(sync=True)
    suffixes = traitlets.List(list(_SUFFIXES)).tag(sync=True)
    decoded = traitlets.List(list(DECODED_SUFFIXES)).tag(sync=True)  # the rest, by the browser
    status = traitlets.Unicode().tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        label: str,
        waveform: Tensor,
        sample_rate: int,
        *,
        folder: str | os.PathLike = OWN_FOLDER,
    ) -> None:
        """Begin with the clip that stands in, and listen to the page."""
        validate_waveform(waveform)
        validate_channels(waveform)
        super().__init__(
            label=label, status="Nothing of yours yet: a clip of the course stands in."
        )
        self.waveform = waveform
        self.sample_rate = sample_rate
        self.path: Path | None = None
        self._folder = Path(folder)
        self._incoming = bytearray()
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        """Stand in the page where no kernel runs."""
        return f"{self.label}: run this cell, and a file picker and a Record button appear here."

    def as_mono(self, sample_rate: int) -> Tensor:
        """Give the present sound as one channel.

        Args:
            sample_rate: Samples per second wanted, in Hz.

        Returns:
            Shape ``(1, time)``.
        """
        return resample(to_mono(self.waveform), self.sample_rate, sample_rate)

    def read(self, path: str | os.PathLike) -> None:
        """Take a file of this computer without the page; it stays where it is.

        Args:
            path: A sound file or video; `files` holds the endings of their names.

        Raises:
            FileNotFoundError: If there is no such file; what was there before stays.
            ValueError: If `read_recording` refuses it; what was there before stays.
        """
        self._take(*read_recording(path), Path(path), Path(path).name)

    def _receive(self, _widget: AudioInput, piece: dict, buffers: list) -> None:
        """Take a piece of a file from the page, and tell the page whether to go on."""
        try:
            self._collect(piece, b"".join(buffers))
            self.problem = ""
        except (OSError, ValueError) as error:
            self._incoming = bytearray()
            self.problem = f"Not taken: {error} What was here before stays."
        self.send({"go_on": not self.problem})

    def _collect(self, piece: dict, content: bytes) -> None:
        """Put the pieces of a file together, and keep it once it is whole."""
        name = Path(piece["name"]).name
        start = piece["start"]
        size = piece["size"]
        if start == 0:
            self._incoming = bytearray()
            _refuse_other_kinds(name)
            if size > _MAX_BYTES:
                raise ValueError(f"{name!r} has {size / 1e6:.0f} MB, too much; take a part of it.")
        if start != len(self._incoming):
            raise ValueError(f"pieces of {name!r} were lost on the way; choose it again.")
        self._incoming += content
        if len(self._incoming) >= size:
            content = bytes(self._incoming)
            self._incoming = bytearray()
            self._keep(name, content)

    def _keep(self, name: str, content: bytes) -> None:
        """Write a file beside its place, and let it take the place once it proves good."""
        target = self._folder / f"{_fingerprint(content)}_{_plain(name)}"
        self._folder.mkdir(parents=True, exist_ok=True)
        with written_whole(target, replace=False) as part:
            part.write_bytes(content)
            waveform, sample_rate = read_recording(part, name=name)
        self._take(waveform, sample_rate, target, name)

    def _take(self, waveform: Tensor, sample_rate: int, path: Path, name: str) -> None:
        """Make a recording the present one, and describe it."""
        self.waveform = waveform
        self.sample_rate = sample_rate
        self.path = path
        self.problem = ""
        channels, num_frames = waveform.shape
        self.status = (
            f"{name}: {num_frames / sample_rate:.1f} s, {sample_rate} Hz, {channels} "
            f"channel{'s' if channels > 1 else ''}, level {rms_db(waveform):.1f} dBFS. "
            f"Kept as {path.as_posix()}. Now run the cells below."
        )


class DownloadLink(anywidget.AnyWidget):
    """A button that brings a file from the kernel's machine to the browser's.

    Args:
        path: The file.
        name: Under which name the browser saves it.

    Notebook: 06
    """

    _esm = Path(__file__).with_name("recordings_download.js")
    name = traitlets.Unicode().tag(sync=True)
    size = traitlets.Int().tag(sync=True)

    def __init__(self, path: str | os.PathLike, name: str) -> None:
        """Look at the file's size and wait for the page to ask for pieces."""
        self.path = Path(path)
        super().__init__(name=name, size=self.path.stat().st_size)
        self.on_msg(self._send_piece)

    def __repr__(self) -> str:
        """Stand in the page where no kernel runs."""
        return f"{self.name}: run this cell, and a download button appears here."

    def _send_piece(self, _widget: DownloadLink, request: dict, _buffers: list) -> None:
        """Send the piece of the file that the page asks for."""
        try:
            with self.path.open("rb") as file:
                file.seek(request["start"])
                self.send({"problem": ""}, buffers=[file.read(_PIECE)])
        except OSError:
            problem = f"{self.path.as_posix()} is gone; run this cell again."
            self.send({"problem": problem})


def read_recording(path: str | os.PathLike, *, name: str | None = None) -> tuple[Tensor, int]:
    """Load a recording with all its channels at its own rate, or say why it is of no use.

    Args:
        path: A sound file of at most ten minutes, whose name ends in one of
            `files.AUDIO_SUFFIXES` or `files.VIDEO_SUFFIXES`.
        name: What a complaint calls it; the file's own name if left out.

    Returns:
        The waveform, shape ``(channel, time)``, and its samples per second in Hz.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is of another kind, damaged, empty, too long or silent.

    Notebook: 01, 06
    """
    path = Path(path)
    name = name or path.name
    _refuse_other_kinds(name)
    existing_file(path)
    with _errors_about(name, path):
        duration = audio_info(path).duration
    if duration > MAX_SECONDS:
        minutes, seconds = divmod(round(duration), 60)
        raise ValueError(
            f"{name!r} lasts {minutes}:{seconds:02d} minutes, and ten are the most; "
            "cut out a part of it."
        )
    with _errors_about(name, path):
        waveform, sample_rate = load_audio(path, mono=False)
    if float(waveform.abs().max()) <= _MUTED_PEAK:
        raise ValueError(f"{name!r} holds only silence; check that the microphone is switched on.")
    return waveform, sample_rate


def download_link(
    waveform: Tensor,
    sample_rate: int,
    name: str,
    *,
    folder: str | os.PathLike = OWN_FOLDER,
) -> DownloadLink:
    """Write a waveform to a WAV file and show a button that downloads it.

    Rate and level are kept: 24 bits hold what any usual recording held, and 32-bit floats hold
    samples beyond full scale.

    Args:
        waveform: Float tensor ``(time,)`` or ``(channel, time)``.
        sample_rate: Samples per second, in Hz.
        name: Under which name the browser saves it, ending in .wav.
        folder: Where the file is written, under a name that begins with a fingerprint of its
            content; made when it is needed.

    Returns:
        The button; it is displayed when it ends a cell.

    Raises:
        TypeError: If ``waveform`` is not a floating-point tensor or ``sample_rate`` not an int.
        ValueError: If ``waveform`` holds nothing, NaN or infinity, or ``name`` is not a plain
            file name that ends in .wav.

    Notebook: 06
    """
    validate_waveform(waveform)
    if not isinstance(name, str) or _plain(name) != name or not name.endswith(".wav"):
        raise ValueError(f"name must be a plain name ending in .wav, got {name!r}; try 'mine.wav'.")
    content = waveform.detach().cpu().contiguous().numpy().tobytes()
    shape = f"{tuple(waveform.shape)} {sample_rate}".encode()
    path = Path(folder) / f"{_fingerprint(shape + content)}_{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        subtype = "PCM_24" if float(waveform.detach().abs().max()) <= 1.0 else "FLOAT"
        save_audio(path, waveform, sample_rate, subtype=subtype)
    return DownloadLink(path, name)


def _refuse_other_kinds(name: str) -> None:
    """Refuse a file by its name, before it travels."""
    if Path(name).suffix.lower() not in _SUFFIXES:
        kinds = ", ".join(_SUFFIXES)
        raise ValueError(f"the name must end in {kinds}, got {name!r}; export it as WAV or FLAC.")


@contextmanager
def _errors_about(name: str, path: Path) -> Iterator[None]:
    """Let an error speak of the file that the learner chose, not of where it is kept."""
    try:
        yield
    except ValueError as error:
        text = str(error).replace(repr(str(path)), repr(name))
        text = re.sub("^path (?=must )", "the file ", text).removeprefix("path ")
        raise ValueError(text) from error


def _fingerprint(content: bytes) -> str:
    """Shorten content to ten letters: the same letters mean the same content."""
    return hashlib.sha256(content).hexdigest()[:10]


def _plain(name: str) -> str:
    """Keep the end of a file name, and of that what every file system takes."""
    return re.sub(r"[^\w.-]+", "_", name)[-80:]

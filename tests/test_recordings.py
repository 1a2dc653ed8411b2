"""Own sound: what is taken, what is refused in a sentence, and what comes back as a download."""

import io
import math

import numpy
import pytest
import soundfile
import torch

from course_utils import widgets
from course_utils.checkpoints import DEFAULT_CHECKPOINT, load_checkpoint
from course_utils.files import AUDIO_SUFFIXES
from course_utils.mixing import mix_at_snr
from course_utils.widgets.frame import Explorer
from course_utils.widgets.recordings import AudioInput, download_link, read_recording

STAND_IN = torch.full((1, 800), 0.25)
PIECE = 2**20


def tone(rate: int, channels: int = 1, *, seconds: float = 1.0, amplitude: float = 0.3):
    """A sine in every channel, each lower and softer than the one before: (time, channel)."""
    time = numpy.arange(round(seconds * rate)) / rate
    pitches = [numpy.sin(2 * math.pi * 480 / (k + 1) * time) / (k + 1) for k in range(channels)]
    return amplitude * numpy.stack(pitches, axis=1)


def encoded(samples, rate: int, form: str = "WAV", subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


@pytest.fixture
def voice(tmp_path):
    """An input whose messages to the page are kept in `told`."""
    widget = AudioInput("My voice", STAND_IN, 16_000, folder=tmp_path / "own")
    widget.told = []
    widget.send = lambda message, buffers=None: widget.told.append(message)
    return widget


def offer(widget: AudioInput, name: str, content: bytes) -> bool:
    """Send a file as the page does: in pieces, until the kernel has it or wants no more."""
    for start in range(0, max(1, len(content)), PIECE):
        piece = {"name": name, "start": start, "size": len(content)}
        widget._handle_custom_msg(piece, [memoryview(content[start : start + PIECE])])
        if not widget.told[-1]["go_on"]:
            return False
    return True


def kept(widget: AudioInput) -> list[str]:
    """Every file that lies in the folder, hidden ones too."""
    return sorted(file.name for file in widget._folder.rglob("*"))


# ---- what is taken ----


def test_a_clip_stands_in_until_there_is_something_else(voice):
    assert torch.equal(voice.waveform, STAND_IN)
    assert (voice.sample_rate, voice.path, voice.problem) == (16_000, None, "")
    assert "stands in" in voice.status
    assert not voice._folder.exists(), "nothing is written before there is something to keep"


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_every_format_rate_and_number_of_channels(voice, form, rate, channels):
    if form == "MP3" and channels > 2:
        pytest.skip("MP3 holds at most two channels")
    samples = tone(rate, channels)
    assert offer(voice, f"holiday.{form.lower()}", encoded(samples, rate, form))
    assert voice.problem == ""
    assert voice.sample_rate == rate
    assert voice.waveform.dtype == torch.float32
    assert voice.waveform.shape[0] == channels
    slack = 0.11 if form == "MP3" else 0  # MP3 pads its ends
    assert abs(voice.waveform.shape[1] / rate - 1.0) <= slack
    compared = slice(5 if form == "OGG" else 6)  # the sixth of Vorbis is a coarse subwoofer's
    for heard, played in zip(voice.waveform[compared], samples.T[compared], strict=True):
        ratio = float(heard.square().mean().sqrt()) / numpy.sqrt(numpy.mean(played**2))
        assert ratio == pytest.approx(1, abs=1e-3 if form in ("WAV", "FLAC") else 0.05)
    plural = "channel," if channels == 1 else "channels,"
    assert f"{rate} Hz, {channels} {plural}" in voice.status


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
def test_the_page_offers_and_the_kernel_takes_what_counts_as_sound_in_a_folder(voice, suffix):
    assert suffix in voice.suffixes
    form = {".wav": "WAV", ".flac": "FLAC", ".mp3": "MP3", ".au": "AU", ".caf": "CAF"}
    form |= {".w64": "W64", ".aif": "AIFF", ".aiff": "AIFF"}
    subtype = "OPUS" if suffix == ".opus" else None  # a voice message
    content = encoded(tone(48_000), 48_000, form.get(suffix, "OGG"), subtype)
    assert offer(voice, f"message{suffix}", content), voice.problem
    assert voice.waveform.shape[0] == 1 and voice.path.suffix == suffix


@pytest.mark.parametrize(("subtype", "step"), [("PCM_16", 2**-15), ("PCM_24", 2**-23)])
def test_the_depth_of_a_file_is_kept(voice, subtype, step):
    samples = tone(48_000, 2)
    assert offer(voice, "deep.WAV", encoded(samples, 48_000, subtype=subtype))
    worst = (voice.waveform.T.double() - torch.from_numpy(samples)).abs().max()
    assert float(worst) <= 1.01 * step


def test_a_file_of_many_pieces_arrives_whole(voice):
    samples = tone(48_000, 2, seconds=12)
    content = encoded(samples, 48_000, subtype="PCM_24")
    assert len(content) > 3 * PIECE
    assert offer(voice, "long.wav", content)
    assert len(voice.told) == math.ceil(len(content) / PIECE)
    assert voice.path.read_bytes() == content


def test_the_level_is_that_of_a_sine(voice):
    offer(voice, "sine.wav", encoded(tone(16_000, amplitude=0.5), 16_000))
    assert f"level {20 * math.log10(0.5 / math.sqrt(2)):.1f} dBFS" in voice.status


def test_mono_at_another_rate(voice):
    offer(voice, "stereo.wav", encoded(tone(48_000, 2), 48_000, subtype="PCM_24"))
    mono = voice.as_mono(16_000)
    assert mono.shape == (1, 16_000)
    expected = torch.from_numpy(tone(16_000, 2).mean(axis=1))
    inner = slice(200, -200)  # the filter of the resampler needs room at both ends
    assert float((mono[0, inner] - expected[inner]).abs().max()) < 2e-3
    assert voice.waveform.shape == (2, 48_000), "the recording itself stays as it was"


def test_uploads_are_kept_and_nothing_is_overwritten(voice):
    first, second = (encoded(tone(8_000, amplitude=level), 8_000) for level in (0.2, 0.4))
    for content in (first, second, first):
        assert offer(voice, "take.wav", content)
    files = {file.read_bytes() for file in voice._folder.iterdir()}
    assert files == {first, second}, "one file for each content, under one name or not"
    assert all(name.endswith("_take.wav") for name in kept(voice))


def test_a_file_already_there_is_not_written_again(voice):
    content = encoded(tone(8_000), 8_000)
    offer(voice, "take.wav", content)
    voice.path.write_bytes(b"the learner's own change")
    assert offer(voice, "take.wav", content)
    assert voice.path.read_bytes() == b"the learner's own change"


@pytest.mark.parametrize("name", ["../../outside.wav", "a b/ü?.wav", "x" * 300 + ".wav"])
def test_a_name_cannot_leave_the_folder(voice, name):
    assert offer(voice, name, encoded(tone(8_000), 8_000))
    assert voice.path.parent == voice._folder
    assert kept(voice) == [voice.path.name]
    assert len(voice.path.name) < 100


def test_a_file_of_this_computer_stays_where_it_is(voice, tmp_path):
    file = tmp_path / "mine.wav"
    file.write_bytes(encoded(tone(22_050), 22_050))
    voice.read(file)
    assert (voice.path, voice.sample_rate) == (file, 22_050)
    assert not voice._folder.exists()
    with pytest.raises(FileNotFoundError, match="gone.wav"):
        voice.read(tmp_path / "gone.wav")
    assert voice.path == file


@pytest.mark.parametrize(("rate", "seconds"), [(44_100, 4.0), (8_000, 0.4)])
def test_every_explorer_works_on_an_own_recording(voice, rate, seconds):
    offer(voice, "mine.ogg", encoded(tone(rate, 2, seconds=seconds), rate, "OGG"))
    clean = voice.as_mono(16_000)
    noise = 0.05 * torch.randn(clean.shape)
    noisy = mix_at_snr(clean, noise, 5.0)
    denoiser = load_checkpoint(DEFAULT_CHECKPOINT)
    for explorer in (
        widgets.snr_explorer(clean, noise, 16_000),
        widgets.alignment_explorer(noisy, clean, 16_000),
        widgets.sampling_explorer(clean, 16_000),
        widgets.stft_explorer(clean, 16_000),
        widgets.mask_explorer(noisy, clean, denoiser.config, denoiser=denoiser),
        widgets.denoise_explorer({"me": clean}, {"my room": noise}, denoiser),
    ):
        assert isinstance(explorer, Explorer)
        assert explorer.message.value == ""
        assert bytes(explorer.image.value).startswith(b"\x89PNG")


# ---- what is refused ----

NAN = encoded(numpy.full((800, 1), numpy.nan), 8_000, subtype="FLOAT")
WHOLE = encoded(tone(8_000), 8_000)
REFUSED = {
    "text": ("notes.wav", b"Dear diary, today I recorded nothing.", "audio"),
    "empty": ("empty.wav", b"", "0 bytes"),
    "header": ("header.wav", encoded(tone(8_000)[:0], 8_000), "samples"),
    "cut": ("cut.wav", WHOLE[: len(WHOLE) // 2], "cut short"),
    "silence": ("muted.flac", encoded(numpy.zeros((8_000, 2)), 8_000, "FLAC"), "only silence"),
    "nan": ("broken.wav", NAN, "must be finite"),
    "video": ("film.mp4", b"\0\0\0\x18ftypmp42", "cut short"),
    "memo": ("memo.doc", b"\0\0\0\x18ftypM4A ", "must end in .wav, .flac"),
    "nameless": ("noise", WHOLE, "must end in .wav, .flac"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_a_sentence_and_the_last_good_recording_stays(voice, case):
    offer(voice, "good.wav", WHOLE)
    before = voice.waveform, voice.sample_rate, voice.path, voice.status, kept(voice)
    name, content, reason = REFUSED[case]
    assert not offer(voice, name, content)
    assert voice.problem.startswith("Not taken: ") and repr(name) in voice.problem
    assert reason in voice.problem and "before stays" in voice.problem
    assert str(voice._folder) not in voice.problem, "the learner never chose that path"
    after = voice.waveform, voice.sample_rate, voice.path, voice.status, kept(voice)
    assert all(a is b or a == b for a, b in zip(before, after, strict=True))
    assert offer(voice, "good.wav", WHOLE)
    assert voice.problem == "", "a good file takes the sentence away"


def test_eleven_minutes_are_too_long_and_ten_are_not(voice):
    for minutes, taken in ((11, False), (10, True)):
        content = encoded(tone(8_000, seconds=60 * minutes), 8_000, "FLAC")
        assert offer(voice, "talk.flac", content) is taken
        assert ("lasts 11:00 minutes, and ten are the most" in voice.problem) is not taken
    assert voice.waveform.shape == (1, 600 * 8_000)


def test_a_huge_file_is_refused_before_it_travels(voice):
    piece = {"name": "day.wav", "start": 0, "size": 2_000_000_000}
    voice._handle_custom_msg(piece, [b"RIFF"])
    assert voice.told == [{"go_on": False}]
    assert "2000 MB, too much" in voice.problem


def test_lost_pieces_are_noticed(voice):
    for start in (0, PIECE + 1):
        voice._handle_custom_msg({"name": "a.wav", "start": start, "size": 9 * PIECE}, [b"RIFF"])
    assert voice.told == [{"go_on": True}, {"go_on": False}]
    assert "were lost on the way" in voice.problem


def test_a_full_disk_is_a_sentence(voice):
    voice._folder.parent.mkdir(exist_ok=True)
    voice._folder.write_text("a file where a folder should be")
    assert not offer(voice, "good.wav", WHOLE)
    assert voice.problem.startswith("Not taken: ")
    assert torch.equal(voice.waveform, STAND_IN)


@pytest.mark.parametrize(
    ("waveform", "error", "sentence"),
    [
        (torch.zeros(800), ValueError, "channel, time"),
        (torch.zeros(1, 0), ValueError, "at least one sample"),
        ([0.0], TypeError, "Tensor"),
    ],
)
def test_a_stand_in_that_is_none(waveform, error, sentence):
    with pytest.raises(error, match=sentence):
        AudioInput("My voice", waveform, 16_000)


# ---- the way out ----


def fetched(widget) -> bytes:
    """Ask for the pieces of a file as the page does."""
    pieces, told = [], []
    widget.send = lambda message, buffers=(): told.append(message) or pieces.extend(buffers)
    while sum(map(len, pieces)) < widget.size:
        widget._handle_custom_msg({"start": sum(map(len, pieces))}, [])
        assert told[-1] == {"problem": ""}
    return b"".join(pieces)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_download_keeps_rate_level_and_length(tmp_path, rate, channels):
    waveform = torch.from_numpy(tone(rate, channels, seconds=1.3, amplitude=1e-3).T).float()
    samples, heard_rate = soundfile.read(
        io.BytesIO(fetched(download_link(waveform, rate, "cleaned.wav", folder=tmp_path)))
    )
    assert heard_rate == rate
    heard = torch.from_numpy(samples.reshape(-1, channels).T)
    assert heard.shape == waveform.shape
    assert float((heard - waveform).abs().max()) <= 2**-23, "even -60 dBFS is kept to the last bit"


def test_what_was_uploaded_comes_back_bit_by_bit(voice, tmp_path):
    offer(voice, "mine.wav", encoded(tone(44_100, 2, seconds=9), 44_100, subtype="PCM_24"))
    link = download_link(voice.waveform, voice.sample_rate, "back.wav", folder=tmp_path)
    assert link.size > PIECE
    samples, rate = soundfile.read(io.BytesIO(fetched(link)), dtype="float32")
    assert rate == 44_100
    assert numpy.array_equal(samples.T, voice.waveform.numpy())


def test_samples_beyond_full_scale_are_not_cut_off(tmp_path):
    waveform = torch.tensor([[0.5, -1.7, 1.2]])
    link = download_link(waveform, 16_000, "loud.wav", folder=tmp_path)
    samples, _ = soundfile.read(io.BytesIO(fetched(link)), dtype="float32")
    assert samples.tolist() == waveform[0].tolist()


def test_a_download_lies_in_the_folder_once(tmp_path):
    before = STAND_IN.clone()
    paths = {
        download_link(STAND_IN * gain, rate, "a.wav", folder=tmp_path / "own").path
        for gain, rate in ((1, 8_000), (1, 8_000), (1, 16_000), (2, 8_000))
    }
    assert len(paths) == 3
    assert set((tmp_path / "own").iterdir()) == paths
    assert torch.equal(STAND_IN, before)


@pytest.mark.parametrize("name", ["a.mp3", "../a.wav", "a/b.wav", "", "my file.wav", 3])
def test_a_download_needs_a_plain_name(tmp_path, name):
    with pytest.raises(ValueError, match="wav"):
        download_link(STAND_IN, 8_000, name, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_download_refuses_what_is_no_sound(tmp_path):
    with pytest.raises(ValueError, match="finite"):
        download_link(torch.tensor([[math.nan]]), 8_000, "a.wav", folder=tmp_path)
    with pytest.raises(TypeError, match="sample_rate|Hz"):
        download_link(STAND_IN, 8e3, "a.wav", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_is_a_sentence(tmp_path):
    link = download_link(STAND_IN, 8_000, "a.wav", folder=tmp_path)
    told = []
    link.send = lambda message, buffers=(): told.append(message)
    link.path.unlink()
    link._handle_custom_msg({"start": 0}, [])
    assert "is gone; run this cell again" in told[0]["problem"]


# ---- the page without a kernel ----


def test_without_a_kernel_the_cell_shows_a_sentence(voice, tmp_path):
    link = download_link(STAND_IN, 8_000, "a.wav", folder=tmp_path)
    for widget, sentence in ((voice, "My voice: run this cell"), (link, "a.wav: run this cell")):
        bundle, _ = widget._repr_mimebundle_()
        assert bundle["text/plain"].startswith(sentence)
        assert "application/vnd.jupyter.widget-view+json" in bundle


def test_read_recording_is_what_the_widget_uses(tmp_path):
    file = tmp_path / "two.flac"
    file.write_bytes(encoded(tone(22_050, 2), 22_050, "FLAC"))
    waveform, rate = read_recording(file)
    assert (waveform.shape, rate) == ((2, 22_050), 22_050)

"""Promise and content of every container: read whole, read whole and said, or refused in words."""

import io
import shutil
import struct
import sys

import numpy as np
import pytest
import soundfile
from test_repository import ROOT

from course_utils.audio import load_audio
from course_utils.containers import CutShort, PartFile, comment_names, survey
from course_utils.containers.parts import Source
from course_utils.readers import open_audio

sys.path.insert(0, str(ROOT / "tests" / "tools"))
import try_recordings as trying

CASES = list(trying.cases(with_ffmpeg=False))
NAMES = [
    "-".join(str(part) for part in (c.container, c.codec, c.channels, c.wrong)) for c, _ in CASES
]


@pytest.mark.parametrize(("case", "change"), CASES, ids=NAMES)
def test_every_container_keeps_its_promise_or_says_so(tmp_path, case, change):
    path = tmp_path / trying.file_name(case)
    path.write_bytes(trying.content_of(case, change))
    happened, seconds, words = trying.attempt(path)
    assert trying.is_right(case, happened, seconds), (happened, seconds, words)
    assert "\n" not in words


def test_the_trial_can_fail(tmp_path):
    case = trying.Case("WAV", "PCM_16", wrong="header never finished", expected=trying.SAID)
    assert not trying.is_right(case, trying.WHOLE, trying.SECONDS)
    assert not trying.is_right(case, trying.SAID, trying.SECONDS / 2)
    assert not trying.is_right(case, trying.REFUSED, 0.0)


@pytest.mark.parametrize("container", ["WAV", "AIFF", "W64", "CAF", "AU", "RF64"])
def test_what_is_healed_is_the_sound_itself(tmp_path, container):
    case = trying.Case(container, "PCM_16")
    content = trying.written(case)
    samples = {}
    for name, change in (("whole", bytes), ("unfinished", trying.promise(container, 0))):
        path = tmp_path / name
        path.write_bytes(change(content))
        samples[name] = np.concatenate(list(open_audio(path).blocks(1000)))
    np.testing.assert_array_equal(samples["unfinished"], samples["whole"])


@pytest.mark.parametrize("tail", [b"LIST" + struct.pack("<I", 4) + b"INFO", b"ID3\4" + bytes(60)])
def test_other_chunks_and_tags_are_no_sound(tmp_path, tail):
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.full(8000, 0.25), 8000)
    path.write_bytes(path.read_bytes() + tail)
    info = open_audio(path).info
    assert info.num_frames == 8000 and info.note == ""


def test_a_chunk_cut_off_behind_the_sound_is_no_sound(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.full(8000, 0.25), 8000)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 90_000) + b"\1" * 40_000)
    assert open_audio(path).info.num_frames == 8000


def test_a_part_looks_like_a_file_of_its_own(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(20)))
    whole = survey(path).parts[0]
    assert (whole.start, whole.stop) == (0, 20)
    part = type(whole)(5, 15, prefix=b"abc", patches=((6, b"XY"), (14, b"Z")))
    expected = b"abc" + bytes([5]) + b"XY" + bytes(range(8, 14)) + b"Z"
    file = PartFile(path, part)
    assert file.read() == expected
    for start in range(len(expected)):
        for length in (1, 2, 5, 100):
            assert file.seek(start) == file.tell() == start
            assert file.read(length) == expected[start : start + length]
    assert file.seek(0, 2) == len(expected) and file.read(5) == b""
    file.close()


@pytest.mark.parametrize("box", [b"ftyp", b"moov"])
def test_an_mp4_without_its_index_was_never_finished(tmp_path, box):
    path = tmp_path / "clip.mp4"
    path.write_bytes(struct.pack(">I", 16) + box + bytes(8) + struct.pack(">I", 8) + b"mdat")
    if box == b"moov":
        assert survey(path).container == "MP4"
    else:
        with pytest.raises(CutShort, match="index"):
            survey(path)


def test_an_mp3_in_blocks_is_the_mp3_in_one_piece(tmp_path):
    """A decoder that is sent to where it already stands begins anew there, with a click."""
    path = tmp_path / "clip.mp3"
    soundfile.write(path, trying.sound(44_100, 1), 44_100, bitrate_mode="VARIABLE")
    recording = open_audio(path)
    whole = recording.read(0, recording.info.num_frames)
    for size in (1152, 10_000, 44_100):
        pieces = np.concatenate(list(recording.blocks(size)))
        np.testing.assert_allclose(pieces, whole, atol=1e-6)
    for start in (1, 30_000, 44_100, 100_000):
        part = load_audio(path, offset=start / 44_100, duration=0.1)[0][0]
        np.testing.assert_allclose(part, whole[start : start + len(part), 0], atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs FFmpeg")
def test_the_program_that_tries_them_all_finds_nothing_wrong(capsys):
    assert trying.main([]) == 0, capsys.readouterr().out


def test_comments_are_named_by_hand_counted_bytes():
    def text(content):
        return len(content).to_bytes(4, "little") + content

    body = text(b"program") + (2).to_bytes(4, "little") + text(b"ALBUMARTIST=x") + text(b"Mood=y=z")
    assert comment_names(body) == ["albumartist", "mood"]
    assert comment_names(b"") == []


class CountedFile(io.BytesIO):
    """A file that counts the bytes that are read from it."""

    total = 0

    def read(self, size=-1):
        found = super().read(size)
        self.total += len(found)
        return found


def test_a_search_through_many_near_misses_reads_the_file_about_once():
    """Erased memory is full of set bits, and each could be the beginning of an MP3's frame."""
    file = CountedFile(bytes(1000) + b"\xff" * 100_000 + b"\xff\xfb" + bytes(1000))
    source = Source(file, len(file.getvalue()))
    places = []
    place = source.find(b"\xff", 0)
    while place >= 0:
        places.append(place)
        place = source.find(b"\xff", place + 1)
    assert places == list(range(1000, 101_001))
    assert source.find(b"\xff\xfb", 0) == 101_000
    assert file.total < 4 * len(file.getvalue())

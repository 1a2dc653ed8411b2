"""Sound and video through FFmpeg: streamed, with any name, and with the picture as it was."""

import json
import subprocess
import sys

import numpy as np
import pytest
from test_repository import ROOT

from course_utils import ffmpeg
from course_utils.audio import audio_info, load_audio
from course_utils.readers import open_audio

sys.path.insert(0, str(ROOT / "tests" / "tools"))
import try_recordings as trying

pytestmark = pytest.mark.skipif(not ffmpeg.is_installed(), reason="needs FFmpeg")
ENCODED = [
    (case, change) for case, change in trying.cases(with_ffmpeg=True) if case.container.islower()
]
RATE = 44_100


def make(path, *options, seconds=2):
    """Make a file with FFmpeg: a picture that moves, and a sound."""
    command = ["ffmpeg", "-v", "error", "-y", "-nostdin", "-f", "lavfi"]
    command += ["-i", f"testsrc=size=64x48:rate=10:duration={seconds}", "-f", "lavfi"]
    command += ["-i", f"sine=frequency=440:sample_rate={RATE}:duration={seconds}"]
    subprocess.run([*command, *options, f"file:{path}"], check=True, capture_output=True)
    return path


def picture(path):
    """The checksum of a video's picture, packet by packet."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", f"file:{path}", "-map", "0:v"]
    done = subprocess.run(
        [*command, "-c", "copy", "-f", "md5", "-"], check=True, capture_output=True
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("case", "change"), ENCODED)
def test_every_kind_of_sound_is_read_or_refused(tmp_path, case, change):
    path = tmp_path / trying.file_name(case)
    path.write_bytes(trying.content_of(case, change))
    happened, seconds, words = trying.attempt(path)
    assert trying.is_right(case, happened, seconds), (happened, seconds, words)


@pytest.mark.parametrize("name", ["talk.mp4", "-talk.mkv", "a:b %d.mov", "会議.webm"])
def test_the_sound_of_a_video_under_any_name(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)
    info = audio_info(name)
    assert info.duration == pytest.approx(2, abs=0.1) and info.note == ""
    waveform, rate = load_audio(name)
    time = np.arange(waveform.shape[-1]) / rate
    tone = np.exp(2j * np.pi * 440 * time)
    inner = slice(rate // 4, -rate // 4)
    heard = np.abs(np.mean(waveform[0].numpy()[inner] * tone[inner])) * 2
    assert heard == pytest.approx(1 / 8, rel=0.05)  # the level of FFmpeg's sine
    part, _ = load_audio(name, offset=0.5, duration=0.25)
    start = round(0.5 * rate)
    assert np.array_equal(part[0], waveform[0, start : start + part.shape[-1]])


def test_the_default_sound_track_is_taken_and_the_other_named(tmp_path):
    path = tmp_path / "two.mkv"
    low = ("-f", "lavfi", "-i", f"sine=frequency=110:sample_rate={RATE}:duration=2")
    make(path, *low, "-map", "0:v", "-map", "1", "-map", "2", "-disposition:a:1", "default",
         "-disposition:a:0", "0")  # fmt: skip
    recording = open_audio(path)
    assert recording.sound.index == 2
    assert any("number 1" in name for name in recording.left_behind)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_video_gets_another_sound_and_keeps_its_picture(tmp_path, suffix):
    path = make(tmp_path / f"talk{suffix}", "-metadata", "title=A talk", seconds=3)
    recording = open_audio(path)
    softer = (0.1 * block for block in recording.blocks(10_000))
    target = tmp_path / f"softer{suffix}"
    ffmpeg.replace_sound(path, recording.sound, target, softer)
    assert picture(target) == picture(path)
    result = open_audio(target)
    assert result.tags["title"] == "A talk"
    assert result.info.duration == pytest.approx(recording.info.duration, abs=0.05)
    heard = np.sqrt(np.mean(load_audio(target)[0].numpy() ** 2))
    assert heard == pytest.approx(0.1 * np.sqrt(np.mean(load_audio(path)[0].numpy() ** 2)), rel=0.1)


def test_sound_that_begins_late_stays_beside_its_picture(tmp_path):
    path = make(tmp_path / "early.mp4", seconds=3)
    late = tmp_path / "late.mp4"
    command = ["ffmpeg", "-v", "error", "-y", "-i", path, "-itsoffset", "0.7", "-i", path]
    command += ["-map", "0:v", "-map", "1:a", "-c", "copy", late]
    subprocess.run([str(word) for word in command], check=True)
    recording = open_audio(late)
    assert recording.sound.delay == pytest.approx(0.7, abs=0.05)
    target = tmp_path / "out.mp4"
    ffmpeg.replace_sound(late, recording.sound, target, recording.blocks(10_000))
    assert open_audio(target).sound.delay == pytest.approx(recording.sound.delay, abs=0.03)


def test_a_playlist_in_disguise_leads_nowhere(tmp_path):
    make(tmp_path / "secret.mp4")
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:2,\nsecret.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "concat.m4a").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    for name in ("list.mp4", "concat.m4a"):
        with pytest.raises(ValueError, match="no sound is found"):
            open_audio(tmp_path / name)


def test_a_reader_that_stops_early_leaves_no_process(tmp_path):
    path = make(tmp_path / "talk.mp4", seconds=20)
    recording = open_audio(path)
    blocks = ffmpeg.decode(path, recording.sound, 1000)
    assert len(next(blocks)) == 1000
    blocks.close()
    left = subprocess.run(["ps", "-o", "args="], capture_output=True, text=True).stdout
    assert str(path) not in left


def test_a_video_that_cannot_be_written_is_told(tmp_path):
    path = make(tmp_path / "talk.mp4")
    recording = open_audio(path)
    blocks = recording.blocks(1000)
    with pytest.raises(ffmpeg.Failure, match="."):
        ffmpeg.replace_sound(path, recording.sound, tmp_path / "nowhere" / "out.mp4", blocks)


def test_titles_are_those_that_ffprobe_tells(tmp_path):
    path = make(
        tmp_path / "memo.m4a", "-map", "1", "-metadata", "title=Memo", "-metadata", "track=4"
    )
    told = subprocess.run(
        ["ffprobe", "-v", "error", "-of", "json", "-show_format", str(path)],
        capture_output=True,
        check=True,
    )
    tags = json.loads(told.stdout)["format"]["tags"]
    assert open_audio(path).tags == {"title": tags["title"], "tracknumber": tags["track"]}

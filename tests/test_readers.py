"""The one reader: any block size, any start, the console left alone, and refusals in words."""

import os
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from course_utils import ffmpeg, readers
from course_utils.audio import audio_info, load_audio
from course_utils.readers import open_audio

RATE = 16_000


def noise(num_samples, channels=1):
    return 0.3 * np.random.default_rng(0).standard_normal((num_samples, channels)).clip(-3, 3)


@pytest.mark.parametrize("coding", ["PCM_16", "GSM610", "IMA_ADPCM", "G721_32"])
@pytest.mark.parametrize("joined", [1, 2])
def test_any_piece_is_that_piece_of_the_whole(tmp_path, coding, joined):
    """Also of codecs that cannot seek, and where two recordings stand in one file."""
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(RATE), RATE, subtype=coding)
    path.write_bytes(path.read_bytes() * joined)
    recording = open_audio(path)
    total = recording.info.num_frames
    whole = recording.read(0, total)
    assert whole.shape == (total, 1) and whole.dtype == np.float32
    for size in (1, 777, total, 10 * total):
        if size > 1:
            np.testing.assert_array_equal(np.concatenate(list(recording.blocks(size))), whole)
        for start in (0, 1, total // 2 - 1, total // 2 + 1, total - 1):
            length = min(size, total - start)
            np.testing.assert_array_equal(
                recording.read(start, length), whole[start : start + length]
            )


def test_gsm_is_loaded_as_the_command_cleans_it(tmp_path):
    path = tmp_path / "call.wav"
    soundfile.write(path, noise(8000), 8000, subtype="GSM610")
    assert load_audio(path)[0].shape == (1, audio_info(path).num_frames)


def test_what_was_healed_is_said_once_by_each_function(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(RATE), RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_audio(path)
    path.write_bytes(path.read_bytes() * 2)
    assert audio_info(path).note
    with pytest.warns(UserWarning, match="clip.wav.*2 recordings"):
        waveform, _ = load_audio(path)
    assert waveform.shape == (1, 2 * RATE)


def test_joined_recordings_of_different_rates_are_refused(tmp_path):
    path = tmp_path / "clip.wav"
    content = b""
    for rate in (8000, 16_000):
        soundfile.write(path, noise(1000), rate)
        content += path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(ValueError, match="different rates"):
        open_audio(path)


def test_a_file_that_changed_is_looked_at_again(tmp_path):
    path = tmp_path / "clip.wav"
    for num_samples in (100, 200):
        soundfile.write(path, noise(num_samples), RATE)
        assert audio_info(path).num_frames == num_samples
    path.unlink()
    with pytest.raises(FileNotFoundError):
        audio_info(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_pipe_is_refused_and_does_not_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(ValueError, match="pipe"):
        open_audio(tmp_path / "pipe.wav")


@pytest.mark.parametrize("name", ["-dash.wav", "a b%20d.wav", "会議.wav", 'it\'s "quoted".wav'])
def test_names_may_hold_anything(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        Path(name).touch()
    except OSError:
        pytest.skip("this system has no such names")
    soundfile.write("plain.wav", noise(100), RATE)
    os.replace("plain.wav", name)
    assert audio_info(name).num_frames == 100


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names of any bytes")
def test_a_name_in_no_encoding_is_read(tmp_path):
    soundfile.write(tmp_path / "plain.wav", noise(100), RATE)
    name = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    os.replace(tmp_path / "plain.wav", name)
    assert load_audio(os.fsdecode(name))[0].shape == (1, 100)


def test_the_remarks_of_the_mp3_decoder_do_not_reach_the_console(tmp_path, capfd):
    path = tmp_path / "clip.mp3"
    soundfile.write(path, noise(3 * RATE), RATE, bitrate_mode="VARIABLE")
    content = path.read_bytes()
    path.write_bytes(content[:4000] + bytes(range(256)) * 8 + content[4000:])
    with pytest.warns(UserWarning, match="damaged in 1 place"):
        load_audio(path)
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"
    with suppress(soundfile.LibsndfileError), soundfile.SoundFile(path) as file:
        file.read()
    assert "resync" in capfd.readouterr().err  # the remarks are real


def test_the_console_comes_back_after_threads(tmp_path, capfd):
    path = tmp_path / "clip.mp3"
    soundfile.write(path, noise(RATE), RATE)
    recording = open_audio(path)
    threads = [threading.Thread(target=lambda: list(recording.blocks(500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"


def test_without_ffmpeg_there_is_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(ffmpeg, "is_installed", lambda: False)
    path = tmp_path / "memo.m4a"
    path.write_bytes(b"\0\0\0\x14ftypM4A " + bytes(8) + b"\0\0\0\x08moov")
    with pytest.raises(ValueError, match=r"memo\.m4a.*install FFmpeg") as error:
        open_audio(path)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_a_worker_that_was_forked_can_read(tmp_path):
    """The lock around the console belongs to nobody in a new process."""
    if not hasattr(os, "fork"):
        pytest.skip("this system starts processes anew")
    path = tmp_path / "clip.mp3"
    soundfile.write(path, noise(1000), RATE)
    with readers._console:
        child = os.fork()
        if child == 0:
            os._exit(0 if audio_info(path).num_channels == 1 else 1)
        assert os.waitpid(child, 0)[1] == 0

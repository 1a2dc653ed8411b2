"""The corpus: reading the manifest, choosing clips, and saying what is wrong."""

import csv
import hashlib
import re
import subprocess
import sys
import zipfile
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
import soundfile
import torch

from course_utils import corpus
from course_utils.corpus import Clip, check_files, load_manifest, pair_folders, select
from course_utils.public_sets import __main__ as command
from course_utils.public_sets.catalogue import Archive, PublicSet, table
from course_utils.public_sets.layouts import musan

COLUMNS = [column.name for column in fields(Clip) if column.name != "data_dir"]
CLIPS = [
    ("speech/a.flac", "speech", "anna", "en", "train"),
    ("speech/b.flac", "speech", "anna", "en", "validation"),
    ("speech/c.flac", "speech", "bert", "nl", "test"),
    ("noise/d.flac", "noise", "wind", "", "train"),
    ("rooms/e.flac", "room", "hall", "", "test"),
]


def write_manifest(folder, rows, columns=COLUMNS):
    with open(folder / "manifest.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def folder(tmp_path):
    rows = []
    for number, (file, role, kind, language, split) in enumerate(CLIPS):
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        samples = np.full(1600 * (number + 1), number / 10)
        soundfile.write(path, samples, 16_000, subtype="PCM_16")
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        given = [file, role, kind, language, split, 0.1 * (number + 1), f"clip {number}"]
        rows.append(dict(zip(COLUMNS, [*given, "Ann", "CC0 1.0", "here", checksum], strict=True)))
    write_manifest(tmp_path, rows)
    return tmp_path


def test_the_manifest_keeps_order_types_and_folder(folder):
    clips = load_manifest(folder)
    assert [clip.file for clip in clips] == [row[0] for row in CLIPS]
    assert clips[2].duration == pytest.approx(0.3) and isinstance(clips[2].duration, float)
    assert clips[2].path == folder.resolve() / "speech" / "c.flac"
    assert (clips[2].title, clips[2].author, clips[2].licence) == ("clip 2", "Ann", "CC0 1.0")
    assert load_manifest(str(folder)) == clips  # a string will do


def test_load_returns_one_channel_of_float32_at_16_khz(folder):
    waveform = load_manifest(folder)[2].load()
    assert waveform.shape == (1, 4800) and waveform.dtype == torch.float32
    torch.testing.assert_close(waveform, torch.full((1, 4800), 0.2), atol=2**-15, rtol=0)


def test_load_resamples_a_clip_at_another_rate(folder):
    clip = load_manifest(folder)[0]
    soundfile.write(clip.path, np.zeros(800), 8_000, subtype="PCM_16")
    assert clip.load().shape == (1, 1600)


def test_a_clip_cannot_be_changed(folder):
    with pytest.raises(FrozenInstanceError):
        load_manifest(folder)[0].split = "test"


@pytest.mark.parametrize(
    ("conditions", "files"),
    [
        ({}, "abcde"),
        ({"role": "speech"}, "abc"),
        ({"split": "train"}, "ad"),
        ({"role": "speech", "split": "validation"}, "b"),
        ({"kind": "wind"}, "d"),
        ({"language": "en", "split": "train"}, "a"),
        ({"role": "room", "split": "test", "kind": "hall"}, "e"),
    ],
)
def test_select_takes_what_matches_every_condition(folder, conditions, files):
    found = select(**conditions, data_dir=folder)
    assert "".join(clip.path.stem for clip in found) == files


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"role": "music"}, "role.*'music'.*noise, room, speech"),
        ({"split": "dev"}, "split.*'dev'.*test, train, validation"),
        ({"role": "noise", "kind": "anna"}, "kind.*'anna'.*wind"),
        ({"role": "speech", "language": "fr"}, "language.*'fr'.*en, nl"),
        ({"role": "noise", "language": "en"}, "language"),
        ({"kind": "wind", "split": "test"}, "split|kind"),
    ],
)
def test_an_empty_selection_says_what_there_is(folder, conditions, message):
    with pytest.raises(ValueError, match=message) as error:
        select(**conditions, data_dir=folder)
    assert str(error.value).count(". ") == 0  # one sentence


def test_a_missing_manifest_is_named_with_a_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"manifest\.csv.*build_data\.py"):
        load_manifest(tmp_path)
    with pytest.raises(FileNotFoundError, match="manifest"):
        select(role="speech", data_dir=tmp_path / "nowhere")


def test_a_manifest_without_rows_is_no_empty_list(tmp_path):
    write_manifest(tmp_path, [])
    assert load_manifest(tmp_path) == []
    with pytest.raises(ValueError, match="clips"):
        select(data_dir=tmp_path)


def test_a_manifest_with_a_column_too_few_is_refused(folder):
    rows = [clip.__dict__ for clip in load_manifest(folder)]
    write_manifest(folder, rows, [name for name in COLUMNS if name not in ("split", "title")])
    with pytest.raises(ValueError, match="split, title"):
        load_manifest(folder)


@pytest.mark.parametrize("duration", ["", "long"])
def test_a_duration_that_is_no_number_is_refused(folder, duration):
    rows = [{**clip.__dict__, "duration": duration} for clip in load_manifest(folder)]
    write_manifest(folder, rows)
    with pytest.raises(ValueError, match="duration"):
        load_manifest(folder)


def test_a_missing_clip_is_named_with_a_remedy(folder):
    clip = load_manifest(folder)[1]
    clip.path.unlink()
    for look in (clip.load, lambda: check_files(folder)):
        with pytest.raises(FileNotFoundError, match=r"b\.flac.*git checkout"):
            look()


def test_a_changed_clip_fails_its_checksum(folder):
    assert check_files(folder) == 5
    path = folder / "noise" / "d.flac"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"d\.flac.*checksum"):
        check_files(folder)


def test_pair_folders(tmp_path):
    for name in ("noisy_trainset", "clean_trainset", "noisy_testset"):
        (tmp_path / "pairs" / name).mkdir(parents=True)
    noisy, clean = pair_folders("train", data_dir=tmp_path)
    assert (noisy.name, clean.name) == ("noisy_trainset", "clean_trainset")
    with pytest.raises(FileNotFoundError, match="clean_testset"):
        pair_folders("test", data_dir=tmp_path)
    with pytest.raises(ValueError, match="split.*'validation'"):
        pair_folders("validation", data_dir=tmp_path)


def test_the_default_is_the_folder_beside_the_package():
    assert corpus.DATA_DIR.name == "data"
    assert (corpus.DATA_DIR / "build_data.py").is_file()
    clip = select(role="speech", split="test", kind="nl_big")[0]
    assert clip.path.is_file() and clip.load().shape == (1, round(clip.duration * 16_000))


# ---- the command line ----


@pytest.fixture
def one_set(monkeypatch, tmp_path):
    """A catalogue of one tiny set, whose archive lies on the disk and whose address is dead."""
    archive = tmp_path / "noise.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("musan/noise/a/one.wav", b"sound" * 100)
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    entry = PublicSet(
        name="tiny",
        holds="one noise",
        licence="CC0",
        page="https://example.org/tiny",
        archives=(
            Archive("http://127.0.0.1:9/noise.zip", "noise.zip", archive.stat().st_size, md5),
        ),
        unpacked=1000,
        count=lambda folder: len(musan(folder)),
        use={"noise": "musan/noise"},
    )
    monkeypatch.setattr(command, "CATALOGUE", {"tiny": entry})
    return archive


@pytest.mark.parametrize("arguments", [[], ["--list"], ["--list", "musan"]])
def test_the_command_lists_the_room_and_the_sets(arguments, tmp_path, capsys):
    assert command.main([*arguments, "--folder", str(tmp_path / "sets")]) == 0
    first, _, *rest = capsys.readouterr().out.splitlines()
    assert re.match(r"[\d.]+ GB free in ", first)
    assert "\n".join(rest) == table()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_fetched_without_yes(one_set, tmp_path, capsys):
    assert command.main(["tiny", "--folder", str(tmp_path / "sets")]) == 1
    said = capsys.readouterr().out
    for word in ("one noise", "CC0", "https://example.org/tiny", "GB to fetch", "--yes"):
        assert word in said
    assert list(tmp_path.iterdir()) == [one_set]


def test_an_archive_becomes_a_set_and_is_found_the_next_time(one_set, tmp_path, capsys):
    words = ["tiny", "--folder", str(tmp_path / "sets")]
    assert command.main([*words, "--archive", str(one_set), "--yes"]) == 0
    said = capsys.readouterr().out
    assert said.index("licence: CC0") < said.index("unpacking")
    noise = tmp_path / "sets" / "tiny" / "musan" / "noise"
    assert said.rstrip().endswith(
        f"1 recordings or pairs\nthe other commands take it as --noise {noise}"
    )
    assert len(musan(tmp_path / "sets" / "tiny")) == 1 and one_set.is_file()
    assert command.main(words) == 0  # nothing to agree to: it is there
    assert "unpacking" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["tiny", "--yes"], r"could not be read .*example\.org/tiny.*--archive"),
        (["tiny", "--yes", "--archive", "nothing.zip"], "'nothing.zip'"),
        (["other"], "set must be one of tiny, got 'other'"),
    ],
)
def test_every_error_is_one_sentence_and_code_2(one_set, tmp_path, capsys, arguments, reason):
    assert command.main([*arguments, "--folder", str(tmp_path / "sets")]) == 2
    said = capsys.readouterr().err
    assert re.match(rf"error: .*{reason}", said) and said.count("\n") == 1
    assert not list((tmp_path / "sets").glob("*"))


def test_an_interruption_says_how_to_go_on(one_set, tmp_path, capsys, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "fetch", interrupted)
    assert command.main(["tiny", "--yes", "--folder", str(tmp_path)]) == 130
    assert "the same command goes on from here" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_runs_as_a_module(tmp_path):
    command = [sys.executable, "-m", "course_utils.corpus", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert table() in done.stdout and done.stderr == ""

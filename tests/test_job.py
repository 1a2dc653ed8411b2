"""The options of the training command: what is not given, what does not fit, what help promises."""

import dataclasses
import math
import re
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from course_utils.train.job import Job, read_job

# A value for each option that takes one, none of them the default.
GIVEN = {
    "output": "a.pt",
    "validation": "held",
    "weights": "b.pt",
    "minutes": "2.5",
    "epochs": "7",
    "batch_size": "6",
    "accumulate": "3",
    "learning_rate": "0.01",
    "workers": "2",
    "device": "cpu",
    "seed": "5",
    "tensorboard": "logs",
}
SWITCHES = ("mixed_precision", "resume", "force")
FOLDERS = ({"data"}, {"speech", "noise"}, {"noisy", "clean"})


def words(values, switches=()):
    """The options as they are typed."""
    typed = [word for name, value in values.items() for word in (f"--{name}", value)]
    return [word.replace("_", "-") for word in (*typed, *(f"--{name}" for name in switches))]


def test_what_is_not_given_keeps_its_value():
    assert read_job(["--output", "a.pt"]) == Job(Path("a.pt"))


@pytest.mark.parametrize("folders", FOLDERS[1:])
def test_every_option_arrives_in_its_field(folders):
    job = read_job(words(GIVEN | {name: name for name in folders}, SWITCHES))
    absent = set().union(*FOLDERS) - folders
    for field in dataclasses.fields(Job):
        value = getattr(job, field.name)
        if field.name in absent:
            assert value is None
        elif field.name in SWITCHES:
            assert value is True
        elif field.name in folders:
            assert value == Path(field.name)
        else:
            wanted = type(value)(GIVEN[field.name])
            assert value == wanted != field.default


def test_torchrun_leaves_every_option_alone():
    """It refuses a word that two of its own options begin with, wherever it stands."""
    for field in dataclasses.fields(Job):
        word = f"--{field.name.replace('_', '-')}"
        seen = get_args_parser().parse_args(["-m", "course_utils.train", word])
        assert seen.training_script_args == [word]


def test_help_names_every_option_and_its_default(capsys):
    with pytest.raises(SystemExit) as stop:
        read_job(["--help"], description="Trains.")
    assert stop.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Trains." in told
    for field in dataclasses.fields(Job):
        assert f"--{field.name.replace('_', '-')}" in told
    defaults = dict(re.findall(r" --([a-z-]+) [A-Z] [^-]*?\(default: ([\d.]+)\)", told))
    assert defaults.keys() == {"batch-size", "accumulate", "learning-rate", "workers", "seed"}
    for name, value in defaults.items():
        assert getattr(Job(Path("a.pt")), name.replace("-", "_")) == float(value)


@pytest.mark.parametrize(
    ("given", "epochs", "minutes"),
    [
        ({}, 100_000, 4),
        ({"minutes": 60}, 100_000, 60),
        ({"epochs": 3}, 3, None),
        ({"epochs": 3, "minutes": 1}, 3, 1),
    ],
)
def test_how_a_run_ends(given, epochs, minutes):
    config = Job(Path("a.pt"), **given).config()
    assert (config.epochs, config.max_minutes) == (epochs, minutes)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"speech": "a"}, "speech a and noise None"),
        ({"noise": "a"}, "speech None and noise a"),
        ({"noisy": "a"}, "noisy a and clean None"),
        ({"clean": "a"}, "noisy None and clean a"),
        ({"data": "a", "noisy": "b", "clean": "c"}, "data and noisy"),
        ({"speech": "a", "noise": "b", "noisy": "c", "clean": "d"}, "speech and noisy"),
        ({"validation": "v"}, "validation.*'v'.*speech and noise"),
        ({"data": "a", "validation": "v"}, "validation.*'v'.*speech and noise"),
        ({"batch_size": 0}, "batch_size.*got 0"),
        ({"workers": -1}, "workers.*got -1"),
        ({"seed": -1}, "seed.*got -1"),
        ({"minutes": 0}, "minutes.*got 0"),
        ({"minutes": math.nan}, "minutes.*got nan"),
        ({"minutes": math.inf}, "minutes.*got inf"),
        ({"epochs": 0}, "epochs.*got 0"),
        ({"accumulate": 0}, "accumulate.*got 0"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        Job(Path("a.pt"), **wrong)
    assert "\n" not in str(refusal.value)


def test_an_output_that_exists_is_kept_unless_told_otherwise(tmp_path):
    output = tmp_path / "a.pt"
    output.touch()
    with pytest.raises(ValueError, match="--resume.*--force"):
        Job(output)
    assert Job(output, force=True).force and Job(output, resume=True).resume


@pytest.mark.parametrize("words", [[], ["--output", "a.pt", "--colour", "red"]])
def test_words_that_are_no_options_end_the_command(words, capsys):
    with pytest.raises(SystemExit) as stop:
        read_job(words)
    assert stop.value.code == 2 and "usage: python -m course_utils.train" in capsys.readouterr().err

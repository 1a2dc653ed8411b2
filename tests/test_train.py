"""The training command: from a folder of clips to a checkpoint that can be used."""

import builtins
import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from course_utils import __version__
from course_utils.audio import save_audio
from course_utils.augmentation import Augmentation
from course_utils.checkpoints import load_checkpoint, save_checkpoint, stopped_run
from course_utils.corpus import Clip
from course_utils.datasets import MixtureDataset
from course_utils.models import Denoiser, MaskNet
from course_utils.train import __main__ as command
from course_utils.train import run
from course_utils.train.material import VALIDATION_CLIPS, make_datasets
from course_utils.training import fit

pytestmark = pytest.mark.training


@pytest.fixture
def corpus(tmp_path):
    """A corpus in small: two voices and two noises in each split."""
    names = [f.name for f in dataclasses.fields(Clip) if f.name != "data_dir"]
    rows = []
    for split in ("train", "validation"):
        for role, kinds in (("speech", "ab"), ("noise", "cd"), ("room", "e")):
            for kind in kinds:
                file = f"{role}_{split}_{kind}.flac"
                generator = torch.Generator().manual_seed(len(rows))
                save_audio(
                    tmp_path / file, 0.05 * torch.randn(1, 24000, generator=generator), 16000
                )
                row = dict.fromkeys(names, "")
                rows.append(
                    row
                    | {"file": file, "role": role, "kind": kind, "split": split, "duration": 1.5}
                )
    with open(tmp_path / "manifest.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path


@pytest.fixture(scope="module")
def pairs_to_score():
    return run.make_test_pairs(snrs_db=(5,), sentences_per_noise=1, noises_per_kind=1)[:2]


@pytest.fixture
def quick(monkeypatch, pairs_to_score):
    monkeypatch.setattr(run, "SEGMENT_LENGTH", 8000)
    monkeypatch.setattr(run, "BATCHES_PER_EPOCH", 2)
    monkeypatch.setattr(run, "make_test_pairs", lambda **_: pairs_to_score)


@pytest.fixture
def tiny(quick, monkeypatch):
    monkeypatch.setattr(run, "MaskNet", lambda: MaskNet(channels=(4, 4, 4), hidden_size=8))
    monkeypatch.setattr(run, "share_cores", lambda *_, **__: torch.set_num_threads(1))
    monkeypatch.setattr(run, "score", lambda model: {})


@pytest.fixture
def options(corpus, tmp_path):
    """A run of three short epochs in one process, with nothing else running."""
    return [
        *("--data", str(corpus), "--output", str(tmp_path / "a.pt"), "--epochs", "3"),
        *("--batch-size", "2", "--workers", "0"),
    ]


def _folders(tmp_path, *names, count=3):
    made = []
    for number, name in enumerate(names):
        (tmp_path / name).mkdir(parents=True)
        for k in range(count):
            sound = 0.1 * torch.randn(
                1, 9000, generator=torch.Generator().manual_seed(9 * number + k)
            )
            save_audio(tmp_path / name / f"{k}.wav", sound, 16000)
        made += [f"--{name}", str(tmp_path / name)]
    return made


def test_datasets_keep_the_splits_apart_and_validate_on_the_same_pairs(corpus):
    train_set, validation_set = make_datasets(
        corpus, size=4, segment_length=8000, augmentation=Augmentation()
    )
    assert len(train_set) == 4 and len(validation_set) == VALIDATION_CLIPS
    for name in ("_speech", "_noise", "_rooms"):
        ours, theirs = getattr(train_set, name), getattr(validation_set, name)
        flat = [
            [c for v in side for c in (v if isinstance(v, list) else [v])]
            for side in (ours, theirs)
        ]
        assert not any(torch.equal(a, b) for a in flat[0] for b in flat[1])
    again = make_datasets(corpus, size=4, segment_length=8000, seed=5)[1]
    assert torch.equal(again[3][0], validation_set[3][0])


def test_the_command_writes_a_checkpoint_and_says_how_it_was_made(
    corpus, quick, clock, tmp_path, capsys
):
    output = tmp_path / "out" / "denoiser.pt"
    options = ["--data", str(corpus), "--output", str(output), "--minutes", "0.05"]
    assert command.main([*options, "--batch-size", "2"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("learns from  0 min of speech, 0 min of recorded noise\n")
    assert "processes: 1" in said and "2 pairs of 0.5 s" in said and "0.05 minutes" in said
    assert "validation" in said
    model, report = load_checkpoint(output), json.loads(output.with_suffix(".json").read_text())
    assert report["parameters"] > 100_000 and report["config"]["seed"] == 0
    assert report["data"] == "0 min of speech, 0 min of recorded noise"
    assert report["test_scores"]["input_si_sdr"] == pytest.approx(5, abs=0.2)
    assert report["test_scores"].keys() == model.metadata["test_scores"].keys()
    assert model.metadata["best_validation_loss"] == report["best_validation_loss"]
    assert model.metadata["version"] == __version__ and report["commit"]
    assert len(report["data_fingerprint"]) == 16 and report["batch_size"] == 2
    saved = torch.load(output, weights_only=True)
    assert saved["stft"]["n_fft"] == 512 and saved["net"]["n_freqs"] == 257
    with torch.no_grad():
        assert model(torch.zeros(1, 500)).shape == (1, 500)
    assert not [f.name for f in output.parent.iterdir() if f.name.startswith(".")]


def test_fine_tuning_begins_with_the_weights_of_a_checkpoint(
    tiny, options, tmp_path, monkeypatch, capsys
):
    assert command.main([*options, "--seed", "3"]) == 0
    first = load_checkpoint(tmp_path / "a.pt")
    began = []

    def watch(model, *args, **kwargs):
        began.append({name: value.clone() for name, value in model.state_dict().items()})
        return fit(model, *args, **kwargs)

    monkeypatch.setattr(run, "fit", watch)
    options[3] = str(tmp_path / "b.pt")
    assert command.main([*options, "--weights", str(tmp_path / "a.pt")]) == 0
    assert f"begins with  {tmp_path / 'a.pt'}" in capsys.readouterr().out
    assert all(torch.equal(began[0][name], v) for name, v in first.state_dict().items())
    second = load_checkpoint(tmp_path / "b.pt").metadata
    assert second["started_from"]["config"]["seed"] == 3
    assert second["started_from"] == first.metadata and first.metadata["started_from"] is None
    options[3] = str(tmp_path / "c.pt")
    assert command.main([*options, "--weights", str(tmp_path / "none.pt")]) == 2
    assert "none.pt" in capsys.readouterr().err


def test_a_missing_folder_is_one_sentence(tmp_path, capsys):
    code = command.main(["--data", str(tmp_path / "nowhere"), "--output", str(tmp_path / "a.pt")])
    error = capsys.readouterr().err
    assert code == 2 and "nowhere" in error and error.count("\n") == 1
    assert not (tmp_path / "a.pt").exists()


def test_resume_goes_on_bit_for_bit(tiny, options, tmp_path, monkeypatch, capsys):
    """Stopped after the first of three epochs, in which nothing may differ from a whole run."""
    assert command.main(options) == 0
    whole = stopped_run(tmp_path / "a.pt")

    def stop_after_one(board, report):
        def stop(history):
            raise KeyboardInterrupt

        return stop

    options[3] = str(tmp_path / "b.pt")
    with monkeypatch.context() as patch:
        patch.setattr(run, "_reporter", stop_after_one)
        assert command.main(options) == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert len(stopped_run(tmp_path / "b.pt")["history"]) == 1
    assert command.main([*options, "--resume"]) == 0
    assert "after 1 epoch(s) of a stopped run" in capsys.readouterr().out
    resumed = stopped_run(tmp_path / "b.pt")
    for row, expected in zip(resumed["history"], whole["history"], strict=True):
        assert row | {"seconds": 0} == expected | {"seconds": 0}
    for part in ("model", "best"):
        assert all(torch.equal(v, resumed[part][name]) for name, v in whole[part].items())
    for k, state in whole["optimizer"]["state"].items():
        assert all(torch.equal(v, resumed["optimizer"]["state"][k][n]) for n, v in state.items())


def test_resume_begins_where_there_is_nothing_and_refuses_other_data(
    tiny, options, corpus, tmp_path, capsys
):
    assert command.main([*options, "--resume"]) == 0
    assert "from the beginning" in capsys.readouterr().out
    before = (tmp_path / "a.pt").read_bytes()
    manifest = corpus / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("noise_train_d", "noise_train_c"))
    for other, name in ((options, "data_fingerprint"), ([*options, "--batch-size", "4"], "")):
        assert command.main([*other, "--resume"]) == 2
        error = capsys.readouterr().err
        assert f"resume must go on with the {name}" in error and error.count("\n") == 1
    assert (tmp_path / "a.pt").read_bytes() == before


def test_nothing_is_replaced_without_being_told(tiny, options, tmp_path, capsys):
    (tmp_path / "a.pt").write_text("precious")
    for extra in ([], ["--resume"]):
        assert command.main([*options, *extra]) == 2
        assert "a.pt" in (error := capsys.readouterr().err) and "--force" in error
    assert (tmp_path / "a.pt").read_text() == "precious"
    assert command.main([*options, "--force"]) == 0
    assert load_checkpoint(tmp_path / "a.pt").metadata["steps"] == 6  # three epochs of two batches


def test_folders_of_speech_and_noise(tiny, tmp_path, capsys):
    folders = _folders(tmp_path, "speech", "noise")
    common = ["--batch-size", "2", "--workers", "0", "--epochs", "1"]
    assert command.main([*folders, *common, "--output", str(tmp_path / "a.pt")]) == 0
    assert "2 files of speech, 0 min in 2 files of noise" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "a.pt").metadata["augmentation"]["speed"] > 0


def test_recorded_pairs_with_accumulation_and_mixed_precision(tiny, tmp_path, capsys):
    folders = _folders(tmp_path, "noisy", "clean")
    common = ["--batch-size", "2", "--workers", "0", "--epochs", "1", "--accumulate", "2"]
    common += ["--mixed-precision", "--output", str(tmp_path / "a.pt")]
    assert command.main([*folders, *common]) == 0
    said = capsys.readouterr().out
    assert "recorded pairs" in said and "every 2 batches; 2 batches an epoch" in said
    metadata = load_checkpoint(tmp_path / "a.pt").metadata
    assert metadata["augmentation"] is None
    assert metadata["config"]["accumulate"] == 2 and metadata["config"]["mixed_precision"]


@pytest.fixture
def breaking(monkeypatch):
    """Cut files short once a run has listed them."""
    find, victims = run._find_material, []

    def find_and_break(job, held_out):
        material = find(job, held_out)
        for path in victims:
            path.write_bytes(path.read_bytes()[:100])
        return material

    monkeypatch.setattr(run, "_find_material", find_and_break)
    return victims


def test_too_many_files_that_break_during_training_are_one_sentence(
    tiny, tmp_path, capsys, breaking
):
    """The worker's error brings a traceback along; only what counts is shown."""
    folders = _folders(tmp_path, "speech", "noise")
    breaking += (tmp_path / "noise").iterdir()
    code = command.main([*folders, "--epochs", "9", "--output", str(tmp_path / "a.pt")])
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert code == 2 and len(errors) == 1
    assert "noise must hold files that can be read" in errors[0] and ".wav" in errors[0]


@pytest.mark.parametrize(("kind", "workers"), [("speech noise", "2"), ("noisy clean", "0")])
def test_a_file_that_breaks_is_named_once_and_the_run_goes_on(
    tiny, tmp_path, capfd, breaking, kind, workers
):
    sides = kind.split()
    folders = _folders(tmp_path, *sides, count=9)
    held = run._find_material(
        command.read_job([*folders, "--output", str(tmp_path / "a.pt")]), None
    ).held_out
    victim = next(f"{k}.wav" for k in range(9) if all(f"{k}.wav" not in h for h in held.values()))
    breaking.append(tmp_path / sides[0] / victim)
    options = [*folders, "--batch-size", "8", "--workers", workers, "--output"]
    options.append(str(tmp_path / "a.pt"))
    assert command.main([*options, "--epochs", "6"]) == 0
    assert capfd.readouterr().err.count("left out of") == 1
    report = json.loads((tmp_path / "a.json").read_text())
    assert [victim in name for name in report["left_out"]] == [True]

    for side in sides:  # the learner removes what is damaged, and goes on
        if side in ("noisy", "clean", sides[0]):
            (tmp_path / side / victim).unlink()
    breaking.clear()
    assert command.main([*options, "--epochs", "8", "--resume"]) == 0
    said, report = capfd.readouterr().out, json.loads((tmp_path / "a.json").read_text())
    assert "data_fingerprint" in said and "epochs 8, was 6" in said and "learning rate of" in said
    assert report["changes"][0]["after_epoch"] == 6 and report["changes"][0]["epochs"] == [6, 8]
    assert report["changes"][0].keys() >= {"data", "data_fingerprint"}
    assert report["held_out"] == held and len(stopped_run(tmp_path / "a.pt")["history"]) == 8
    assert [victim in name for name in report["left_out"]] == [True]


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--seed", "5"], "seed of the stopped run, 0, got 5"),
        (["--batch-size", "4"], "batch_size of the stopped run, 2, got 4"),
        (["--weights", "b.pt"], "weights must be those"),
    ],
)
def test_resume_refuses_what_would_falsify_the_report(
    tiny, options, tmp_path, capsys, monkeypatch, extra, told
):
    assert command.main(options) == 0
    monkeypatch.chdir(tmp_path)
    save_checkpoint("b.pt", Denoiser(MaskNet(channels=(4, 4, 4), hidden_size=8)))
    before = (tmp_path / "a.pt").read_bytes()
    capsys.readouterr()
    assert command.main([*options, *extra, "--resume"]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert (tmp_path / "a.pt").read_bytes() == before


def test_what_changes_at_resume_is_said_and_stands_in_the_report(tiny, options, tmp_path, capsys):
    assert command.main(options) == 0
    first = json.loads((tmp_path / "a.json").read_text())
    assert command.main([*options, "--epochs", "4", "--resume", "--accumulate", "2"]) == 0
    said = capsys.readouterr().out
    for text in ("accumulate 2, was 1", "epochs 4, was 3", "a learning rate of"):
        assert text in said
    again = [*options, "--epochs", "5", "--resume", "--learning-rate", "0.001"]
    assert command.main(again) == 0
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["run"] == first["run"] and first.get("changes", []) == []
    assert [change["after_epoch"] for change in report["changes"]] == [3, 4]
    assert report["changes"][0]["accumulate"] == [1, 2]
    assert report["changes"][1] == {
        "after_epoch": 4, "accumulate": [2, 1], "epochs": [4, 5], "learning_rate": [0.003, 0.001],
    }  # fmt: skip
    assert stopped_run(tmp_path / "a.pt")["metadata"]["changes"] == report["changes"]


def test_the_weights_that_a_run_began_with_are_told_after_a_resume_without_them(
    tiny, options, tmp_path
):
    assert command.main(options) == 0
    options[3] = str(tmp_path / "b.pt")
    assert command.main([*options, "--weights", str(tmp_path / "a.pt")]) == 0
    for extra in ([], ["--weights", str(tmp_path / "a.pt")]):
        assert command.main([*options, "--resume", *extra]) == 0
        report = json.loads((tmp_path / "b.json").read_text())
        assert report["started_from"] == load_checkpoint(tmp_path / "a.pt").metadata


@pytest.mark.parametrize("name", ["a.json", "a.last.pt"])
def test_what_lies_beside_the_output_is_not_overwritten_unasked(
    tiny, options, tmp_path, capsys, name
):
    (tmp_path / name).write_text("precious")
    assert command.main(options) == 2
    error = capsys.readouterr().err
    assert name in error and "--force" in error and error.count("\n") == 1
    assert (tmp_path / name).read_text() == "precious" and not (tmp_path / "a.pt").exists()


def test_two_programs_with_one_output_and_the_second_says_so(tiny, options, tmp_path, capsys):
    program = (
        "import sys; from course_utils.targets import reserved\n"
        "with reserved(sys.argv[1]): print(flush=True); sys.stdin.read()"
    )
    first = [sys.executable, "-c", program, str(tmp_path / "a.pt")]
    with subprocess.Popen(first, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert command.main(options) == 2
        error = capsys.readouterr().err
        assert "a.pt" in error and "another one" in error and error.count("\n") == 1
        other.communicate()
    assert not (tmp_path / "a.pt").exists()


def test_a_new_run_leaves_the_older_model_there_until_it_is_over(
    tiny, options, tmp_path, capsys, monkeypatch
):
    assert command.main([*options, "--epochs", "6"]) == 0
    older = (tmp_path / "a.pt").read_bytes()

    def stop_after_two(board, report):
        def stop(history):
            if len(history) == 2:
                raise KeyboardInterrupt

        return stop

    with monkeypatch.context() as patch:
        patch.setattr(run, "_reporter", stop_after_two)
        assert command.main([*options, "--force"]) == 130
    said = capsys.readouterr()
    assert "until then the older one stays" in said.out and "still the older one" in said.err
    assert (tmp_path / "a.pt").read_bytes() == older
    assert command.main([*options, "--resume"]) == 0
    newer = load_checkpoint(tmp_path / "a.pt").metadata
    assert newer["steps"] == 6 and newer["run"] == stopped_run(tmp_path / "a.pt")["metadata"]["run"]


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signals")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_every_stop_keeps_the_last_finished_epoch_and_says_so(
    tiny, options, tmp_path, capsys, monkeypatch, name, code
):
    def kill_after_two(board, report):
        def kill(history):
            if len(history) == 2:
                os.kill(os.getpid(), getattr(signal, name))

        return kill

    monkeypatch.setattr(run, "_reporter", kill_after_two)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert command.main(options) == code
    error = capsys.readouterr().err
    assert "Stopped after 2 epochs" in error and "--resume goes on" in error
    assert "Traceback" not in error
    assert len(stopped_run(tmp_path / "a.pt")["history"]) == 2
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.parametrize(("kind", "code"), [(KeyboardInterrupt, 130), (SystemExit, 143)])
def test_a_stop_while_scoring_loses_nothing_but_the_scores(
    tiny, options, tmp_path, capsys, monkeypatch, kind, code
):
    def stop(model):
        raise kind(code)  # as Ctrl-C does, and as `command_line` does after SIGTERM

    with monkeypatch.context() as patch:
        patch.setattr(run, "score", stop)
        assert command.main(options) == code
    assert "scored" in capsys.readouterr().err and not (tmp_path / "a.json").exists()
    assert load_checkpoint(tmp_path / "a.pt") is not None
    assert command.main([*options, "--resume"]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["test_scores"] == {}


def test_a_killed_worker_is_one_sentence_and_loses_an_epoch_at_most(
    tiny, options, tmp_path, monkeypatch, capsys
):
    mix = MixtureDataset.__getitem__

    def mix_and_die(dataset, index):
        if torch.utils.data.get_worker_info() is not None and dataset._epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return mix(dataset, index)

    monkeypatch.setattr(MixtureDataset, "__getitem__", mix_and_die)
    assert command.main([*options, "--workers", "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: a worker was lost") and "--resume" in error
    assert error.count("\n") == 1
    assert len(stopped_run(tmp_path / "a.pt")["history"]) == 2


def test_tensorboard_gets_every_epoch(tiny, options, tmp_path):
    assert command.main([*options, "--tensorboard", str(tmp_path / "logs")]) == 0
    history = stopped_run(tmp_path / "a.pt")["history"]
    log = EventAccumulator(str(tmp_path / "logs"))
    log.Reload()
    for name in ("train_loss", "validation_loss", "lr"):
        points = log.Scalars(name)
        assert [point.step for point in points] == [1, 2, 3]
        assert [point.value for point in points] == pytest.approx([row[name] for row in history])


def test_without_tensorboard_one_sentence_says_how_to_get_it(options, monkeypatch, capsys):
    real = builtins.__import__

    def missing(name, *rest, **more):
        if name.startswith("torch.utils.tensorboard"):
            raise ModuleNotFoundError("No module named 'tensorboard'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert command.main([*options, "--tensorboard", "logs"]) == 2
    error = capsys.readouterr().err
    assert "pip install tensorboard" in error and error.count("\n") == 1
    assert not Path("logs").exists()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--speech", "a"], "speech and noise"),
        (["--device", "gpu"], "device must be one that PyTorch finds on this machine, got 'gpu'"),
    ],
)
def test_options_that_cannot_be_used_are_named(wrong, sentence, tmp_path, capsys):
    assert command.main(["--output", str(tmp_path / "a.pt"), *wrong]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_without_bfloat16_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(ValueError, match="mixed_precision.*'Tesla T4'"):
        run._check_precision(torch.device("cuda"))
    run._check_precision(torch.device("cpu"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to every program of a console")
@pytest.mark.parametrize("name", ["train", "evaluate", "denoise", "corpus"])
def test_ctrl_c_while_libraries_are_loaded_is_one_sentence(name):
    program = [sys.executable, "-X", "importtime", "-m", f"course_utils.{name}"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as loading:
        for line in loading.stderr:
            if line.rstrip().endswith(" torch.version"):
                break
        loading.send_signal(signal.SIGINT)
        said = [line for line in loading.stderr if not line.startswith("import time:")]
    assert loading.returncode == 130 and said == ["\n", "Stopped before anything was done.\n"]

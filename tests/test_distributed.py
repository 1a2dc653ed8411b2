"""Several processes: what two compute together is what one computes alone, and none is missed.

Run as a program, this file is one of the two processes.
"""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from course_utils import distributed
from course_utils.audio import save_audio
from course_utils.checkpoints import stopped_run
from course_utils.datasets import MixtureDataset
from course_utils.losses import denoising_loss
from course_utils.models import Denoiser, MaskNet
from course_utils.train import __main__ as command
from course_utils.train import run
from course_utils.training import TrainConfig, fit, seed_everything

pytestmark = pytest.mark.training

BATCH = 4


def _noise(time, seed):
    return 0.1 * torch.randn(1, time, generator=torch.Generator().manual_seed(seed))


def _loader():
    """Batches of four, or this process's half of each."""
    mixtures = MixtureDataset(
        [[_noise(5000, 0)], [_noise(5000, 1)]], [_noise(5000, 2)], segment_length=4000, size=8
    )
    size = BATCH // distributed.num_processes()
    return DataLoader(mixtures, size, sampler=distributed.share_of(mixtures))


def measure():
    """Everything to be compared; the same code for one process and for a share of two."""
    found = {"rank": distributed.rank(), "processes": distributed.num_processes()}
    found["from_first"] = distributed.from_first({"rank": found["rank"]})
    found["average"] = distributed.average(float(found["rank"]))

    layer = nn.BatchNorm2d(3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, 1.0, 2.0])), layer.bias.fill_(0.3)
    model = nn.Sequential(layer)
    x = 3 + 2 * torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    x = x[found["rank"] :: found["processes"]].clone().requires_grad_()
    learner = distributed.share_model(model)
    y = learner(x)
    (y**3).mean().backward()  # a sum over squares would have no gradient here
    layer = model[0]
    found["norm"] = {
        "x": x.detach(), "y": y.detach(), "x_grad": x.grad / found["processes"],
        "weight_grad": layer.weight.grad, "bias_grad": layer.bias.grad,
        "mean": layer.running_mean, "var": layer.running_var, "count": layer.num_batches_tracked,
        "names": list(layer.state_dict()), "y_eval": model.eval()(x).detach(),
    }  # fmt: skip

    seed_everything(0)
    denoiser = Denoiser(MaskNet(channels=(4, 4, 4), hidden_size=8))
    learner = distributed.share_model(denoiser)
    noisy, clean = next(iter(_loader()))
    loss = denoising_loss(learner(noisy), clean)
    loss.backward()
    found["loss"] = distributed.average(loss.item())
    found["gradients"] = {name: p.grad for name, p in denoiser.named_parameters()}

    seed_everything(0)
    denoiser = Denoiser(MaskNet(channels=(4, 4, 4), hidden_size=8))
    validation = MixtureDataset([[_noise(5000, 3)]], [_noise(5000, 4)], segment_length=4000, size=4)
    config = TrainConfig(epochs=3, max_minutes=60)
    found["history"] = fit(
        denoiser, _loader(), DataLoader(validation, 4), denoising_loss, config
    )  # fmt: skip
    found["weights"] = denoiser.state_dict()
    return found


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


@pytest.fixture(scope="module")
def alone():
    return measure()


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two processes found, joined as torchrun joins them."""
    folder, port = tmp_path_factory.mktemp("together"), _free_port()
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    shared["MASTER_PORT"] = port
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            env=os.environ | shared | {"RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in "01"
    ]
    assert [process.wait(timeout=300) for process in started] == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in "01"]


def test_two_processes_know_each_other(together):
    assert [found["rank"] for found in together] == [0, 1]
    assert all(found["processes"] == 2 for found in together)
    assert all(found["from_first"] == {"rank": 0} for found in together)
    assert all(found["average"] == 0.5 for found in together)


def test_one_process_needs_nobody(alone):
    assert (alone["rank"], alone["processes"], alone["average"]) == (0, 1, 0.0)
    model = nn.Sequential(nn.BatchNorm2d(2))
    assert distributed.share_model(model) is model and type(model[0]) is nn.BatchNorm2d
    assert distributed.share_of([1, 2, 3]) is None


def test_a_shared_batch_is_normalized_as_a_whole(alone, together):
    whole, halves = alone["norm"], [found["norm"] for found in together]
    for name in ("x", "y", "x_grad", "y_eval"):  # the shares lie interleaved in the batch
        both = torch.stack([half[name] for half in halves], dim=1).flatten(0, 1)
        torch.testing.assert_close(both, whole[name], rtol=1e-5, atol=1e-5)
    for half in halves:
        for name in ("weight_grad", "bias_grad", "mean", "var", "count"):
            torch.testing.assert_close(half[name], whole[name], rtol=1e-5, atol=1e-5)
        assert half["names"] == whole["names"]  # so that checkpoints fit
    own = (halves[0]["x"] - halves[0]["x"].mean((0, 2, 3))[:, None, None])[:, 0]
    assert abs(own.mean() - whole["y"][::2, 0].mean()) > 1e-3, "or halves alone would do as well"


def test_two_processes_have_the_loss_and_gradients_of_one(alone, together):
    for found in together:
        assert found["loss"] == pytest.approx(alone["loss"], abs=1e-5)
        for name, gradient in alone["gradients"].items():
            torch.testing.assert_close(
                found["gradients"][name], gradient, rtol=1e-4, atol=1e-5, msg=name
            )


def test_two_processes_train_as_one_does(alone, together):
    """Losses of every epoch, in learning and validation; and the two end with equal weights."""
    for found in together:
        for row, expected in zip(found["history"], alone["history"], strict=True):
            for name in ("train_loss", "validation_loss"):
                assert row[name] == pytest.approx(expected[name], abs=1e-5), (row["epoch"], name)
    first, second = together
    assert first["history"] == second["history"]
    assert all(torch.equal(w, second["weights"][name]) for name, w in first["weights"].items())


_TINY = """
import os, sys
from pathlib import Path
from course_utils import models
from course_utils.train import __main__ as command
from course_utils.train import run
run.SEGMENT_LENGTH, run.BATCHES_PER_EPOCH, run.score = 4000, 2, lambda model: {}
run.MaskNet = lambda: models.MaskNet(channels=(4, 4, 4), hidden_size=8)
Path(sys.argv.pop(1), os.environ["RANK"]).write_text(str(os.getpid()))
sys.exit(command.main())
"""


def test_a_killed_process_ends_the_job_with_a_sentence_and_an_epoch_at_most_is_lost(
    tmp_path, monkeypatch, capsys
):
    for name in ("speech", "noise"):
        (tmp_path / name).mkdir()
        for k in range(3):
            save_audio(tmp_path / name / f"{k}.wav", _noise(8000, k), 16000)
    script, output = tmp_path / "tiny.py", tmp_path / "denoiser.pt"
    script.write_text(_TINY)
    options = ["--speech", str(tmp_path / "speech"), "--noise", str(tmp_path / "noise")]
    options += ["--output", str(output), "--workers", "0", "--batch-size", "4", "--resume"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    job = subprocess.Popen(
        [*launcher, str(script), str(tmp_path), *options, "--epochs", "100000"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    said = ""
    for line in job.stdout:  # until the first epoch is told, or the job has ended
        said += line
        if line.startswith("epoch "):
            break
    else:
        pytest.fail(said)
    os.kill(int((tmp_path / "1").read_text()), signal.SIGKILL)
    said += job.communicate(timeout=120)[0]
    assert job.returncode != 0 and "--resume" in said
    done = stopped_run(output)["history"]
    assert len(done) >= said.count("\nepoch ") >= 1

    monkeypatch.setattr(run, "SEGMENT_LENGTH", 4000)
    monkeypatch.setattr(run, "BATCHES_PER_EPOCH", 2)
    monkeypatch.setattr(run, "MaskNet", lambda: MaskNet(channels=(4, 4, 4), hidden_size=8))
    monkeypatch.setattr(run, "score", lambda model: {})
    assert command.main([*options, "--epochs", str(len(done) + 1)]) == 0
    assert f"after {len(done)} epoch" in capsys.readouterr().out
    again = stopped_run(output)["history"]
    assert again[:-1] == done and len(again) == len(done) + 1


def test_a_lost_process_is_a_sentence_and_other_errors_stay_what_they_are(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(distributed.dist, "destroy_process_group", lambda: None)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ConnectionError, match="another process.*--resume"):
        with distributed.joined("cpu"):
            raise RuntimeError("[third_party/gloo/pair.cc] Connection closed by peer")
    with pytest.raises(RuntimeError, match="shapes"), distributed.joined("cpu"):
        raise RuntimeError("shapes do not fit")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_batch_that_cannot_be_shared_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "num_processes", lambda: 3)
    assert command.main(["--output", str(tmp_path / "a.pt"), "--batch-size", "8"]) == 2
    assert "batch_size must be a multiple of the number of processes, 3, got 8; try 9" in (
        capsys.readouterr().err
    )


def test_devices_that_are_not_there_are_named():
    for name in ("cuda:99", "gpu"):
        with pytest.raises(ValueError, match=f"device.*'{name}'"):
            with distributed.joined(name):
                pass


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(distributed.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(distributed.torch, "empty", lambda *_, **__: None)
    with pytest.raises(ValueError, match="2, got at least 3"):
        with distributed.joined("cuda"):
            pass


if __name__ == "__main__":
    torch.set_num_threads(1)
    with distributed.joined("cpu"):
        results = measure()
    torch.save(results, Path(sys.argv[1]) / f"{results['rank']}.pt")

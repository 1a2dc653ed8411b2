"""Training: one step by hand, modes, resuming, checkpoints, and the schedule."""

import os

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from course_utils.checkpoints import load_checkpoint, stopped_run
from course_utils.losses import waveform_mse
from course_utils.models import Denoiser, MaskNet
from course_utils.training import (
    Run,
    Schedule,
    TrainConfig,
    evaluate_loss,
    fit,
    rate_factor,
    run_progress,
    seed_everything,
    share_cores,
    train_one_epoch,
    usable_cores,
)


def _small():
    return Denoiser(MaskNet(channels=(4, 4, 4), hidden_size=8))


def _pairs(count=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    clean = 0.1 * torch.randn(count, 1, 2000, generator=generator)
    noisy = clean + 0.1 * torch.randn(count, 1, 2000, generator=generator)
    return TensorDataset(noisy, clean)


def _loader(seed=0):
    return DataLoader(_pairs(seed=seed), batch_size=2)


class _Gain(nn.Module):
    """The smallest model: one number."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, noisy):
        return self.gain * noisy


def test_one_step_is_gradient_descent_by_hand():
    noisy, clean = _pairs(1)[:]
    model = _Gain()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = train_one_epoch(model, DataLoader(TensorDataset(noisy, clean)), optimizer, waveform_mse)
    slope = (2 * (noisy - clean) * noisy).mean()
    assert loss == pytest.approx((noisy - clean).square().mean().item())
    assert model.gain.item() == pytest.approx(1.0 - 0.1 * slope.item(), rel=1e-5)


def test_gradients_do_not_pile_up():
    """Two epochs of one step each: the second must use its own gradient alone."""
    model, loader = _Gain(), DataLoader(_pairs(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_one_epoch(model, loader, optimizer, waveform_mse)
    noisy, clean = _pairs(1)[:]
    gain = model.gain.item()
    train_one_epoch(model, loader, optimizer, waveform_mse)
    slope = (2 * (gain * noisy - clean) * noisy).mean().item()
    assert model.gain.item() == pytest.approx(gain - 0.1 * slope, rel=1e-5)


def test_long_gradients_are_shortened():
    model, loader = _Gain(), DataLoader(_pairs(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    train_one_epoch(model, loader, optimizer, waveform_mse, max_gradient_norm=1e-3)
    assert abs(model.gain.item() - 1.0) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("accumulate", [2, 3])
def test_accumulated_batches_make_the_step_of_one_large_batch(accumulate):
    """The last group is smaller: its mean must count its own batches alone."""
    noisy, clean = _pairs(8)[:]
    model, by_hand = _Gain(), 1.0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(noisy, clean), batch_size=2)  # four batches
    train_one_epoch(model, loader, optimizer, waveform_mse, accumulate=accumulate)
    for n, c in zip(noisy.split(2 * accumulate), clean.split(2 * accumulate), strict=True):
        by_hand -= 0.1 * (2 * (by_hand * n - c) * n).mean().item()
    assert model.gain.item() == pytest.approx(by_hand, rel=1e-6)


def test_mixed_precision_works_in_16_bits_and_keeps_32():
    model, kinds = _small(), []
    model.net.encoder1.register_forward_hook(lambda *args: kinds.append(args[2].dtype))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    mixed = train_one_epoch(model, _loader(), optimizer, waveform_mse, mixed_precision=True)
    assert set(kinds) == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    exact = train_one_epoch(_small(), _loader(), optimizer, waveform_mse)
    assert mixed == pytest.approx(exact, rel=0.2)


def test_evaluation_learns_nothing_and_restores_the_mode():
    model = _small()
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    first, second = (evaluate_loss(model, _loader(), waveform_mse) for _ in range(2))
    assert first == second and model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_evaluation_is_the_mean_over_batches():
    noisy, clean = _pairs()[:]
    expected = (noisy - clean).square().mean().item()
    assert evaluate_loss(_Gain(), _loader(), waveform_mse) == pytest.approx(expected)


def test_a_small_network_learns_four_pairs():
    """Tones in noise, which a mask can tell apart: half of the noise must go."""
    seed_everything(0)
    noisy, clean = _pairs()[:]
    tones = 0.1 * torch.sin(torch.arange(2000) * torch.tensor([0.1, 0.2, 0.3, 0.4])[:, None, None])
    loader = DataLoader(TensorDataset(noisy - clean + tones, tones), batch_size=2)
    config = TrainConfig(epochs=25, learning_rate=2e-2)
    model = _small()
    history = fit(model, loader, loader, waveform_mse, config)
    assert history[-1]["validation_loss"] < 0.5 * evaluate_loss(_Gain(), loader, waveform_mse)
    assert [row["epoch"] for row in history] == list(range(25))
    assert not model.training


def test_the_best_weights_are_kept(tmp_path):
    """With a learning rate that wrecks the model, the best epoch is not the last."""
    seed_everything(0)
    model, path = _small(), tmp_path / "denoiser.pt"
    history = fit(
        model, _loader(), _loader(1), waveform_mse, TrainConfig(epochs=8, learning_rate=0.5),
        checkpoint_path=path,
    )  # fmt: skip
    best = min(row["validation_loss"] for row in history)
    assert best < history[-1]["validation_loss"]
    assert evaluate_loss(model, _loader(1), waveform_mse) == pytest.approx(best, rel=1e-5)
    assert evaluate_loss(load_checkpoint(path), _loader(1), waveform_mse) == pytest.approx(
        best, rel=1e-5
    )


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    """Three epochs and then three more equal six in one go."""
    weights = []
    for stops in ((6,), (3, 6)):
        path = tmp_path / f"{len(stops)}.pt"
        for stop in stops:
            seed_everything(0)
            model = _small()

            def stop_here(history, stop=stop):
                if len(history) == stop:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                fit(
                    model, _loader(), _loader(1), waveform_mse, TrainConfig(epochs=50),
                    checkpoint_path=path, resume=True, on_epoch=stop_here,
                )  # fmt: skip
        weights.append(torch.load(path.with_name(f"{path.stem}.last.pt"), weights_only=True))
    assert [len(w["history"]) for w in weights] == [6, 6]
    for name, value in weights[0]["model"].items():
        assert torch.allclose(value, weights[1]["model"][name], atol=1e-6), name


def test_a_resumed_run_tells_its_past_first(tmp_path):
    told, path = [], tmp_path / "denoiser.pt"
    for epochs in (2, 4):
        fit(
            _small(), _loader(), _loader(1), waveform_mse, TrainConfig(epochs=epochs),
            checkpoint_path=path, resume=True, on_epoch=lambda rows: told.append(len(rows)),
        )  # fmt: skip
    assert told == [1, 2, 2, 3, 4]


def test_the_stop_button_leaves_the_best_model_and_a_sentence(tmp_path):
    """Stopped in the middle of an epoch that made it worse: file and model are the best epoch's."""
    seed_everything(0)
    model, path, losses = _small(), tmp_path / "denoiser.pt", []

    def stop_in_the_fourth(step, loss):
        if step == 7:  # two steps an epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="3 epochs.*resume=True") as stop:
        fit(
            model, _loader(), _loader(1), waveform_mse, TrainConfig(epochs=8, learning_rate=0.5),
            checkpoint_path=path, on_step=stop_in_the_fourth,
            on_epoch=lambda rows: losses.append(rows[-1]["validation_loss"]),
        )  # fmt: skip
    assert str(path) in str(stop.value)
    assert losses[-1] > min(losses), "the run must get worse, or nothing is tested"
    assert not model.training
    for denoiser in (model, load_checkpoint(path)):
        loss = evaluate_loss(denoiser, _loader(1), waveform_mse)
        assert loss == pytest.approx(min(losses), rel=1e-5)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["denoiser.last.pt", "denoiser.pt"]


@pytest.mark.parametrize("stop_at", [0, 2])
def test_a_stop_says_when_there_is_nothing_to_go_on_from(stop_at):
    model = _small()
    born = {name: value.clone() for name, value in model.state_dict().items()}

    def stop(step, loss):
        if step == stop_at:
            raise KeyboardInterrupt

    told = "1 epoch.*checkpoint_path" if stop_at else "nothing was kept"
    with pytest.raises(KeyboardInterrupt, match=told):
        fit(model, _loader(), _loader(1), waveform_mse, TrainConfig(epochs=8), on_step=stop)
    same = all(torch.equal(value, born[name]) for name, value in model.state_dict().items())
    assert same == (stop_at == 0)


def test_a_resumed_run_shuffles_as_it_would_have(tmp_path):
    """Bit for bit, also with a loader that draws its order from the global generator."""
    ends = []
    for stop_after in (None, 2):
        path = tmp_path / f"{stop_after}.pt"
        seed_everything(0)
        settings = {
            "loss_fn": waveform_mse, "config": TrainConfig(epochs=4), "checkpoint_path": path,
            "metadata": {"about": "a test"},
        }  # fmt: skip
        loaders = [DataLoader(_pairs(), 2, shuffle=True), _loader(1)]
        model = _small()
        if stop_after is not None:

            def stop(history):
                if len(history) == 2:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                fit(model, *loaders, **settings, on_epoch=stop)
            seed_everything(99)  # a new process begins elsewhere
            model = _small()
        fit(model, *loaders, **settings, resume=True)
        ends.append(stopped_run(path))
    straight, resumed = ends
    assert straight["metadata"]["about"] == resumed["metadata"]["about"] == "a test"
    assert [_without_clock(r) for r in straight["history"]] == [
        _without_clock(r) for r in resumed["history"]
    ]
    for name, value in straight["model"].items():
        assert torch.equal(value, resumed["model"][name]), name
    for k, state in straight["optimizer"]["state"].items():
        assert all(torch.equal(v, resumed["optimizer"]["state"][k][n]) for n, v in state.items())


def _without_clock(row):
    return {name: value for name, value in row.items() if name != "seconds"}


def test_a_damaged_file_to_go_on_from_is_named(tmp_path):
    (tmp_path / "a.last.pt").write_text("hello")
    with pytest.raises(ValueError, match="a.last.pt"):
        fit(
            _small(), _loader(), _loader(), waveform_mse, TrainConfig(epochs=1),
            checkpoint_path=tmp_path / "a.pt", resume=True,
        )  # fmt: skip
    assert stopped_run(tmp_path / "b.pt") is None and stopped_run(None) is None


def test_the_clock_ends_a_run_and_the_learning_rate_falls(clock):
    config = TrainConfig(epochs=10_000, learning_rate=1e-2, max_minutes=1)
    history = fit(_small(), _loader(), _loader(), waveform_mse, config)
    assert history[-2]["seconds"] < 60 <= history[-1]["seconds"]
    assert history[-1]["lr"] < 0.2 * max(row["lr"] for row in history)


def test_steps_are_reported_in_order():
    steps = []
    fit(
        _small(), _loader(), _loader(), waveform_mse, TrainConfig(epochs=3),
        on_step=lambda step, loss: steps.append(step),
    )  # fmt: skip
    assert steps == list(range(6))


def test_a_loss_that_is_not_finite_stops_with_a_sentence():
    def broken(estimate, reference):
        return estimate.sum() * float("nan")

    with pytest.raises(ValueError, match="loss.*finite.*learning_rate"):
        train_one_epoch(_Gain(), _loader(), torch.optim.SGD(_Gain().parameters(), 0.1), broken)


@pytest.mark.parametrize("loss_fn", [nn.MSELoss(), nn.L1Loss(), functional.mse_loss])
def test_the_losses_of_pytorch_fit_the_loop_as_they_are(loss_fn):
    model, loader = _Gain(), _loader()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = evaluate_loss(model, loader, loss_fn)
    for _ in range(5):
        train_one_epoch(model, loader, optimizer, loss_fn)
    assert evaluate_loss(model, loader, loss_fn) < before
    history = fit(model, loader, loader, loss_fn, TrainConfig(epochs=2))
    assert len(history) == 2


def test_nn_mse_loss_and_the_course_s_own_are_the_same_number():
    model, loader = _Gain(), _loader()
    assert evaluate_loss(model, loader, nn.MSELoss()) == evaluate_loss(model, loader, waveform_mse)


def test_an_estimate_of_another_shape_is_refused_before_a_loss_broadcasts_it():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(()))

        def forward(self, noisy):
            return self.gain * noisy[:, 0]  # (batch, time) against (batch, 1, time)

    model = Flat()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="estimate.*clean"):
        train_one_epoch(model, _loader(), optimizer, nn.MSELoss())
    with pytest.raises(ValueError, match="estimate.*clean"):
        evaluate_loss(model, _loader(), nn.MSELoss())


def test_the_learning_rate_warms_up_and_then_follows_a_cosine():
    assert rate_factor(0, 0.0) == pytest.approx(1 / 50)
    assert rate_factor(49, 0.0) == pytest.approx(1.0)
    assert rate_factor(500, 0.5) == pytest.approx(0.01 + 0.99 / 2)
    assert rate_factor(500, 1.0) == pytest.approx(0.01)


def test_progress_follows_steps_or_clock_whichever_is_further():
    assert run_progress(25, 100, 3.0, None) == 0.25
    assert run_progress(25, 100, 30.0, 1.0) == 0.5  # half of the minute is over
    assert run_progress(80, 100, 30.0, 1.0) == 0.8
    assert run_progress(100, 100, 90.0, 1.0) == 1.0


def test_the_schedule_sets_the_optimizer_and_knows_the_time_before_a_stop(clock):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=9.0)
    config = TrainConfig(epochs=2, learning_rate=0.1, max_minutes=1)
    schedule = Schedule(optimizer, config, 100, seconds_before=20.0)
    assert 20 < schedule.seconds() < 30
    assert not schedule.out_of_time(59.9) and schedule.out_of_time(60.0)
    schedule.set_rate(100)  # half of the steps, and by the clock a third
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * (0.01 + 0.99 / 2))


def test_a_run_keeps_the_weights_of_its_best_epoch(tmp_path):
    model = _Gain()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = Run(model, optimizer, None, {})
    for gain, loss in ((1.0, 0.5), (2.0, 0.3), (3.0, 0.4)):
        with torch.no_grad():
            model.gain.fill_(gain)
        run.finish_epoch(0.0, loss, 1.0)
    assert run.best["gain"] == 2.0 and [row["epoch"] for row in run.history] == [0, 1, 2]


def test_what_no_checkpoint_can_hold_is_refused_before_the_first_step(tmp_path):
    model = _Gain()
    with pytest.raises(TypeError, match="model.*_Gain"):
        fit(
            model, _loader(), _loader(), waveform_mse, TrainConfig(epochs=1),
            checkpoint_path=tmp_path / "a.pt",
        )  # fmt: skip
    assert model.gain == 1.0 and not list(tmp_path.iterdir())


def test_a_new_run_does_not_go_on_from_an_older_one(tmp_path):
    path = tmp_path / "a.pt"
    fit(_small(), _loader(), _loader(), waveform_mse, TrainConfig(epochs=2), checkpoint_path=path)

    def stop(step, loss):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="nothing was kept"):
        fit(
            _small(), _loader(), _loader(), waveform_mse, TrainConfig(epochs=2),
            checkpoint_path=path, on_step=stop,
        )  # fmt: skip
    assert stopped_run(path) is None and load_checkpoint(path) is not None


def test_a_validation_loss_that_is_not_a_number_ends_the_run_and_the_mode_is_given_back():
    model = _Gain()
    with pytest.raises(ValueError, match="loss.*nan"):
        evaluate_loss(model, _loader(), lambda estimate, clean: estimate.sum() * float("nan"))
    assert model.training


def test_an_empty_loader_is_refused():
    with pytest.raises(ValueError, match="batch"):
        evaluate_loss(_Gain(), [], waveform_mse)


@pytest.mark.parametrize(
    "bad",
    [
        *({"epochs": 0}, {"learning_rate": -1.0}, {"max_minutes": 0.0}, {"weight_decay": -0.1}),
        *({"accumulate": 0}, {"accumulate": 1.5}),
    ],
)
def test_settings_out_of_range_are_named(bad):
    with pytest.raises((TypeError, ValueError), match=next(iter(bad))):
        TrainConfig(**bad)


def test_seeds_repeat():
    draws = []
    for _ in range(2):
        seed_everything(7)
        draws.append(torch.rand(3))
    assert torch.equal(*draws)
    with pytest.raises(ValueError, match="seed.*-1"):
        seed_everything(-1)


def test_workers_and_arithmetic_share_the_cores(monkeypatch):
    monkeypatch.setattr("course_utils.training.usable_cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert share_cores(1) == 3 and torch.get_num_threads() == 3
    assert share_cores(9) == 1
    assert share_cores(1, processes=2) == 1 and share_cores(0, processes=2) == 2
    with pytest.raises(ValueError, match="num_workers.*-1"):
        share_cores(-1)


def test_a_wish_for_fewer_threads_is_heeded(monkeypatch):
    monkeypatch.setattr("course_utils.training.usable_cores", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert share_cores(0) == 2 and share_cores(3) == 1
    assert share_cores(0, processes=2) == 2  # torchrun writes a 1 there that nobody wished for


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_only_the_cores_that_the_process_may_use_are_counted():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert usable_cores() == len(allowed)

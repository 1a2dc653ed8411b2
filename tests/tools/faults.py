"""Put faults in on purpose, by the hundred, and count what survives.

    python tests/tools/faults.py --tries 300

Runs are killed and resumed, disks are full after so many bytes, bytes of files are changed, and
programs race for one name. Survived means: the file that was there is whole, or the error is one
sentence that names it; a resumed run ends at the weights of a run without a kill, bit for bit. Runs
on Linux and macOS.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch  # noqa: E402
from full_disk import no_more_than  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from course_utils.audio import save_audio  # noqa: E402
from course_utils.checkpoints import (  # noqa: E402
    load_checkpoint,
    save_checkpoint,
    save_run,
    stopped_run,
)
from course_utils.datasets import AudioFile, MixtureDataset  # noqa: E402
from course_utils.evaluate.tables import write_csv  # noqa: E402
from course_utils.losses import waveform_mse  # noqa: E402
from course_utils.models import Denoiser, MaskNet  # noqa: E402
from course_utils.targets import reserved, write_whole  # noqa: E402
from course_utils.training import TrainConfig, fit, seed_everything  # noqa: E402

EPOCHS = 12


def kills(folder: Path, tries: int, draw: random.Random) -> int:
    """Kill a training at random moments and resume it; it must end as one that nobody killed."""
    _run(folder / "whole.pt")
    whole = stopped_run(folder / "whole.pt")
    longest = 1.5 * whole["history"][-1]["seconds"]
    survived = 0
    path = folder / "killed.pt"
    for _ in range(tries):
        child = _start(lambda: _run(path))
        time.sleep(draw.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        try:
            if path.exists():
                load_checkpoint(path)
            state = stopped_run(path)
        except ValueError as error:
            print(f"killed: {error}", file=sys.stderr)
            continue
        survived += 1
        if draw.random() < 0.1:  # let it end, compare, and begin anew
            _run(path)
            state = stopped_run(path)
            survived -= not _same(state["best"], whole["best"])
            _clear(folder, "killed")
    _run(path)
    return survived if _same(stopped_run(path)["model"], whole["model"]) else 0


def full_disks(folder: Path, tries: int, draw: random.Random) -> int:
    """Write on disks that are full after so many bytes; the old file must stay, and be named."""
    model = _model()
    state = {
        "model": model.state_dict(), "optimizer": {}, "rng": torch.get_rng_state(),
        "history": [], "best": model.state_dict(), "metadata": {},
    }  # fmt: skip
    rows = [{"name": f"clip {k}", "pesq": k / 7} for k in range(3000)]
    writers: dict[str, Callable[[Path], None]] = {
        "a.pt": lambda path: save_checkpoint(path, model),
        "b.last.pt": lambda path: save_run(path.with_name("b.pt"), state),
        "c.csv": lambda path: write_csv(path, rows),
        "d.json": lambda path: write_whole(path, "x" * 50_000),
    }
    sizes = {}
    for name, write in writers.items():
        write(folder / name)
        sizes[name] = (folder / name).stat().st_size
        (folder / name).write_bytes(b"old")
    survived = 0
    for _ in range(tries):
        name = draw.choice(list(writers))
        try:
            with no_more_than(draw.randrange(sizes[name])):
                writers[name](folder / name)
        except OSError as error:
            told = name in str(error) and "\n" not in str(error)
            survived += told and (folder / name).read_bytes() == b"old"
        left = {path.name for path in folder.iterdir()} - writers.keys()
        if left:
            raise RuntimeError(f"half-written files were left: {left}")
    return survived


def changed_checkpoints(folder: Path, tries: int, draw: random.Random) -> int:
    """Change bytes of a checkpoint; it is refused, or gives the very same model."""
    path = folder / "a.pt"
    save_checkpoint(path, _model(), metadata={"scores": [1.5, 2.5]})
    content, model = path.read_bytes(), load_checkpoint(path)
    survived = 0
    for _ in range(tries):
        path.write_bytes(_change(content, draw))
        try:
            loaded = load_checkpoint(path)
        except ValueError as error:
            survived += "a.pt" in str(error) and "\n" not in str(error)
            continue
        same = _same(loaded.state_dict(), model.state_dict())
        survived += same and loaded.metadata == model.metadata
    return survived


def changed_recordings(folder: Path, tries: int, draw: random.Random) -> int:
    """Change bytes of one recording of four; training goes on, with this file or without it."""
    files = []
    for k, suffix in enumerate((".wav", ".flac", ".wav", ".flac")):
        path = folder / f"{k}{suffix}"
        sound = 0.1 * torch.randn(1, 9000, generator=torch.Generator().manual_seed(k))
        save_audio(path, sound, 16_000)
        files.append(AudioFile(str(path), 9000 / 16_000))
    survived = 0
    for _ in range(tries):
        path = Path(draw.choice(files).path)
        content = path.read_bytes()
        path.write_bytes(_change(content, draw))
        dataset = MixtureDataset(
            [[file] for file in files], files, segment_length=4000, size=8,
            seed=draw.randrange(1000),
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            items = [dataset[k] for k in range(len(dataset))]
        finite = all(torch.isfinite(side).all() for item in items for side in item)
        survived += finite and set(dataset.left_out()) <= {str(path)}
        path.write_bytes(content)
    return survived


def races(folder: Path, tries: int, draw: random.Random) -> int:
    """Start two programs that want one new name: one of them gets it, the other one says so."""

    def write(path: Path, number: int) -> None:
        with reserved(path):
            if path.exists():
                raise FileExistsError
            time.sleep(draw.uniform(0, 0.01))
            write_whole(path, str(number) * 1000)

    survived = 0
    for k in range(tries):
        path = folder / f"{k}.txt"
        children = [_start(lambda path=path, n=n: write(path, n)) for n in range(2)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        winner = str(codes.index(0)) if sorted(codes) == [0, 1] else None
        survived += winner is not None and path.read_text() == winner * 1000
    return survived


FAULTS = (kills, full_disks, changed_checkpoints, changed_recordings, races)


def _model() -> Denoiser:
    """Make a small denoiser, always the same."""
    seed_everything(0)
    return Denoiser(MaskNet(channels=(4, 4, 4), hidden_size=8))


def _run(path: Path) -> None:
    """Train, or go on."""
    model = _model()
    generator = torch.Generator().manual_seed(1)
    clean = 0.1 * torch.randn(8, 1, 2000, generator=generator)
    pairs = TensorDataset(clean + 0.05 * torch.randn(clean.shape, generator=generator), clean)
    loader = DataLoader(pairs, 4, shuffle=True)
    config = TrainConfig(epochs=EPOCHS)
    fit(
        model, loader, DataLoader(pairs, 8), waveform_mse, config, checkpoint_path=path, resume=True
    )


def _start(work: Callable[[], None]) -> int:
    """Do some work in another process: 0 when it is done, 1 after an error."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        os._exit(1)
    os._exit(0)


def _change(content: bytes, draw: random.Random) -> bytes:
    """Flip bits of one to three bytes, cut the end off, or put something in."""
    changed = bytearray(content)
    kind = draw.choice(("flip", "flip", "cut", "insert"))
    if kind == "cut":
        return bytes(changed[: draw.randrange(len(changed))])
    if kind == "insert":
        place = draw.randrange(len(changed))
        changed[place:place] = draw.randbytes(draw.randint(1, 9))
    else:
        for _ in range(draw.randint(1, 3)):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _same(ours: dict, theirs: dict) -> bool:
    """Compare weights, bit for bit."""
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())


def _clear(folder: Path, stem: str) -> None:
    for path in folder.glob(f"{stem}*"):
        path.unlink()


def main(arguments: list[str] | None = None) -> int:
    """Try every kind of fault, and print how many tries survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=100, help="of each kind (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of what is random (default: 0)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    all_survived = True
    print(f"{'fault':<24}{'tried':>7}{'survived':>10}")
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            survived = fault(Path(folder), options.tries, random.Random(options.seed))
        name = fault.__name__.replace("_", " ")
        print(f"{name:<24}{options.tries:>7}{survived:>10}", flush=True)
        all_survived &= survived == options.tries
    return 0 if all_survived else 1


if __name__ == "__main__":
    sys.exit(main())

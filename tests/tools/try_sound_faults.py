"""Put faults in on purpose while recordings are cleaned, and see what is left behind.

    python tests/tools/try_sound_faults.py                # hundreds of each, several minutes
    python tests/tools/try_sound_faults.py --tries 5

* kills: the command is stopped by KILL, TERM or HUP at a random moment. The file that was there
  before must be whole, or the new one; TERM and HUP leave no hidden file.
* full disks: the disk ends at every size up to that of the result. The command must say so, and
  keep the older file.
* mutated files: bytes of good recordings are changed, cut out or put in. Each must be read as
  finite sound, or refused in one sentence.
* races: several programs want one name. One of them gets it, the others say that they did not.

Prints tried and survived. The full disk is a limit on the size of a file, which needs Linux or
macOS.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from course_utils.audio import load_audio
from course_utils.readers import open_audio

RATE = 16_000
KINDS = (
    *(("wav", "PCM_16", "WAV"), ("wav", "MS_ADPCM", "WAV"), ("wav", "FLOAT", "RF64")),
    *(("w64", "PCM_24", "W64"), ("aiff", "PCM_16", "AIFF"), ("caf", "ALAC_16", "CAF")),
    *(("au", "ULAW", "AU"), ("flac", "PCM_16", "FLAC"), ("ogg", "VORBIS", "OGG")),
    *(("opus", "OPUS", "OGG"), ("mp3", "MPEG_LAYER_III", "MP3"), ("wav", "PCM_16", "NIST")),
)
OLD = np.full(2000, 0.25)  # what stood there before, unlike anything that comes


def noise(seconds: float) -> np.ndarray:
    """Hiss, which no codec makes small."""
    return 0.2 * np.random.default_rng(0).standard_normal(round(seconds * RATE)).clip(-4, 4)


def command(*arguments: object) -> list[str]:
    """Write the denoise command."""
    return [sys.executable, "-m", "course_utils.denoise", *map(str, arguments)]


def is_whole(path: Path, num_frames: int) -> bool:
    """Tell whether a file is the old one or the new one, and can be read to its end."""
    samples, _ = soundfile.read(path)
    is_old = len(samples) == len(OLD) and np.allclose(samples, OLD, atol=1e-4)
    return is_old or len(samples) == num_frames


def kills(tries: int, folder: Path) -> int:
    """Stop the command at random moments; count what survived."""
    noisy, clean = folder / "noisy.wav", folder / "clean.flac"
    soundfile.write(noisy, noise(60), RATE)
    soundfile.write(clean, OLD, RATE)
    chance = random.Random(0)
    began = time.perf_counter()
    subprocess.run(command(noisy, clean, "--force"), capture_output=True, check=True)
    longest = time.perf_counter() - began
    survived = 0
    for number in range(tries):
        how = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)[number % 3]
        with subprocess.Popen(
            command(noisy, clean, "--force"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as running:
            time.sleep(chance.uniform(0.5, 1) * longest)
            running.send_signal(how)
        hidden = list(folder.glob(".*"))
        survived += is_whole(clean, 60 * RATE) and (how == signal.SIGKILL or not hidden)
        for path in hidden:
            path.unlink()
    return survived


SAVE = """
import resource, signal, sys, soundfile, torch
from course_utils.audio import save_audio
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
samples, rate = soundfile.read(sys.argv[1], dtype="float32")
waveform = torch.from_numpy(samples)
for limit in map(int, sys.argv[3:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        save_audio(sys.argv[2], waveform, rate, overwrite=True)
        print(limit, 0, flush=True)
    except (ValueError, OSError) as error:
        print(limit, 2, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    old = torch.full((2000,), 0.25)
    whole = soundfile.read(sys.argv[2])[0]
    good = len(whole) == len(samples) or (len(whole) == 2000 and abs(whole - 0.25).max() < 1e-4)
    print("whole" if good else "broken", flush=True)
    save_audio(sys.argv[2], old, rate, overwrite=True)
"""


def full_disks(tries: int, folder: Path) -> int:
    """End the disk at many sizes, for each kind that is written; count what survived."""
    noisy = folder / "noisy.wav"
    soundfile.write(noisy, noise(3), RATE)
    survived = 0
    for suffix in ("wav", "flac"):
        clean = folder / f"clean.{suffix}"
        soundfile.write(clean, noise(3), RATE)
        size = clean.stat().st_size
        soundfile.write(clean, OLD, RATE)
        # Most of them just below the whole size, where the last blocks do not fit.
        limits = [size - 1 - n * 37 for n in range(tries // 4)]
        count = tries // 2 - tries // 4
        limits += [round(size * n / count) for n in range(count)]
        words = [sys.executable, "-c", SAVE, str(noisy), str(clean), *map(str, limits)]
        lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")
        for told, state in zip(lines[::2], lines[1::2], strict=False):
            survived += told.endswith(" 2") and state == "whole"
    return survived


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Change, cut out or put in some bytes, most of them near the beginning."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        end = len(changed) if chance.random() < 0.4 else min(200, len(changed))
        place = chance.randrange(max(1, end))
        how = chance.randrange(4)
        if how == 0:
            changed[place : place + 1] = bytes([chance.randrange(256)])
        elif how == 1:
            changed[place : place + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
        elif how == 2:
            del changed[place : place + chance.randint(1, 2000)]
        else:
            changed[place:place] = chance.randbytes(chance.randint(1, 500))
    return bytes(changed)


def mutated_files(tries: int, folder: Path) -> int:
    """Read files with changed bytes; count those that were read or refused in a sentence."""
    chance = random.Random(1)
    survived = 0
    for number in range(tries):
        suffix, codec, container = KINDS[number % len(KINDS)]
        path = folder / f"file.{suffix}"
        soundfile.write(path, noise(1), RATE, codec, format=container)
        path.write_bytes(mutate(path.read_bytes(), chance))
        words = ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                waveform, _ = load_audio(path)
            good = bool(waveform.isfinite().all())
            good &= waveform.shape[-1] == open_audio(path).info.num_frames
        except ValueError as error:
            words = str(error)
            good = "\n" not in words and words.endswith(".")
        survived += good
        if not good:
            print(f"  {container} {codec}, try {number}: {words or 'another length'}")
    return survived


RACE = """
import sys, time, torch
from course_utils.audio import save_audio
time.sleep(max(0, float(sys.argv[2]) - time.time()))
save_audio(sys.argv[1], torch.full((1, 1000 + int(sys.argv[3])), 0.1), 16000)
"""


def races(tries: int, folder: Path) -> int:
    """Let four programs save under one name at one moment; count where one of them succeeded."""
    survived = 0
    for number in range(tries):
        path = folder / f"{number}.wav"
        start = str(time.time() + 8)
        running = [
            subprocess.Popen(
                [sys.executable, "-c", RACE, str(path), start, str(n)], stderr=subprocess.DEVNULL
            )
            for n in range(4)
        ]
        codes = [each.wait() for each in running]
        length = len(soundfile.read(path)[0]) - 1000
        survived += codes.count(0) == 1 and codes.index(0) == length
    return survived


def main(arguments: list[str] | None = None) -> int:
    """Put in every fault; 1 if something did not survive."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tries", type=int, default=300, help="how often (300)")
    parser.add_argument("--only", help="one kind of fault")
    options = parser.parse_args(arguments)
    faults: dict[str, tuple[Callable[[int, Path], int], int]] = {
        "kills": (kills, max(3, options.tries // 5)),
        "full disks": (full_disks, options.tries - options.tries % 4),
        "mutated files": (mutated_files, 10 * options.tries),
        "races": (races, max(1, options.tries // 50)),
    }
    lost = 0
    for name, (fault, tries) in faults.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                survived = fault(tries, Path(folder))
            print(f"{name}: {tries} tried, {survived} survived", flush=True)
            lost += tries - survived
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

"""Impulse responses of simulated rooms, made with the image method of pyroomacoustics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SPEED_OF_SOUND = 343.0
DIRECT = 0.9  # height of the direct path in the file
MORE_ROOMS = 60  # in the full set


@dataclass(frozen=True)
class Room:
    """A box: size in metres, reverberation time in seconds, how far the talker sits away."""

    name: str
    split: str
    size: tuple[float, float, float]
    rt60: float
    distance: float


ROOMS = [
    Room("bedroom", "train", (4.0, 3.2, 2.5), 0.25, 0.8),
    Room("office", "train", (5.4, 4.1, 2.8), 0.35, 1.2),
    Room("kitchen", "train", (4.6, 3.6, 2.6), 0.50, 1.5),
    Room("classroom", "train", (8.5, 6.8, 3.2), 0.65, 2.0),
    Room("living_room", "validation", (6.2, 4.7, 2.7), 0.40, 1.6),
    Room("canteen", "validation", (9.4, 7.3, 3.4), 0.70, 1.8),
    Room("meeting_room", "test", (6.8, 4.4, 2.9), 0.45, 1.7),
    Room("hall", "test", (11.3, 8.2, 4.3), 0.80, 2.2),
]


def more_rooms() -> list[Room]:
    """The rooms of the full set: of any size, dead or live, the talker near or far.

    Always the same. A small room cannot ring for long, nor a talker sit behind its walls.
    """
    generator = np.random.default_rng(0)
    further = []
    for number in range(1, MORE_ROOMS + 1):
        length = float(np.exp(generator.uniform(np.log(2.5), np.log(12.0))))
        width = length * generator.uniform(0.6, 1.0)
        height = 2.3 + 0.12 * length * generator.uniform(0.5, 1.5)
        size = (round(length, 1), round(max(2.0, width), 1), round(height, 1))
        rt60 = round(generator.uniform(0.15, 0.3 + 0.05 * length), 2)
        distance = round(generator.uniform(0.3, min(3.0, 0.45 * length)), 1)
        split = "validation" if number % 10 == 0 else "train"
        further.append(Room(f"room_{number:02d}", split, size, rt60, distance))
    return further


def impulse_response(room: Room, sample_rate: int) -> tuple[np.ndarray, str]:
    """Simulate one room; the direct path is the first sample of the result and equals 0.9."""
    delay = round(room.distance / SPEED_OF_SOUND * sample_rate)
    aim, measured = room.rt60, 0.0
    for _ in range(4):  # Sabine's formula promises too short a decay in a bare box: correct it
        response = simulate(room, aim, delay, sample_rate)
        decay = np.cumsum(response[::-1] ** 2)[::-1]
        decay = 10 * np.log10(decay / decay[0] + 1e-12)
        measured = 3 * (np.argmax(decay < -25) - np.argmax(decay < -5)) / sample_rate
        aim *= room.rt60 / measured
    length = int(np.argmax(decay < -60)) or len(response)
    metres = " x ".join(f"{side:g}" for side in room.size)
    title = (
        f"{room.name.replace('_', ' ')}, {metres} m, talker at {room.distance:g} m, "
        f"reverberation time {measured:.2f} s"
    )
    return response[:length], title


def simulate(room: Room, rt60: float, delay: int, sample_rate: int) -> np.ndarray:
    """Run the image method once; cut at the direct path, which comes after `delay` samples."""
    import pyroomacoustics as pra

    pra.constants.set("rir_hpf_enable", False)  # its filter would smear the direct path
    pra.constants.set("num_threads", 1)
    absorption, order = pra.inverse_sabine(rt60, room.size, c=SPEED_OF_SOUND)
    box = pra.ShoeBox(
        room.size, fs=sample_rate, materials=pra.Material(absorption), max_order=order
    )
    box.set_sound_speed(SPEED_OF_SOUND)
    # A distance of a whole number of samples makes the direct path one clean sample.
    talker = np.array([room.size[0] * 0.31, room.size[1] * 0.43, 1.55])
    box.add_source(talker)
    box.add_microphone(talker + np.array([delay * SPEED_OF_SOUND / sample_rate, 0, 0]))
    box.compute_rir()
    start = delay + pra.constants.get("frac_delay_length") // 2
    response = np.asarray(box.rir[0][0], dtype=np.float64)[start:]
    return response / response[0] * DIRECT

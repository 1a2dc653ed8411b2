"""Firefox as the learner has it, driven over WebDriver BiDi: what the tests of the player need.

Playwright drives Firefox only in builds of its own, or newer than Debian's.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import websocket

NAMES = ("firefox-esr", "firefox")
PREFERENCES = {
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.auto": False,
}
KEYS = {"ArrowLeft": "\ue012", "ArrowRight": "\ue014", "Home": "\ue011", "Tab": "\ue004"}


def find_firefox() -> str | None:
    """Path of an installed Firefox, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class FirefoxPage:
    """One page of Firefox, with the few methods of Playwright's that the tests use."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=20, suppress_origin=True)
        self._numbers = itertools.count()
        self._send("session.new", capabilities={})
        self._context = self._send("browsingContext.getTree")["contexts"][0]["context"]
        self.keyboard = self.mouse = self  # page.keyboard.press, page.mouse.move, as Playwright

    def _send(self, method: str, **params: object) -> dict:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == number:
                break
        assert answer["type"] == "success", f"{method}: {answer.get('message')}"
        return answer["result"]

    def goto(self, url: str) -> None:
        self._send("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, function: str, argument: object = None) -> object:
        """Call a function of the page with an argument; what it gives travels as JSON."""
        answer = self._send(
            "script.callFunction",
            functionDeclaration=f"async () => JSON.stringify(await ({function})"
            f"({json.dumps(argument)}) ?? null)",
            awaitPromise=True,
            target={"context": self._context},
            userActivation=True,
        )
        assert answer["type"] == "success", answer.get("exceptionDetails")
        return json.loads(answer["result"]["value"])

    def _act(self, kind: str, *actions: dict) -> None:
        source = {"type": kind, "id": kind, "actions": list(actions)}
        self._send("input.performActions", context=self._context, actions=[source])

    def press(self, key: str) -> None:
        value = KEYS.get(key, key)
        self._act("key", {"type": "keyDown", "value": value}, {"type": "keyUp", "value": value})

    def move(self, x: float, y: float) -> None:
        self._act("pointer", {"type": "pointerMove", "x": round(x), "y": round(y)})

    def down(self) -> None:
        self._act("pointer", {"type": "pointerDown", "button": 0})

    def up(self) -> None:
        self._act("pointer", {"type": "pointerUp", "button": 0})

    def close(self) -> None:
        self._socket.close()


def missing() -> str | None:
    """What is to be installed before Firefox can be heard, or None."""
    if find_firefox() is None:
        return "no Firefox: install Debian's firefox-esr"
    if shutil.which("pulseaudio") is None:
        return "no sound card that Firefox needs for its clock: install pulseaudio to play one"
    return None


@contextmanager
def sound_card(folder: Path) -> Iterator[dict[str, str]]:
    """A sound card that nobody hears: without one, Firefox's audio stands still."""
    socket = folder / "native"
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
    command += [f"--load=module-native-protocol-unix socket={socket}", "--load=module-null-sink"]
    own = {"PULSE_RUNTIME_PATH": str(folder), "PULSE_SERVER": f"unix:{socket}"}
    with subprocess.Popen(command, env=os.environ | own, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 10
            while not socket.exists() and time.monotonic() < end:
                time.sleep(0.05)
            yield own
        finally:
            process.terminate()


@contextmanager
def firefox(folder: Path) -> Iterator[FirefoxPage]:
    """A headless Firefox with a profile and a sound card of its own, and its page."""
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
    (folder / "user.js").write_text("\n".join(lines))
    command = [find_firefox(), "--headless", "--no-remote", "--profile", str(folder)]
    command += ["--window-size=1000,1200", "--remote-debugging-port=0"]
    with ExitStack() as stack:
        own = stack.enter_context(sound_card(folder))
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, env=os.environ | own, stderr=log)
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        page = FirefoxPage(f"{address(folder / 'log')}/session")
        yield page
        page.close()


def address(log: Path, *, seconds: float = 60) -> str:
    """Where Firefox waits for commands, as it tells in its log."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if told := re.search(r"ws://[\w.]+:\d+", log.read_text()):
            return told.group()
        time.sleep(0.1)
    raise RuntimeError(f"Firefox did not start:\n{log.read_text()}")

"""The player in Chromium and in Firefox, judged by the samples that leave it.

The clips are known, the sound card is replaced by a recorder, and what was recorded must be what
the clips, a cross-fade and nothing else explain.
"""

import math
import os
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from threading import Thread

import nbformat
import numpy as np
import pytest
import torch
from firefox import firefox, missing
from lab import SamplesLost, errors, menu, new_page, open_notebook, run_all
from nbconvert import HTMLExporter
from playwright.sync_api import expect

from course_utils.listening import PLAYER_CODE, audio_player, compare_audio

RATE = 16_000
FADE = 160  # samples of a cross-fade: 10 ms

# Record what a context plays, sample by sample, with the number of the first one.
RECORD = """async rate => {
    const context = customElements.get("before-after").context(rate);
    const code = `registerProcessor("recorder", class extends AudioWorkletProcessor {
        process([input]) {
            this.port.postMessage([currentFrame, input.map(channel => channel.slice())]);
            return true;
        }
    })`;
    await context.audioWorklet.addModule(URL.createObjectURL(
        new Blob([code], {type: "text/javascript"})));
    const recorder = new AudioWorkletNode(context, "recorder");
    window.recorded = [];
    recorder.port.onmessage = ({data}) => window.recorded.push(data);
    const connect = AudioNode.prototype.connect;
    connect.call(recorder, context.destination);  // so that it runs; it gives silence
    AudioNode.prototype.connect = function (target, ...rest) {
        if (target === context.destination) connect.call(this, recorder);
        return connect.call(this, target, ...rest);
    };
}"""
RECORDED = """() => {
    const blocks = window.recorded.splice(0);
    const first = blocks.findIndex(([, channels]) => channels.length);
    return blocks.slice(Math.max(first, 0)).map(([frame, channels]) =>
        [frame, channels.map(samples => [...samples])]);
}"""
PLAYER = "document.querySelectorAll('before-after')[{number}]"
STATE = """number => {
    const player = document.querySelectorAll("before-after")[number];
    const {deck, context, current, looping, region} = player;
    const place = player.place(context?.currentTime);
    return {playing: deck !== null, place, current, looping, region};
}"""

CELLS = [
    """import torch
from course_utils import listening, widgets
clean = 0.1 * torch.sin(torch.arange(48_000) / 10)[None]
noise = 0.05 * torch.randn(1, 48_000)""",
    """display(listening.audio_player(clean, 16_000, title="first"))
listening.compare_audio({"noisy": clean + noise, "clean": clean}, 16_000)""",
    'listening.compare_audio({"noise": noise, "clean": clean}, 16_000)',
    "widgets.snr_explorer(clean, noise, 16_000)",
    """widgets.ListeningTest([(clean, clean + noise)], 16_000, names=("a", "b"), num_trials=2)""",
]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium_options():
    return ["--autoplay-policy=no-user-gesture-required"]


@pytest.fixture(scope="module")
def lab_source(tmp_path_factory):
    """A notebook with players, an explorer and a blind test; one output is there already."""
    source = tmp_path_factory.mktemp("source") / "notebooks"
    source.mkdir()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    notebook.cells = [nbformat.v4.new_code_cell(text) for text in CELLS]
    row = compare_audio({"a": noise(1), "b": noise(2)}, RATE)
    bundle = {"text/html": row._repr_html_(), "text/plain": "a row"}
    notebook.cells[1].outputs = [nbformat.v4.new_output("display_data", bundle)]
    nbformat.write(notebook, source / "players.ipynb")
    return source


@pytest.fixture(scope="module")
def firefox_page(tmp_path_factory):
    if reason := missing():
        refuse = pytest.fail if os.environ.get("COURSE_REQUIRE_BROWSER") else pytest.skip
        refuse(reason)
    with firefox(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(params=["chromium", "firefox"])
def page(request):
    """The same few methods on a page of either browser."""
    if request.param == "firefox":
        page = request.getfixturevalue("firefox_page")
        yield page
        page.goto("about:blank")
    else:
        with new_page(request.getfixturevalue("browser")) as made:
            yield made
            assert made.faults == []


@pytest.fixture
def show(tmp_path, page):
    """Show rows on a page from this machine: a file's own page may not load a recorder."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)
    )

    def show(*rows, record=None, html=None):
        write(tmp_path / "page.html", *rows)
        if html:
            (tmp_path / "page.html").write_text(html, encoding="utf-8")
        page.goto(f"http://127.0.0.1:{server.server_port}/page.html")
        if record:
            page.evaluate(RECORD, record)
        return page

    with server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield show
        server.shutdown()


def write(file, *rows):
    code = f'<script type="module">{PLAYER_CODE.read_text()}</script>'
    rows = "<hr>".join(row.data for row in rows)
    file.write_text(f'<!doctype html><meta charset="utf-8">{rows}{code}', encoding="utf-8")


def noise(seed, num_samples=3 * RATE, amplitude=0.3, num_channels=1):
    """A clip of which every stretch is unlike every other, as 16 bits hold it."""
    generator = torch.Generator().manual_seed(seed)
    clip = amplitude * (2 * torch.rand(num_channels, num_samples, generator=generator) - 1)
    return (clip * 32768).round() / 32768


def sine(frequency, amplitude=0.5, num_samples=3 * RATE):
    times = torch.arange(num_samples) / RATE
    return amplitude * torch.sin(2 * math.pi * frequency * times)[None]


def do(page, *steps, number=0):
    """Call methods of a player, or wait some milliseconds, one after the other."""
    lines = []
    for step in steps:
        wait = f"await new Promise(go => setTimeout(go, {step}));"
        lines.append(wait if isinstance(step, int) else f"await player.{step};")
    player = PLAYER.format(number=number)
    return page.evaluate(f"async () => {{ const player = {player}; {' '.join(lines)} }}")


def state(page, number=0):
    return page.evaluate(STATE, number)


def plays(page, number=0):
    """Whether a player comes to play; Firefox takes its time to wake a sound card."""
    script = """async number => {
        const player = document.querySelectorAll("before-after")[number];
        for (let tries = 0; tries < 100 && !player.deck; tries++)
            await new Promise(go => setTimeout(go, 50));
        return player.deck !== null;
    }"""
    return page.evaluate(script, number)


def recorded(page, channel=0):
    """The samples since the first that were not silence by absence; they have no gap."""
    blocks = page.evaluate(RECORDED)
    frames = np.array([frame for frame, _ in blocks])
    if not (np.diff(frames) == 128).all():
        raise SamplesLost("the recorder itself lost samples")
    silence = np.zeros(128)
    return np.concatenate(
        [
            np.array(channels[min(channel, len(channels) - 1)]) if channels else silence
            for _, channels in blocks
        ]
    )


def found(clip, stretch):
    """Where in a clip a stretch of a recording comes from, to the sample; it must be there."""
    clip = clip.numpy().ravel()
    products = np.correlate(clip, stretch, mode="valid")
    place = int(products.argmax())
    np.testing.assert_allclose(clip[place : place + len(stretch)], stretch, atol=1e-4)
    return place


def parts(heard, clips, size=800):
    """For each stretch of a recording: which clip it is and at which sample; None in between."""
    told = []
    for start in range(0, len(heard) - size, size):
        stretch = heard[start : start + size]
        match = None
        for k, clip in enumerate(clips):
            values = clip.numpy().ravel()
            place = int(np.correlate(values, stretch, mode="valid").argmax())
            if np.abs(values[place : place + size] - stretch).max() < 1e-4:
                match = k, place - start
        told.append(match)
    return told


def test_a_switch_keeps_the_position_to_the_sample_and_is_a_cross_fade_and_nothing_else(show):
    clips = [noise(seed) for seed in (1, 2, 3)]
    page = show(compare_audio(dict(zip("abc", clips, strict=True)), RATE), record=RATE)
    do(page, "play()", 500, "hear(1)", 400, "hear(2)", 400, "hear(0)", 300, "pause()", 200)
    heard = recorded(page)
    told = [part for part in parts(heard, clips) if part]
    assert [k for k, _ in groupby(k for k, _ in told)] == [0, 1, 2, 0]
    assert len({shift for _, shift in told}) == 1, "all clips run on one clock"
    begins = -told[0][1]
    # What was heard, explained: find each fade's beginning and rebuild the whole.
    values = [np.pad(clip.numpy().ravel(), (begins, len(heard))) for clip in clips]
    rebuilt, k, start = np.zeros(len(heard)), 0, begins + FADE
    for following in (1, 2, 0):
        differs = np.abs(heard[start:] - values[k][start : len(heard)]) > 1e-4
        fade = start + int(differs.argmax())
        rebuilt[start:fade] = values[k][start:fade]
        share = (np.arange(FADE + 1) + 1) / FADE
        share = share.clip(max=1)[:FADE]
        end = fade + FADE
        mixed = (1 - share) * values[k][fade:end] + share * values[following][fade:end]
        rebuilt[fade:end] = mixed
        assert np.abs(heard[fade:end] - mixed).max() < 0.01
        k, start = following, end
    assert begins < len(heard)


def test_levels_differ_exactly_as_stored(show):
    clips = {"loud": sine(500, 0.8), "soft": sine(500, 0.008), "third": sine(500, 0.1)}
    page = show(compare_audio(clips, RATE), record=RATE)
    do(page, "play()", 400, "hear(1)", 400, "hear(2)", 400, "pause()", 200)
    heard = recorded(page)
    levels = []
    for start in range(0, len(heard) - 1600, 320):  # whole periods of 500 Hz
        stretch = heard[start : start + 1600]
        levels.append(round(10 * math.log10(np.mean(stretch**2) + 1e-12), 2))
    for amplitude in (0.8, 0.008, 0.1):
        level = 20 * math.log10(amplitude / math.sqrt(2))
        assert sum(abs(level - other) < 0.02 for other in levels) >= 5


def test_a_loop_repeats_to_the_sample_and_its_seam_is_smooth(show):
    page = show(compare_audio({"a": sine(70), "b": sine(90)}, RATE), record=RATE)
    region = (0.5, 0.8037)  # no whole number of periods: a plain jump would click
    do(page, f"repeat(true, {list(region)})", "play()", 1300, "pause()", 200)
    heard = recorded(page)
    inside = heard[np.flatnonzero(np.abs(heard) > 0)[0] + FADE :][: int(1.1 * RATE)]
    length = round(region[1] * RATE) - round(region[0] * RATE)
    np.testing.assert_allclose(inside[length:], inside[:-length], atol=1e-4)
    slope = 2 * math.pi * 70 / RATE * 0.5
    assert np.abs(np.diff(inside)).max() < slope + 2 * 0.5 / FADE


def test_the_whole_clip_repeats_without_a_gap(show):
    clip = noise(1, num_samples=RATE // 2)
    page = show(audio_player(clip, RATE), record=RATE)
    do(page, "repeat(true)", "play()", 1400, "pause()", 200)
    told = [part for part in parts(recorded(page), [clip], size=400) if part]
    shifts = list(dict.fromkeys(shift for _, shift in told))
    assert len(shifts) >= 3
    assert set(np.diff(shifts)) == {-RATE // 2}


def test_pause_seek_and_resume_keep_the_place(show):
    clip = noise(1)
    page = show(audio_player(clip, RATE), record=RATE)
    do(page, "play()", 500, "pause()", 200)
    place = state(page)["place"]
    assert 0.3 < place < 1
    heard = recorded(page)
    last = np.flatnonzero(np.abs(heard) > 0)[-1] - 2 * FADE
    stopped = found(clip, heard[last - 400 : last]) + 400 + FADE
    assert abs(stopped / RATE - place) < 0.005
    do(page, "play()", 300, "seek(2)", 300, "pause()", 200)
    told = [part for part in parts(recorded(page), [clip]) if part]
    (_, first), (_, second) = dict.fromkeys(told)
    assert state(page)["playing"] is False and second != first
    assert 2.1 < state(page)["place"] < 2.6


def test_other_clips_take_over_at_the_same_position_within_150_ms(show):
    old, new = noise(1), noise(2)
    page = show(audio_player(old, RATE, picture=None), record=RATE)
    fresh = audio_player(new, RATE, picture=None).data
    do(page, "play()", 500)
    called = page.evaluate(
        """row => {
            const page = document.createElement("template");
            page.innerHTML = row;
            const player = document.querySelector("before-after");
            const called = player.context.currentTime - player.deck.begun;
            player.exchange(page.content.firstElementChild);
            return called;
        }""",
        fresh,
    )
    do(page, 400, "pause()", 200)
    heard = recorded(page)
    told = [(n, part) for n, part in enumerate(parts(heard, [old, new], size=160)) if part]
    assert len({shift for _, (_, shift) in told}) == 1
    (first_new,) = [n for n, (k, _) in told if k == 1][:1]
    begun = np.flatnonzero(np.abs(heard) > 0)[0]
    assert (160 * first_new - begun) / RATE - called < 0.15
    audio = page.evaluate("() => document.querySelector('audio').src.length")
    assert audio == len(fresh.split('src="')[1].split('"')[0])


def test_keys(show):
    page = show(compare_audio({"a": noise(1), "b": noise(2)}, RATE))
    page.evaluate("() => document.querySelector('before-after').ui.play.focus()")
    page.keyboard.press(" ")
    assert plays(page)
    page.keyboard.press("2")
    page.keyboard.press("9")
    assert state(page)["current"] == 1
    page.keyboard.press("l")
    assert state(page)["looping"]
    page.keyboard.press(" ")
    do(page, 100)
    assert not state(page)["playing"]
    before = state(page)["place"]
    page.keyboard.press("ArrowRight")
    assert state(page)["place"] == pytest.approx(before + 0.15)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert state(page)["place"] == pytest.approx(max(before - 0.15, 0))
    page.keyboard.press("Home")
    assert state(page)["place"] == 0
    page.keyboard.press("1")
    assert state(page)["current"] == 0


def middle(page, selector, share=0.5):
    """The middle of a part of the first player, or another place on its width."""
    return page.evaluate(
        """([selector, share]) => {
            const player = document.querySelector("before-after");
            const box = player.shadowRoot.querySelector(selector).getBoundingClientRect();
            return [box.left + share * box.width, box.top + box.height / 2];
        }""",
        [selector, share],
    )


def click(page, *place):
    page.mouse.move(*place)
    page.mouse.down()
    page.mouse.up()


def test_mouse(show):
    page = show(compare_audio({"a": noise(1), "b": noise(2)}, RATE))
    click(page, *middle(page, ".strip", 0.5))
    assert state(page)["place"] == pytest.approx(1.5, abs=0.02)
    click(page, *middle(page, ".clips button:nth-child(2)"))
    click(page, *middle(page, ".play"))
    assert plays(page) and state(page)["current"] == 1
    click(page, *middle(page, ".play"))
    assert not state(page)["playing"]
    page.mouse.move(*middle(page, ".strip", 0.6))
    page.mouse.down()
    page.mouse.move(*middle(page, ".strip", 0.5))
    page.mouse.move(*middle(page, ".strip", 0.4))
    page.mouse.up()
    after = state(page)
    assert after["looping"] and after["region"] == pytest.approx([1.2, 1.8], abs=0.02)
    assert after["place"] == after["region"][0]
    click(page, *middle(page, ".strip", 0.9))  # beside the part: it is given up
    assert state(page)["region"] is None and state(page)["place"] == pytest.approx(2.7, abs=0.02)


def test_touch(browser, tmp_path):
    write(tmp_path / "page.html", compare_audio({"a": noise(1), "b": noise(2)}, RATE))
    context = browser.new_context(has_touch=True, viewport={"width": 360, "height": 700})
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.touchscreen.tap(*middle(page, ".clips button:nth-child(2)"))
    page.touchscreen.tap(*middle(page, ".strip", 0.5))
    page.touchscreen.tap(*middle(page, ".play"))
    assert plays(page) and state(page)["current"] == 1 and state(page)["place"] >= 1.5
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_starting_one_player_stops_the_other_and_only_one_holds_samples(show):
    rows = [compare_audio({"a": noise(k), "b": noise(k + 50)}, RATE) for k in range(20)]
    page = show(*rows)
    for number in range(20):
        do(page, "play()", 30, number=number)
    states = [state(page, number)["playing"] for number in range(20)]
    assert states == [False] * 19 + [True]
    holding = page.evaluate(
        "() => [...document.querySelectorAll('before-after')].filter(p => p.buffers).length"
    )
    assert holding == 1
    page.evaluate(
        "() => { const s = new Audio(document.querySelector('audio').src);"
        "document.body.append(s); return s.play(); }"
    )
    assert not state(page, 19)["playing"], "a plain player was started"


@pytest.mark.parametrize(
    ("rate", "num_channels", "num_clips", "seconds"),
    [(8_000, 1, 9, 0.3), (22_050, 2, 2, 1.0), (44_100, 1, 3, 1.0), (48_000, 2, 2, 1.0)],
)
def test_rates_channels_and_numbers_of_clips(show, rate, num_channels, num_clips, seconds):
    clips = {
        f"clip {k}": noise(k, round(seconds * rate), num_channels=num_channels)
        for k in range(num_clips)
    }
    last = list(clips.values())[-1]
    page = show(compare_audio(clips, rate, seconds=None), record=rate)
    do(page, f"hear({num_clips - 1})", "play()", round(700 * seconds), "pause()", 200)
    heard = recorded(page, channel=num_channels - 1)
    begun = np.flatnonzero(np.abs(heard) > 0)[0]
    after_the_fade = 2 * rate // 100
    start = begun + after_the_fade
    place = found(last[-1], heard[start : start + rate // 20])
    assert (
        abs(place - after_the_fade) <= 2
    )  # it begins at the beginning; a fade's first sample is 0


def test_ten_minutes(show):
    clip = sine(100, 0.1, num_samples=600 * RATE)
    page = show(compare_audio({"a": clip, "b": 0.5 * clip}, RATE, seconds=None))
    do(page, "play()", 300, "seek(599)", 300)
    assert state(page)["playing"] and 599 < state(page)["place"] < 600
    do(page, 1200)
    assert state(page) | {"current": 0} == state(page) and not state(page)["playing"]
    assert state(page)["place"] == 0


def test_what_is_heard_is_said_in_words(show):
    clips = {"noisy <b>": sine(300), "clean": sine(300, 0.05)}
    page = show(compare_audio(clips, RATE, removed=("noisy <b>", "clean")))
    told = """() => {
        const root = document.querySelector("before-after").shadowRoot;
        const strip = root.querySelector(".strip");
        return {
            said: root.querySelector("[role=status]").textContent,
            pressed: [...root.querySelectorAll(".clips [aria-pressed=true]")].map(
                button => button.textContent),
            picture: root.querySelector("img").alt,
            place: strip.getAttribute("aria-valuetext"),
            unnamed: [...root.querySelectorAll("button")].filter(
                button => !button.hidden && !button.textContent.trim()).length,
        };
    }"""
    before = page.evaluate(told)
    do(page, "hear(1)")
    after = page.evaluate(told)
    assert before["said"] == "You hear: noisy <b>, level -9.0 dBFS."
    assert after["said"] == "You hear: clean, level -29.0 dBFS."
    assert before["pressed"] == ["1 noisy <b>-9.0 dBFS"]
    assert after["pressed"] == ["2 clean-29.0 dBFS"]
    assert before["picture"] == "spectrogram of noisy <b>" != after["picture"]
    assert before["place"] == "0.0 of 3.0 seconds" and before["unnamed"] == 0


def test_blind_hides_names_and_pictures_and_counts_votes(show):
    clips = {"first": noise(1, 8 * RATE), "second": noise(2, 8 * RATE)}
    page = show(compare_audio(clips, RATE, seconds=None), record=RATE)
    shown = """() => {
        const root = document.querySelector("before-after").shadowRoot;
        return [root.querySelector(".bar.clips").textContent
            + root.querySelector("[role=status]").textContent
            + root.querySelector("img").alt, root.querySelector("img").hidden];
    }"""
    do(page, "play()", 100, "hide(true)")
    orders = set()
    for _ in range(12):
        text, hidden = page.evaluate(shown)
        assert "first" not in text and "second" not in text and "dBFS" not in text and hidden
        order = page.evaluate("() => document.querySelector('before-after').order")
        orders.add(tuple(order))
        page.evaluate("() => window.recorded.splice(0).length")
        do(page, f"hear({order.index(1)})", 150)  # whichever letter it has now, "second" is heard
        stretch = recorded(page)
        assert parts(stretch, [clips["second"]])[-1], "the letter plays what it stands for"
        do(page, "vote()", 80)
    assert orders == {(0, 1), (1, 0)}
    do(page, "hide(false)")
    text, hidden = page.evaluate(shown)
    assert "Your votes: first 0, second 12." in text and not hidden


def test_a_clip_that_cannot_be_decoded_brings_the_plain_players_back(show, page):
    row = compare_audio({"a": noise(1), "b": noise(2)}, RATE)
    row.data = row.data.replace("audio/flac;base64,", "audio/flac;base64,AAAA", 1)
    show(row)
    do(page, "play()")
    visible = "() => [...document.querySelectorAll('audio')].every(a => a.offsetHeight > 0)"
    assert page.evaluate(visible)


def test_without_scripts_the_plain_row_stands(browser, tmp_path):
    write(tmp_path / "page.html", compare_audio({"a": noise(1), "b": noise(2)}, RATE))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert page.locator("audio").count() == 2
    assert all(sound.is_visible() for sound in page.locator("audio").all())
    assert page.get_by_text("One gain for all").is_visible()
    context.close()


@pytest.fixture(scope="module")
def notebook(browser, lab):
    """The notebook in JupyterLab, run from top to bottom."""
    with new_page(browser) as page:
        open_notebook(page, lab, "players.ipynb")
        run_all(page)
        yield page
        assert errors(page) == [] and page.faults == []


def saved(page, lab_folder):
    """The notebook's file, after it was saved."""
    menu(page, "File", "Save Notebook")
    page.wait_for_timeout(1500)
    return lab_folder / "notebooks" / "players.ipynb"


def test_a_notebook_holds_the_code_once_also_after_a_cell_ran_again(notebook, lab_folder):
    upgraded = "() => [...document.querySelectorAll('before-after')].map(p => !!p.shadowRoot)"
    assert notebook.evaluate(upgraded) == [True] * 5
    code = "class BeforeAfter extends"
    assert saved(notebook, lab_folder).read_text().count(code) == 1
    for number in (1, 2):
        cell = notebook.locator(".jp-Notebook .jp-Cell").nth(number)
        cell.locator(".cm-content").click()
        notebook.keyboard.press("Control+Enter")
        notebook.wait_for_timeout(1500)
        assert saved(notebook, lab_folder).read_text().count(code) == 1
    assert notebook.evaluate(upgraded) == [True] * 5


def test_keys_stay_in_the_player(notebook):
    player = notebook.locator("before-after").nth(1)
    cells = notebook.locator(".jp-Notebook .jp-Cell")
    before = cells.count(), notebook.locator(".jp-MarkdownCell").count()
    player.get_by_role("slider").click()
    for key in ("2", "l", " ", "ArrowRight", "1", "l"):
        notebook.keyboard.press(key)
    assert plays(notebook, 1) and state(notebook, 1)["current"] == 0
    assert (cells.count(), notebook.locator(".jp-MarkdownCell").count()) == before
    assert notebook.locator(".cm-lineNumbers").count() == 0
    notebook.keyboard.press(" ")


def test_an_explorer_plays_on_at_its_position_when_its_slider_moves(notebook):
    do(notebook, "repeat(true)", "play()", 300, number=3)
    slider = notebook.locator(".noUi-handle").first
    slider.scroll_into_view_if_needed()
    moved = notebook.evaluate(
        """() => {
            const player = document.querySelectorAll("before-after")[3];
            const [before, deck] = [player.clips[0].source, player.deck];
            window.moved = new Promise(tell => {
                const pressed = performance.now();
                const from = player.place(player.context.currentTime);
                const look = () => player.deck !== deck
                    ? tell([player.clips[0].source !== before, performance.now() - pressed,
                        player.place(player.context.currentTime) - from])
                    : setTimeout(look, 1);
                look();
            });
            document.querySelector(".noUi-handle").dispatchEvent(
                new KeyboardEvent("keydown", {key: "ArrowLeft", bubbles: true}));
            return window.moved;
        }"""
    )
    other, milliseconds, went_on = moved
    print(f"slider to new sound: {milliseconds:.0f} ms")
    assert other and plays(notebook, 3)
    assert (went_on % 3) == pytest.approx(milliseconds / 1000, abs=0.1)
    do(notebook, "pause()", number=3)


def test_the_blind_test_is_answered_in_the_page(notebook):
    player = notebook.locator("before-after").nth(4)
    assert player.get_by_role("button", name="Blind").count() == 0
    for number in (1, 2):
        notebook.get_by_text(f"{number} of 2: X is one of the two").wait_for()
        notebook.get_by_role("button", name="X is A").click()
    notebook.get_by_text("You were right in").wait_for()
    expect(player.locator(".said")).to_contain_text("dBFS")


def test_an_exported_page_has_the_player(notebook, lab_folder, show):
    html, _ = HTMLExporter().from_filename(str(saved(notebook, lab_folder)))
    page = show(html=html)
    do(page, "play()", number=1)
    assert plays(page, 1)


def test_an_untrusted_notebook_shows_the_plain_row(fresh_page, lab):
    open_notebook(fresh_page, lab, "players.ipynb", folder="as_committed")
    assert fresh_page.locator("before-after").count() == 0
    assert fresh_page.locator("audio").count() == 2
    assert all(sound.is_visible() for sound in fresh_page.locator("audio").all())

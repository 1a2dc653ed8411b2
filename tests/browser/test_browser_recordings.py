"""Own sound in a real page: a file goes in, the microphone is heard, the result is downloaded.

Chromium plays a file into its microphone. Needs Chromium, as `test_browser.py` does.
"""

import re
from pathlib import Path
from urllib.parse import urlparse

import nbformat
import numpy
import pytest
import soundfile
import torch
from lab import ROOT, errors, new_page, open_notebook, run_all, wait_until_idle
from playwright.sync_api import Page, expect

from course_utils.checkpoints import DEFAULT_CHECKPOINT, load_checkpoint
from course_utils.denoise.waveform import denoise_waveform
from course_utils.widgets.recordings import AudioInput, download_link

PITCH = 440  # Hz: what the microphone hears
INPUT = """import torch
from course_utils import checkpoints, denoise
from course_utils.widgets import recordings
voice = recordings.AudioInput("My voice", torch.full((1, 16_000), 0.1), 16_000)
voice"""
RESULT = """model = checkpoints.load_checkpoint(checkpoints.DEFAULT_CHECKPOINT)
cleaned = denoise.denoise_waveform(voice.waveform, voice.sample_rate, model)
print(f"kernel has {tuple(voice.waveform.shape)} at {voice.sample_rate} Hz")
recordings.download_link(cleaned, voice.sample_rate, "cleaned.wav")"""
# Of the lessons, the cells about own sound and those that they need: the others take too long.
LESSONS = {
    "01_create_paired_audio_data": "setup listen-first a-pair own-upload own-pair".split(),
    "06_test_model_performance": (
        "c01-1b1fd9 c02-80fad6 c04-9111ba c08-d97b63 c47-417e53 c48-1025fe".split()
    ),
}

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium_options(tmp_path_factory):
    """A tone in place of the microphone."""
    time = numpy.arange(48_000 * 2) / 48_000
    played = tmp_path_factory.mktemp("microphone") / "tone.wav"
    soundfile.write(played, 0.25 * numpy.sin(2 * numpy.pi * PITCH * time), 48_000)
    return [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={played}",
    ]


@pytest.fixture(scope="module")
def lab_source(tmp_path_factory):
    """A notebook of two cells, with outputs as if it had been run, and parts of two lessons."""
    source = tmp_path_factory.mktemp("source") / "notebooks"
    source.mkdir()
    clip = torch.full((1, 16_000), 0.1)
    shown = (
        AudioInput("My voice", clip, 16_000),
        download_link(clip, 16_000, "cleaned.wav", folder=source),
    )
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    for text, widget in zip((INPUT, RESULT), shown, strict=True):
        bundle, _ = widget._repr_mimebundle_()
        output = nbformat.v4.new_output("execute_result", bundle, execution_count=1)
        notebook.cells.append(nbformat.v4.new_code_cell(text, outputs=[output], execution_count=1))
    nbformat.write(notebook, source / "own.ipynb")
    for name, ids in LESSONS.items():
        lesson = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        lesson.cells = [cell for cell in lesson.cells if cell.id in ids]
        assert len(lesson.cells) == len(ids), f"{name} has other cells now"
        nbformat.write(lesson, source / f"{name}.ipynb")
    return source


@pytest.fixture(scope="module")
def notebook(browser, lab):
    """The notebook, run once with nothing given; the tests below share the page."""
    with new_page(browser) as page:
        page.hosts = set()
        page.on("request", lambda request: page.hosts.add(urlparse(request.url).hostname))
        open_notebook(page, lab, "own.ipynb")
        run_all(page)
        yield page


@pytest.fixture
def page(notebook):
    """The page, which must show no error at the end and must have asked nobody else for data."""
    yield notebook
    assert errors(notebook) == [] and notebook.faults == []
    assert notebook.hosts - {None} == {"127.0.0.1"}, "nothing leaves the machine"


def choose(page: Page, file: Path, label: str = "My voice") -> None:
    """Choose a file, as a click into the file dialogue does."""
    page.get_by_label(f"{label}: choose a WAV, FLAC, OGG or MP3 file").set_input_files(file)


def status(page: Page, label: str = "My voice"):
    return page.get_by_role("group", name=label).get_by_role("status")


def run_result(page: Page) -> None:
    """Run the last cell again."""
    cell = page.locator(".jp-Notebook .jp-Cell").last
    before = cell.locator(".jp-InputPrompt").inner_text()
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(cell.locator(".jp-InputPrompt")).not_to_have_text(before, timeout=60_000)
    expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"), timeout=60_000)
    wait_until_idle(page)


def test_upload_clean_download(page, tmp_path):
    # 13 MB: more than Jupyter's server takes in one message.
    generator = torch.Generator().manual_seed(1)
    noisy = (0.05 * torch.randn(2, 45 * 48_000, generator=generator)).clamp(-1, 1)
    file = tmp_path / "holiday.wav"
    soundfile.write(file, noisy.T.numpy(), 48_000, subtype="PCM_24")
    assert file.stat().st_size > 10 * 2**20
    choose(page, file)
    expect(status(page)).to_contain_text(
        "holiday.wav: 45.0 s, 48000 Hz, 2 channels", timeout=60_000
    )
    run_result(page)
    expect(page.get_by_text("kernel has (2, 2160000) at 48000 Hz")).to_be_visible()
    with page.expect_download(timeout=60_000) as download:
        page.get_by_role("button", name="Download cleaned.wav (13.0 MB)").press("Enter")
    assert download.value.suggested_filename == "cleaned.wav"

    heard, rate = soundfile.read(download.value.path(), dtype="float32")
    given, _ = soundfile.read(file, dtype="float32")
    expected = denoise_waveform(
        torch.from_numpy(given.T.copy()), 48_000, load_checkpoint(DEFAULT_CHECKPOINT)
    )
    assert (rate, heard.shape) == (48_000, given.shape)
    assert float((torch.from_numpy(heard.T) - expected).abs().max()) < 1e-5
    assert float(expected.abs().max()) > 1e-3, "silence would equal silence"
    assert page.locator("audio").evaluate("player => player.duration") == pytest.approx(45, abs=0.1)


def test_the_microphone_arrives_in_the_kernel(page, lab_folder):
    page.get_by_role("button", name="Record: My voice").press("Enter")
    expect(status(page)).to_contain_text("Press Stop when you are done")
    clock = page.get_by_role("timer")
    expect(clock).to_have_text(re.compile(r"^3\.\d s$"), timeout=20_000)
    page.get_by_role("button", name="Stop recording: My voice").press("Enter")
    expect(status(page)).to_contain_text("microphone.wav: ", timeout=20_000)
    told = re.search(
        r"microphone.wav: ([\d.]+) s, (\d+) Hz, 1 channel, .*Kept as (\S+_microphone.wav)\.",
        status(page).inner_text(),
    )
    run_result(page)
    samples, rate = soundfile.read(lab_folder / "notebooks" / told.group(3))
    expect(
        page.get_by_text(f"kernel has {(1, len(samples))} at {told.group(2)} Hz")
    ).to_be_visible()
    assert rate == int(told.group(2))
    assert 2 < len(samples) / rate == pytest.approx(float(told.group(1)), abs=0.051)

    middle = samples[len(samples) // 2 - rate // 2 :][:rate]  # a second: one bin for each Hz
    assert numpy.abs(numpy.fft.rfft(middle)).argmax() == pytest.approx(PITCH, abs=1)
    assert numpy.sqrt(numpy.mean(middle**2)) == pytest.approx(0.25 / numpy.sqrt(2), rel=0.05), (
        "no gain control, no noise suppression: the level is that of the tone"
    )


def test_a_wrong_file_shows_its_sentence_and_the_last_good_one_stays(page, tmp_path):
    good, text = tmp_path / "good.flac", tmp_path / "notes.wav"
    soundfile.write(good, 0.1 * numpy.sin(numpy.arange(22_050)), 22_050)
    text.write_text("Dear diary, today I recorded nothing.")
    choose(page, good)
    expect(status(page)).to_contain_text("good.flac: 1.0 s, 22050 Hz", timeout=20_000)
    choose(page, text)
    complaint = page.get_by_role("alert").filter(has_text="notes.wav")
    expect(complaint).to_contain_text("must be audio", timeout=20_000)
    expect(status(page)).to_contain_text("good.flac: 1.0 s, 22050 Hz")
    run_result(page)
    expect(page.get_by_text("kernel has (1, 22050) at 22050 Hz")).to_be_visible()
    empty = tmp_path / "empty.mp3"
    empty.touch()
    choose(page, empty)
    expect(page.get_by_role("alert").filter(has_text="empty.mp3")).to_be_visible(timeout=20_000)
    choose(page, good)
    expect(page.get_by_role("alert").filter(has_text="Not taken")).to_have_count(0, timeout=20_000)


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        ("NotAllowedError", "was not allowed to use the microphone"),
        ("NotFoundError", "There is no microphone here"),
        ("NotReadableError", "Another program holds the microphone"),
    ],
)
def test_a_microphone_that_cannot_be_used(page, refusal, sentence):
    page.evaluate(
        """refusal => {
            const refuse = async () => { throw new DOMException("", refusal); };
            navigator.mediaDevices.getUserMedia = refuse;
        }""",
        refusal,
    )
    record = page.get_by_role("button", name="Record: My voice")
    record.click()
    expect(page.get_by_role("alert").filter(has_text=sentence)).to_contain_text("hoose a file")
    expect(record).to_be_enabled()
    expect(page.get_by_label("My voice: choose a WAV, FLAC, OGG or MP3 file")).to_be_enabled()
    page.evaluate("() => { delete navigator.mediaDevices.getUserMedia; }")


def test_a_page_that_may_not_use_the_microphone(page):
    page.evaluate("() => Object.defineProperty(navigator, 'mediaDevices', {configurable: true})")
    page.get_by_role("button", name="Record: My voice").click()
    sentence = "only to pages from https or from localhost. Choose a file instead."
    expect(page.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
    page.evaluate("() => { delete navigator.mediaDevices; }")


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_cells_of_the_lessons(fresh_page, lab, tmp_path, lesson):
    open_notebook(fresh_page, lab, f"{lesson}.ipynb")
    run_all(fresh_page)
    file = tmp_path / "mine.flac"
    samples = 0.1 * numpy.random.default_rng(1).standard_normal((5 * 44_100, 2))
    soundfile.write(file, samples, 44_100)
    labels = fresh_page.locator("fieldset legend").all_inner_texts()
    assert labels == (["My voice", "Noise of my room"] if "01" in lesson else ["Your recording"])
    for label in labels:
        choose(fresh_page, file, label)
        expect(status(fresh_page, label)).to_contain_text(
            "mine.flac: 5.0 s, 44100 Hz", timeout=60_000
        )
    run_result(fresh_page)
    players = fresh_page.locator(".jp-Notebook .jp-Cell").last.locator("audio")
    players.first.evaluate("player => player.play().then(() => player.pause())")
    assert players.first.evaluate("player => player.duration") == pytest.approx(5, abs=0.01)
    if "06" in lesson:
        with fresh_page.expect_download(timeout=60_000) as download:
            fresh_page.get_by_role("button", name="Download my_recording_denoised.wav").click()
        heard, rate = soundfile.read(download.value.path())
        assert (rate, heard.shape) == (44_100, samples.shape)
        assert 0 < numpy.sqrt(numpy.mean(heard**2)) < 0.1, "noise in, less noise out"
    assert errors(fresh_page) == []


def test_without_a_kernel_the_cells_show_a_sentence(fresh_page, lab):
    open_notebook(fresh_page, lab, "own.ipynb", folder="as_committed")
    for name in ("My voice", "cleaned.wav"):
        expect(fresh_page.get_by_text(f"{name}: run this cell, and a")).to_be_visible()
    assert errors(fresh_page) == []

"""The machine that listens: errors counted by hand, and what it makes of clips with known words."""

import random

import pytest
import torch

from course_utils import corpus
from course_utils.recognition import SPOKEN, recognize, split_words, word_errors


@pytest.mark.parametrize(
    ("heard", "spoken", "errors"),
    [
        ("press six to play", "Press six to play.", 0),
        ("press eggs to play", "Press six to play.", 1),
        ("press to play", "Press six to play.", 1),
        ("please press six to play", "Press six to play.", 1),
        ("play six to press", "Press six to play.", 2),
        ("", "Press six to play.", 4),
        ("a b c d e f g h i", "Press.", 9),
        ("the party you're trying", "the party you are trying", 0),
        ("the party you’re trying", "The party, you are trying!", 0),
    ],
)
def test_errors_are_those_that_one_counts_by_hand(heard, spoken, errors):
    assert word_errors(heard=heard, spoken=spoken) == errors


def edits(heard, spoken):
    """The same number from the definition: try every way, forwards."""
    if not heard or not spoken:
        return len(heard) + len(spoken)
    if heard[0] == spoken[0]:
        return edits(heard[1:], spoken[1:])
    return 1 + min(edits(heard[1:], spoken[1:]), edits(heard[1:], spoken), edits(heard, spoken[1:]))


def test_errors_agree_with_the_definition():
    chance = random.Random(0)
    for _ in range(200):
        heard, spoken = ([chance.choice("abc") for _ in range(chance.randint(1, 6))] for _ in "12")
        assert word_errors(heard=" ".join(heard), spoken=" ".join(spoken)) == edits(heard, spoken)


def test_errors_are_a_distance():
    chance = random.Random(1)
    for _ in range(100):
        a, b, c = (" ".join(chance.choices("abcd", k=chance.randint(1, 8))) for _ in "123")
        assert word_errors(heard=a, spoken=b) == word_errors(heard=b, spoken=a)
        there = word_errors(heard=a, spoken=b) + word_errors(heard=b, spoken=c)
        assert word_errors(heard=a, spoken=c) <= there


@pytest.mark.parametrize("spoken", ["", " ", "?!"])
def test_somebody_must_have_spoken(spoken):
    with pytest.raises(ValueError, match="spoken must hold at least one word"):
        word_errors(heard="press six", spoken=spoken)


def test_words_are_compared_without_dress():
    assert split_words("I'm sorry, that's NOT it.") == "i am sorry that is not it".split()


def test_the_sentences_are_those_of_the_validation_split():
    clips = corpus.select(role="speech", split="validation", language="en")
    assert {clip.title for clip in clips} == SPOKEN.keys()


@pytest.mark.parametrize(
    "bad", [torch.zeros(2, 16_000), torch.zeros(0), torch.full((16_000,), float("nan"))]
)
def test_what_is_no_clip_is_refused_before_anything_is_loaded(bad):
    with pytest.raises(ValueError, match="waveform"):
        recognize(bad)


def test_without_the_package_a_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pocketsphinx", None)
    from course_utils import recognition

    recognition._decoder.cache_clear()
    with pytest.raises(ImportError, match="install.py"):
        recognize(torch.zeros(16_000))


@pytest.mark.slow
def test_clean_sentences_are_understood_and_hiss_is_not():
    pytest.importorskip("pocketsphinx", reason="installed with the course's other packages")
    clips = corpus.select(role="speech", split="validation", language="en")
    words = sum(len(split_words(text)) for text in SPOKEN.values())
    errors = {"clean": 0, "hiss": 0}
    heard_in_hiss = recognize(
        0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    )
    for clip in clips:
        for name, heard in (("clean", recognize(clip.load())), ("hiss", heard_in_hiss)):
            errors[name] += word_errors(heard=heard, spoken=SPOKEN[clip.title])
    assert errors["clean"] < 0.35 * words
    assert errors["hiss"] > 0.8 * words


@pytest.mark.slow
def test_a_clip_does_not_hang_on_what_was_recognised_before_it():
    pytest.importorskip("pocketsphinx", reason="installed with the course's other packages")
    clip = corpus.select(role="speech", split="validation", language="en")[2].load()
    before = recognize(clip)
    recognize(torch.randn(1, 16_000, generator=torch.Generator().manual_seed(1)))
    assert recognize(clip) == before
    assert recognize(clip[0]) == before

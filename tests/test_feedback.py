"""The verdict of an exercise check: its words, its look, and its refusals."""

import dataclasses

import pytest
import torch

from course_utils.exercises.feedback import Feedback, NotYetError, call_answer


def test_text_begins_with_the_verdict():
    assert repr(Feedback(True, "the SNR is right.")) == "Solved: the SNR is right."
    assert repr(Feedback(False, "the sign is wrong.")) == "Not yet: the sign is wrong."


def test_html_says_the_same_and_shows_the_difference():
    good, bad = Feedback(True, "well done.")._repr_html_(), Feedback(False, "try 3.")._repr_html_()
    assert "Solved:" in good and "well done." in good and "Not yet" not in good
    assert "Not yet:" in bad and "try 3." in bad and "Solved" not in bad


def test_html_escapes_what_the_learner_wrote():
    page = Feedback(False, "got <class 'int'> & more")._repr_html_()
    assert "<class" not in page
    assert "&lt;class" in page and "&amp; more" in page


def test_a_verdict_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Feedback(False, "no.").passed = True


@pytest.mark.parametrize("passed", [1, None, "yes"])
def test_passed_must_be_a_bool(passed):
    with pytest.raises(TypeError, match="passed"):
        Feedback(passed, "text")


@pytest.mark.parametrize("message", ["", "  "])
def test_message_must_say_something(message):
    with pytest.raises(ValueError, match="message.*empty"):
        Feedback(True, message)


def test_message_must_be_text():
    with pytest.raises(TypeError, match="message.*got None"):
        Feedback(True, None)


def change(x):
    x *= 2
    return x


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (3, "got int"),
        (lambda x: 1 / 0, "ZeroDivisionError: division by zero"),
        (change, "changed one of its inputs"),
        (lambda x: None, "gives back None"),
    ],
)
def test_what_goes_wrong_in_an_answer_becomes_a_sentence(function, sentence):
    with pytest.raises(NotYetError, match=sentence):
        call_answer(function, torch.ones(3))


def test_an_answer_is_called_on_copies():
    value = torch.ones(3)
    assert torch.equal(call_answer(lambda x, n: x + n, value, 2), torch.full((3,), 3.0))
    with pytest.raises(NotYetError):
        call_answer(change, value)
    assert torch.equal(value, torch.ones(3))

"""What the tests of the exercises share: the mistakes that fit any exercise, and a refusal."""

from course_utils.exercises.feedback import Feedback


def assert_says(feedback, sentence):
    """The answer is refused, with this sentence."""
    assert isinstance(feedback, Feedback)
    assert not feedback.passed
    assert sentence in feedback.message, feedback.message


def fails(*_):
    """An answer that stops with an error of two lines."""
    raise RuntimeError("two\nlines")


SHARED_MISTAKES = [
    (fails, "your function stopped with RuntimeError: two"),
    (lambda *_: None, "gives back None"),
    (3, "the check needs the function itself, got int"),
]

"""A disk that is full after so many bytes, for the tests of everything that writes."""

from contextlib import contextmanager


@contextmanager
def no_more_than(room):
    """Let no file grow beyond `room` bytes: writing fails as it does on a full disk."""
    import resource  # Windows has no such thing

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

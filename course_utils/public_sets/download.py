"""Downloads that go on where they stopped and end with the right checksum."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from course_utils.targets import named, reserved
from course_utils.validate import validate_choice, validate_integer

_BLOCK = 1 << 18
_TIMEOUT = 30.0  # seconds without a single byte
_PATIENCE = 60.0  # so often the speed is looked at,
_SLOWEST = 1000  # and fewer bytes a second are given up: 10 GB would take four months
_NOTHING_LEFT = 416  # HTTP: the range asked for begins behind the end
_GONE = (404, 410)
_ALGORITHMS = {32: "md5", 64: "sha256"}  # told by the number of hexadecimal digits


def download(
    url: str,
    path: str | os.PathLike,
    *,
    size: int,
    checksum: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Fetch a file, unless it is there already.

    The bytes go to ``path`` with ``.part`` added, so that a download that broke off goes on
    where it stopped when called again; the file gets its name only once its checksum is right.

    Args:
        url: Address, beginning with ``http://`` or ``https://``.
        path: The file to write; its folder is made.
        size: How many bytes to expect. What is a hundredth larger or smaller is refused.
        checksum: The MD5 or SHA-256 sum that the file must have, 32 or 64 hexadecimal digits;
            None where nobody published one.
        progress: Called as ``progress(done, total)`` with bytes.

    Returns:
        The path of the file.

    Raises:
        TypeError: If ``size`` is not an integer.
        ValueError: If an argument is malformed, or the file is not the one that was expected.
        ConnectionError: If the server cannot be reached, has no such file, stops early or takes
            for ever.
        FileExistsError: If another program is fetching it.
        OSError: If the disk is full.

    Source:
        RFC 9110, section 14 (range requests).

    Notebook: 05
    """
    validate_choice(url.partition("://")[0], "the beginning of url", ("http", "https"))
    validate_integer(size, "size", minimum=1)
    if checksum is not None and not re.fullmatch(r"([0-9a-fA-F]{32}){1,2}", checksum):
        raise ValueError(
            f"checksum must be 32 (MD5) or 64 (SHA-256) hexadecimal digits, got {checksum!r}; "
            "copy it again."
        )
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"path must be a file, got the folder {str(path)!r}; add a file name.")
    with reserved(path):
        return _download(url, path, size, checksum, progress)


def file_checksum(path: str | os.PathLike, algorithm: str = "sha256") -> str:
    """Compute the checksum of a file.

    Args:
        path: The file.
        algorithm: "md5" or "sha256".

    Returns:
        The sum in hexadecimal digits.

    Notebook: 05
    """
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, algorithm).hexdigest()


def _download(
    url: str, path: Path, size: int, checksum: str | None, progress: Callable | None
) -> Path:
    """Fetch a file, unless it is there already."""
    if path.is_file():
        if difference := _difference(path, size, checksum):
            raise ValueError(f"path {str(path)!r} {difference}; remove it or choose a new name.")
        return path
    part = path.with_name(path.name + ".part")
    _fetch(url, part, size, progress)
    if difference := _difference(part, size, checksum):
        part.unlink()
        raise ValueError(
            f"the file from {url} {difference}; nothing was kept: try again, and if it stays so, "
            f"the publisher may have changed it."
        )
    os.replace(part, path)
    return path


def _difference(path: Path, size: int, checksum: str | None) -> str | None:
    """What is wrong with the file, in words, or None."""
    if checksum is None:
        num_bytes = path.stat().st_size
        if _is_near(num_bytes, size):
            return None
        return f"must have about {size} bytes, got {num_bytes}"
    found = file_checksum(path, _ALGORITHMS[len(checksum)])
    if found == checksum.lower():
        return None
    return f"must have the checksum {checksum.lower()[:12]}..., got {found[:12]}..."


def _is_near(found: int, size: int) -> bool:
    return abs(found - size) <= 0.01 * size


def _fetch(url: str, part: Path, size: int, progress: Callable | None) -> None:
    """Write the rest of `url` to `part`."""
    done = part.stat().st_size if part.is_file() else 0
    answer = _ask(url, done)
    if answer is None:
        return  # every byte is here already; the checksum decides
    with answer:
        if not answer.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            done = 0  # the server sends the file from its beginning
        length = answer.headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else size
        if answer.headers.get_content_type() == "text/html" or not _is_near(total, size):
            raise ValueError(
                f"url {url} offers a web page or {total} bytes instead of about {size}; open it "
                "in a browser to see why."
            )
        with named(part):
            target = open(part, "ab" if done else "wb")
        with target:
            for block in _blocks(answer, url, done):
                with named(part):  # a full disk is no fault of the address
                    target.write(block)
                    target.flush()
                done += len(block)
                if done > 1.01 * size:
                    return  # without end, perhaps; what it is not is the file
                if progress:
                    progress(done, total)
    if done < total and (length or not _is_near(done, size)):
        raise ConnectionError(
            f"url {url} stopped after {done} of {total} bytes; call again to go on from there."
        )


def _ask(url: str, done: int) -> HTTPResponse | None:
    """Ask for what stands behind so many bytes; None where nothing does."""
    headers = {"User-Agent": "noise-cancellation-course", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        return build_opener(_WebOnly).open(Request(url, headers=headers), timeout=_TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == _NOTHING_LEFT and done:
            return None
        hint = "look for its new address" if error.code in _GONE else "try later or in a browser"
        raise ConnectionError(f"url {url} was answered with {error}; {hint}.") from error
    except (OSError, HTTPException) as error:
        raise _unreadable(url, error, done) from error


def _blocks(answer: HTTPResponse, url: str, done: int) -> Iterator[bytes]:
    """Read an answer as it comes; one that only drips is given up."""
    started, received = time.monotonic(), 0
    try:
        while block := answer.read1(_BLOCK):
            yield block
            received += len(block)
            done += len(block)
            if (waited := time.monotonic() - started) > _PATIENCE:
                if received < _SLOWEST * waited:
                    raise TimeoutError(f"{received} bytes in {waited:.0f} s")
                started, received = time.monotonic(), 0
    except (OSError, HTTPException) as error:
        raise _unreadable(url, error, done) from error


def _unreadable(url: str, error: Exception, done: int) -> ConnectionError:
    """Say that an address cannot be read, or not to its end."""
    reason = getattr(error, "reason", error)  # what urllib wraps
    return ConnectionError(
        f"url {url} could not be read ({getattr(reason, 'strerror', None) or reason}); call again "
        f"to go on after {done} bytes."
    )


class _WebOnly(HTTPRedirectHandler):
    """Follow a file that has moved, but not to another kind of address, such as ftp://."""

    def redirect_request(self, request, answer, code, message, headers, new_url):
        """Refuse what is neither http nor https."""
        if urlsplit(new_url).scheme not in ("http", "https"):
            raise URLError(f"it has moved to {new_url}, which is no web address")
        return super().redirect_request(request, answer, code, message, headers, new_url)

"""A small server on this machine that misbehaves on demand, for the tests of downloads."""

import functools
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files` under any folder; the folder says how.

    plain ignores ranges, breaks stops half-way, nolength says no length, short does both,
    endless sends far too much, page sends HTML, moved points elsewhere, ftp points to another kind
    of place, drips sends a few bytes now and then, forbidden, missing and norange refuse.
    """

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        _, how, name = self.path.split("/", 2)
        if how == "forbidden":
            return self.send_error(403)
        if how == "norange":
            return self.send_error(416)
        if how == "missing" or name not in self.server.files:
            return self.send_error(404)
        if how == "page":
            return self.answer(b"<html>moved</html>", {"Content-Type": "text/html"})
        if how == "moved":
            return self.answer(b"", {"Location": f"/whole/{name}"}, status=302)
        if how == "ftp":
            return self.answer(b"", {"Location": f"ftp://127.0.0.1:9/{name}"}, status=302)
        content = self.server.files[name]
        if how == "drips":
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):
                for start in range(0, 4000, 10):
                    self.wfile.write(content[start : start + 10])
                    time.sleep(0.01)
            self.close_connection = True
            return None
        if how == "endless":
            return self.answer(content * 20, {})
        wanted = self.headers.get("Range")
        if wanted is None or how == "plain":
            start, status, headers = 0, 200, {}
        else:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self.send_error(416)
            status = 206
            headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        if name.endswith("/"):
            headers["Content-Type"] = "text/html"  # the listing of a folder
        body = content[start:]
        if how not in ("nolength", "short"):
            headers["Content-Length"] = str(len(body))
        self.answer(body[: len(body) // 2] if how in ("breaks", "short") else body, headers, status)

    def answer(self, body, headers, status=200):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            pass  # the client had enough
        self.close_connection = True

    def log_message(self, *args):
        pass


@contextmanager
def serving(files):
    """Serve `files`, a dict from name to bytes; the server knows its url and what was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.asked = files, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

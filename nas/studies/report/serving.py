"""The report of a run in a browser: three files, read only, at 127.0.0.1, below a path that only the user knows.

Who else is on the machine can reach the port, but does not know the token; a page of others that the browser shows
cannot read it either, since its requests name another host. Nothing is listed, no link is followed, nothing runs.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, final

from typing_extensions import override

from nas.errors import RunError
from nas.studies.report.names import NAMES

HOST = "127.0.0.1"
TYPES = {".html": "text/html", ".csv": "text/csv", ".json": "application/json"}
PAGE = NAMES[-1]
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@final
class ReportServer:
    """Serves the report in a run's folder `report`, from when it is made until `close`. Raises `RunError` where there
    is no report.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / PAGE).is_file():
            raise RunError(f"{folder / PAGE}: no report yet; nas report writes it, once the run is done")
        self._folder = os.open(folder, _FOLDER)
        self.token = secrets.token_urlsafe(24)
        self._server = _Server((HOST, 0), _Request)
        self._server.asked = self

    @property
    def port(self) -> int:
        """Chosen by the system."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Of the page."""
        return f"http://{HOST}:{self.port}/{self.token}/{PAGE}"

    def serve(self) -> None:
        """Answers until `close` is called, from another thread, or the process ends."""
        self._server.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Ends `serve`."""
        self._server.shutdown()
        self._server.server_close()
        os.close(self._folder)

    @contextlib.contextmanager
    def opened(self, path: str, host: str) -> Iterator[IO[bytes] | None]:
        """The file that a request means; None for every other path, and for a request under another host's name."""
        token, _, name = path.lstrip("/").partition("/")
        known = secrets.compare_digest(token.encode(), self.token.encode())
        if not known or name not in NAMES or host != f"{HOST}:{self.port}":
            yield None
            return
        try:
            file = os.fdopen(os.open(name, _FILE, dir_fd=self._folder), "rb")
        except OSError:
            yield None
            return
        with file:
            yield file if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


@final
class _Server(ThreadingHTTPServer):
    daemon_threads = True
    asked: ReportServer


@final
class _Request(BaseHTTPRequestHandler):
    server_version, sys_version = "nas", ""
    server: _Server

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    @override
    def log_message(self, *_: Any) -> None:
        """Says nothing: a path holds the token."""

    def _answer(self, *, body: bool) -> None:
        with self.server.asked.opened(self.path.partition("?")[0], self.headers.get("Host", "")) as file:
            if file is None:
                self.send_error(404)
                return
            self.send_response(200)
            name = self.path.partition("?")[0].rpartition("/")[2]
            self.send_header("Content-Type", f"{TYPES[Path(name).suffix]}; charset=utf-8")
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            for header, value in HEADERS.items():
                self.send_header(header, value)
            self.end_headers()
            if body:
                shutil.copyfileobj(file, self.wfile)

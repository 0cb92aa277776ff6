"""The report in a browser: three files below a token, and nothing else."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.cli import main
from nas.errors import RunError
from nas.studies.report.names import NAMES
from nas.studies.report.serving import ReportServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReportServer]:
    folder = tmp_path / "report"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "other.txt").write_text("other")
    (folder / "report.html").write_text("<p>the page</p>")
    (folder / "results.json").symlink_to(tmp_path / "secret.txt")
    served = ReportServer(folder)
    thread = threading.Thread(target=served.serve)
    thread.start()
    yield served
    served.close()
    thread.join()


def asked(server: ReportServer, path: str, method: str = "GET", host: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_page_is_served_to_who_knows_the_token(server: ReportServer) -> None:
    path = server.url.partition(str(server.port))[2]
    assert asked(server, path) == (200, b"<p>the page</p>")
    assert asked(server, f"{path}?x=1")[0] == 200
    assert asked(server, path, "HEAD") == (200, b"")


@pytest.mark.parametrize(
    "path",
    ["/", "/{t}", "/{t}/", "/report.html", "/wrong/report.html", "/{t}/other.txt", "/{t}/results.json",
     "/{t}/results.csv", "/{t}/../secret.txt", "/{t}/%2e%2e/secret.txt", "/{t}//report.html", "/{t}/report.html/"],
)  # fmt: skip
def test_nothing_else_is(server: ReportServer, path: str) -> None:
    """No listing, no other file, no link (results.json), nothing that is missing (results.csv), nothing above."""
    status, body = asked(server, path.format(t=server.token))
    assert status == 404
    assert b"secret" not in body


def test_it_is_only_read_and_only_under_its_own_name(server: ReportServer) -> None:
    path = server.url.partition(str(server.port))[2]
    assert asked(server, path, "POST")[0] == 501
    assert asked(server, path, host="evil.example")[0] == 404
    assert server.url.startswith("http://127.0.0.1:")
    assert len(server.token) >= 32


def test_without_a_report_there_is_nothing_to_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RunError, match="no report yet"):
        ReportServer(tmp_path)
    assert main(["open", str(tmp_path), "--no-browser"]) == 2
    assert "no run here" in capsys.readouterr().err
    assert NAMES[-1] == "report.html"

"""Fetching what addresses name, from servers of our own on loopback, which the outside world may not reach."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.net.fetch import Address, Fetcher, is_public, is_url

LOOPBACK = ipaddress.ip_address("127.0.0.1")


class Server(BaseHTTPRequestHandler):
    """Answers every path with what `answers` has for it: (status, headers, body)."""

    answers: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {}
    asked: ClassVar[list[str]] = []
    hosts: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        type(self).hosts.append(self.headers["Host"])
        if self.path == "/drip":
            return self.drip()
        status, headers, body = self.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)
        return None

    def drip(self) -> None:
        """Send a header letter by letter, for ever."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        stop = threading.Event()
        with contextlib.suppress(OSError):
            while not stop.wait(0.02):
                self.wfile.write(b"x")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Server.answers, Server.asked = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://public.example:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


def fetcher(**changes: Any) -> Fetcher:
    return Fetcher(**({"look_up": lambda host, port: [LOOPBACK], "allowed": lambda address: True} | changes))


def refusal(url: str, folder: Path, using: Fetcher, kind: Any = "image") -> str:
    with pytest.raises(SettingsError) as caught:
        using.fetch(url, kind, folder / "file", setting="init_image")
    (problem,) = caught.value.problems
    assert problem.setting == "init_image"
    assert problem.message.startswith("init_image names the address ")
    assert list(folder.iterdir()) == []
    return problem.message


def test_a_file_arrives_whole(server: str, tmp_path: Path) -> None:
    body = bytes(range(256)) * 1000
    Server.answers["/a%20b.png?x=1"] = (200, {"Content-Type": "image/png"}, body)
    fetcher().fetch(f" {server}/a b.png?x=1#top", "image", tmp_path / "file", setting="init_image")
    assert (tmp_path / "file").read_bytes() == body


def test_redirects_are_followed(server: str, tmp_path: Path) -> None:
    Server.answers["/old"] = (302, {"Location": "new"}, b"")
    Server.answers["/new"] = (200, {"Content-Type": "application/json"}, b"{}")
    fetcher().fetch(f"{server}/old", "json", tmp_path / "file", setting="parseq_manifest")
    assert (tmp_path / "file").read_bytes() == b"{}"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "::", "::1", "fe80::1", "fc00::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::", "ff02::1"),
    ],
)
def test_addresses_that_are_not_public(address: str, tmp_path: Path) -> None:
    found = ipaddress.ip_address(address)
    assert not is_public(found)
    said = refusal("http://x.example/a.png", tmp_path, Fetcher(look_up=lambda host, port: [found]))
    assert "not on the public network" in said


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", "[::1]", "[::]", "[::ffff:7f00:1]"],
)
def test_a_listener_on_loopback_sees_no_connection(host: str, tmp_path: Path) -> None:
    family = socket.AF_INET6 if ":" in host and "ffff" not in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.05)
        refusal(f"http://{host}:{listener.getsockname()[1]}/", tmp_path, Fetcher())
        with pytest.raises(TimeoutError):
            listener.accept()


def test_a_redirect_to_loopback_is_not_followed(server: str, tmp_path: Path) -> None:
    def allowed_once(address: Address) -> bool:
        return not Server.asked

    Server.answers["/x"] = (301, {"Location": f"{server}/secret"}, b"")
    Server.answers["/secret"] = (200, {"Content-Type": "image/png"}, b"secret")
    assert "not on the public network" in refusal(f"{server}/x", tmp_path, fetcher(allowed=allowed_once))
    assert Server.asked == ["/x"]


def test_a_host_that_changes_its_address_is_looked_up_once(server: str, tmp_path: Path) -> None:
    looked_up: list[str] = []

    def look_up(host: str, port: int) -> list[Address]:
        looked_up.append(host)
        return [LOOPBACK]

    Server.answers["/x"] = (200, {"Content-Type": "image/png"}, b"x")
    fetcher(look_up=look_up).fetch(f"{server}/x", "image", tmp_path / "file", setting="init_image")
    assert looked_up == ["public.example"]


def test_one_private_address_spoils_all(tmp_path: Path) -> None:
    both = [ipaddress.ip_address("8.8.8.8"), LOOPBACK]
    assert "not on the public" in refusal("http://x.example", tmp_path, Fetcher(look_up=lambda h, p: both))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("ftp://x.example/a", "only http and https"),
        ("http://user:word@x.example/a", "user name or password"),
        ("http:///a", "it has no host name"),
        ("http://x.example:99999/a", "not a valid address"),
        ("http://" + "x" * 5000, "only http and https"),
    ],
)
def test_addresses_that_are_not_fetched(url: str, says: str, tmp_path: Path) -> None:
    assert says in refusal(url, tmp_path, fetcher())


def test_an_unknown_host(tmp_path: Path) -> None:
    def nowhere(host: str, port: int) -> list[Address]:
        raise socket.gaierror("Name or service not known")

    assert "its host is unknown" in refusal("http://x.example/a", tmp_path, fetcher(look_up=nowhere))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((404, {}, b"gone"), "status 404"),
        ((200, {"Content-Type": "text/html"}, b"<html>"), "its content type is 'text/html', not image"),
        ((200, {"Content-Type": "image/png", "Content-Encoding": "gzip"}, b"x"), "compresses"),
        ((200, {"Content-Type": "image/png"}, b""), "the file is empty"),
        ((200, {"Content-Type": "image/png", "Content-Length": "60000000"}, b"x"), "larger than 50 MB"),
        ((200, {"Content-Type": "image/png", "Content-Length": "9"}, b"x"), "the connection ended early"),
        ((200, {"Content-Type": "image/png", "Content-Length": "9" * 5000}, b"x"), "not speak http"),
        ((200, {"Content-Type": "image/png", "Content-Length": "no number"}, b"x"), "not speak http"),
        ((302, {"Location": "/x"}, b""), "redirects too often"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "only http and https"),
    ],
)
def test_answers_that_are_refused(answer: Any, says: str, server: str, tmp_path: Path) -> None:
    Server.answers["/x"] = answer
    assert says in refusal(f"{server}/x", tmp_path, fetcher())


def test_a_body_without_a_length_is_bounded(server: str, tmp_path: Path) -> None:
    Server.answers["/x"] = (200, {"Content-Type": "image/png", "Content-Length": ""}, b"x" * 200_000)
    assert "larger than 0.1 MB" in refusal(f"{server}/x", tmp_path, fetcher(largest_bytes=100_000))


def test_a_server_that_drips_is_cut_off(server: str, tmp_path: Path) -> None:
    assert "takes too long" in refusal(f"{server}/drip", tmp_path, fetcher(longest_s=0.3))


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ((503, {}, b""), True),
        ((429, {}, b""), True),
        ((404, {}, b""), False),
        ((200, {"Content-Type": "text/html"}, b"<html>"), False),
        ((200, {"Content-Type": "image/png", "Content-Length": "9"}, b"cut"), True),
    ],
)
def test_what_may_be_there_later(answer: Any, passes: bool, server: str, tmp_path: Path) -> None:
    Server.answers["/x"] = answer
    with pytest.raises(SettingsError) as caught:
        fetcher(longest_s=0.5).fetch(f"{server}/x", "image", tmp_path / "file", setting="init_image")
    assert caught.value.retryable is passes


def test_a_host_that_cannot_be_reached_may_be_there_later_and_a_forbidden_one_never(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://x.example:{silent.getsockname()[1]}/"
        for using, passes in (
            (fetcher(), True),
            (fetcher(look_up=lambda h, p: []), True),
            (Fetcher(look_up=lambda h, p: [LOOPBACK]), False),
        ):
            with pytest.raises(SettingsError) as caught:
                using.fetch(url, "image", tmp_path / "file", setting="init_image")
            assert caught.value.retryable is passes


def test_a_full_disk_is_no_fault_of_the_address(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(SettingsError, match="disk for temporary files is full") as caught:
        fetcher().fetch(f"{server}/x", "image", tmp_path / "file", setting="init_image")
    assert caught.value.retryable


def test_a_host_is_sent_as_the_address_has_it(server: str, tmp_path: Path) -> None:
    Server.answers["/x"] = (200, {"Content-Type": "image/png"}, b"x")
    port = server.rpartition(":")[2]
    for number, (host, sent) in enumerate((("bücher.example", "xn--bcher-kva.example"), ("[::2]", "[::2]"))):
        fetcher().fetch(f"http://{host}:{port}/x", "image", tmp_path / str(number), setting="init_image")
        assert Server.hosts[-1] == f"{sent}:{port}"


def test_what_is_an_address() -> None:
    assert is_url(" HTTPS://x.example/a.png")
    assert not is_url("data:image/png;base64,xx")
    assert not is_url("C:/http/a.png")

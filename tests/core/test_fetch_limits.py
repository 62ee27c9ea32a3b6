"""The time limit of a fetch holds wherever a server stands still, with and without TLS, and what came is kept."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path

import pytest

from deforum_helpers.core.deadlines import within
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.net.cache import DEFAULT_FRESH_S, LONGEST_FRESH_S, RECORDS, FetchCache
from deforum_helpers.core.net.fetch import Address, Fetcher, Kind

LOOPBACK = ipaddress.ip_address("127.0.0.1")
CERTIFICATE = Path(__file__).with_name("public_example.pem")
# How long a test waits for what a broken limit never lets happen.
NEVER_S = 60.0

Line = socket.socket | ssl.SSLSocket
Served = Callable[[Line, threading.Event], None]


def drips(first: bytes) -> Served:
    """Sends `first` and then letter by letter, for ever."""

    def serve(line: Line, over: threading.Event) -> None:
        line.recv(65536)
        line.sendall(first)
        while not over.wait(0.02):
            line.sendall(b"x")

    return serve


def silent(line: Line, over: threading.Event) -> None:
    over.wait(NEVER_S)


@contextlib.contextmanager
def listening(serve: Served, *, tls: bool, handshakes: bool = True) -> Iterator[int]:
    """Give the port of a server that answers every connection by `serve`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = server.accept()
                    with contextlib.suppress(OSError), line:
                        if tls and handshakes:
                            with context.wrap_socket(line, server_side=True) as wrapped:
                                serve(wrapped, over)
                        else:
                            serve(line, over)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
            thread.join(NEVER_S)


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(CERTIFICATE)
    return context


def fetcher(longest_s: float = 0.5, **changes: object) -> Fetcher:
    known: dict[str, object] = {
        "look_up": lambda host, port: [LOOPBACK],
        "allowed": lambda address: True,
        "tls": trusting(),
    }
    return Fetcher(longest_s=longest_s, **(known | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    "serve",
    [
        silent,
        drips(b"HTTP/1.1 200 OK\r\nX: "),
        drips(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000000\r\n\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\nf4240\r\n"),
    ],
    ids=["silence", "headers", "body", "chunks"],
)
def test_a_server_that_stands_still_is_cut_off(serve: Served, tls: bool, tmp_path: Path) -> None:
    with listening(serve, tls=tls) as port:
        url = f"{'https' if tls else 'http'}://public.example:{port}/a.png"
        assert "takes too long" in refusal(fetcher(), url, tmp_path)


def test_a_handshake_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    def dribbled(line: Line, over: threading.Event) -> None:
        line.recv(65536)
        # A record that says that it is long, and comes byte by byte.
        line.sendall(b"\x16\x03\x03\x40\x00")
        while not over.wait(0.02):
            line.sendall(b"\x02")

    for serve in (silent, dribbled):
        with listening(serve, tls=True, handshakes=False) as port:
            assert "takes too long" in refusal(fetcher(), f"https://public.example:{port}/", tmp_path)


def test_a_name_server_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    over = threading.Event()

    def asleep(host: str, port: int) -> list[Address]:
        over.wait(NEVER_S)
        return [LOOPBACK]

    try:
        assert "takes too long" in refusal(fetcher(0.2, look_up=asleep), "http://slow.example/", tmp_path)
    finally:
        over.set()


def refusal(using: Fetcher, url: str, folder: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        within(NEVER_S, lambda: using.fetch(url, "image", folder / "file", setting="init_image"))
    assert caught.value.retryable
    assert list(folder.iterdir()) == []
    return str(caught.value)


def test_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    """The name is that of the address, although a number is contacted."""
    with listening(silent, tls=True) as port, pytest.raises(SettingsError, match="certificate is invalid"):
        fetcher(NEVER_S).fetch(
            f"https://other.example:{port}/a.png", "image", tmp_path / "file", setting="init_image"
        )
    with (
        listening(silent, tls=True) as port,
        pytest.raises(SettingsError, match="certificate is invalid") as caught,
    ):
        fetcher(NEVER_S, tls=None).fetch(
            f"https://public.example:{port}/a.png", "image", tmp_path / "file", setting="init_image"
        )
    assert not caught.value.retryable


class Answers:
    """A server's files; what is asked for, with which validators, is noted."""

    def __init__(self) -> None:
        self.headers = ""
        self.body = b"one"
        self.asked: list[bytes] = []

    def __call__(self, line: Line, over: threading.Event) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += line.recv(65536)
        self.asked.append(request)
        etag = next((row for row in self.headers.split("\r\n") if row.startswith("ETag: ")), "ETag: ?")
        if f"If-None-Match: {etag[6:]}".encode("latin-1") in request:
            line.sendall(f"HTTP/1.1 304 Not Modified\r\n{self.headers}\r\n".encode("latin-1"))
            return
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.body)}\r\n{self.headers}\r\n"
        line.sendall(head.encode("latin-1") + self.body)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def served(answers: Answers) -> Iterator[str]:
    with listening(answers, tls=False) as port:
        yield f"http://public.example:{port}/a.png"


def got(using: Fetcher, url: str, folder: Path, kind: Kind = "image") -> bytes:
    target = folder / "got"
    using.fetch(url, kind, target, setting="init_image")
    content = target.read_bytes()
    target.unlink()
    return content


def test_a_file_is_asked_for_once_as_long_as_it_is_fresh(
    served: str, answers: Answers, clock: Clock, tmp_path: Path
) -> None:
    answers.headers = 'Cache-Control: public, max-age=100\r\nAge: 40\r\nETag: "v1"\r\n'
    using = fetcher(NEVER_S, cache=FetchCache(clock=clock))
    assert [got(using, served, tmp_path) for _ in range(3)] == [b"one"] * 3
    assert len(answers.asked) == 1
    clock.now += 59
    got(using, served, tmp_path)
    assert len(answers.asked) == 1
    clock.now += 2
    assert got(using, served, tmp_path) == b"one"
    assert len(answers.asked) == 2, "its server is asked whether it has changed"
    assert b'If-None-Match: "v1"' in answers.asked[1]
    clock.now += 61
    answers.body, answers.headers = b"two", 'ETag: "v2"\r\n'
    assert got(using, served, tmp_path) == b"two"
    assert b'"v1"' in answers.asked[2]


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ("", 1),
        ("Cache-Control: no-store\r\n", 2),
        ("Cache-Control: no-cache\r\n", 2),
        ('Cache-Control: no-cache\r\nETag: "v1"\r\n', 2),
        ("Cache-Control: max-age=0\r\n", 2),
        ("Cache-Control: max-age=junk\r\n", 2),
        ('Cache-Control: no-cache\r\nETag: "\u00e9"\r\n', 2),
        ("Vary: *\r\n", 2),
        ("Last-Modified: Sun, 29 Nov 2026 12:00:00 GMT\r\n", 1),
    ],
)
def test_servers_say_what_may_be_kept(
    headers: str, asked: int, served: str, answers: Answers, tmp_path: Path
) -> None:
    answers.headers = headers
    using = fetcher(NEVER_S)
    assert [got(using, served, tmp_path) for _ in range(2)] == [b"one"] * 2
    assert len(answers.asked) == asked


def test_a_file_of_one_kind_never_answers_for_another(served: str, answers: Answers, tmp_path: Path) -> None:
    answers.headers = "Content-Type: image/png\r\n"
    using = fetcher(NEVER_S)
    assert got(using, served, tmp_path, "image") == b"one"
    with pytest.raises(SettingsError, match="not json"):
        got(using, served, tmp_path, "json")
    assert len(answers.asked) == 2


def test_what_failed_is_not_kept(served: str, answers: Answers, tmp_path: Path) -> None:
    answers.headers = "Content-Type: text/html\r\n"
    using = fetcher(NEVER_S)
    for _ in range(2):
        with pytest.raises(SettingsError):
            got(using, served, tmp_path)
    assert len(answers.asked) == 2


def head(**values: str) -> Message:
    message = Message()
    for name, value in values.items():
        message[name.replace("_", "-")] = value
    return message


def test_a_cache_is_bounded_in_bytes_and_files(tmp_path: Path) -> None:
    cache = FetchCache(most_bytes=100, most_files=3)
    file = tmp_path / "file"
    for number in range(10):
        file.write_bytes(b"x" * 10)
        cache.keep((str(number), "image"), file, str(number), head())
    cached = [number for number in range(10) if cache.find((str(number), "image"))]
    assert cached == [7, 8, 9]
    file.write_bytes(b"x" * 85)
    cache.keep(("large", "image"), file, "large", head())
    assert [number for number in range(10) if cache.find((str(number), "image"))] == [9]
    file.write_bytes(b"x" * 101)
    cache.keep(("too large", "image"), file, "", head())
    assert cache.find(("too large", "image")) is None
    (lying, *others) = {cached.path.parent for key in ("large",) if (cached := cache.find((key, "image")))}
    assert not others
    assert sum(path.stat().st_size for path in lying.iterdir() if path.name.isdigit()) == 95


def test_programs_with_one_folder_have_one_cache(served: str, answers: Answers, tmp_path: Path) -> None:
    one = FetchCache()
    for cache in (one, FetchCache(folder=one.folder), one):
        assert got(fetcher(NEVER_S, cache=cache), served, tmp_path) == b"one"
    assert len(answers.asked) == 1


def test_a_cache_whose_records_are_broken_keeps_nothing(
    served: str, answers: Answers, tmp_path: Path
) -> None:
    cache = FetchCache()
    (cache.folder / RECORDS).write_bytes(b"no database" * 1000)
    assert [got(fetcher(NEVER_S, cache=cache), served, tmp_path) for _ in range(2)] == [b"one"] * 2
    assert len(answers.asked) == 2


def test_nothing_is_fresh_for_ever(tmp_path: Path, clock: Clock) -> None:
    cache = FetchCache(clock=clock)
    file = tmp_path / "file"
    file.write_bytes(b"x")
    cache.keep(("told", "image"), file, "", head(Cache_Control="max-age=99999999999"))
    cache.keep(("untold", "image"), file, "", head())
    for name, fresh_s in (("told", LONGEST_FRESH_S), ("untold", DEFAULT_FRESH_S)):
        cached = cache.find((name, "image"))
        assert cached is not None
        assert cached.fresh_until == clock.now + fresh_s


def test_calls_that_hang_are_given_up_and_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    started: list[int] = []

    def hangs() -> None:
        started.append(1)
        over.wait(NEVER_S)

    monkeypatch.setattr("deforum_helpers.core.deadlines._places", threading.BoundedSemaphore(2))
    try:
        for _ in range(4):
            with pytest.raises(TimeoutError):
                within(0.05, hangs)
        assert len(started) == 2
    finally:
        over.set()
    ends = time.monotonic() + NEVER_S
    while time.monotonic() < ends:
        with contextlib.suppress(TimeoutError):
            assert within(0.05, lambda: "free") == "free"
            break

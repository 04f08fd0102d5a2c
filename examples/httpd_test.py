#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""httpd_test.py HTTPD - talks to the example server over loopback and checks what it answers.

Each check opens its own connections; the server is asked to stop at the end and must leave with
status 0.  Nothing is timed: the only durations are limits after which a check gives up.
"""

import re
import signal
import socket
import subprocess
import sys
import threading
import traceback

PATIENCE = 60.0  # seconds until a missing answer is an error; sanitizers are slow


class Server:
    def __init__(self, program, *options):
        self.process = subprocess.Popen(
            [program, "--port", "0", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"port (\d+)$", line)
        if not found:
            self.process.kill()
            raise AssertionError(f"no port in {line!r}; {self.process.communicate()[1]}")
        self.port = int(found.group(1))

    def connect(self):
        return Client(self.port)

    def stop(self, signo=signal.SIGTERM):
        """Asks it to end; returns what it wrote to standard error."""
        self.process.send_signal(signo)
        try:
            _, errors = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the server did not stop") from None
        equal(self.process.returncode, 0, f"status of the server ({errors})")
        return errors


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.input.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self, head_only=False):
        """Reads one answer: (status, headers with lower-case names, body)."""
        status_line = self.input.readline().decode()
        assert status_line.startswith("HTTP/1.1 "), f"not a status line: {status_line!r}"
        headers = {}
        for line in iter(self.input.readline, b"\r\n"):
            assert line.endswith(b"\r\n"), f"not a header: {line!r}"
            name, value = line.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        size = int(headers["content-length"])
        body = b"" if head_only else self.input.read(size)
        assert head_only or len(body) == size, "the body was cut"
        return int(status_line.split()[1]), headers, body

    def get(self, path):
        self.send(request(path))
        return self.answer()

    def expect_end(self):
        equal(self.input.read(), b"", "bytes after the last answer")


def request(path, *headers, method="GET", version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()


def equal(got, wanted, what):
    assert got == wanted, f"{what}: {got!r}, not {wanted!r}"


# --- checks: each gets a running server ---------------------------------------------------------


def check_pages(server):
    with server.connect() as client:
        for path, kind, text in (("/", "text/html", b"hello"),
                                 ("/plaintext", "text/plain", b"Hello, World!"),
                                 ("/json", "application/json", b'"hello"'),
                                 ("/plaintext?with=query", "text/plain", b"Hello, World!"),
                                 ("http://localhost/plaintext", "text/plain", b"Hello, World!")):
            status, headers, body = client.get(path)
            equal(status, 200, path)
            equal(headers["content-type"], kind, path)
            assert text in body, f"{path}: {body!r}"


def check_keep_alive(server):
    with server.connect() as client:
        for _ in range(100):
            status, headers, body = client.get("/plaintext")
            equal((status, body), (200, b"Hello, World!"), "answer")
            assert headers.get("connection", "keep-alive") != "close", headers


def check_old_version(server):
    with server.connect() as client:
        client.send(request("/", version="1.0"))
        equal(client.answer()[1]["connection"], "close", "1.0 without a wish")
        client.expect_end()
    with server.connect() as client:
        for _ in range(3):
            client.send(request("/", "Connection: keep-alive", version="1.0"))
            equal(client.answer()[1]["connection"], "keep-alive", "1.0 that wants to stay")


def check_close(server):
    with server.connect() as client:
        client.send(request("/plaintext", "Connection: close"))
        status, headers, _ = client.answer()
        equal((status, headers["connection"]), (200, "close"), "answer")
        client.expect_end()
    with server.connect() as client:  # what follows a last request is not answered
        client.send(request("/", "Connection: close") + request("/json"))
        client.answer()
        client.expect_end()


def check_half_close(server):
    with server.connect() as client:
        client.send(request("/plaintext"))
        client.socket.shutdown(socket.SHUT_WR)
        equal(client.answer()[0], 200, "status")
        client.expect_end()


def check_pipelining(server):
    paths = ["/", "/plaintext", "/nowhere", "/json"] * 5
    with server.connect() as client:
        client.send(b"".join(request(path) for path in paths))
        alone = {}
        for path in paths:
            answer = client.answer()
            equal(answer[0], 404 if path == "/nowhere" else 200, path)
            equal(alone.setdefault(path, answer), answer, "answers in order")
    equal(len({answer[2] for answer in alone.values()}), 4, "different pages")


def check_long_pipeline(server):
    """More answers than the server's output buffer holds, more requests than its input does."""
    count = 2000
    with server.connect() as client:
        sender = threading.Thread(target=client.send, args=(request("/plaintext") * count,))
        sender.start()
        for _ in range(count):
            equal(client.answer()[2], b"Hello, World!", "body")
        sender.join()


def check_head(server):
    with server.connect() as client:
        _, full, body = client.get("/json")
        client.send(request("/json", method="HEAD") + request("/plaintext"))
        status, headers, _ = client.answer(head_only=True)
        equal((status, headers), (200, full), "HEAD and GET have the same headers")
        equal(int(headers["content-length"]), len(body), "length")
        equal(client.answer()[2], b"Hello, World!", "the next answer")


def check_other_methods(server):
    with server.connect() as client:
        client.send(request("/", "Content-Length: 5", method="POST") + b"hello")
        status, headers, _ = client.answer()
        equal((status, headers["allow"]), (405, "GET, HEAD"), "POST")
        client.send(request("/", "Transfer-Encoding: chunked", method="PUT")
                    + b"5\r\nhello\r\n0\r\n\r\n")
        equal(client.answer()[0], 405, "PUT in chunks")
        client.send(request("/nowhere", method="DELETE"))
        equal(client.answer()[0], 404, "DELETE of nothing")
        equal(client.get("/")[0], 200, "and the connection goes on")


def check_upgrade(server):
    with server.connect() as client:  # the offer is not taken up
        client.send(request("/", "Connection: Upgrade", "Upgrade: h2c"))
        equal(client.answer()[0], 200, "status")
        client.expect_end()


def check_slow_bytes(server):
    with server.connect() as client:
        for byte in request("/json", "X-Padding: " + "x" * 100) + request("/plaintext"):
            client.send(bytes([byte]))
        equal(client.answer()[0], 200, "status")
        equal(client.answer()[2], b"Hello, World!", "body")


def check_bad_requests(server):
    for bad in (b"this is not HTTP\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00",
                b"GET / HTTP/1.x\r\n\r\n",
                b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
                b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        with server.connect() as client:
            client.send(request("/plaintext") + bad)
            equal(client.answer()[0], 200, "the request before it")
            status, headers, _ = client.answer()
            equal((status, headers["connection"]), (400, "close"), bad)
            client.expect_end()


def check_too_large(server):
    for data, wanted in (
            (request("/", "X-Big: " + "x" * 100_000), 431),
            (request("/", *(f"X-{i}: {i}" for i in range(5_000))), 431),
            (request("/" + "x" * 5_000), 414),
            (request("/", "Content-Length: 100000", method="POST") + b"x" * 100_000, 413)):
        with server.connect() as client:
            client.send(data)
            equal(client.answer()[0], wanted, data[:40])
            client.expect_end()


def check_many_clients(server):
    """64 connections at once, which stay open until all have been answered."""
    everybody = threading.Barrier(64)
    errors = []

    def talk(number):
        try:
            with server.connect() as client:
                client.get("/")
                everybody.wait(PATIENCE)
                for i in range(25):
                    path = ("/", "/plaintext", "/json", "/nowhere")[(number + i) % 4]
                    equal(client.get(path)[0], 404 if path == "/nowhere" else 200, path)
                client.send(request("/plaintext") * 10)
                for _ in range(10):
                    equal(client.answer()[2], b"Hello, World!", "body")
        except BaseException as error:  # pylint: disable=broad-except
            errors.append(error)
            everybody.abort()

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def check_rude_clients(server):
    """Clients that go away at a bad moment do no harm to others."""
    for data in (b"", b"GET / HT", request("/") * 500):
        client = server.connect()
        client.send(data)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.__exit__()  # a reset
    with server.connect() as client:
        equal(client.get("/")[0], 200, "status")


# --- checks of whole runs ----------------------------------------------------------------------


def check_deadline(program):
    """Half a request is refused when its time is over, however steadily it trickles in."""
    server = Server(program, "--timeout", "1000")
    with server.connect() as silent, server.connect() as half, server.connect() as trickle:
        half.send(b"GET / HTTP/1.1\r\nHo")
        trickle.send(b"GET /")
        trickle.socket.settimeout(0.02)
        while True:
            try:
                begin = trickle.socket.recv(12)
                break
            except TimeoutError:
                trickle.send(b"x")
        equal(begin, b"HTTP/1.1 408", "the trickle")
        equal(half.answer()[0], 408, "half a request")
        half.expect_end()
        silent.expect_end()
    server.stop()


def check_log_and_interrupt(program):
    server = Server(program, "--requests-log", "on", "--hubs", "1")
    with server.connect() as client:
        client.get("/plaintext")
        client.get("/nowhere")
    lines = server.stop(signal.SIGINT).splitlines()
    equal(lines[:2], ["200 GET /plaintext", "404 GET /nowhere"], "the log")


def check_stop_with_open_connections(program):
    server = Server(program)
    with server.connect() as idle, server.connect() as half:
        equal(idle.get("/")[0], 200, "status")
        half.send(b"GET / HTTP/1.1\r\n")
        server.stop()
        idle.expect_end()


def main():
    program = sys.argv[1]
    failed = 0

    def run(check, *arguments):
        try:
            check(*arguments)
            print(f"ok      {check.__name__}", flush=True)
            return 0
        except Exception:  # pylint: disable=broad-except
            print(f"FAILED  {check.__name__}", flush=True)
            traceback.print_exc()
            return 1

    server = Server(program)
    for check in (check_pages, check_keep_alive, check_old_version, check_close,
                  check_half_close, check_pipelining, check_long_pipeline, check_head,
                  check_other_methods, check_upgrade, check_slow_bytes, check_bad_requests,
                  check_too_large, check_many_clients, check_rude_clients):
        failed += run(check, server)
    failed += run(server.stop)
    for check in (check_deadline, check_log_and_interrupt, check_stop_with_open_connections):
        failed += run(check, program)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""An S3-speaking server in a process of its own, and a line to it that can be cut or made slow."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2
import pytest

SECRET = "planted-secret-7f3a"  # must turn up nowhere


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def server() -> Iterator[int]:
    """The port of moto's server, once it answers."""
    port = free_port()
    code = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as moto:
        try:
            end = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert moto.poll() is None, "moto's server ended"
                assert time.monotonic() < end, "moto's server does not answer"
                time.sleep(0.1)
            yield port
        finally:
            moto.kill()


@dataclass
class Line:
    """A TCP proxy. `cut`: connections are closed at once; `drop_every`: each n-th dies after some bytes of its answer;
    `delay`: seconds before each piece of an answer."""

    target: int
    cut: bool = False
    drop_every: int = 0
    delay: float = 0.0
    connections: int = 0
    dropped: int = 0
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                if self.cut:
                    client.close()
                else:
                    threading.Thread(target=self._carry, args=(client, self.connections), daemon=True).start()

    def _carry(self, client: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self.target)) as there:
            threading.Thread(target=self._copy, args=(client, there), daemon=True).start()
            while data := there.recv(65536):
                time.sleep(self.delay)
                if self.cut or (self.drop_every and number % self.drop_every == 0):
                    self.dropped += 1
                    client.sendall(data[:20])
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()


@contextlib.contextmanager
def line(target: int) -> Iterator[Line]:
    found = Line(target)
    threading.Thread(target=found.serve, daemon=True).start()
    try:
        yield found
    finally:
        found.close()


def environment(port: int) -> dict[str, str]:
    """What leads the S3 client through the line, with credentials."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "planted-id-7f3a",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "*",
        "PATH": os.environ["PATH"],
    }


@contextlib.contextmanager
def only_reading(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server judges rights, and the keys are those of a user who may list and get."""
    from botocore.session import get_session

    iam = get_session().create_client("iam", endpoint_url=f"http://127.0.0.1:{port}")
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    may = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam.put_user_policy(UserName="reader", PolicyName="reads", PolicyDocument=policy)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        _judge_all_but(port, "0")
        try:
            yield
        finally:
            _judge_all_but(port, "inf")


def _judge_all_but(port: int, actions: str) -> None:
    httpx2.post(f"http://127.0.0.1:{port}/moto-api/reset-auth", content=actions, trust_env=False).raise_for_status()

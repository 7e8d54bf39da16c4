"""HTTP to one engine, at as little cost per token as Python allows: bytes and their time of arrival, parsed later.

The standard library, one connection per exchange: half the processor time per streamed token of httpx (25 against 49 us
on one core), no proxies, no pool whose stale connections could fail a trial. Raises OSError, TimeoutError and
http.client.HTTPException; the session knows what they mean.
"""

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from specbench.engines.stream import Part, dechunked
from specbench.errors import InputError

_READ = 1 << 16


@dataclass(frozen=True)
class Exchange:
    """An answer as it came: `sent` and the times of `parts` are on the clock of time.perf_counter."""

    status: int
    sent: float
    parts: tuple[Part, ...]

    @property
    def body(self) -> bytes:
        return b"".join(part for _, part in self.parts)


class Wire:
    """Where an engine listens. `url` may have a path, which comes before every path asked for."""

    def __init__(self, url: str) -> None:
        split = urlsplit(url if "//" in url else f"http://{url}")
        try:
            self._host, self._port, secure = split.hostname or "", split.port, split.scheme == "https"
        except ValueError as error:
            raise InputError(f"{url} is not an address: {error}", hint="write it as http://host:port") from error
        if split.scheme not in {"http", "https"} or not self._host:
            raise InputError(f"{url} is not an address", hint="write it as http://host:port")
        self.url, self._prefix = url, split.path.rstrip("/")
        self._connection = http.client.HTTPSConnection if secure else http.client.HTTPConnection

    def exchange(self, path: str, body: Any = None, *, timeout: float) -> Exchange:
        """GET, or POST of `body` as JSON. `timeout` is for the whole exchange."""
        connection = self._connection(self._host, self._port, timeout=timeout)
        try:
            connection.connect()
            socket = connection.sock
            text = None if body is None else json.dumps(body).encode()
            headers = {"Connection": "close", "Content-Type": "application/json"}
            sent = time.perf_counter()
            connection.request("GET" if text is None else "POST", self._prefix + path, text, headers)
            with connection.getresponse() as response:
                parts, read, missing = list[Part](), response.fp.read1, response.length
                while missing != 0 and (part := read(_READ)):
                    now = time.perf_counter()
                    parts.append((now, part))
                    missing = None if missing is None else missing - len(part)
                    if (left := sent + timeout - now) <= 0:
                        raise TimeoutError
                    socket.settimeout(left)
        finally:
            connection.close()
        if response.chunked:
            try:
                parts = list(dechunked(parts))
            except ValueError as error:
                raise http.client.IncompleteRead(b"".join(part for _, part in parts)) from error
        elif missing:
            raise http.client.IncompleteRead(b"".join(part for _, part in parts), missing)
        return Exchange(response.status, sent, tuple(parts))

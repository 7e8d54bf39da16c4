"""HTTP to one engine: bytes and their time of arrival, read now and parsed later."""

import time
from dataclasses import dataclass
from typing import Any

import httpx2

from specbench.engines.stream import Part
from specbench.errors import InputError


class WireError(OSError):
    """The exchange broke off. TimeoutError and ConnectionError, also OSErrors, say what they say."""


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
    """Where an engine listens. `url` may have a path, which comes before every path asked for.

    A connection serves one exchange: a server that closes an idle one must not fail a trial. No proxies. `key` is sent
    as a bearer token; an error that repeats it is blacked out.
    """

    def __init__(self, url: str, *, key: str | None = None) -> None:
        whole = url if "//" in url else f"http://{url}"
        try:
            parsed = httpx2.URL(whole)
        except httpx2.InvalidURL as error:
            raise InputError(f"{url} is not an address: {error}", hint="write it as http://host:port") from error
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise InputError(f"{url} is not an address", hint="write it as http://host:port")
        self.url = url
        self._key = key
        authorization = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.Client(
            base_url=whole,
            headers={"Connection": "close", "Accept-Encoding": "identity", **authorization},
            trust_env=False,
            verify=parsed.scheme == "https",  # certificates take 20 ms to load and are of no use on http
        )

    def exchange(self, path: str, body: Any = None, *, timeout: float) -> Exchange:
        """GET, or POST of `body` as JSON. `timeout` is for the whole exchange. Raises OSErrors only."""
        method = "GET" if body is None else "POST"
        parts: list[Part] = []
        sent = time.perf_counter()
        try:
            with self._client.stream(method, path, json=body, timeout=timeout) as response:
                for part in response.iter_raw():
                    now = time.perf_counter()
                    parts.append((now, part))
                    if now > sent + timeout:
                        raise TimeoutError
                exchange = Exchange(response.status_code, sent, tuple(parts))
                if self._key and response.is_error:
                    said = exchange.body.replace(self._key.encode(), b"***")
                    exchange = Exchange(response.status_code, sent, ((time.perf_counter(), said),))
                return exchange
        except httpx2.TimeoutException as error:
            raise TimeoutError(str(error)) from error
        except httpx2.ConnectError as error:
            raise ConnectionError(str(error)) from error
        except httpx2.TransportError as error:
            raise WireError(str(error)) from error

"""Watches the machine while a trial runs: a thread that reads 10 times a second and lives as long as the trial."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from specbench.hardware import sensors
from specbench.hardware.sensors import Engine, Source
from specbench.records import Accelerator, Gauge, Meter, Telemetry
from specbench.structs import replace

INTERVAL = 0.1
_SHARE, _SLOWEST = 0.01, 1.0  # of one core that reading may take; slow sensors are read less often, but once a second
_PATIENCE = 2.0  # for a driver that does not answer
_IDLE = 3.0
_POINTS = 512  # of an energy counter; in a longer trial they are further apart


class Watch:
    """What the sensors show from now on."""

    def __init__(self, sources: Sequence[Source], monotonic: Callable[[], float], known: dict[str, str]) -> None:
        self._sources, self._monotonic, self._known = sources, monotonic, known
        self.began = 0.0
        self._gauges: dict[str, Gauge] = {}
        self._points: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        self._throttle: dict[str, Counter[int]] = defaultdict(Counter)
        self._reasons: dict[str, str] = {}

    def look(self, *, rarely: bool = False) -> None:
        """Take one reading of every sensor."""
        for source in self._sources:
            now = self._monotonic()
            for key, value in source.read(rarely=rarely).items():
                name = f"{source.name}.{key}"
                if isinstance(value, str):
                    self._reasons[name] = value
                elif key == "throttle":
                    self._throttle[source.name][int(value)] += 1
                elif key == "energy":
                    points = self._points[source.name, key]
                    points.append((now, value))
                    if len(points) > _POINTS:
                        del points[1:-1:2]
                else:
                    old = self._gauges.get(name, Gauge(count=0, total=0, low=value, high=value))
                    low, high = min(old.low, value), max(old.high, value)
                    self._gauges[name] = Gauge(count=old.count + 1, total=old.total + value, low=low, high=high)
                    if key == "power":
                        self._points[source.name, key].append((now, value))

    def telemetry(self, trial: str | None, *, started: float) -> Telemetry:
        """The record of what was seen, without the reasons that are known already."""
        meters = {}
        for source in self._sources:
            kind: Literal["energy", "power"] = "energy" if (source.name, "energy") in self._points else "power"
            if source.scope is not None and (found := self._points.get((source.name, kind))):
                points = tuple((round(seconds - self.began, 3), round(value, 3)) for seconds, value in found)
                meters[source.name] = Meter(scope=source.scope, kind=kind, wrap=source.wrap, points=points)
        return Telemetry(
            trial=trial,
            started=started,
            gauges=dict(self._gauges),
            meters=meters,
            throttle={name: dict(bits) for name, bits in self._throttle.items()},
            reasons={key: why for key, why in self._reasons.items() if self._known.get(key) != why},
        )


class Sampler:
    """The sensors of this machine; `reasons` says what has none. Call `follow_engine` when one was opened."""

    def __init__(
        self, sources: Sequence[Source], engine: Engine, reasons: dict[str, str], *, monotonic: Callable[[], float]
    ) -> None:
        self.sources, self._reasons, self._monotonic = sources, reasons, monotonic
        self.follow_engine = engine.follow

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """Look once, then again and again in a thread, and once more at the end."""
        watch, over = Watch(self.sources, self._monotonic, self._reasons), threading.Event()

        def look() -> None:
            pause = INTERVAL
            while not over.wait(pause):
                spent = time.thread_time()
                watch.look()
                pause = min(max(INTERVAL, (time.thread_time() - spent) / _SHARE), _SLOWEST)

        watch.look(rarely=True)
        thread = threading.Thread(target=look, name="telemetry", daemon=True)
        thread.start()
        watch.began = self._monotonic()
        try:
            yield watch
        finally:
            over.set()
            thread.join(_PATIENCE)
        if not thread.is_alive():
            watch.look(rarely=True)

    def idle(self, *, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep) -> Telemetry:
        """Before the run: every reason, and a few seconds of what the machine draws where that can be read."""
        started = clock()
        with self.watching() as watch:
            if watch.telemetry(None, started=started).meters:
                sleep(_IDLE)
        found = watch.telemetry(None, started=started)
        self._reasons.update(found.reasons)
        return replace(found, reasons=dict(self._reasons))


@contextmanager
def opened(
    accelerators: Sequence[Accelerator] = (),
    *,
    root: Path = Path("/"),
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[Sampler]:
    """The sensors of this machine, which has these accelerators; `root` is where /sys is looked for."""
    reasons: dict[str, str] = {}
    engine = Engine()
    with sensors.nvidia(engine, reasons) as cards:
        packages = sensors.packages(root, reasons)
        others = sensors.pci_cards(accelerators, engine, reasons, root=root, package_counted=bool(packages))
        yield Sampler([*cards, *others, *packages, engine.source()], engine, reasons, monotonic=monotonic)

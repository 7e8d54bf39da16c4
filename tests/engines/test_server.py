import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from engines import fake_engine

from specbench.engines import catalog, lifetime, profile
from specbench.engines.base import Answer, OpeningError, Request, Session, TrialError
from specbench.engines.server import _TELLING
from specbench.errors import InputError
from specbench.records import Contender, Message, Setting
from specbench.structs import to_json

MakeContender = Callable[..., Contender]


@pytest.fixture
def contender(tmp_path: Path) -> MakeContender:
    executable = fake_engine.install(tmp_path)

    def make(
        model: str = "fine.gguf", *, engine_settings: dict[str, Setting] | None = None, **more: object
    ) -> Contender:
        chosen = catalog.profiles(None)["llama-server"]
        argv, environment = profile.command(
            chosen,
            target_model=model,
            draft_model=None,
            method="none",
            settings={},
            engine_settings=engine_settings or {},
            engine_args=(),
        )
        values = {
            "name": "fake",
            "engine": "llama-server",
            "kind": "server",
            "target_model": model,
            "target_label": "fake",
            "method": "none",
            "engine_settings": engine_settings or {},
            "executable": str(executable),
            "argv": argv,
            "environment": environment,
            "help": chosen.help,
            **more,
        }
        return Contender(**values)

    return make


@pytest.fixture
def session(contender: MakeContender, tmp_path: Path) -> Iterator[Session]:
    with catalog.open_session(contender(), log=tmp_path / "logs" / "engine.log", load_timeout=30) as opened:
        yield opened


def ask(session: Session, prompt: str, *, timeout: float = 30.0) -> Answer:
    return session.generate(
        Request(prompt=prompt, output_tokens=5, temperature=0, seed=1, ignore_eos=True, timeout=timeout, stream=True)
    )


Children = Callable[[], set[psutil.Process]]


def running() -> set[psutil.Process]:
    return {c for c in psutil.Process().children(recursive=True) if c.status() != psutil.STATUS_ZOMBIE}


@pytest.fixture
def children() -> Children:
    """Processes that were not there when the test began; fixtures of other tests may keep some."""
    before = running()
    return lambda: running() - before


def test_an_engine_is_started_asked_and_stopped(session: Session, tmp_path: Path) -> None:
    assert session.apply_template([Message(role="user", content="a b c")], thinking=None) == "a b c"
    assert session.count_tokens("a b c") == 3
    answer = ask(session, "a b c")
    assert (answer.text, answer.output_ids) == ("w0 w1 w2 w3 w4 ", (0, 1, 2, 3, 4))
    assert (answer.counts.emitted, answer.counts.verification_steps) == (5, 4)
    info = session.info
    assert (info.version, info.commit, info.context_size, info.log) == ("b7", "abc", 512, "engine.log")
    assert info.executable == str(tmp_path / "fake-server")
    assert "$port" not in info.argv
    assert session.alive()


def test_no_process_is_left_behind_when_the_body_raises(
    contender: MakeContender, tmp_path: Path, children: Children
) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        catalog.open_session(contender(), log=tmp_path / "log", load_timeout=30),
    ):
        raise KeyboardInterrupt
    assert children() == set()


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel, which only Linux offers")
def test_the_engine_dies_with_a_parent_that_is_killed(contender: MakeContender, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from specbench.engines import catalog\n"
        "from specbench.records import Contender\n"
        "from specbench.structs import from_json\n"
        "subject = from_json(Contender, sys.argv[1])\n"
        "with catalog.open_session(subject, log=Path(sys.argv[2]), load_timeout=30) as session:\n"
        "    print(session._running.process.pid, flush=True); time.sleep(60)\n"
    )
    words = [sys.executable, "-c", code, to_json(contender()).decode(), str(tmp_path / "log")]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        engine = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([engine], timeout=10)[1] == []


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel, which only Linux offers")
def test_what_an_engine_started_dies_with_it_when_our_process_is_killed(tmp_path: Path) -> None:
    """vLLM's workers outlive the server that started them."""
    worker = "import time; time.sleep(60)"
    engine = f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', {worker!r}])\n"
    engine += "print(p.pid, flush=True); time.sleep(60)"
    code = (
        "import sys, time; from pathlib import Path; from specbench.engines import lifetime\n"
        "with Path(sys.argv[2]).open('wb') as log:\n"
        "    lifetime.start([sys.executable, '-c', sys.argv[1]], environment={}, log=log, foreign=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, engine, str(tmp_path / "log")]) as parent:
        while not (tmp_path / "log").exists() or not (tmp_path / "log").read_text().endswith("\n"):
            time.sleep(0.05)
        left = psutil.Process(int((tmp_path / "log").read_text()))
        parent.kill()
    assert psutil.wait_procs([left], timeout=10)[1] == []


@pytest.mark.skipif(sys.platform != "linux", reason="foreign programs are watched on Linux only")
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(7)", 7),
        ("import os; os.abort()", -signal.SIGABRT),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
    ],
)
def test_how_a_foreign_program_ended_is_how_it_is_told(tmp_path: Path, code: str, status: int) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = lifetime.start([sys.executable, "-c", code], environment={}, log=log, foreign=True)
        with process:
            assert process.wait(60) == status
        asked = [sys.executable, "-c", "import time; time.sleep(60)"]
        process = lifetime.start(asked, environment={}, log=log, foreign=True)
        assert lifetime.stop(process, patience=20) in {-signal.SIGTERM, -signal.SIGKILL}


def test_an_engine_that_dies_at_start_says_why(contender: MakeContender, tmp_path: Path) -> None:
    with (
        pytest.raises(OpeningError, match="exit status 1") as caught,
        catalog.open_session(contender("dies-at-start.gguf"), log=tmp_path / "log", load_timeout=30),
    ):
        pass
    assert caught.value.log_tail == "E fake: failed to load model"


def test_an_engine_that_is_never_ready_is_stopped(contender: MakeContender, tmp_path: Path, children: Children) -> None:
    with (
        pytest.raises(OpeningError, match="not ready in 1 s"),
        catalog.open_session(contender("never-ready.gguf"), log=tmp_path / "log", load_timeout=1),
    ):
        pass
    assert children() == set()


def test_a_port_that_is_taken_is_a_clear_error(contender: MakeContender, tmp_path: Path) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        subject = contender(engine_settings={"port": port})
        with (
            pytest.raises(OpeningError, match=f"port {port} is taken"),
            catalog.open_session(subject, log=tmp_path / "log", load_timeout=30),
        ):
            pass


@pytest.mark.parametrize(
    ("prompt", "reason", "message"),
    [
        ("DIE", "engine-died", "exit status 9"),
        ("HANG", "timeout", r"no complete answer in 1\.5 s"),
        ("NOT JSON", "bad-answer", "not JSON"),
        ("CUT", "bad-answer", "broke off"),
        ("TOO LONG", "context-exceeded", "exceeds the available context size"),
        ("ERROR", "refused", "Compute error"),
    ],
)
def test_a_request_that_goes_wrong_has_a_reason(session: Session, prompt: str, reason: str, message: str) -> None:
    with pytest.raises(TrialError, match=message) as caught:
        ask(session, prompt, timeout=1.5)
    assert caught.value.reason == reason
    assert caught.value.hint
    if reason == "engine-died":
        assert not session.alive()
        assert session.log_tail() == "E fake: GGML_ASSERT(memory) failed"


def test_counters_are_right_again_after_a_request_that_went_wrong(session: Session) -> None:
    with pytest.raises(TrialError):
        ask(session, "ERROR")
    assert ask(session, "fine").counts.verification_steps == 4


def test_a_running_server_can_be_attached_to(contender: MakeContender, session: Session, tmp_path: Path) -> None:
    url = session._running.wire.url
    subject = contender(kind="attach", url=url, argv=(), executable=None)
    with catalog.open_session(subject, log=tmp_path / "log", load_timeout=1) as attached:
        assert ask(attached, "x").counts.emitted == 5
        assert attached.alive()
        assert (attached.info.executable, attached.info.argv, attached.info.log) == (None, (), None)
    assert session.alive()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://127.0.0.1:99999", "ftp://x", ""])
def test_attaching_to_nothing_is_a_clear_error(contender: MakeContender, tmp_path: Path, url: str) -> None:
    with (
        pytest.raises((OpeningError, InputError), match=r"nothing answers|is not an address"),
        catalog.open_session(contender(kind="attach", url=url, argv=()), log=tmp_path / "log", load_timeout=1),
    ):
        pass


def test_llama_cpp_variables_do_not_reach_the_engine(
    contender: MakeContender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "16")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    subject = contender(environment={"EXTRA": "1"})
    with catalog.open_session(subject, log=tmp_path / "log", load_timeout=30) as session:
        assert session.info.environment == {"OMP_WAIT_POLICY": "passive", "EXTRA": "1"}
        process = session._running.process
        seen = psutil.Process(process.pid).environ()
    assert "LLAMA_ARG_CTX_SIZE" not in seen
    assert seen["EXTRA"] == "1"


def test_a_missing_engine_or_flag_is_known_before_anything_starts(contender: MakeContender) -> None:
    missing = catalog.check_available(contender(executable="no-such-engine"))
    assert missing is not None
    assert missing.reason == "no-such-engine is not on PATH"
    flags = catalog.check_available(contender(engine_settings={"threads": 2}))
    assert flags is not None
    assert flags.reason == "fake-server has no --threads, --threads-batch"
    assert catalog.check_available(contender()) is None


def test_the_words_that_print_an_engines_flags_are_its_own(contender: MakeContender) -> None:
    asked = catalog.check_available(contender(engine_settings={"threads": 2}, help=("help", "serve")))
    assert asked is None  # this help lists them
    silent = catalog.check_available(contender(engine_settings={"threads": 2}, help=()))
    assert silent is None  # an engine that cannot tell is not asked


def test_a_slow_stream_is_given_up_at_the_deadline(session: Session) -> None:
    began = time.monotonic()
    with pytest.raises(TrialError):
        ask(session, "HANG", timeout=0.5)
    assert time.monotonic() - began < 10


def test_the_telling_lines_of_a_log_are_recognised() -> None:
    assert _TELLING.search("0.00.1 E srv start: couldn't bind HTTP server socket")
    assert not _TELLING.search("0.00.1 I srv start: listening")


def test_a_model_path_cannot_pass_for_the_open_port(contender: MakeContender, tmp_path: Path) -> None:
    with catalog.open_session(contender("a$port b.gguf"), log=tmp_path / "log", load_timeout=30) as session:
        assert session.info.argv[2] == "a$port b.gguf"

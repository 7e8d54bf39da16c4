"""The HTML page and the charts of a synthetic run: its figures are made up."""

import re
import struct
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from analysis.synthetic import contender, counts, drafted, failure, generation, ids, plan
from report.test_report import steady
from syrupy.assertion import SnapshotAssertion

from specbench import pipeline, store
from specbench.analysis.comparison import Comparison, compare
from specbench.analysis.details import details
from specbench.errors import InputError
from specbench.records import Gauge, Generation, Machine, Plan, Result, Skip, Step, Telemetry
from specbench.report.charts import Chart, Matrix, svg
from specbench.report.figures import figures, file_name
from specbench.report.page import page, pictures
from specbench.structs import replace

HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>\x1b[31m $x^{ \"'&\u202e 模型"
MACHINE = Machine(system="Synthetic", cpu=HOSTILE, cores_logical=2, memory=2**34, reasons={"power": HOSTILE})


def watched(g: Generation, number: int, *, held: bool = False) -> Generation:
    """With what a card may have shown."""
    gauges = {"nvidia0.power": Gauge(count=2, total=400 + number, low=180, high=220)}
    throttle = {"nvidia0": {0x20 if held else 0: 2}}
    seen = Telemetry(trial=g.trial.id, started=g.started, gauges=gauges, meters={}, throttle=throttle, reasons={})
    return replace(g, started=1e9 + number, telemetry=seen)


def run(label: str = "micro", *, text: str = "draft-model") -> tuple[Plan, list[Result]]:
    who = {"target_label": label, "target_note": f"{label}: a synthetic target"}
    methods = ("none", text, "ngram-mod")
    results: list[Result] = []
    for category, pace in (("code", 0.5), ("creative", 1.2)):
        for i in range(6):
            prompt = f"{category}-{i}"
            base = watched(generation("none", prompt), len(results))
            positions = counts(80, 60, accepted_by_position=(30, 20, 7, 2, 1))
            fast = drafted(prompt, who=text, seconds=pace + 0.02 * i, counts=positions)
            steps = tuple(Step(drafted=4, accepted=2, emitted=3, seconds=0.01 * k) for k in range(1, 11))
            results += [base, watched(replace(fast, steps=steps), len(results) + 1, held=i == 0)]
            mod = drafted(prompt, who="ngram-mod", seconds=0.9 + 0.02 * i)
            results.append(replace(mod, started=1e9 + len(results)))
    results.append(failure(text, "code-6"))
    results.append(Skip(contender="ngram-mod", block=None, reason=f"no such method {label}", hint="update it"))
    made = plan(results, tuple(contender(m, m, baseline=None if m == "none" else "none", **who) for m in methods))
    return replace(made, command=("run", "--model", label)), results


def written(label: str = "micro", *, text: str = "draft-model") -> str:
    made, results = run(label, text=text)
    return page(compare(made, results), made, MACHINE, results)


@pytest.fixture(scope="module")
def comparison() -> tuple[Comparison, list[Result]]:
    made, results = run()
    return compare(made, results), results


def test_the_plotted_data_are_as_agreed(
    comparison: tuple[Comparison, list[Result]], snapshot: SnapshotAssertion
) -> None:
    drawn = list(figures(comparison[0], details(*comparison)))
    assert [chart.name for chart in drawn] == [
        "best-micro-greedy",
        "speedup-micro-greedy",
        "positions-micro-greedy",
        "prompts-micro-greedy",
        "steps-micro",
        "timeline-nvidia0-power",
    ]
    assert steady("\n".join(map(repr, drawn))) == snapshot


def test_steps_that_were_held_back_are_marked_on_the_timeline(comparison: tuple[Comparison, list[Result]]) -> None:
    traces = details(*comparison).traces
    assert [(t.device, t.reading, t.slowed) for t in traces] == [("nvidia0", "power", (1.0, 19.0))]
    timeline = list(figures(comparison[0], details(*comparison)))[-1]
    assert isinstance(timeline, Chart)
    assert [s.label for s in timeline.series] == ["nvidia0 power", "slowed by heat or power supply"]


def test_a_run_without_telemetry_steps_or_drafts_still_makes_a_page() -> None:
    results: list[Result] = [generation("none", f"code-{i}") for i in range(2)]
    made = plan(results, (contender("none", "none"),))
    text = page(compare(made, results), made, Machine(system="Synthetic"), results)
    assert "CPU unknown" in text
    assert 'id="charts"' not in text
    nothing = page(compare(replace(made, blocks=()), []), made, Machine(system="Synthetic"), [])
    assert "No trial was measured." in nothing


def test_names_are_shown_and_never_executed() -> None:
    text = written(HOSTILE, text=HOSTILE)
    assert text.count("<script") == 1
    assert "<img" not in text
    assert "onerror=window" in text  # as text
    assert "\x1b" not in text
    Strict().feed(text)


class Strict(HTMLParser):
    """No element or attribute that could load or run something."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"img", "iframe", "object", "embed", "link", "base", "form"}
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name in {"href", "src", "xlink:href"}:
                assert (value or "").startswith("#"), (tag, name, value)


def test_the_page_needs_nothing_from_outside_and_allows_nothing() -> None:
    text = written()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)|url\((?!#)|@import""", text)
    assert "specbench run --model micro" in text


@pytest.fixture(scope="module")
def made(comparison: tuple[Comparison, list[Result]]) -> dict[str, bytes]:
    return dict(pictures(comparison[0], MACHINE, comparison[1]))


def test_pictures_are_named_after_what_they_show_and_are_well_formed(made: dict[str, bytes]) -> None:
    assert {name for name in made if name.endswith(".png")} == {
        name.replace(".svg", ".png") for name in made if name.endswith(".svg")
    } | {"card.png"}
    for name, content in made.items():
        if name.endswith(".png"):
            assert content.startswith(b"\x89PNG")
        else:
            ET.fromstring(content)  # noqa: S314  our own
    assert struct.unpack(">II", made["card.png"][16:24]) == (1200, 630)


def test_a_matrix_marks_what_is_not_clear(comparison: tuple[Comparison, list[Result]], made: dict[str, bytes]) -> None:
    matrix = next(c for c in figures(comparison[0], details(*comparison)) if isinstance(c, Matrix))
    svg = made[f"{matrix.name}.svg"].decode()
    shown = {
        f"{'' if e.low and e.high and not e.low <= 1 <= e.high else '~'}{e.value:.2f}"
        for r in matrix.cells
        for e in r
        if e
    }
    assert shown <= set(re.findall(r">([~\d.]+)</text>", svg))


def test_a_matrix_shows_no_speedup_as_clear_that_is_not_credible_or_comes_with_other_output() -> None:
    both = (contender("none"), *(contender(m, "draft-model", baseline="none") for m in ("well", "too fast", "other")))
    results: list[Result] = [generation("none", f"code-{i}") for i in range(6)]
    results += [generation("none", f"code-{i}", role="control") for i in range(6)]
    results += [drafted(f"code-{i}", who="well", seconds=0.5) for i in range(6)]
    results += [drafted(f"code-{i}", who="too fast", seconds=0.2) for i in range(6)]
    results += [drafted(f"code-{i}", who="other", seconds=0.5, output_ids=ids(0)) for i in range(6)]
    found = compare(plan(results, both), results)
    (matrix,) = (c for c in figures(found, details(found, results)) if isinstance(c, Matrix))
    (cells,) = matrix.cells
    told = {
        name: (round(e.value, 9), e.low and round(e.low, 9)) for name, e in zip(matrix.columns, cells, strict=True) if e
    }
    assert told == {"well": (2.0, 2.0), "too fast": (5.0, None), "other": (2.0, None)}
    assert "not credible or with other output" in matrix.title
    assert "~2.00" in svg(matrix, None)


def test_a_file_name_has_no_room_for_tricks() -> None:
    assert file_name("best", "../../etc/passwd\n", "Ä 0.8") == "best-..-..-etc-passwd-0.8"
    assert "/" not in file_name(HOSTILE)


def test_a_page_that_cannot_be_written_is_the_users_problem_in_one_line(tmp_path: Path) -> None:
    results = [generation("none", "code-0")]
    alone = plan(results, (contender("none", "none"),))
    measured = store.Run(tmp_path, alone, MACHINE, results)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        pipeline.write_page(measured, compare(alone, results), tmp_path / "file" / "out.html")
    pipeline.write_page(measured, compare(alone, results), tmp_path / "new" / "out.html")
    assert (tmp_path / "new" / "out.html").is_file()


def test_the_templates_are_in_the_wheel() -> None:
    built = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert built["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["specbench"]
    assert sorted(p.name for p in (Path(pipeline.__file__).parent / "report" / "templates").iterdir()) == [
        "page.html",
        "page.js",
        "parts.html",
        "style.css",
        "tables.html",
    ]


def test_steps_are_never_faster_than_the_fastest_nor_slower_than_the_slowest() -> None:
    made, results = run()
    spread = (0.001, *[0.01] * 8, 0.1)
    for i, r in enumerate(results):
        if isinstance(r, Generation) and r.steps:
            results[i] = replace(r, steps=tuple(replace(s, seconds=x) for s, x in zip(r.steps, spread, strict=True)))
    (steps,) = details(compare(made, results), results).steps
    assert 0.001 <= min(steps.percentiles) <= max(steps.percentiles) <= 0.1


def test_charts_whose_names_look_alike_do_not_overwrite_each_other() -> None:
    made, results = run("千问")
    other, more = run("通义")
    both = replace(
        made,
        contenders=(
            *made.contenders,
            *(replace(c, name=f"2 {c.name}", baseline=c.baseline and f"2 {c.baseline}") for c in other.contenders),
        ),
    )
    results += [
        replace(r, trial=replace(r.trial, id=f"2 {r.trial.id}", contender=f"2 {r.trial.contender}"))
        for r in more
        if isinstance(r, Generation)
    ]
    names = [name for name, _ in pictures(compare(both, results), MACHINE, results)]
    assert len(names) == len(set(names))

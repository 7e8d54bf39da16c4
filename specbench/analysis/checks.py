"""Notes: the result stands, but read it with care. Each has a code, a sentence and what to do about it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from specbench.analysis import identities
from specbench.analysis.lossless import TIE
from specbench.analysis.rows import Row
from specbench.analysis.stats import MINIMUM, Estimate
from specbench.records import Contender, Generation, Machine, Opening, Reply, Result, Sampling, Setting

ADVICE = {
    "NOT_SPECULATING": "no result of the method: check its draft model, its settings and the engine log",
    "SETTING_IGNORED": "check the flag against the engine's --help; the numbers are those of what was observed",
    "COUNTERS_DISAGREE": "do not trust acceptance here; report it with the engine's version and log",
    "CONFIGURATION_MISMATCH": "measure both sides again with the same engine, settings and stop rule",
    "STOP_OVERCOUNT": "use a fixed output length (without --natural-stop) to measure acceptance",
    "CACHE_HIT": "turn the prompt cache off; prefill and first-token figures are too good",
    "DRAFT_REPLAY": "open a fresh engine for each repeat; the drafter has seen this answer before",
    "DIVERGED": "compare the texts; on a quantised target repeat with F16 to tell rounding from a fault",
    "TIE_FLIP": "nothing: the two tokens were equally likely up to rounding",
    "DEGENERATE_OUTPUT": "judge by temperature 0.8 or by other prompts: acceptance may be inflated by a loop",
    "UNSOUND_OUTPUT": "do not use its results: the engine verifies drafts wrongly; compare the texts, report them",
    "TEMPLATE_MISSING": "use a model file with its chat template; without it answers are not those of real use",
    "LOSSY_PREFILL": "do not compare it with runs on the whole prompt, and judge the answers by their checks",
    "SYNTHETIC": "use it to see how the method behaves, not to choose a model",
    "THERMAL_DRIFT": "let the machine settle, fix the clocks or the power limit, and use more repeats",
    "COLD_START": "use more warm-ups (`warmups` in a run file)",
    "OUTLIERS": "they are in every number; find what disturbed the machine, or use more repeats",
    "THROTTLED": "improve the cooling or the power supply, or lower the power limit, and measure again",
    "POWER_CAPPED": "set the default limit, or name the limit with every number",
    "CLOCK_LOW": "raise the performance level (pp_dpm, nvidia-smi -rgc); the driver left the clock down",
    "ON_BATTERY": "plug it in: on battery clocks and power are limited",
    "FOREIGN_GPU_PROCESS": "stop the other processes, or use a card that is free",
    "BASELINE_STALE": "measure the baseline again in the same session",
    "CPU_OVERSUBSCRIBED": "stop the other programs, or lower the number of threads",
    "CLIENT_BOUND": "read the engine's times; the client or the connection takes a visible part of the whole",
    "TOO_WIDE": "plan more prompts or repeats, or ask for less",
    "STOPPED_EARLY": "nothing: the rest of its trials was not needed",
    "ANSWERS_GENERATED": "nothing: every contender of a target has the same ones (`reply` in trials.jsonl)",
    "UNDERPOWERED": "use at least 5 prompts in each category",
}

HARMLESS = frozenset({"SYNTHETIC", "TIE_FLIP", "STOPPED_EARLY", "ANSWERS_GENERATED"})  # they say what a number is

LOOP = 0.5  # share of repeated four-word sequences; prose of this length has below 0.1, lists and code below 0.4
_WINDOW = 4
_CHARACTERS = 12  # for text without spaces
_SHORTEST = 16  # windows: below it a share means nothing
_LOAD = 1.1  # an engine that uses every core brings the load to the number of cores itself
_CLIENT_SHARE, _CLIENT_SECONDS = 0.05, 0.005
_DRIFT = 0.05
_FLOAT32 = 1e-5
_STALE = 6 * 3600.0
_FILL, _SENTENCE = 0.02, 24  # a share, and tokens: text is filled up by sentences
_WAITING = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}  # how OpenMP threads wait


@dataclass(frozen=True)
class Note:
    """`contender` and `category` are None when the note is about all of them; `prompts` are those it was seen on."""

    code: str
    message: str
    advice: str
    contender: str | None = None
    category: str | None = None
    prompts: tuple[str, ...] = ()


class _Where(TypedDict):
    contender: str | None
    category: str | None


def note(
    code: str,
    message: str,
    *,
    contender: str | None = None,
    category: str | None = None,
    seen: Iterable[Generation] = (),
    prompts: Iterable[str] = (),
) -> Note:
    """A note with the advice that belongs to its code."""
    names = (*prompts, *(g.trial.prompt for g in seen))
    return Note(code, message, ADVICE[code], contender, category, tuple(dict.fromkeys(names)))


def ordered(notes: Iterable[Note]) -> tuple[Note, ...]:
    """By weight of the code; otherwise as they came."""
    rank = {code: index for index, code in enumerate(ADVICE)}
    return tuple(sorted(notes, key=lambda n: rank[n.code]))


def of_category(
    contender: Contender, category: str, generations: Sequence[Generation], *, loops_known: dict[str, bool]
) -> Iterator[Note]:
    """What the trials of one contender in one category say. `loops_known` remembers texts already rated."""
    where = _Where(contender=contender.name, category=category)
    m = len(generations)
    broken = [(g, found) for g in generations if (found := identities.violations(g))]
    if broken:
        text = f"{len(broken)} of {m} trials violate {broken[0][1][0]}"
        yield note("COUNTERS_DISAGREE", text, seen=[g for g, _ in broken], **where)
    if late := [g for g in generations if identities.overcounted(g)]:
        yield note(
            "STOP_OVERCOUNT", f"{len(late)} of {m} trials count tokens behind a stop as accepted", seen=late, **where
        )
    if cached := [g for g in generations if g.cached_tokens]:
        tokens = max(g.cached_tokens or 0 for g in cached)
        yield note(
            "CACHE_HIT",
            f"{len(cached)} of {m} prompts came from the cache, up to {tokens} tokens",
            seen=cached,
            **where,
        )
    if missed := [g for g in generations if _missed_fill(g)]:
        worst = max(missed, key=lambda g: abs((g.prompt_tokens or 0) - (g.trial.fill or 0)))
        text = (
            f"{len(missed)} of {m} prompts miss the context fill, at most {worst.prompt_tokens} for {worst.trial.fill}"
        )
        yield note("CONFIGURATION_MISMATCH", text, seen=missed, **where)
    if not contender.synthetic and (loops := [g for g in generations if _loops(g.text, loops_known)]):
        yield note("DEGENERATE_OUTPUT", f"{len(loops)} of {m} answers repeat themselves", seen=loops, **where)


def of_contender(
    contender: Contender, generations: Sequence[Generation], openings: Sequence[Opening], sampling: Sampling
) -> Iterator[Note]:
    """What all trials and openings of one contender say."""
    name = contender.name
    for code, text in contender.doubts:
        yield note(code, text, contender=name)
    ignored = [text for o in openings for text in _not_in_force(contender, o)]
    if (most := _longest_draft(generations)) and (asked := max(_draft_lengths(contender), default=0)) > most:
        ignored.append(f"{asked} draft tokens were asked for, the engine drafts at most {most}")
    ignored += [text for g in generations for text in _ignored(contender, g, sampling)]
    for text in dict.fromkeys(ignored):
        yield note("SETTING_IGNORED", text, contender=name)
    slots = [o.observed["parallel_slots"] for o in openings if isinstance(o.observed.get("parallel_slots"), int)]
    if slots and min(map(int, slots)) < contender.streams:
        text = f"{contender.streams} streams were asked for, the engine serves {min(map(int, slots))} at once"
        yield note("SETTING_IGNORED", text, contender=name)
    if contender.protocol != "openai" and openings and all(o.chat_template_sha256 is None for o in openings):
        yield note("TEMPLATE_MISSING", "the engine shows no chat template", contender=name)
    if contender.learns:
        seen = Counter((g.block, g.trial.prompt, g.trial.temperature, g.trial.fill) for g in generations)
        if replayed := [prompt for (_, prompt, _, _), times in seen.items() if times > 1]:
            text = f"{len(set(replayed))} prompts ran more than once on one engine that learns"
            yield note("DRAFT_REPLAY", text, contender=name, prompts=replayed)
    timed = [
        (g.total, g.prefill_seconds + g.decode_seconds)
        for g in generations
        if g.total is not None
        and g.prefill_seconds is not None
        and g.decode_seconds is not None
        and g.trial.streams == 1  # among several, a request also waits for the others
    ]
    if (share := _waited(timed)) is not None:
        yield note("CLIENT_BOUND", f"the client waited {share:.0%} longer than the engine worked", contender=name)
    firsts = [
        (g.first_token, g.total - g.decode_seconds)
        for g in generations
        if g.first_token is not None and g.total is not None and g.decode_seconds is not None
        if contender.protocol != "openai"  # there it is the first text, and markup before it has none
    ]
    if (share := _waited(firsts)) is not None:
        text = f"the first token reached the client {share:.0%} later than the rest of the answer allows"
        yield note("CLIENT_BOUND", text, contender=name)


def _waited(timed: Sequence[tuple[float, float]]) -> float | None:
    """By what share the client's seconds exceed the engine's, where it is worth a note."""
    client, engine = sum(c for c, _ in timed), sum(e for _, e in timed)
    notable = client > engine * (1 + _CLIENT_SHARE) and client - engine > _CLIENT_SECONDS * len(timed)
    return client / engine - 1 if notable and engine > 0 else None


def of_pair(
    contender: Contender,
    baseline: Contender,
    pairs: Sequence[tuple[Generation, Generation]],
    *,
    builds: Mapping[int, tuple[str | None, ...]],
) -> Iterator[Note]:
    """Whether each trial and the baseline's that it is compared to were measured alike. `builds` are by block."""
    name, n = contender.name, len(pairs)
    other = [
        m for m, b in pairs if builds.get(m.block, 0) != builds.get(b.block, 0) and {m.block, b.block} <= builds.keys()
    ]
    if other and contender.engine == baseline.engine:
        text = f"{len(other)} of {n} trials ran on another build of the engine than the baseline's"
        yield note("CONFIGURATION_MISMATCH", text, contender=name, seen=other)
    if mixed := [m for m, b in pairs if m.trial.ignore_eos != b.trial.ignore_eos]:
        text = f"in {len(mixed)} of {n} trials one side has a fixed output length, the other stops by itself"
        yield note("CONFIGURATION_MISMATCH", text, contender=name, seen=mixed)
    alike = contender.engine == baseline.engine and contender.template == baseline.template
    if alike and (apart := [m for m, b in pairs if m.prompt_sha256 != b.prompt_sha256]):
        text = f"{len(apart)} of {n} prompts had another text than the baseline's (a chat template can hold the date)"
        yield note("CONFIGURATION_MISMATCH", text, contender=name, seen=apart)
    gap = max((abs(m.started - b.started) for m, b in pairs), default=0)
    if gap > _STALE:
        yield note("BASELINE_STALE", f"the baseline was measured up to {gap / 3600:.0f} hours apart", contender=name)


def of_run(
    contenders: Iterable[Contender],
    generations: Iterable[Generation],
    machine: Machine | None,
    *,
    environments: Iterable[Mapping[str, str]] = (),
) -> Iterator[Note]:
    """What concerns the run as a whole. `environments` are those of the engines that were opened."""
    labels: dict[tuple[str, str], None] = {}
    for c in contenders:
        if c.target_note is not None:
            labels[c.target_label, c.target_note] = None
        if c.synthetic:
            yield note("SYNTHETIC", "acceptance is decided by dice, not by the text", contender=c.name)
    for label, text in labels:
        yield note("SYNTHETIC", f"{label}: {text}")
    cores = machine.cores_logical if machine is not None else None
    loads = [g.load_average for g in generations if g.load_average is not None]
    if cores is not None and (high := [load for load in loads if load > cores * _LOAD]):
        text = f"the load was above {cores} cores in {len(high)} of {len(loads)} trials, up to {max(high):.1f}"
        found = note("CPU_OVERSUBSCRIBED", text)
        if any(not _WAITING & environment.keys() for environment in environments):
            spin = (
                "; threads of an OpenMP build spin while they wait: set OMP_WAIT_POLICY=passive where cores are shared"
            )
            found = replace(found, advice=found.advice + spin)
        yield found


def of_replies(results: Iterable[Result]) -> Iterator[Note]:
    """Who wrote the answers that stand before later turns."""
    each = {(r.target, r.answer.trial.prompt): r.answer for r in results if isinstance(r, Reply)}
    if said := list(each.values()):
        who = ", ".join(dict.fromkeys(g.trial.contender for g in said))
        cut = sum(g.stop_reason == "length" for g in said)
        text = f"answers before later turns: {len(said)}, {cut} of them cut off, all greedy and by {who}"
        yield note("ANSWERS_GENERATED", text, seen=said)


def of_row(row: Row) -> Iterator[Note]:
    """What a row of the table needs said beside it."""
    where = _Where(contender=row.contender, category=row.category)
    at = f"at temperature {row.temperature:g}" + (f" and fill {row.fill}" if row.fill is not None else "")
    if not row.speculating:
        yield note("NOT_SPECULATING", f"{row.method} drafted nothing in {row.trials} trials {at}", **where)
    elif row.baseline is not None and 0 < (n := row.speedup.n if row.speedup else row.prompts) < MINIMUM:
        what = "prompts" if row.axes.get("streams", 1) == 1 else "groups of streams"
        yield note("UNDERPOWERED", f"{n} {what} {at}: no interval", **where)
    found = row.lossless
    if found is None:
        return
    if row.baseline is None and found.diverged:
        text = f"engine not deterministic: {found.diverged} of {found.judged} control runs differ"
        yield note("DIVERGED", text, **where)
    if found.first is not None and found.kind in {"late divergence", "diverged"}:
        text = f"{found.diverged} of {found.judged} outputs differ, the first at token {found.first + 1}"
        yield note("DIVERGED", text, prompts=found.diverged_prompts, **where)
    if found.tie_flips and found.kind != "engine not deterministic":
        text = f"{found.tie_flips} of {found.judged} outputs differ at a tie (gap below {TIE} nat)"
        yield note("TIE_FLIP", text, prompts=found.tie_prompts, **where)


def of_bound(row: Row) -> Iterator[Note]:
    """A round that is cheaper than a plain step, beyond noise: a speedup above the tokens per step."""
    if row.round_cost is not None and not row.credible:
        text = f"a round costs {row.round_cost.value:.2f} plain steps, and less than 1 cannot be: a side was disturbed"
        yield note("CONFIGURATION_MISMATCH", text, contender=row.contender, category=row.category)


def drifted(baseline: Contender, late_over_early: Estimate | None) -> Iterator[Note]:
    """`late_over_early`: decode speed of the baseline in its last repeat over its first, same prompts."""
    e = late_over_early
    if e is None or e.low is None or e.high is None or abs(e.value - 1) < _DRIFT or e.low <= 1 <= e.high:
        return
    text = f"the baseline's last repeat ran at {e.value:.2f} times the speed of its first"
    yield note("THERMAL_DRIFT", text, contender=baseline.name)


def repetition(text: str) -> float | None:
    """Share of four-word sequences that stand earlier in the same text (rep-4 of Welleck et al., arXiv 1908.04319).

    Text without spaces is cut into 12-character windows instead. None when it is too short to say.
    """
    words = text.split()
    if (total := len(words) - _WINDOW + 1) > _SHORTEST:
        return 1 - len(set(zip(*(words[i:] for i in range(_WINDOW)), strict=False))) / total
    if (total := len(text) - _CHARACTERS + 1) > 4 * _SHORTEST:
        return 1 - len({text[i : i + _CHARACTERS] for i in range(total)}) / total
    return None


def _missed_fill(g: Generation) -> bool:
    """The prompt is longer or shorter than was asked for by more than 2 % and a sentence."""
    wanted, got = g.trial.fill, g.prompt_tokens
    return wanted is not None and got is not None and abs(got - wanted) > max(_FILL * wanted, _SENTENCE)


def _loops(text: str, known: dict[str, bool]) -> bool:
    found = known.get(text)
    if found is None:
        words = text.split()
        # Each distinct word after the first three ends a sequence that is new: with that many, most are.
        varied = len(words) > _SHORTEST + _WINDOW and len(set(words)) - _WINDOW + 1 > (1 - LOOP) * len(words)
        found = known[text] = not varied and (repetition(text) or 0) >= LOOP
    return found


def _not_in_force(contender: Contender, opening: Opening) -> Iterator[str]:
    """Settings that the engine, once opened, shows with another value. A context may be rounded up."""
    asked = {**contender.engine_settings, **contender.settings}
    wanted, size = asked.pop("context_size", None), opening.context_size
    slots = asked.get("parallel_slots", 1)
    if isinstance(wanted, int) and isinstance(slots, int) and size is not None and size * slots < wanted:
        yield f"a context of {wanted} tokens was asked for, the engine has {size * slots}"
    for key, value in asked.items():
        shown = opening.observed.get(key, value)
        if value != "auto" and not _same(value, shown) and not (value == 0 and shown == "ignored"):
            yield f"{key} {value} was asked for, the engine shows {shown}"


def _same(one: Setting, other: Setting) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= _FLOAT32
    return str(one).lower() == str(other).lower()


def _draft_lengths(contender: Contender) -> list[int]:
    """The longest draft asked for, by part of the method."""
    values = (*contender.values_of("draft_tokens_max"), *contender.values_of("ngram_draft_size"))
    return [value for value in values if isinstance(value, int)]


def _longest_draft(generations: Iterable[Generation]) -> int | None:
    """Tokens of the longest draft that the engine can make: it counts acceptance for so many positions.

    None where it shows no positions, or drafted more than they hold.
    """
    drafted = [c for g in generations if (c := g.counts).accepted_by_position and c.drafted_steps and c.drafted]
    most = max((len(c.accepted_by_position or ()) for c in drafted), default=0)
    return most if all((c.drafted or 0) <= most * (c.drafted_steps or 0) for c in drafted) else None


def _ignored(contender: Contender, g: Generation, sampling: Sampling) -> Iterator[str]:
    """Settings that the engine's own account of a trial contradicts. Engines keep numbers as 32-bit floats."""
    if g.trial.ignore_eos and g.stop_reason == "eos":
        yield "ignore_eos was asked for, an answer ended by itself"
    if not (seen := g.observed):
        return
    method = seen.get("method")
    if method is not None and not {*contender.method.split("+")} <= {*str(method).split("+")}:
        yield f"{contender.method} was asked for, the engine shows {method}"
    drawn = {"top_k": sampling.top_k, "top_p": sampling.top_p, "min_p": sampling.min_p}
    for key, wanted in {"temperature": g.trial.temperature, **drawn}.items():
        shown = seen.get(key)
        if isinstance(shown, int | float) and abs(shown - wanted) > _FLOAT32:
            yield f"{key} {wanted:g} was asked for, the engine shows {shown:g}"
    for key, asked in (("seed", g.trial.seed), ("ignore_eos", g.trial.ignore_eos)):
        if seen.get(key, asked) != asked:
            yield f"{key} {asked} was asked for, the engine shows {seen[key]}"

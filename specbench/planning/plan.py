"""What was asked for -> the exact list of trials. Everything that affects a number is decided here."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

from specbench.analysis.stats import MINIMUM
from specbench.conversation import turns
from specbench.engines.profile import Profile, choose
from specbench.errors import InputError
from specbench.models.facts import ModelFacts
from specbench.planning import suites
from specbench.planning.contenders import BASELINE, contenders, label_of
from specbench.planning.engines import per_engine
from specbench.planning.runfile import RunFile
from specbench.planning.suites import Suite
from specbench.records import Block, Contender, Message, Plan, Prompt, Role, Sampling, Trial
from specbench.structs import replace

_SLOW_TO_LOAD = 2 * 2**30  # bytes of a model that is not loaded again for every category
_WARM_UP_TOKENS = 32
_WARM_UP_FILL = 1024
_MARGIN = 128  # tokens: the chat template, and a draft that reaches beyond the end
_CONTEXT_STEP, _CONTEXT_LEAST = 256, 2048
_BYTES_A_TOKEN = (2, 8)  # fewest to be prepared for, most that any vocabulary averages on prose
_SPARE = Prompt(
    id="warm-up",
    suite="built-in",
    category="warm-up",
    messages=(Message(role="user", content="Name five things that float on water and say why each of them floats."),),
)


@dataclass(frozen=True)
class _Job:
    """What blocks are made of: the same for every contender."""

    runfile: RunFile
    suite: Suite
    prompts: Mapping[str, Sequence[Prompt]]  # by category, in the suite's order
    warm_ups: Mapping[str, Sequence[Prompt]]
    without_grammars: Collection[str]  # engines that cannot be held to a schema
    by_id: Mapping[str, Prompt]  # all there are

    def can(self, contender: Contender, prompt: Prompt) -> bool:
        """Whether the contender's engine can answer the prompt."""
        return not (prompt.constrained and contender.engine in self.without_grammars)

    def temperatures(self, contender: Contender) -> tuple[float, ...]:
        """Those of the contender's target, or of the run."""
        own = {label_of(target): target.temperatures for target in self.runfile.targets}
        return own.get(contender.target_label) or self.runfile.temperatures


def make_plan(
    runfile: RunFile,
    *,
    suite: Suite,
    profiles: Mapping[str, Profile],
    facts: Mapping[str, ModelFacts],
    version: str,
) -> Plan:
    """The plan of a run. `facts` are by model path as the run file names it; a server's model may have none."""
    chosen = [profiles[choose(name, profiles, what="engine")] for name in runfile.engines]
    for profile in chosen:
        if (profile.kind == "attach") != (runfile.url is not None):
            wrong, hint = ("needs a url", "give --url") if profile.kind == "attach" else ("takes no url", "use attach")
            raise InputError(f"engine {profile.name} {wrong}", hint=hint)
    selected = suites.select(
        suite, categories=runfile.categories, tags=runfile.tags, limit=runfile.prompts_per_category
    )
    by_category: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in selected:
        by_category[prompt.category].append(prompt)
    unable = {profile.name for profile in chosen if not profile.grammars}
    by_id = {prompt.id: prompt for prompt in (*suite.prompts, _SPARE)}
    job = _Job(runfile, suite, by_category, _warm_ups(by_id, by_category, runfile), unable, by_id)
    sizes = {} if runfile.url else {t.model: _context_size(job, facts.get(t.model)) for t in runfile.targets}
    found: tuple[Contender, ...] = ()
    held = any(prompt.constrained for prompt in selected)
    left_out = {f"{name}: prompts with a schema": "it has no grammars" for name in sorted(unable) if held}
    for part, profile in per_engine(runfile, chosen, facts):
        more, less = contenders(part, profile=profile, facts=facts, context_sizes=sizes, of_several=len(chosen) > 1)
        found, left_out = (*found, *more), {**left_out, **less}
    if any(prompt.after for prompt in selected) and (dice := [c.name for c in found if c.synthetic]):
        raise InputError(
            f"{dice[0]} accepts drafts by dice: its garbage could be the answer before the later turns of {suite.name}",
            hint="leave it out, or take a suite without open answers",
        )
    slow = {model for model, known in facts.items() if known.file_bytes > _SLOW_TO_LOAD}
    blocks = [*_measured(job, found, slow)]
    if runfile.budget is None:
        blocks += _controls(job, found, list(by_category))
    used = {p.id for _, trials in blocks for trial in trials for p in turns(job.by_id, trial.prompt)}
    prompts = [prompt for prompt in job.by_id.values() if prompt.id in used]
    return Plan(
        specbench_version=version,
        name=runfile.name or suite.name,
        suites={suite.name: suite.version},
        contenders=found,
        prompts=tuple(prompts),
        blocks=tuple(Block(index=i, contender=c.name, trials=tuple(t)) for i, (c, t) in enumerate(blocks)),
        sampling=_sampling(runfile, chosen),
        thinking=runfile.thinking,
        record_steps=runfile.record_steps,
        stream=runfile.stream,
        trial_timeout=runfile.trial_timeout,
        load_timeout=runfile.load_timeout,
        budget=runfile.budget,
        until=runfile.until,
        telemetry=runfile.telemetry,
        passages_text=suite.passages if any(prompt.passages for prompt in prompts) else None,
        left_out=left_out,
    )


def _sampling(runfile: RunFile, profiles: Sequence[Profile]) -> Sampling:
    """One for all contenders: what was asked for, or what the engines that draft need."""
    needed: dict[str, Any] = {key: value for profile in profiles for key, value in profile.sampling.items()}
    asked = {*runfile.temperatures, *(t for target in runfile.targets for t in target.temperatures or ())}
    if max(asked) == 0 or runfile.methods == (BASELINE,):
        return runfile.sampling
    wrong = [key for key, value in needed.items() if getattr(runfile.sampling, key) != value]
    if wrong and "sampling" in runfile.model_fields_set:
        names = ", ".join(profile.name for profile in profiles if profile.sampling)
        fix = ", ".join(f"{key} = {needed[key]:g}" for key in wrong)
        raise InputError(
            f"{names} drafts above temperature 0 only with {fix}", hint=f"[sampling] {fix} for all engines"
        )
    return replace(runfile.sampling, **needed)


def _measured(
    job: _Job, everyone: Sequence[Contender], slow: Collection[str]
) -> Iterator[tuple[Contender, list[Trial]]]:
    """Blocks in the order in which they run: contenders alternate, and each takes its turn at every place.

    With a budget, which may end anywhere, what was measured once has its control before anything else follows.
    """
    order = job.runfile.order
    rare = [c for c in everyone if order == "by-repeat" or (order is None and c.target_model in slow)]
    often = [c for c in everyone if c not in rare]
    categories = list(job.prompts)
    cycle = lcm(len(often), len(categories)) or 1
    for place, (repeat, part) in enumerate(_rounds(job)):
        for contender in _rotated(rare, place):
            yield from _blocks(part, contender, list(part.prompts), repeat)
        if hurried := job.runfile.budget is not None and repeat == 0:
            yield from _controls(part, rare, list(part.prompts))
        for index, category in enumerate(categories):
            if category not in part.prompts:
                continue
            turn = place * len(categories) + index
            # After a full cycle one more place, so that a category does not always have the same order.
            for contender in _rotated(often, turn + turn // cycle):
                yield from _blocks(part, contender, [category], repeat)
            if hurried:
                yield from _controls(part, often, [category])


def _rounds(job: _Job) -> Iterator[tuple[int, _Job]]:
    """The number of the repeat, and its prompts: all, but the first one has parts where `until` looks between them.

    Parts are drawn by lot, so that each stands for all.
    """

    def lot(prompt: Prompt) -> int:
        return _seed(job.runfile.seed, prompt.id, 0)

    parts = {category: _halved(sorted(prompts, key=lot)) for category, prompts in job.prompts.items()}
    looks = max(map(len, parts.values()), default=1) if job.runfile.until is not None else 1
    if job.runfile.until is not None and looks * job.runfile.repeats == 1:
        raise InputError(
            f"--until looks between parts of at least {MINIMUM} prompts or between repeats, and there is one part",
            hint=f"give at least {2 * MINIMUM - 1} --prompts a category, or more --repeats",
        )
    if looks > 1:
        yield from (
            (0, replace(job, prompts={category: found[look] for category, found in parts.items() if look < len(found)}))
            for look in range(looks)
        )
    yield from ((repeat, job) for repeat in range(looks > 1, job.runfile.repeats))


def _halved(prompts: Sequence[Prompt]) -> list[Sequence[Prompt]]:
    """Parts that each double what there is, the first one still large enough for an interval."""
    half = -(-len(prompts) // 2)
    return [prompts] if half < MINIMUM else [*_halved(prompts[:half]), prompts[half:]]


def _blocks(
    job: _Job, contender: Contender, categories: Sequence[str], repeat: int
) -> Iterator[tuple[Contender, list[Trial]]]:
    """One block, or for a drafter that learns one for each category, temperature and fill: it sees a prompt once."""
    groups: dict[object, list[Trial]] = defaultdict(list)
    for category in categories:
        for t in _trials(job, contender, category, repeat):
            groups[(category, t.temperature, t.fill) if contender.learns else None].append(t)
    for trials in groups.values():
        yield contender, [*_warm_up(job, contender, trials), *trials]


def _controls(
    job: _Job, everyone: Sequence[Contender], categories: Sequence[str]
) -> Iterator[tuple[Contender, list[Trial]]]:
    """Each baseline once more, greedy: what differs between equal runs is no fault of a method."""
    if not job.runfile.control:
        return
    for contender in everyone:
        if contender.baseline is None and 0 in job.temperatures(contender):
            trials = [t for c in categories for t in _trials(job, contender, c, 0, role="control")]
            if trials:
                yield contender, [*_warm_up(job, contender, trials, suffix="/control"), *trials]


def _rotated(items: Sequence[Contender], turn: int) -> list[Contender]:
    """A B C, then C A B, then B C A."""
    place = -turn % len(items) if items else 0
    return [*items[place:], *items[:place]]


def _trials(job: _Job, contender: Contender, category: str, repeat: int, *, role: Role = "measured") -> Iterator[Trial]:
    for temperature in (0.0,) if role == "control" else job.temperatures(contender):
        for prompt in (p for p in job.prompts[category] if job.can(contender, p)):
            for fill in job.runfile.fill if prompt.passages else (None,):
                place = prompt.id if fill is None else f"{prompt.id}@{fill}"
                ending = "/control" if role == "control" else ""
                yield Trial(
                    id=f"{category}/{place}/{contender.name}/t{_short(temperature)}/r{repeat}{ending}",
                    contender=contender.name,
                    category=category,
                    prompt=prompt.id,
                    role=role,
                    repeat=repeat,
                    temperature=temperature,
                    seed=_seed(job.runfile.seed, prompt.id, repeat),
                    output_tokens=_output_tokens(job, category),
                    ignore_eos=job.runfile.ignore_eos and not prompt.constrained,
                    fill=fill,
                    streams=contender.streams,
                )


def _warm_up(job: _Job, contender: Contender, trials: Sequence[Trial], *, suffix: str = "") -> Iterator[Trial]:
    """Short generations with prompts that are not measured, like the block's first trial in everything else."""
    first = trials[0]
    fill = min(job.runfile.fill)
    place = f"{first.category}/warm-up" + ("" if first.fill is None else f"@{first.fill}")
    for index, spare in enumerate(job.warm_ups[first.category]):
        prompt = spare if job.can(contender, spare) else _SPARE
        yield replace(
            first,
            id=f"{place}/{contender.name}/t{_short(first.temperature)}/r{first.repeat}/w{index}{suffix}",
            prompt=prompt.id,
            role="warm-up",
            seed=_seed(job.runfile.seed, prompt.id, first.repeat),
            output_tokens=min(first.output_tokens, _WARM_UP_TOKENS),
            ignore_eos=job.runfile.ignore_eos and not prompt.constrained,
            fill=min(fill, _WARM_UP_FILL) if prompt.passages else None,
        )


def _warm_ups(
    known: Mapping[str, Prompt], measured: Mapping[str, Sequence[Prompt]], runfile: RunFile
) -> dict[str, list[Prompt]]:
    """By category: prompts of the suite that are not measured, those with the asked tags first, then the shortest."""
    tags = set(runfile.tags)
    found = {}
    for category, prompts in measured.items():
        taken = {p.id for prompt in prompts for p in turns(known, prompt.id)}
        spare = [p for p in known.values() if p.category == category and p.id not in taken and p.after is None]
        spare.sort(key=lambda p: (not tags <= set(p.tags), _bytes(p)))
        found[category] = [*spare, *[_SPARE] * runfile.warmups][: runfile.warmups]
    return found


def _context_size(job: _Job, known: ModelFacts | None) -> int:
    """Tokens of context for every contender of a target: the smallest multiple of 256 that holds the longest trial."""
    least = most = 0
    for category, prompts in job.prompts.items():
        output = _output_tokens(job, category)
        for prompt in (*prompts, *job.warm_ups[category]):
            fill = max(job.runfile.fill) if prompt.passages else None
            told = turns(job.by_id, prompt.id)
            text = sum(map(_bytes, told))
            least = max(least, output + (fill or text // _BYTES_A_TOKEN[1]))
            most = max(most, output * len(told) + (fill or text // _BYTES_A_TOKEN[0]))
    trained = known.context_length if known else None
    asked = [size for size in job.runfile.engine_settings.get("context_size", ()) if isinstance(size, int)]
    limit, whose = (min(asked), "asked for") if asked else (trained, "that the model was trained for")
    if limit is not None and least > limit:
        raise InputError(
            f"the longest trial needs at least {least} tokens of context, more than the {limit} {whose}",
            hint="lower --fill or --output-tokens, or choose shorter prompts with --tags",
        )
    if asked:
        if trained is not None and max(asked) > trained:
            raise InputError(
                f"context_size is {max(asked)}, but the model was trained for {trained} tokens",
                hint="lower context_size",
            )
        return min(asked)
    wanted = max(_CONTEXT_LEAST, -(-(most + _MARGIN) // _CONTEXT_STEP) * _CONTEXT_STEP)
    return wanted if trained is None else min(wanted, trained)


def _output_tokens(job: _Job, category: str) -> int:
    return job.runfile.output_tokens or job.suite.category(category).output_tokens


def _bytes(prompt: Prompt) -> int:
    return sum(len(message.content.encode()) for message in prompt.messages)


def _seed(seed: int, prompt: str, repeat: int) -> int:
    """The same for every contender, so that equal distributions draw equal tokens."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{prompt}/{repeat}".encode()).digest()[:4]) >> 1


def _short(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)

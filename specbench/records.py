"""Every fact that is written to disk: what was planned, what ran, what was measured. Never a derived number.

A missing fact is None. Times are seconds, sizes bytes. Each file carries `schema_version`; another version is refused.
"""

from typing import Annotated, Any, ClassVar, Final, Literal, Self

from msgspec import Meta, field

from specbench.structs import Record, replace

SCHEMA_VERSION: Final = 2

Setting = bool | int | float | str
Kind = Literal["server", "attach", "xllamacpp", "python"]
Role = Literal["warm-up", "measured", "control"]
Protocol = Literal["llama.cpp", "openai"]
Doubt = Literal["SETTING_IGNORED", "LOSSY_PREFILL"]
Vendor = Literal["nvidia", "amd", "intel", "google", "apple"]

Count = Annotated[int, Meta(ge=-(2**53), le=2**53)]  # what no engine can have counted or timed is no record
Real = Annotated[float, Meta(ge=-1e18, le=1e18)]


class Message(Record):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Check(Record):
    """How an answer is judged: it parses (`python`, `json`), or it contains or matches something."""

    kind: Literal["python", "json", "contains", "regex"]
    all: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    pattern: str | None = None


class Passages(Record):
    """Text that is generated around `needles` until the prompt has the wanted context fill."""

    needles: tuple[str, ...]
    question: str
    instruction: str | None = None
    seed: int


class Prompt(Record):
    """One input. `messages` is the conversation; with `passages`, its last user turn is made when the fill is known."""

    id: str
    suite: str
    category: str
    tags: tuple[str, ...] = ()
    messages: tuple[Message, ...]
    after: str | None = None  # the prompt whose conversation, and the Reply to it, stand before the messages
    passages: Passages | None = None
    check: Check | None = None
    json_schema: str | None = None
    constrained: bool = False


class Sampling(Record):
    """How a token is drawn at a temperature above 0; the same for every contender. The defaults are llama.cpp's."""

    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05


class Contender(Record):
    """Engine + target model + method + settings: one thing that is measured.

    Methods joined by `+` run on one engine, each asked where those before it drafted nothing. `baseline` names the
    contender that this one is compared to; None for a baseline. `family` is what both share where that varies in the
    run, as `threads=2`; without `template` prompts are sent as bare text. `argv` and `environment` are what starts the
    engine, with `$port` still open; empty for an engine that is attached to. `help` are the words that print its flags.
    `doubts`: codes of notes, and why, that the engine's profile has for flags in `argv`.
    """

    name: str
    engine: str
    kind: Kind
    protocol: Protocol = "llama.cpp"
    target_model: str
    target_label: str
    target_note: str | None = None
    target_quant: str | None = None
    draft_model: str | None = None
    draft_label: str | None = None
    method: str
    settings: dict[str, Setting] = field(default_factory=dict)
    engine_settings: dict[str, Setting] = field(default_factory=dict)
    engine_args: tuple[str, ...] = ()
    executable: str | None = None
    url: str | None = None
    argv: tuple[str, ...] = ()
    help: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    learns: bool = False
    family: str = ""
    template: bool = True
    streams: int = 1
    baseline: str | None = None
    doubts: tuple[tuple[Doubt, str], ...] = ()

    @property
    def synthetic(self) -> bool:
        """Whether dice decide what is accepted: speed as a function of acceptance, never a result of the method."""
        flags = (word.partition("=")[0] for word in self.engine_args if word.startswith(("--spec", "speculative.")))
        return any("synth" in word for word in (*self.settings, *self.engine_settings, *flags))

    def values_of(self, setting: str) -> tuple[Setting, ...]:
        """The values of a setting: of a combined method, which has it as PART.KEY, one for each part that has it."""
        return tuple(value for key, value in self.settings.items() if key.rpartition(".")[2] == setting)

    @property
    def group(self) -> str:
        """The contenders that belong into one table: the target, and the family where there are several."""
        return f"{self.target_label}, {self.family}" if self.family else self.target_label


class Trial(Record):
    """One planned generation. `fill` is the wanted context fill in tokens; None leaves the prompt as it is.

    `streams` requests run at the same time, this one among them.
    """

    id: str
    contender: str
    category: str
    prompt: str
    role: Role
    repeat: Count
    temperature: Real
    seed: int
    output_tokens: Count
    ignore_eos: bool
    fill: Count | None = None
    streams: Count = 1


class Block(Record):
    """Trials that run on one opened engine, in this order."""

    index: Count
    contender: str
    trials: tuple[Trial, ...]


class Plan(Record):
    """The exact list of trials, and everything that affects a number. `left_out`: methods not planned, and why.

    `drafters_found`: files that lay around the models, and what became of each. `model_files`: their fingerprints.
    `until`: how wide the interval of a speedup may be to either side, as a fraction, for its cell to go on no further.
    `command`: the words that asked for it.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    specbench_version: str
    name: str
    suites: dict[str, str]
    contenders: tuple[Contender, ...]
    prompts: tuple[Prompt, ...]
    blocks: tuple[Block, ...]
    sampling: Sampling = Sampling()
    thinking: bool | None = None
    record_steps: bool = False
    stream: bool = False
    trial_timeout: float = 600.0
    load_timeout: float = 600.0
    budget: float | None = None
    until: float | None = None
    telemetry: bool = True
    passages_text: dict[str, Any] | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    drafters_found: dict[str, str] = field(default_factory=dict)
    model_files: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A later turn comes after its earlier ones, so that they never go round in a circle."""
        known: set[str | None] = {None}
        for prompt in self.prompts:
            if prompt.after not in known:
                raise ValueError(f"{prompt.id} comes after {prompt.after}, which is not before it")
            known.add(prompt.id)

    def contender(self, name: str) -> Contender:
        """The contender of that name; KeyError when the plan has none."""
        return {c.name: c for c in self.contenders}[name]


class Accelerator(Record):
    """A card or chip beside the CPU. Names are not keys: `identity` is.

    target: compute capability, gfx target or TPU generation. memory: bytes that a job can use. units: SMs, compute
    units or GPU cores. `readings` are in base units; what is not told has an entry in `reasons`.
    """

    vendor: Vendor
    name: str | None = None
    pci_id: str | None = None
    pci_address: str | None = None
    target: str | None = None
    memory: int | None = None
    units: int | None = None
    unified: bool | None = None
    readings: dict[str, Setting] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def identity(self) -> tuple[str | int | None, ...]:
        """What makes two cards the same kind."""
        return self.vendor, self.pci_id, self.target, self.memory, self.units


class Link(Record):
    """What a driver reports of the way between two accelerators, named by PCI address. Reported is not measured."""

    a: str
    b: str
    readings: dict[str, Setting] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


class Machine(Record):
    """What this machine is, as far as it could be read. `hostname` stays None unless asked for.

    `engine_devices` is what each engine says it can compute on. What could not be read has an entry in `reasons`.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    system: str
    release: str | None = None
    architecture: str | None = None
    python: str | None = None
    cpu: str | None = None
    cores_physical: int | None = None
    cores_logical: int | None = None
    memory: int | None = None
    isa: tuple[str, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    links: tuple[Link, ...] = ()
    engine_devices: dict[str, tuple[dict[str, Setting], ...]] = field(default_factory=dict)
    hostname: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    readings: dict[str, Setting] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def identity(self) -> tuple[object, ...]:
        """What makes two machines the same for a measurement."""
        return self.cpu, self.cores_logical, tuple(card.identity() for card in self.accelerators)

    def same(self, other: "Machine") -> bool:
        """Whether figures of one are figures of the other."""
        return self.identity() == other.identity()


class DraftCounts(Record):
    """Engine-neutral counters of one request; `sources` says where each came from (see docs/counters.md).

    prefill_tokens: those of the prompt pass (R). verification_steps: decode passes of the target (F), drafted_steps
    those with a draft (S), draft_passes those that only draft. beyond_end: accepted, without a place in the answer.
    """

    emitted: Count | None = None
    prefill_tokens: Count | None = None
    drafted: Count | None = None
    accepted: Count | None = None
    verification_steps: Count | None = None
    drafted_steps: Count | None = None
    accepted_by_position: tuple[Count, ...] | None = None
    beyond_end: Count | None = None
    draft_passes: Count | None = None
    sources: dict[str, str] = field(default_factory=dict)


class Step(Record):
    """One verification step as seen in the stream; `seconds` is the engine's time, `phases` parts of it by name."""

    drafted: Count
    accepted: Count
    emitted: Count
    seconds: Real
    phases: dict[str, Real] | None = None


class Gauge(Record):
    """Readings of one sensor during a trial; their mean is total / count."""

    count: Count
    total: Real
    low: Real
    high: Real


class Meter(Record):
    """Readings from which energy follows, with the seconds since the trial began.

    `energy`: joules on a counter that starts again at `wrap`. `power`: watts, the fallback.
    """

    scope: Literal["gpu", "package"]
    kind: Literal["energy", "power"]
    wrap: Real | None = None
    points: tuple[tuple[Real, Real], ...]


class Telemetry(Record, tag_field="kind", tag="telemetry"):
    """What the machine showed during a trial; `trial` is None for the idle machine before the run.

    Keys are DEVICE.READING (see docs/hardware.md); `throttle` counts readings by the card's mask of clock reasons.
    `reasons` says why a reading is missing; those that hold for the whole run stand before it only.
    """

    kind: ClassVar[Literal["telemetry"]] = "telemetry"
    schema_version: Literal[2] = SCHEMA_VERSION
    trial: str | None
    started: float
    gauges: dict[str, Gauge]
    meters: dict[str, Meter]
    throttle: dict[str, dict[int, int]]
    reasons: dict[str, str]


class Generation(Record, tag_field="kind", tag="generation"):
    """A finished trial. Engine times come from the engine's answer, client times from a monotonic clock here.

    `stream` is its number among those that ran at the same time; `group_tokens` and `group_seconds` are the output and
    the wall time of all of them, the same in each.
    `asked`: seconds from `started` to the request. `telemetry` has a file of its own and is joined when a run is read.
    """

    kind: ClassVar[Literal["generation"]] = "generation"
    schema_version: Literal[2] = SCHEMA_VERSION
    trial: Trial
    block: Count
    order: Count
    started: Real
    text: str
    output_ids: tuple[int, ...] | None
    prompt_sha256: str
    prompt_tokens: Count | None
    cached_tokens: Count | None
    prefilled_tokens: Count | None
    output_tokens: Count | None
    counts: DraftCounts
    prefill_seconds: Real | None
    decode_seconds: Real | None
    draft_seconds: Real | None = None
    first_token: Real | None
    last_token: Real | None
    total: Real | None
    first_chunk_tokens: Count | None = None
    stop_reason: Literal["length", "eos", "word"] | None
    verification_rule: Literal["greedy-match", "rejection-sampling"] | None = None
    steps: tuple[Step, ...] | None = None
    top_two_gaps: tuple[Real | None, ...] | None = None
    observed: dict[str, Setting] = field(default_factory=dict)
    load_average: Real | None = None
    stream: Count | None = None
    group_tokens: Count | None = None
    group_seconds: Real | None = None
    asked: Real | None = None
    telemetry: Telemetry | None = None

    def on_disk(self) -> Self:
        """Without its telemetry."""
        return self if self.telemetry is None else replace(self, telemetry=None)


class Failure(Record, tag_field="kind", tag="failure"):
    """A trial that went wrong. The reason is a code; `log_tail` holds the engine's last words."""

    kind: ClassVar[Literal["failure"]] = "failure"
    schema_version: Literal[2] = SCHEMA_VERSION
    trial: Trial
    block: Count
    order: Count
    started: Real
    reason: Literal["engine-died", "timeout", "context-exceeded", "refused", "bad-answer"]
    message: str
    hint: str
    log_tail: str | None = None


class Opening(Record, tag_field="kind", tag="opening"):
    """An engine that was opened for a block: who it is and how it was started."""

    kind: ClassVar[Literal["opening"]] = "opening"
    schema_version: Literal[2] = SCHEMA_VERSION
    contender: str
    block: int
    started: float
    engine_version: str | None
    engine_commit: str | None
    executable: str | None
    executable_sha256: str | None
    argv: tuple[str, ...]
    environment: dict[str, str]
    load_seconds: float | None
    context_size: int | None
    chat_template_sha256: str | None
    model_type: str | None = None
    observed: dict[str, Setting] = field(default_factory=dict)
    log: str | None = None


class Skip(Record, tag_field="kind", tag="skip"):
    """A contender (or all that is left of a block) that cannot run here, with the reason."""

    kind: ClassVar[Literal["skip"]] = "skip"
    schema_version: Literal[2] = SCHEMA_VERSION
    contender: str
    block: int | None
    reason: str
    hint: str
    log_tail: str | None = None


class Enough(Record, tag_field="kind", tag="enough"):
    """Planned trials that need not run: the speedup of their category is known as well as the plan's `until` asks."""

    kind: ClassVar[Literal["enough"]] = "enough"
    schema_version: Literal[2] = SCHEMA_VERSION
    contender: str
    category: str
    reason: str
    trials: tuple[str, ...]


class Reply(Record, tag_field="kind", tag="reply"):
    """The greedy answer before a later turn, for all contenders of `target` (a label); its trial is no planned one."""

    kind: ClassVar[Literal["reply"]] = "reply"
    schema_version: Literal[2] = SCHEMA_VERSION
    target: str
    answer: Generation


Result = Generation | Failure | Opening | Skip | Enough | Reply | Telemetry

"""Every option, declared once. The values are checked by the same model that checks a run file."""

from pathlib import Path
from typing import Annotated

import typer

from specbench.remote import place


def _option(*names: str, text: str, metavar: str | None = None) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(*names, help=text, metavar=metavar)
    return option


def _at(name: str, *, text: str, metavar: str) -> typer.models.OptionInfo:  # a folder or its URL
    option: typer.models.OptionInfo = typer.Option(name, help=text, metavar=metavar, parser=place)
    return option


def _runs(metavar: str, text: str) -> typer.models.ArgumentInfo:
    argument: typer.models.ArgumentInfo = typer.Argument(metavar=metavar, help=text, parser=place)
    return argument


RunFilePath = Annotated[
    Path | None, typer.Argument(metavar="[RUNFILE]", help="A run file (TOML); the options below override it.")
]
PlannedFile = Annotated[
    Path | None, typer.Argument(metavar="[RUNFILE]", help="A run file (TOML) to pin; default: the embedded family's.")
]
RunPath = Annotated[Path | None, _runs("[RUN]", "A run folder, URL or name; default: the newest.")]
ModelPath = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A GGUF, a folder with config.json and safetensors, `micro`, or ORG/REPO:QUANT."
    ),
]
SeveralRuns = Annotated[list[Path] | None, _runs("[RUN...]", "Run folders, URLs or names; default: the newest.")]
_TARGET = "Target: a GGUF, a folder with config.json and weights, `micro`, or ORG/REPO:QUANT"
Model = Annotated[list[str] | None, _option("--model", "-m", text=f"{_TARGET}; may be repeated.", metavar="MODEL")]
OneTarget = Annotated[list[str] | None, _option("--model", "-m", text=f"{_TARGET}.", metavar="MODEL")]
OneModel = Annotated[str, _option("--model", "-m", text="Target GGUF, or one of the embedded family.", metavar="GGUF")]
DraftModel = Annotated[
    list[str] | None,
    _option(
        "--draft-model",
        "--drafter",
        "-d",
        text="Draft model, or file of MTP, EAGLE-3, DFlash or DSpark heads (its header says which); may be repeated.",
        metavar="MODEL",
    ),
]
Discover = Annotated[
    bool | None,
    _option(
        "--discover/--no-discover", text="Look for drafters beside the model and in the usual folders; default: do."
    ),
]
_ENGINE = "Engine profile, or NAME=PROGRAM; see `specbench engines`"
Engine = Annotated[list[str] | None, _option("--engine", "-e", text=f"{_ENGINE}; may be repeated.", metavar="NAME")]
OneEngine = Annotated[list[str] | None, _option("--engine", "-e", text=f"{_ENGINE}.", metavar="NAME")]
EnginePath = Annotated[
    str | None,
    _option("--engine-path", text="The engine's program, if it is not on PATH.", metavar="FILE"),
]
EnginesFolder = Annotated[
    Path | None, _option("--engines", text="Folder with engine profiles of your own.", metavar="DIR")
]
Url = Annotated[str | None, _option("--url", text="Measure a server that already runs.", metavar="URL")]
EngineSetting = Annotated[
    list[str] | None,
    _option("--engine-set", text="Target setting, e.g. threads=8, gpu_layers=99.", metavar="KEY=VALUE"),
]
EngineArg = Annotated[
    list[str] | None,
    _option("--engine-arg", text="Passed to the engine as it is; recorded.", metavar="TEXT"),
]
TrustRemoteCode = Annotated[
    bool | None,
    _option("--trust-remote-code", text="Run Python code that lies beside the model's weights; read it first."),
]
Methods = Annotated[
    str | None,
    _option("--methods", "-M", text="Comma list; default: all that are possible. A+B tries A first.", metavar="NAMES"),
]
MethodSetting = Annotated[
    list[str] | None,
    _option("--set", "-s", text="Method setting, e.g. draft-model.draft_tokens_max=4,8.", metavar="KEY=VALUE"),
]
SuiteName = Annotated[str | None, _option("--suite", text="Suite name or folder.", metavar="NAME")]
Categories = Annotated[str | None, _option("--categories", "-c", text="Comma list; default: all.", metavar="NAMES")]
Tags = Annotated[str | None, _option("--tags", text="Only prompts with all of these tags.", metavar="NAMES")]
Prompts = Annotated[int | None, _option("--prompts", "-n", text="At most so many prompts a category.", metavar="N")]
Fill = Annotated[str | None, _option("--fill", text="Context fill of rag-long, in tokens, e.g. 1k,8k.", metavar="LIST")]
OneFill = Annotated[int, _option("--fill", text="Tokens in the context.", metavar="N")]
SecondsEach = Annotated[
    float, _option("--seconds", text="Time for each number of positions, loading not counted.", metavar="S")
]
Temperatures = Annotated[str | None, _option("--temperature", "-t", text="Comma list; default 0,0.8.", metavar="LIST")]
OutputTokens = Annotated[int | None, _option("--output-tokens", "-o", text="Length of each answer.", metavar="N")]
NaturalStop = Annotated[
    bool | None, _option("--natural-stop/--fixed-length", text="Let answers end where the model ends them.")
]
Repeats = Annotated[int | None, _option("--repeats", "-r", text="Repeats of every trial.", metavar="N")]
Seed = Annotated[int | None, _option("--seed", text="Seed of prompts and sampling.", metavar="N")]
Thinking = Annotated[bool | None, _option("--thinking/--no-thinking", text="Chat template switch; recorded.")]
Steps = Annotated[bool | None, _option("--steps/--no-steps", text="Record every verification step.")]
Stream = Annotated[
    bool | None,
    _option("--stream/--no-stream", text="Stream answers: times at the client, a little slower."),
]
Telemetry = Annotated[
    bool | None, _option("--telemetry/--no-telemetry", text="Watch power, memory and clocks (on by default).")
]
Budget = Annotated[
    str | None, _option("--budget", "-b", text="Stop after this time, e.g. 5m; resumable.", metavar="TIME")
]
Until = Annotated[
    str | None,
    _option("--until", text="End a category once its speedup is known so closely, e.g. ci=3%.", metavar="ci=PERCENT"),
]
Sweep = Annotated[
    list[str] | None,
    _option(
        "--sweep",
        text="Values of METHOD.SETTING, an engine setting, fill, temperature, template or streams, e.g. streams=1,2,4.",
        metavar="KEY=LIST",
    ),
]
Yes = Annotated[bool, _option("--yes", "-y", text="Do not ask before a large run.")]
Mix = Annotated[
    str | None, _option("--mix", text="Your work as shares of tokens, e.g. code=0.6,chat=0.4; default: equal.")
]
OneTemperature = Annotated[float | None, _option("--temperature", "-t", text="Default 0.8.", metavar="NUMBER")]
DryRun = Annotated[bool, _option("--dry-run", text="Show the plan and run nothing.")]
Name = Annotated[str | None, _option("--name", text="Name of the run folder.", metavar="NAME")]
Results = Annotated[Path, _at("--results", text="Folder of all runs, or its URL.", metavar="DIR")]
Resume = Annotated[Path | None, _at("--resume", text="Go on with a run that was stopped.", metavar="RUN")]
Hostname = Annotated[bool, _option("--hostname", text="Record the host's name (off by default).")]
Strict = Annotated[bool, _option("--strict", text="A note that doubts a number is a failure.")]
Root = Annotated[
    Path | None,
    _option("--root", text="Read another machine's files: a folder with its sys/ and proc/.", metavar="DIR"),
]
FromCapture = Annotated[
    Path | None, _option("--from-capture", text="Replay a file of `specbench hardware capture`.", metavar="FILE")
]
Json = Annotated[bool, _option("--json", text="JSON on standard output.")]
Format = Annotated[str, _option("--format", "-f", text="text, markdown, json, or of one RUN csv.", metavar="NAME")]
Output = Annotated[Path | None, _option("--output", text="Write to a file instead of standard output.", metavar="FILE")]
Html = Annotated[Path | None, _option("--html", text="Write one HTML file that needs nothing else.", metavar="FILE")]
Charts = Annotated[Path | None, _option("--charts", text="Write every chart as PNG and SVG.", metavar="DIR")]
Runs = Annotated[
    list[Path], _runs("BASE NEW...", "Run folders, URLs or names, a folder of runs, or `baseline`; the first is BASE.")
]
MoreBase = Annotated[list[Path] | None, _at("--base", text="Another run of BASE; may be repeated.", metavar="RUN")]
FailOn = Annotated[
    list[str] | None,
    _option(
        "--fail-on", text="e.g. 'decode_speed<-5%', 'acceptance<-0.02', lossless; repeatable.", metavar="CONDITION"
    ),
]
Across = Annotated[
    str | None,
    _option(
        "--across", text="What may differ: machine, engine, target, prompts, settings (comma list).", metavar="KINDS"
    ),
]
Threshold = Annotated[
    float | None, _option("--threshold", text="Practical threshold without --fail-on, as 0.05.", metavar="FRACTION")
]
ComparedFormat = Annotated[
    str,
    _option(
        "--format", "-f", text="text, markdown, json, junit, bencher, github-benchmark or benchstat.", metavar="NAME"
    ),
]
PredictedModel = Annotated[
    str | None,
    _option(
        "--model", "-m", text="Instead of a run: a GGUF, NAME:QUANT that is published, or a TOML.", metavar="MODEL"
    ),
]
On = Annotated[
    str | None, _option("--on", text="Comma list of hardware profiles; default: all that are known.", metavar="NAMES")
]
Context = Annotated[str, _option("--context", text="Tokens in the KV cache, e.g. 32k.", metavar="N")]
Backtest = Annotated[
    bool, _option("--backtest", text="How well published rows are predicted without their own source.")
]
Curve = Annotated[
    list[Path] | None,
    _option("--curve", text="A machine's record of `specbench hardware profile`; may be repeated.", metavar="JSON"),
]
ForeignFiles = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Result files of other tools.")]
ForeignFormat = Annotated[
    str | None, _option("--format", "-f", text="What the files are; default: told by their content.", metavar="NAME")
]
WithPublished = Annotated[
    bool, _option("--with-published", text="One RUN: add what others published about the same hardware and methods.")
]
WithImported = Annotated[bool, _option("--with-imported", text="One RUN: add what `specbench import` took in.")]
PromptFormat = Annotated[
    str,
    _option("--format", "-f", text="spec-bench, speed-bench, mt-bench, humaneval, gsm8k or jsonl.", metavar="NAME"),
]
SuiteFolder = Annotated[Path, _option("--to", text="A new folder for the suite.", metavar="DIR")]
PromptColumns = Annotated[
    list[str] | None,
    _option(
        "--column", text="prompt=NAME, category=NAME or id=NAME, where they differ; repeatable.", metavar="KEY=NAME"
    ),
]
Licence = Annotated[str | None, _option("--licence", text="Of the prompts; default: what is known.", metavar="TEXT")]
AnswerTokens = Annotated[int, _option("--output-tokens", "-o", text="Length of each answer.", metavar="N")]
ExportFormat = Annotated[
    str, _option("--format", "-f", text="csv, parquet, llama-bench, aiperf, pyperf or asv.", metavar="NAME")
]
EngineCommit = Annotated[str | None, _option("--commit", text="With asv: the engine's commit in full.", metavar="HASH")]
Lake = Annotated[Path | None, _at("--lake", text="Write RUN, or all runs, to a Parquet dataset.", metavar="DIR")]
Buy = Annotated[bool, _option("--buy", text="What machines of a price list do with --model, and what that costs.")]
Dollars = Annotated[float | None, _option("--budget", text="With --buy: dollars at most.", metavar="DOLLARS")]
Prices = Annotated[
    Path | None, _option("--prices", text="With --buy: your price list; default: an EXAMPLE.", metavar="TOML")
]
TauFrom = Annotated[
    Path | None, _at("--tau-from", text="With --buy: the run that says how drafts are accepted.", metavar="RUN")
]
BoughtModel = Annotated[
    list[str] | None,
    _option("--model", "-m", text="With --buy: a GGUF, a TOML, or NAME:QUANT; may be repeated.", metavar="MODEL"),
]
Like = Annotated[
    str | None, _option("--like", text="Lay the run out as a published table, e.g. mtp-quants.", metavar="NAME")
]
Fleet = Annotated[
    str | None,
    _option("--fleet", text="Measure on the nodes of a Ray cluster; `local`: here, as one.", metavar="ADDRESS"),
]
FleetFile = Annotated[
    Path | None, _option("--fleet-file", text="With --fleet: where engines and models lie on nodes.", metavar="TOML")
]
FleetOn = Annotated[
    str | None,
    _option("--on", text="With --fleet: only nodes like this: gpu.name~3090, memory>=64GiB.", metavar="REQUIREMENT"),
]
NamedRuns = Annotated[list[Path], _runs("RUN...", "Run folders, URLs or names, or a folder of runs.")]
AnyRuns = Annotated[list[Path] | None, _runs("[RUN...]", "Default: all runs.")]
To = Annotated[Path | None, _at("--to", text="Folder of the new runs; default: RESULTS/merged.", metavar="DIR")]

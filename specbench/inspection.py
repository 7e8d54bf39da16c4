"""What a model file is, which drafters lie around it, and what each engine can do with them. Nothing is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from specbench.engines.profile import Profile
from specbench.engines.profile_files import profiles
from specbench.models import compatibility, discovery, gguf, micro, reference
from specbench.models.facts import ModelFacts
from specbench.models.findings import findings
from specbench.planning.contenders import contenders
from specbench.planning.runfile import RunFile, Target
from specbench.report.inspection import Drafting, Inspection

_KINDS = ("draft-model", "eagle3", "dflash", "dspark", "mtp")


def inspect_model(
    name: str,
    *,
    drafters: Sequence[str] = (),
    engines: Path | None = None,
    discover: bool = True,
    environment: Mapping[str, str],
    home: Path,
) -> Inspection:
    """Read the headers of `name` and of the drafters given or found, and judge what fits."""
    path = reference.find(name, environment=environment, home=home)
    facts = reference.read_facts(path)
    found = Inspection(facts, tuple(findings(facts)))
    if facts.drafter is not None:
        return found
    known = {str(path): facts}
    given: dict[str, Path] = {}
    remarks = {}
    embedded = ("micro-draft",) if name in micro.NAMES and discover and not drafters else ()  # as a run has it
    for drafter in (reference.find(d, environment=environment, home=home) for d in drafters or embedded):
        head = known[str(drafter)] = reference.read_facts(drafter)
        kind: str = head.drafter or "draft-model"
        reason = compatibility.misfit(facts, head)
        before = f", but {given[kind].name} was given before it" if kind in given else ""
        how = "used" if embedded else "given"
        remarks[str(drafter)] = f"{how} as {kind}: " + (f"does not fit, {reason}" if reason else f"fits{before}")
        if reason is None:
            given.setdefault(kind, drafter)
    around = discovery.Discovered()
    if discover and facts.format == "gguf":
        around = discovery.discover(
            path,
            facts,
            beside=reference.folder(path),
            places=() if name in micro.NAMES else discovery.places(environment, home),
            kinds=_KINDS,
            given=given,
        )
        known |= {str(file): gguf.read_facts(file) for file in around.drafters}
    target = Target(model=str(path), drafters=tuple(map(str, (*given.values(), *around.drafters))))
    able = [_drafting(profile, target, known) for profile in profiles(engines).values() if profile.kind != "attach"]
    return replace(found, drafters=remarks | around.remarks, engines=tuple(able))


def _drafting(profile: Profile, target: Target, facts: Mapping[str, ModelFacts]) -> Drafting:
    """The methods that the plan of a run would have, and why not the others."""
    if facts[target.model].format != profile.reads:
        return Drafting(profile.name, {}, dict.fromkeys(profile.methods, f"{profile.name} reads {profile.reads} files"))
    possible, left_out = contenders(
        RunFile(targets=(target,), engine=profile.name), profile=profile, facts=facts, context_sizes={}
    )
    return Drafting(profile.name, {c.method: c.draft_label for c in possible}, left_out)

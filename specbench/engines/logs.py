"""What engines say in their logs -> counts of a request, drafting time, and the settings in force. Text in, facts out.

docs/engines.md says which engine and version writes which line.
"""

import re
from collections.abc import Mapping

from specbench.records import Setting

# Ends to what may stand between, and (?>...) that does not go back: a hostile line of a megabyte would take minutes.
_STATISTICS = re.compile(r"statistics +([\w-]+): .{0,4000}dur\(b,g,a\) = [\d.]+, (\d{1,12}\.?\d*), [\d.]+ ms")
_LLAMA_CPP = re.compile(
    r"draft acceptance(?: rate)? += +[\d.]+ +\( *(?P<accepted>\d{1,15}) accepted / *(?P<drafted>\d{1,15}) generated\)"
)
_LUCEBOX = re.compile(
    r"\[spec-decode\] tokens=\d+ .{0,400}"
    r"steps=(?P<steps>\d{1,15}) accepted=(?P<accepted>\d{1,15})/(?P<drafted>\d{1,15}) "
)
_PTI = re.compile(r"\[\w+\] \d+ tok in (?P<steps>\d{1,15}) steps (?P<rest>.*)")
_PTI_PART = re.compile(r"(?:lookup|mtp) (\d{1,15})/(\d{1,15})")

# By setting: where llama.cpp and its forks show the value in force. The target's context is the first that is made.
_SHOWN = {
    "threads": r"system_info: n_threads = (\d{1,15})(?!\d)",
    "batch_size": r"llama_context: n_batch += (\d{1,15})(?!\d)",
    "ubatch_size": r"llama_context: n_ubatch += (\d{1,15})(?!\d)",
    "flash_attention": r"llama_context: flash_attn += (\w+)",
    "cache_type_k": r"llama_kv_cache: size = .{0,400} K \((\w+)\)",
    "cache_type_v": r"llama_kv_cache: size = .{0,400} V \((\w+)\)",
    "load_mode": r"\(load_mode = ([\w+]+)\)",
    "gpu_layers": r"--gpu-layers option will be (ignored)",
    "parallel_slots": r"n_slots = (\d{1,15})(?!\d)",
    "draft_tokens_max": r"^(?>.*?spec )(?>.*? - ).*\bn_max=(\d{1,15})(?!\d)",
    "draft_tokens_min": r"^(?>.*?spec )(?>.*? - ).*\bn_min=(\d{1,15})(?!\d)",
    "p_min": r"^(?>.*?spec )(?>.*? - ).*\bp_min=(\d{1,12}\.?\d*)",
    "draft_cache_type_k": r"^(?>.*?spec )(?>.*? - ).*\bcache_k=(\w+)",
    "draft_cache_type_v": r"^(?>.*?spec )(?>.*? - ).*\bcache_v=(\w+)",
    "ngram_size": r"^(?>.*?spec )(?>.*? - ).*\bsize_(?:n|key)=(\d{1,15})(?!\d)",
    "ngram_draft_size": r"^(?>.*?spec )(?>.*? - ).*\bsize_(?:m|value)=(\d{1,15})(?!\d)",
    "ngram_match": r"^(?>.*?spec )(?>.*? - ).*\bn_match=(\d{1,15})(?!\d)",
    "min_hits": r"^(?>.*?spec )(?>.*? - ).*\bmin_hits=(\d{1,15})(?!\d)",
}
_NAMES: Mapping[str, Setting] = {"enabled": "on", "disabled": "off"}


def drafting_seconds(log: str) -> float | None:
    """Seconds spent drafting since the engine started: the last `statistics` line of each type. None without one."""
    last = {kind: float(milliseconds) / 1000 for kind, milliseconds in _STATISTICS.findall(log)}
    return sum(last.values()) if last else None


def counts(log: str) -> dict[str, int]:
    """Drafted, accepted and steps of the last request in `log`, by the names of `DraftCounts`; empty without a line.

    Lucebox counts the token that a draft starts from as drafted and accepted in every step: it is taken out here, and
    that token makes its prompt pass yield none.
    """
    if found := _last(_LLAMA_CPP, log):
        return {"drafted": int(found["drafted"]), "accepted": int(found["accepted"])}
    if found := _last(_LUCEBOX, log):
        steps = int(found["steps"])
        drafted, accepted = int(found["drafted"]) - steps, int(found["accepted"]) - steps
        return {
            "drafted": drafted,
            "accepted": accepted,
            "verification_steps": steps,
            "drafted_steps": steps,
            "prefill_tokens": 0,
        }
    if found := _last(_PTI, log):
        parts = [(int(accepted), int(drafted)) for accepted, drafted in _PTI_PART.findall(found["rest"])]
        accepted, drafted = (sum(column) for column in zip((0, 0), *parts, strict=True))
        return {"drafted": drafted, "accepted": accepted, "verification_steps": int(found["steps"])}
    return {}


def settings_shown(log: str) -> dict[str, Setting]:
    """The settings that the engine says are in force, by the names that profiles give them."""
    found = {name: re.search(pattern, log, re.MULTILINE) for name, pattern in _SHOWN.items()}
    return {name: _value(match[1]) for name, match in found.items() if match is not None}


def _last(pattern: re.Pattern[str], log: str) -> re.Match[str] | None:
    return next(reversed(list(pattern.finditer(log))), None)


def _value(text: str) -> Setting:
    if re.fullmatch(r"\d{1,15}", text):
        return int(text)
    return float(text) if re.fullmatch(r"\d+\.\d*", text) else _NAMES.get(text, text)

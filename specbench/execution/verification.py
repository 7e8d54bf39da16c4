"""What verifying costs: passes of the target over k positions, through the real engine and as speculation makes them.

The drafter is ngram-mod, which carries what it saw from one request to the next. It is taught how the model goes on;
from then on it drafts exactly that, k - 1 tokens at a time, and all of them are accepted. So every pass of a request
has k positions, logits for each, the sampling, and the checkpoints that some models need: what speculation pays.
Prompts with k new tokens would leave out all but the positions: there only the last one gets logits.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from specbench.engines import catalog
from specbench.engines.base import Answer, EngineInfo, Request, Session
from specbench.errors import EngineError, InputError
from specbench.measurements import VerificationPasses
from specbench.records import Contender

DRAFTER = "ngram-mod"
POSITIONS = (1, 2, 3, 4, 5, 8, 9, 16, 32)
SPAN = 64  # tokens that every request decodes, or a few less: the context fill is the same for all numbers of positions
NGRAM = 24  # tokens that must match: the engine's own default, so that few texts repeat themselves confusingly
_LEAST, _MOST = 5, 40  # requests
_LESSONS = 4
_BEYOND = 8  # tokens that a lesson goes on, so that the last one asked for is learnt too


def passes(
    contender: Contender, *, texts: Sequence[str], fill: int, log: Path, seconds: float, clock: Callable[[], float]
) -> tuple[VerificationPasses, EngineInfo]:
    """Measure one opened engine for about `seconds`, after the first of `texts` that the model goes on from alike.

    Each is longer than `fill` tokens, and its beginning is the prompt. Raises OpeningError and TrialError, and
    EngineError when the model does not repeat itself under drafts.
    """
    draft = int(contender.settings.get("draft_tokens_max", 0))
    positions, count = 1 + draft, SPAN // (1 + draft)

    def complete(answer: Answer) -> bool:
        counts = answer.counts
        return (counts.drafted, counts.accepted) == (count * draft, count * draft) and bool(answer.decode_seconds)

    with catalog.open_session(contender, log=log, load_timeout=600) as session:
        for text in texts:
            prompt = session.tokenize(text)[:fill]
            if len(prompt) < fill:
                raise InputError(f"the text has {len(prompt)} tokens, fewer than {fill}", hint="ask for less --fill")
            request = Request(
                prompt=prompt,
                output_tokens=1 + count * positions,  # the first token comes from the prompt's pass
                temperature=0.0,
                seed=1,
                ignore_eos=True,
                timeout=600,
                reuse_prompt=True,
            )
            if _learnt(session, request, prompt, complete):
                break
        found: list[float] = []
        spoilt, started = 0, clock()
        while len(found) + spoilt < _LEAST or (len(found) + spoilt < _MOST and clock() < started + seconds):
            answer = session.generate(request)
            if complete(answer):
                found.append(answer.decode_seconds or 0.0)
            else:
                spoilt += 1
        info = session.info
    if not found:
        raise EngineError(
            f"no request had {count} passes over {positions} positions: the output changes with the drafts",
            hint="try another --fill",
        )
    return VerificationPasses(positions=positions, passes=count, seconds=tuple(found), spoilt=spoilt), info


def _learnt(session: Session, request: Request, prompt: list[int], complete: Callable[[Answer], bool]) -> bool:
    """Warm the engine up, and show the drafter what the model writes until all of it is drafted and accepted."""
    for _ in range(_LESSONS):
        if complete(session.generate(request)):
            return True
        longer = session.generate(replace(request, output_tokens=request.output_tokens + _BEYOND))
        if longer.output_ids is not None:
            session.generate(replace(request, prompt=[*prompt, *longer.output_ids], output_tokens=1))
    return False

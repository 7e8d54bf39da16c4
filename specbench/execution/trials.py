"""One planned generation -> one record."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass

from specbench.engines.base import Request, Session, TrialError, understood
from specbench.execution.prompts import Prompts
from specbench.records import Contender, Failure, Generation, Trial


@dataclass(frozen=True)
class Place:
    """Where a trial stands in the run: its block, and its position in the whole plan."""

    block: int
    order: int


def run_trial(
    trial: Trial,
    *,
    place: Place,
    contender: Contender,
    session: Session,
    prompts: Prompts,
    clock: Callable[[], float],
) -> Generation | Failure:
    """Render the prompt and generate. Whatever the engine does wrong is the Failure that is returned."""
    started, load = clock(), _load_average()
    plan, asked_for = prompts.plan, prompts.by_id[trial.prompt]
    try:
        text = prompts.render(trial, contender=contender, session=session)
        asked = clock() - started
        answer = session.generate(
            Request(
                prompt=text,
                output_tokens=trial.output_tokens,
                temperature=trial.temperature,
                seed=trial.seed,
                ignore_eos=trial.ignore_eos,
                timeout=plan.trial_timeout,
                sampling=plan.sampling,
                json_schema=asked_for.json_schema if asked_for.constrained else None,
                top_two=trial.role == "control" and trial.temperature == 0,
                steps=plan.record_steps,
                shared=trial.streams > 1,
                # Streaming costs the engine time on every token. Warm-ups and controls are not timed and are streamed
                # all the same: there the engine's own count of decode passes checks the derived one.
                stream=plan.stream or plan.record_steps or trial.role != "measured",
            )
        )
        with understood():
            return Generation(
                trial=trial,
                block=place.block,
                order=place.order,
                started=started,
                prompt_sha256=hashlib.sha256(text.encode()).hexdigest(),
                load_average=load,
                asked=asked,
                **{name: getattr(answer, name) for name in answer.__dataclass_fields__},
            )
    except TrialError as error:
        return Failure(
            trial=trial,
            block=place.block,
            order=place.order,
            started=started,
            reason=error.reason,
            message=error.message,
            hint=error.hint,
            log_tail=session.log_tail(),
        )


def _load_average() -> float | None:
    """Processes that wanted a core in the last minute; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None

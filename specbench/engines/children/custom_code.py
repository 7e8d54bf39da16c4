"""Decoding by code that a model brings with it: Orthrus' `generate` and Domino's `spec_generate`, counted from outside.

Both verify a block of draft tokens in one pass of the target that starts at the token before the draft. Where the next
pass starts tells how many were accepted, and the token it starts with is what the target drew itself.
"""

import inspect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import torch
from decoding import Sampler  # beside this file
from serving import Step


@dataclass
class _Pass:
    """A verifying pass of the target: it reads `draft` after the token at `start`. Times on one clock."""

    draft: list[int]
    start: int
    began: float
    verified_from: float
    ended: float | None = None
    draft_passes: int = 0


class _Watch:
    """What a generation asks of its models, as the steps of an answer of at most `count` tokens."""

    def __init__(self, put: Callable[[Step], None], *, count: int) -> None:
        self._put, self._count, self._seen = put, count, 0
        self._last: _Pass | None = None
        self._draft_passes = 0

    def target_pass(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before every pass of the target; Orthrus says which of them only draft."""
        now = self.other_pass()
        if kwargs.get("is_diffusion_pass"):
            self._draft_passes += 1
            return
        ids = (kwargs["input_ids"] if "input_ids" in kwargs else args[0])[0].tolist()
        start, before = int(kwargs["position_ids"][0, 0]), self._last
        if before is not None:
            self._report(before, [*before.draft[: start - before.start - 1], ids[0]])
        draft = ids[1:] if before is not None else []  # the first pass reads the prompt
        self._last = _Pass(draft, start, (before and before.ended) or now, now, draft_passes=self._draft_passes)
        self._draft_passes = 0

    def other_pass(self, *_: Any) -> float:
        """Before any pass: what ran before is over, the last verifying pass too."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._last is not None:
            self._last.ended = self._last.ended or now
        return now

    def end(self, tokens: list[int]) -> None:
        """The generation is over, with these tokens."""
        self.other_pass()
        if self._last is not None:
            self._report(self._last, tokens[self._seen :])

    def _report(self, done: _Pass, tokens: list[int]) -> None:
        """The token at the answer's last place is the target's, drafted or not; a pass beyond the end is no step."""
        left = self._count - self._seen
        tokens = tokens[:left]
        if not tokens:
            return
        spent = {"draft": done.verified_from - done.began, "verify": (done.ended or 0.0) - done.verified_from}
        drafted, accepted = min(len(done.draft), left - 1), len(tokens) - 1
        first = self._seen == 0
        self._seen += len(tokens)
        seconds = {} if first else spent
        self._put(Step(tokens, "", drafted, accepted, seconds, draft_passes=done.draft_passes))


def orthrus(model: Any, prompt: list[int], sampler: Sampler, *, count: int, end: int | None) -> Iterator[Step]:
    """`generate` in the diffusion mode of an Orthrus model. `end`: the token that ends an answer early."""
    s = sampler
    options = {
        "temperature": s.temperature,
        "top_k": s.top_k,
        "top_p": s.top_p,
        "eos_token_id": -1 if end is None else end,
    }
    ids = torch.tensor([prompt], device=model.device)
    run = lambda: model.generate(ids, max_new_tokens=count, use_diffusion_mode=True, **options)
    return _watched(run, model, None, sampler, count=count, prompt_tokens=len(prompt))


def domino(
    target: Any, drafter: Any, prompt: list[int], sampler: Sampler, *, count: int, end: int | None
) -> Iterator[Step]:
    """`spec_generate` of a Domino drafter."""
    ids = torch.tensor([prompt], device=target.device)
    stop = None if end is None else [end]
    run = lambda: drafter.spec_generate(
        input_ids=ids, target=target, max_new_tokens=count, temperature=sampler.temperature, stop_token_ids=stop
    )
    return _watched(run, target, drafter, sampler, count=count, prompt_tokens=len(prompt))


def _watched(
    run: Callable[[], Any], target: Any, drafter: Any, sampler: Sampler, *, count: int, prompt_tokens: int
) -> Iterator[Step]:
    """Steps while another thread generates."""
    steps: SimpleQueue[Step | BaseException | None] = SimpleQueue()

    def generate() -> None:
        watch = _Watch(steps.put, count=count)
        try:
            with ExitStack() as hooks, torch.inference_mode():
                hooks.callback(target.register_forward_pre_hook(watch.target_pass, with_kwargs=True).remove)
                if drafter is not None:
                    hooks.callback(drafter.register_forward_pre_hook(watch.other_pass).remove)
                head = target.get_output_embeddings()
                hooks.callback(head.register_forward_hook(lambda _, __, logits: sampler.allowed(logits)).remove)
                torch.manual_seed(sampler.seed)
                watch.end(run()[0, prompt_tokens:].tolist())
        except BaseException as error:
            steps.put(error)
        steps.put(None)

    thread = threading.Thread(target=generate)
    thread.start()
    try:
        while (step := steps.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            yield step
    finally:
        thread.join()

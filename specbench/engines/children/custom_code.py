"""Decoding by code that a model brings with it: Orthrus' `generate` and Domino's `spec_generate`, counted from outside.

Both verify a block of draft tokens in one pass of the target that starts at the token before the draft. Where the next
pass starts tells how many were accepted, and the token it starts with is what the target drew itself. Interfaces:
chiennv2000/orthrus 65f665f, jianuo-huang/Domino 1e0fbf8.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from specbench.engines.children.decoding import Sampler
    from specbench.engines.children.serving import Refused, Step
else:
    from decoding import Sampler
    from serving import Refused, Step

# Methods, and the sampling settings that their code does not know: the values that it amounts to.
IGNORED: dict[str, dict[str, float]] = {
    "orthrus": {"min_p": 0.0},
    "domino": {"top_k": 0, "top_p": 1.0, "min_p": 0.0},
}


@dataclass
class _Pass:
    """A verifying pass of the target: it reads `draft` after the token at `start`. Times are on one clock."""

    draft: list[int]
    start: int
    began: float
    verifies: float
    ended: float | None = None
    draft_passes: int = 0


class _Watch:
    """What a generation asks of its models, as the steps of an answer of at most `count` tokens."""

    def __init__(self, put: Callable[[Step], None], *, count: int) -> None:
        self.seen = 0
        self._put, self._count = put, count
        self._last: _Pass | None = None
        self._draft_passes = 0

    def target_pass(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before every pass of the target; Orthrus says which of them only draft."""
        now = self._now()
        if kwargs.get("is_diffusion_pass"):
            self._draft_passes += 1
            return
        ids = (kwargs["input_ids"] if "input_ids" in kwargs else args[0])[0].tolist()
        start, before = int(kwargs["position_ids"][0, 0]), self._last
        if before is not None:
            self._report(before, [*before.draft[: start - before.start - 1], ids[0]])
        draft = [] if before is None else ids[1:]  # the first pass reads the prompt
        self._last = _Pass(draft, start, (before and before.ended) or now, now, draft_passes=self._draft_passes)
        self._draft_passes = 0

    def draft_pass(self, *_: Any) -> None:
        """Before every pass of a drafter."""
        self._now()

    def _now(self) -> float:
        """The time before a pass of any model: what ran before is over, the last verifying pass too."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._last is not None:
            self._last.ended = self._last.ended or now
        return now

    def end(self, tokens: list[int]) -> None:
        """The generation is over, with these tokens."""
        self._now()
        if self._last is not None:
            self._report(self._last, tokens[self.seen :])

    def _report(self, done: _Pass, tokens: list[int]) -> None:
        """The token at the answer's last place is the target's, drafted or not; a pass beyond the end is no step."""
        left = self._count - self.seen
        tokens = tokens[:left]
        if not tokens:
            return
        drafts = {"draft": done.verifies - done.began, "verify": (done.ended or done.verifies) - done.verifies}
        self._put(
            Step(
                tokens,
                "",
                drafted=max(0, min(len(done.draft), left - 1)),
                accepted=len(tokens) - 1,
                seconds=drafts if self.seen else {},
                draft_passes=done.draft_passes,
            )
        )
        self.seen += len(tokens)


def longest_draft(config: Any) -> int:
    """Of a block, whose first token is known; Domino's drafters with shifted labels draft one more."""
    shifted = (getattr(config, "dflash_config", None) or {}).get("shift_label", False)
    return int(config.block_size) - 1 + bool(shifted)


def steps(
    target: Any, drafter: Any, prompt: list[int], sampler: Sampler, *, count: int, end: int | None
) -> Iterator[Step]:
    """Of an Orthrus target, or with a Domino drafter. `end`: the token that ends an answer early."""
    ids = torch.tensor([prompt], device=target.device)
    shared = {"input_ids": ids, "max_new_tokens": count, "temperature": sampler.temperature}
    if drafter is None:
        own = {"top_k": sampler.top_k, "top_p": sampler.top_p, "eos_token_id": -1 if end is None else end}
        run = partial(target.generate, use_diffusion_mode=True, **shared, **own)
    else:
        run = partial(drafter.spec_generate, target=target, stop_token_ids=None if end is None else [end], **shared)
    found: SimpleQueue[Step | Exception | None] = SimpleQueue()
    watch = _Watch(found.put, count=count)

    def generate() -> None:
        try:
            with ExitStack() as hooks, torch.inference_mode():
                hooks.callback(target.register_forward_pre_hook(watch.target_pass, with_kwargs=True).remove)
                if drafter is not None:
                    hooks.callback(drafter.register_forward_pre_hook(watch.draft_pass).remove)
                head = target.get_output_embeddings()
                hooks.callback(head.register_forward_hook(lambda _, __, logits: sampler.allowed(logits)).remove)
                torch.manual_seed(sampler.seed)
                watch.end(run()[0, len(prompt) :].tolist())
        except Exception as error:  # noqa: BLE001  anything may go wrong in code that is not ours
            found.put(error)
        found.put(None)

    thread = threading.Thread(target=generate)  # so that steps are told while the model's code is still at work
    thread.start()
    try:
        while (step := found.get()) is not None:
            if isinstance(step, Exception):
                failed = RuntimeError if watch.seen else Refused  # an answer that has begun cannot be refused
                raise failed(f"the model's own code failed: {step!r}") from step
            yield step
    finally:
        thread.join()

"""How a Hugging Face model decodes: alone, and with drafts that it verifies in one pass. Needs torch and transformers.

Every loop yields one `Step` for each forward pass of the target, the prompt's pass first, so that counts are exact: a
step emits the draft tokens that the target would have drawn itself, and one of its own. No draft reaches the last place
of an answer, as in llama.cpp, so that all counts add up.
"""

import inspect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

if TYPE_CHECKING:
    from specbench.engines.children.serving import Step
else:
    from serving import Step


Propose = Callable[[list[int], int], list[int]]  # what comes after a text of token ids, and how many tokens at most


class Sampler:
    """Draws tokens from rows of logits as llama.cpp does: top-k, top-p and min-p before the temperature.

    The dice of each place in the answer are thrown beforehand: the same seed draws the same text, drafted or not.
    `forbidden`: ids that are never drawn.
    """

    def __init__(
        self,
        *,
        places: int,
        seed: int = 0,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        forbidden: Sequence[int] = (),
    ) -> None:
        self.seed, self.temperature, self.top_k, self.top_p, self._min_p = seed, temperature, top_k, top_p, min_p
        self._forbidden = list(forbidden)
        dice = torch.Generator().manual_seed(seed)
        self._dice = torch.rand(places, 1, generator=dice) if temperature > 0 else None

    def allowed(self, logits: torch.Tensor) -> torch.Tensor:
        """The logits without the forbidden tokens."""
        if self._forbidden:
            logits[..., self._forbidden] = -math.inf
        return logits

    def draw(self, logits: torch.Tensor, place: int) -> list[int]:
        """One token for each row; the first row is for that place of the answer."""
        logits = self.allowed(logits)
        if self._dice is None:
            return list(logits.argmax(-1).tolist())
        size = logits.shape[-1]
        likely, ids = logits.float().topk(min(self.top_k or size, size))
        p = likely.softmax(-1)
        kept = (p.cumsum(-1) - p < self.top_p) & (p >= self._min_p * p[:, :1])
        p = (likely / self.temperature).masked_fill(~kept, -math.inf).softmax(-1)
        dice = self._dice[place : place + len(p)].to(p.device)
        chosen = (p.cumsum(-1) < dice * p.sum(-1, keepdim=True)).sum(-1, keepdim=True)
        return list(ids.gather(-1, chosen.clamp(max=ids.shape[-1] - 1))[:, 0].tolist())


class Reader:
    """A model and the tokens that its cache holds: `length` of them."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache = DynamicCache()  # of whole layers, also where the model has windows: drafts are taken back
        self._keyword = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
        self.length = 0

    def read(self, ids: Sequence[int], *, rows: int) -> torch.Tensor:
        """Logits of the last `rows` of the new tokens."""
        given = torch.tensor([list(ids)], device=self._model.device)
        found = self._model(input_ids=given, use_cache=True, logits_to_keep=rows, **{self._keyword: self._cache})
        self.length += len(ids)
        return found.logits[0]

    def keep(self, length: int) -> None:
        """Forget what comes after the first `length` tokens."""
        if length < self.length:
            self._cache.crop(length - self.length)  # negative: an absolute length is refused from 5.2x on
            self.length = length


class DraftModel:
    """A smaller model's likeliest tokens, until its own probability falls below `p_min`."""

    def __init__(self, model: Any, *, p_min: float = 0.0) -> None:
        self._reader = Reader(model)
        self._held: list[int] = []
        self._p_min = p_min

    def propose(self, text: list[int], most: int) -> list[int]:
        same = next((i for i, (a, b) in enumerate(zip(self._held, text, strict=False)) if a != b), len(self._held))
        self._reader.keep(min(same, len(text) - 1))
        fresh, found = text[self._reader.length :], list[int]()
        while len(found) < most:
            row = self._reader.read(fresh, rows=1)[0]
            token = int(row.argmax())
            if self._p_min and float(row.softmax(-1)[token]) < self._p_min:
                break
            found.append(token)
            fresh = [token]
        self._held = [*text, *found][: self._reader.length]
        return found


class PromptLookup:
    """What followed where the last tokens stood first, the longest match of `shortest` to `longest` tokens."""

    def __init__(self, *, longest: int, shortest: int) -> None:
        self._sizes = range(longest, shortest - 1, -1)
        self._seen: dict[tuple[int, ...], int] = {}
        self._read = 0

    def propose(self, text: list[int], most: int) -> list[int]:
        for end in range(self._read, len(text)):  # a match ends before the last token: something must follow it
            for size in self._sizes:
                if size <= end:
                    self._seen.setdefault(tuple(text[end - size : end]), end)
        self._read = len(text)
        for size in self._sizes:
            if size < len(text) and (follows := self._seen.get(tuple(text[-size:]))) is not None:
                return text[follows : follows + most]
        return []


def decode(
    target: Any, prompt: list[int], sampler: Sampler, *, count: int, propose: Propose | None, most: int, top_two: bool
) -> Iterator[Step]:
    """`count` tokens, of which a draft proposes `most` at a time; without a drafter the lean baseline. No texts yet."""
    reader, text = Reader(target), list(prompt)
    draft, drafting, place = list[int](), 0.0, 0
    began = time.perf_counter()
    logits = reader.read(prompt, rows=1)
    while True:
        drawn = sampler.draw(logits, place)
        pairs = enumerate(zip(drawn, draft, strict=False))
        accepted = next((i for i, (own, other) in pairs if own != other), len(draft))
        tops = logits[: accepted + 1].float().log_softmax(-1).topk(2).values.tolist() if top_two else ()
        spent = {"draft": drafting, "verify": time.perf_counter() - began - drafting} if place else {}
        yield Step(drawn[: accepted + 1], "", drafted=len(draft), accepted=accepted, seconds=spent, top_two=tops)
        reader.keep(len(text) + accepted)
        text += drawn[: accepted + 1]
        place += accepted + 1
        if place == count:
            return
        began = time.perf_counter()
        draft = propose(text, min(most, count - place - 1)) if propose is not None else []
        drafting = time.perf_counter() - began
        logits = reader.read([text[-1], *draft], rows=len(draft) + 1)

"""Prompt -> the text that the engine gets: chat template applied, long contexts made to the wanted number of tokens."""

from collections.abc import Callable
from dataclasses import dataclass, field

from specbench import passages
from specbench.engines.base import Session
from specbench.records import Contender, Message, Plan, Prompt, Trial

_TOLERANCE = 0.02
_ATTEMPTS = 10
_CHARACTERS_PER_TOKEN = 4.0  # where the search begins


@dataclass(frozen=True)
class Prompts:
    """Rendered prompts of one run. All contenders of one engine and target share them, so each is made once."""

    plan: Plan
    _rendered: dict[tuple[str, str, str | None, bool, str, int | None], str] = field(default_factory=dict)

    def render(self, trial: Trial, *, contender: Contender, session: Session) -> str:
        """The whole prompt. Raises TrialError when the engine cannot render or tokenize it."""
        key = (contender.engine, contender.target_model, contender.url, contender.template, trial.prompt, trial.fill)
        if key not in self._rendered:
            prompt = next(p for p in self.plan.prompts if p.id == trial.prompt)
            self._rendered[key] = self._fitted(prompt, trial.fill, session, template=contender.template)
        return self._rendered[key]

    def _fitted(self, prompt: Prompt, fill: int | None, session: Session, *, template: bool) -> str:
        def templated(messages: tuple[Message, ...]) -> str:
            if not template:
                return "\n\n".join(message.content for message in messages)
            return session.apply_template(messages, thinking=self.plan.thinking)

        if prompt.passages is None:
            return templated(prompt.messages)
        hidden, frames = prompt.passages, self.plan.passages_text or {}

        def made(characters: int) -> str:
            text = passages.render(frames, hidden, characters=characters)
            return templated((*prompt.messages, Message(role="user", content=text)))

        return made(0) if fill is None else filled(made, fill, count=session.count_tokens)


def filled(made: Callable[[int], str], fill: int, *, count: Callable[[str], int]) -> str:
    """The text that `made` gives for the number of characters that brings it within 2 % of `fill` tokens.

    The closest found when sentences are too coarse for that, or when even the shortest text is longer.
    """
    best, best_off = "", float("inf")
    characters = fill * _CHARACTERS_PER_TOKEN
    low, high = (0.0, 0), (0.0, 0)  # characters and tokens of the longest text that is too short, the shortest too long
    for attempt in range(_ATTEMPTS):
        text = made(round(characters))
        tokens = count(text)
        off = abs(tokens - fill)
        if off < best_off:
            best, best_off = text, off
        if off <= fill * _TOLERANCE / 2:  # half: room for an engine that counts a whole prompt a little differently
            break
        low, high = (low, (characters, tokens)) if tokens > fill else ((characters, tokens), high)
        if not high[0]:
            characters *= fill / max(1, tokens)
        elif attempt % 2:
            characters = (low[0] + high[0]) / 2
        else:
            characters = low[0] + (high[0] - low[0]) * (fill - low[1]) / (high[1] - low[1])
    return best

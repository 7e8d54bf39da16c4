"""Prompt -> the text that the engine gets: chat template applied, long contexts made to the wanted number of tokens."""

from collections.abc import Callable
from dataclasses import dataclass, field

from specbench import passages
from specbench.conversation import turns
from specbench.engines.base import Session, TrialError
from specbench.records import Contender, Message, Plan, Prompt, Trial
from specbench.structs import replace

_TOLERANCE = 0.02
_ATTEMPTS = 10
_CHARACTERS_PER_TOKEN = 4.0  # where the search begins


@dataclass(frozen=True)
class Prompts:
    """Rendered prompts of one run. All contenders of one engine and target share them, so each is made once.

    `replies`: by target and prompt, what was answered, for the prompts that come after; `faults`: why nothing was.
    """

    plan: Plan
    replies: dict[tuple[str, str], str] = field(default_factory=dict)
    faults: dict[tuple[str, str], TrialError] = field(default_factory=dict)
    by_id: dict[str, Prompt] = field(default_factory=dict)
    _rendered: dict[tuple[str, str, str | None, bool, str, int | None], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_id.update((prompt.id, prompt) for prompt in self.plan.prompts)

    def missing(self, trial: Trial, contender: Contender) -> list[Prompt]:
        """What must be answered before the trial can be rendered, the first turn first."""
        known = self.replies.keys() | self.faults.keys()
        return [p for p in turns(self.by_id, trial.prompt)[:-1] if (contender.target_label, p.id) not in known]

    def render(self, trial: Trial, *, contender: Contender, session: Session) -> str:
        """The whole prompt. Raises TrialError when the engine cannot render or tokenize it."""
        key = (contender.engine, contender.target_model, contender.url, contender.template, trial.prompt, trial.fill)
        if key not in self._rendered:
            *before, prompt = turns(self.by_id, trial.prompt)
            said: list[Message] = []
            for earlier in before:
                said_to = contender.target_label, earlier.id
                if said_to in self.faults:
                    raise self.faults[said_to]
                said += [*earlier.messages, Message(role="assistant", content=self.replies[said_to])]
            whole = replace(prompt, messages=(*said, *prompt.messages))
            self._rendered[key] = self._fitted(whole, trial.fill, session, template=contender.template)
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

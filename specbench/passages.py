"""Long texts around hidden facts, made to any length from frames and slots. The same seed gives the same text."""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
BUILT_IN = ("int:LOW:HIGH", "year", "day", "time", "id", "percent")
_LOW, _HIGH = 6, 12  # sentences of a paragraph
_PARAGRAPHS = 3  # of a document
_BREAK = "\n\n"
_TITLE = "# "


class Passages(Protocol):
    """What is hidden and asked; `records.Passages` is one."""

    @property
    def needles(self) -> Sequence[str]: ...
    @property
    def question(self) -> str: ...
    @property
    def instruction(self) -> str | None: ...
    @property
    def seed(self) -> int: ...


def render(frames: Mapping[str, Any], passages: Passages, *, characters: int) -> str:
    """A user turn of about `characters` characters: documents with the needles spread in them, then the question.

    `frames` is passages.toml: `slots` and `document`. Never shorter than the needles and the question; a longer text
    has no less of anything. Text before the first needle is the same at every length.
    """
    ending = _BREAK.join(filter(None, (passages.question, passages.instruction)))
    room = characters - len(ending) - len(_BREAK) - sum(len(needle) + 1 for needle in passages.needles)
    sentences = _filler(frames, seed=passages.seed, characters=room)
    shares = _shares(len(passages.needles), seed=passages.seed)
    lengths = [len(sentence) for sentence in sentences]
    total, before, position = sum(lengths), 0, 0
    text: list[str] = []
    for needle, share in zip(passages.needles, shares, strict=True):
        while position < len(sentences) and (
            before + lengths[position] <= share * total or sentences[position].startswith(_TITLE)
        ):
            before += lengths[position]
            text.append(sentences[position])
            position += 1
        text.append(needle + " ")
    text += sentences[position:]
    return "".join(text).strip() + _BREAK + ending


def placeholders(frame: str) -> list[str]:
    """The names in a frame that must be slots: built-in ones that are well formed are left out."""
    return [name for name in _PLACEHOLDER.findall(frame) if not _is_built_in(name)]


def _shares(count: int, *, seed: int) -> list[float]:
    """Where the needles go, as fractions of the text: one in each of `count` equal stretches."""
    dice = random.Random(seed)  # noqa: S311  a repeatable place, not a secret
    return [(i + dice.uniform(0.1, 0.9)) / count for i in range(count)]


def _filler(frames: Mapping[str, Any], *, seed: int, characters: int) -> list[str]:
    """Sentences, each with the white space that follows it, of `characters` characters or a little fewer."""
    sentences: list[str] = []
    used = 0
    for sentence in _stream(frames, dice=random.Random(seed + 1)):  # noqa: S311  as above
        used += len(sentence)
        if used > characters:
            break
        sentences.append(sentence)
    return sentences


def _stream(frames: Mapping[str, Any], *, dice: random.Random) -> Iterator[str]:
    """Documents without end, in shuffled rounds."""
    slots, documents = frames["slots"], list(frames["document"])
    while True:
        dice.shuffle(documents)
        for document in documents:
            yield f"{_TITLE}{_filled(document['title'], slots, dice)}{_BREAK}"
            unused: list[str] = []
            for _ in range(_PARAGRAPHS):
                length = dice.randint(_LOW, _HIGH)
                for left in range(length, 0, -1):
                    if not unused:
                        unused = dice.sample(document["frames"], len(document["frames"]))
                    yield _filled(unused.pop(), slots, dice) + (" " if left > 1 else _BREAK)


def _filled(frame: str, slots: Mapping[str, Sequence[str]], dice: random.Random) -> str:
    text = _PLACEHOLDER.sub(lambda match: _value(match[1], slots, dice), frame)
    return text[:1].upper() + text[1:]


def _value(name: str, slots: Mapping[str, Sequence[str]], dice: random.Random) -> str:
    if name in slots:
        return dice.choice(slots[name])
    if name.startswith("int:"):
        _, low, high = name.split(":")
        return str(dice.randint(int(low), int(high)))
    return _BUILT_IN[name](dice)


_BUILT_IN: Mapping[str, Callable[[random.Random], str]] = {
    "year": lambda dice: str(dice.randint(1950, 2035)),
    "day": lambda dice: str(dice.randint(1, 28)),
    "time": lambda dice: f"{dice.randint(7, 21):02}:{dice.randint(0, 59):02}",
    "percent": lambda dice: f"{dice.randint(2, 48)}%",
    "id": lambda dice: f"{''.join(dice.choices('ABCDEFGHJKLMNPQRSTUVWXYZ', k=2))}-{dice.randint(1000, 9999)}",
}


def _is_built_in(name: str) -> bool:
    if match := re.fullmatch(r"int:(\d{1,18}):(\d{1,18})", name):
        return int(match[1]) <= int(match[2])
    return name in _BUILT_IN

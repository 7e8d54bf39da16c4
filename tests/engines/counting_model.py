"""A model for the server of `specbench.engines.children`: it counts on from the last token of the prompt.

usage: counting_model.py --port PORT --draft N     drafts of N tokens, of which the first half is accepted
"""

import argparse
import time
from collections.abc import Generator

from specbench.engines.children.serving import Asked, PromptPass, Properties, Refused, Step, main

STEP_SECONDS = 0.01
CONTEXT = 64


class Counting:
    def __init__(self, draft: int) -> None:
        self.draft = draft
        self.properties = Properties("1.2-abc", "draft-simple" if draft else "none", draft, CONTEXT, "{{ x }}", "F16")

    def tokenize(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def apply_template(self, messages: list[dict[str, str]], *, thinking: bool | None) -> str:
        return "".join(f"{m['role']}: {m['content']}\n" for m in messages) + f"thinking {thinking}"

    def generate(self, asked: Asked) -> Generator[PromptPass | Step, None, None]:
        if asked.json_schema is not None:
            raise Refused("counting has no schema")
        yield PromptPass(1)
        yield PromptPass(len(asked.prompt))
        token, left = asked.prompt[-1] + 1, asked.output_tokens - 1
        pairs = ((-0.25, -1.5),) if asked.top_two else ()
        yield Step((token,), chr(token), top_two=pairs)
        while left:
            time.sleep(STEP_SECONDS)
            if token == 0x10FFFF - 1:
                raise OverflowError("out of numbers")
            drafted = min(self.draft, left - 1)
            kept = drafted // 2
            tokens = range(token + 1, token + kept + 2)
            token, left = tokens[-1], left - len(tokens)
            full = token >= 1000 and not asked.ignore_eos
            text = "".join(map(chr, tokens))
            yield Step(
                tokens,
                text,
                drafted,
                kept,
                {"draft": 0.25, "verify": 0.5},
                pairs * len(tokens),
                "eos" if full else None,
            )
            if full:
                return


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--draft", type=int)
    main(parser, package="counting", identify=lambda: ("1.2", None), load=lambda asked: Counting(asked.draft))

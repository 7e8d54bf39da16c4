"""A program of its own: a model in Hugging Face's layout, decoded by the loops beside this file, served as llama.cpp does.

usage: hugging_face.py --model FOLDER --method NAME --port=NUMBER ...     or --check
"""

import sys
from importlib import metadata, util

if _missing := [name for name in ("torch", "transformers") if util.find_spec(name) is None]:
    sys.exit(f"error: {sys.executable} has no package {_missing[0]}")
if sys.argv[1:] == ["--check"]:
    print(metadata.version("transformers"))
    sys.exit()

import argparse
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import custom_code
import decoding
import torch
import transformers
from serving import Asked, PromptPass, Properties, Refused, Step, serve

_TYPES = {"draft-model": "draft-simple"}  # as llama.cpp names them; the others have their own names
_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}


def _words() -> argparse.Namespace:
    words = argparse.ArgumentParser(allow_abbrev=False)
    words.add_argument("--model", required=True)
    words.add_argument("--draft-model")
    words.add_argument("--method", required=True)
    words.add_argument("--port", type=int, required=True)
    words.add_argument("--context-size", type=int)
    words.add_argument("--threads", type=int)
    words.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    words.add_argument("--dtype", default="auto")
    words.add_argument("--attention")
    words.add_argument("--trust-remote-code", action="store_true")
    words.add_argument("--draft-tokens-max", type=int)
    words.add_argument("--p-min", type=float, default=0.0)
    words.add_argument("--ngram-size", type=int, default=4)
    words.add_argument("--ngram-size-min", type=int, default=2)
    return words.parse_args()


class HuggingFace:
    """A target, and what drafts for it by the method that was asked for."""

    def __init__(self, words: argparse.Namespace) -> None:
        self._words = words
        self._method, self._most = words.method, words.draft_tokens_max or 0
        self._target = _load(transformers.AutoModelForCausalLM, words.model, words)
        self._draft: Any = None
        if words.draft_model is not None:
            kind = transformers.AutoModel if words.method == "domino" else transformers.AutoModelForCausalLM
            self._draft = _load(kind, words.draft_model, words)
        if words.method in {"orthrus", "domino"}:
            self._most = (self._target if self._draft is None else self._draft).config.block_size - 1
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(
            words.model, trust_remote_code=words.trust_remote_code
        )
        ends = self._target.generation_config.eos_token_id
        self._ends = [*ends] if isinstance(ends, list) else [self._tokenizer.eos_token_id if ends is None else ends]
        text = self._target.config.get_text_config()
        template = self._tokenizer.chat_template
        self.properties = Properties(
            version=f"transformers {transformers.__version__}, torch {torch.__version__}",
            types=_TYPES.get(words.method, words.method),
            draft_tokens_max=self._most,
            context_size=words.context_size or text.max_position_embeddings,
            chat_template=template if isinstance(template, str) else None,
            model_type=str(self._target.dtype).removeprefix("torch."),
        )

    def tokenize(self, text: str) -> list[int]:
        """With the special tokens that the tokenizer adds; a text that begins with them is not given them twice."""
        ids = self._tokenizer(text).input_ids
        first = self._tokenizer.bos_token
        return list(ids[1:] if first and text.startswith(first) and ids[:2] == [ids[0]] * 2 else ids)

    def apply_template(self, messages: list[dict[str, str]], *, thinking: bool | None) -> str:
        if self._tokenizer.chat_template is None:
            raise Refused(f"{self._words.model} has no chat template; measure it with template = false")
        options = {} if thinking is None else {"enable_thinking": thinking}
        prompt = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **options)
        return str(prompt)

    def generate(self, asked: Asked) -> Generator[PromptPass | Step, None, None]:
        if asked.json_schema is not None:
            raise Refused("the transformers engine has no grammars; leave constrained prompts out")
        yield PromptPass(len(asked.prompt))
        room = self.properties.context_size - len(asked.prompt)
        count = min(asked.output_tokens, room)
        sampler = decoding.Sampler(
            places=count,
            seed=asked.seed,
            temperature=asked.temperature,
            top_k=asked.top_k,
            top_p=asked.top_p,
            min_p=asked.min_p,
            forbidden=self._ends if asked.ignore_eos else (),
        )
        ends = [] if asked.ignore_eos else self._ends
        text, left = _Text(self._tokenizer), count
        steps = self._steps(asked, sampler, count)
        for step in steps:
            if (at := next((i for i, token in enumerate(step.tokens) if token in ends), None)) is not None:
                step = replace(step, tokens=step.tokens[: at + 1], accepted=min(step.accepted, at), stop="eos")
            left -= len(step.tokens)
            if not left and step.stop is None and count < asked.output_tokens:
                step = replace(step, stop="context")
            yield replace(step, text=text.add(step.tokens, last=not left or step.stop is not None))
            if step.stop is not None:
                return

    def _steps(self, asked: Asked, sampler: decoding.Sampler, count: int) -> Iterator[Step]:
        end = None if asked.ignore_eos else self._ends[0]
        if self._method == "orthrus":
            return custom_code.orthrus(self._target, asked.prompt, sampler, count=count, end=end)
        if self._method == "domino":
            return custom_code.domino(self._target, self._draft, asked.prompt, sampler, count=count, end=end)
        drafter: decoding.Drafter | None = None
        if self._method == "draft-model":
            drafter = decoding.DraftModel(self._draft, p_min=self._words.p_min)
        elif self._method == "ngram":
            drafter = decoding.PromptLookup(longest=self._words.ngram_size, shortest=self._words.ngram_size_min)
        return decoding.decode(
            self._target, asked.prompt, sampler, count=count, drafter=drafter, most=self._most, top_two=asked.top_two
        )


class _Text:
    """The text of tokens as they come; what ends within a character waits for its end."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._told: list[int] = []  # tokens of the last text: a tokenizer may join them with what follows
        self._waiting: list[int] = []

    def add(self, tokens: list[int], *, last: bool) -> str:
        self._waiting += tokens
        before, after = (
            self._tokenizer.decode(ids, skip_special_tokens=True) for ids in (self._told, self._told + self._waiting)
        )
        if after.endswith("\ufffd") and not last:
            return ""
        self._told, self._waiting = self._waiting, []
        return after[len(before) :]


def _load(kind: Any, folder: str, words: argparse.Namespace) -> Any:
    """The model, on its device. Exits with a sentence for one whose cache cannot be cut back."""
    options = {"trust_remote_code": words.trust_remote_code}
    if words.attention is not None:
        options["attn_implementation"] = words.attention
    model = kind.from_pretrained(folder, dtype=words.dtype, **options).to(words.device).eval()
    others = {*(getattr(model.config.get_text_config(), "layer_types", None) or ())} - _ATTENTION
    if others:
        sys.exit(
            f"error: {folder} has layers of the kind {min(others)}, whose state cannot be cut back; use vLLM or llama.cpp"
        )
    return model


def main() -> None:
    words = _words()
    if words.threads:
        torch.set_num_threads(words.threads)
    transformers.utils.logging.disable_progress_bar()
    try:
        model = HuggingFace(words)
    except (OSError, ValueError, ImportError) as error:
        told = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        code = "trust_remote_code" in str(error)
        sys.exit(f"error: {told}" + ("; read that code, then allow it with: --trust-remote-code" if code else ""))
    with torch.inference_mode():
        serve(model, words.port)


if __name__ == "__main__":
    main()

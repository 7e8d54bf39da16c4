"""A model in Hugging Face's layout as `serving` wants it. Needs torch and transformers."""

import argparse
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import transformers

if TYPE_CHECKING:
    from specbench.engines.children import custom_code, decoding
    from specbench.engines.children.serving import Asked, PromptPass, Properties, Refused, Step
else:
    import custom_code
    import decoding
    from serving import Asked, PromptPass, Properties, Refused, Step

_TYPES = {"draft-model": "draft-simple"}  # as llama.cpp names them; the others have their own names
_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
_INCOMPLETE = "\ufffd"


class HuggingFace:
    """A target, and what drafts for it by the method that was asked for."""

    def __init__(self, words: argparse.Namespace) -> None:
        torch.set_grad_enabled(False)
        if words.threads:
            torch.set_num_threads(words.threads)
        transformers.utils.logging.disable_progress_bar()
        self._words, self._method, self._most = words, words.method, words.draft_tokens_max
        self._target = _load(transformers.AutoModelForCausalLM, words.model, words)
        self._draft: Any = None
        if words.draft_model is not None:
            kind = transformers.AutoModel if words.method == "domino" else transformers.AutoModelForCausalLM
            self._draft = _load(kind, words.draft_model, words)
        ignored: dict[str, float] = {}  # what the models' own code draws with, whatever is asked
        if words.method in custom_code.IGNORED:
            ignored = custom_code.IGNORED[words.method]
            self._most = custom_code.longest_draft((self._draft or self._target).config)
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(
            words.model, trust_remote_code=words.trust_remote_code
        )
        ends = self._target.generation_config.eos_token_id
        ends = self._tokenizer.eos_token_id if ends is None else ends
        self._ends: list[int] = [*ends] if isinstance(ends, list) else [] if ends is None else [ends]
        template = self._tokenizer.chat_template
        self.properties = Properties(
            version=f"transformers {transformers.__version__}, torch {torch.__version__}",
            types=_TYPES.get(words.method, words.method),
            draft_tokens_max=self._most,
            context_size=words.context_size or self._target.config.get_text_config().max_position_embeddings,
            chat_template=template if isinstance(template, str) else None,
            model_type=str(self._target.dtype).removeprefix("torch."),
            ignored=ignored,
            own_clock=words.method in {"orthrus", "domino"},
        )

    def tokenize(self, text: str) -> list[int]:
        """With the special tokens that the tokenizer adds; a text that begins with them is not given them twice."""
        ids = list(self._tokenizer(text).input_ids)
        first = self._tokenizer.bos_token
        return ids[1:] if first and text.startswith(first) and ids[:2] == ids[:1] * 2 else ids

    def apply_template(self, messages: list[dict[str, str]], *, thinking: bool | None) -> str:
        if self._tokenizer.chat_template is None:
            raise Refused(f"{self._words.model} has no chat template; measure it with template = false")
        options = {} if thinking is None else {"enable_thinking": thinking}
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **options))

    def generate(self, asked: Asked) -> Generator[PromptPass | Step, None, None]:
        if asked.json_schema is not None:
            raise Refused("Transformers has no grammars: leave out the prompts that have one")
        count = min(asked.output_tokens, self.properties.context_size - len(asked.prompt))
        sampler = decoding.Sampler(
            places=count,
            seed=asked.seed,
            temperature=asked.temperature,
            top_k=asked.top_k,
            top_p=asked.top_p,
            min_p=asked.min_p,
            forbidden=self._ends if asked.ignore_eos else (),
        )
        ends = () if asked.ignore_eos else self._ends
        text, left = _Text(self._tokenizer), count
        yield PromptPass(len(asked.prompt))
        for raw in self._steps(asked, sampler, count):
            at = next((i for i, token in enumerate(raw.tokens) if token in ends), None)
            step = raw if at is None else replace(raw, tokens=raw.tokens[: at + 1], accepted=min(raw.accepted, at))
            left -= len(step.tokens)
            stop = "eos" if at is not None else "context" if not left and count < asked.output_tokens else None
            yield replace(step, text=text.add(step.tokens, last=not left or stop is not None), stop=stop)
            if stop is not None:
                return

    def _steps(self, asked: Asked, sampler: decoding.Sampler, count: int) -> Iterator[Step]:
        """One for each pass of the target, without texts."""
        if self._method in custom_code.IGNORED:
            end = None if asked.ignore_eos or not self._ends else self._ends[0]
            yield from custom_code.steps(self._target, self._draft, asked.prompt, sampler, count=count, end=end)
            return
        propose: decoding.Propose | None = None
        if self._method == "draft-model":
            propose = decoding.DraftModel(self._draft, p_min=self._words.p_min).propose
        elif self._method == "ngram":
            propose = decoding.PromptLookup(longest=self._words.ngram_size, shortest=self._words.ngram_size_min).propose
        yield from decoding.decode(
            self._target, asked.prompt, sampler, count=count, propose=propose, most=self._most, top_two=asked.top_two
        )


class _Text:
    """The text of tokens as they come; what ends within a character waits for its end."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._told: list[int] = []  # tokens of the last text: a tokenizer may join them with what follows
        self._waiting: list[int] = []

    def add(self, tokens: Sequence[int], *, last: bool) -> str:
        self._waiting += tokens
        before, after = (
            str(self._tokenizer.decode(ids, skip_special_tokens=True))
            for ids in (self._told, self._told + self._waiting)
        )
        if after.endswith(_INCOMPLETE) and not last:
            return ""
        self._told, self._waiting = self._waiting, []
        return after[len(before) :]


def _load(kind: Any, folder: str, words: argparse.Namespace) -> Any:
    """The model, on its device."""
    device = words.device or ("cuda" if torch.cuda.is_available() else "cpu")
    options = {"trust_remote_code": words.trust_remote_code, "dtype": words.dtype}
    if words.attention is not None:
        options["attn_implementation"] = words.attention
    try:
        model = kind.from_pretrained(folder, **options).to(device).eval()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        told = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        if "trust_remote_code" in str(error):
            told = f"{folder} brings Python code of its own\nhint: read that code, then allow it: --trust-remote-code"
        raise Refused(told) from error
    others = {*(getattr(model.config.get_text_config(), "layer_types", None) or ())} - _ATTENTION
    if others:
        raise Refused(f"{folder} has layers ({min(others)}) whose state cannot be cut back; use vLLM or llama.cpp")
    return model

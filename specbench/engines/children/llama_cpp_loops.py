"""The loops of `llama_cpp_engine.py`: a target, a drafter, and what they tell each other in each step.

Drafts are the drafter's likeliest tokens. One is accepted when the target's sampler draws the same, so that sampling
with drafts draws what sampling without them draws.
"""

from __future__ import annotations

import codecs
import ctypes
import json
import sys
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import llama_cpp.llama_cpp as lib
import numpy as np
from jinja2 import TemplateError
from llama_cpp import llama_cpp_ext as ext  # experimental
from llama_cpp.llama_chat_format import Jinja2ChatFormatter
from llama_cpp.llama_grammar import json_schema_to_gbnf
from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from specbench.engines.children.serving import Asked, Events, PromptPass, Properties, Refused, Step
else:
    from serving import PromptPass, Properties, Refused, Step

_FLOATS, _INTS = ctypes.POINTER(ctypes.c_float), ctypes.POINTER(ctypes.c_int32)
_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}
_RIVALS = 10  # likeliest tokens that share the probability which p_min is compared to, as in llama.cpp
_WHITE_SPACE = 'space ::= " "?', r'space ::= | " " | "\n"{1,2} [ \t]{0,20}'  # between JSON's parts: llama-server's rule


class Context:
    """A model with a cache of one sequence. Settings that are None are left to llama.cpp."""

    def __init__(self, model: Any, asked: Namespace, types: tuple[str | None, str | None], **more: Any) -> None:
        params = lib.llama_context_default_params()
        params.flash_attn_type = _FLASH_ATTENTION[asked.flash_attention]
        more |= {"n_ctx": asked.context_size or 0, "n_batch": asked.batch_size, "n_ubatch": asked.ubatch_size}
        more |= {"n_threads": asked.threads, "n_threads_batch": asked.threads}
        more |= {
            k: t and getattr(lib, f"GGML_TYPE_{t.upper()}") for k, t in zip(("type_k", "type_v"), types, strict=True)
        }
        for name, value in more.items():
            if value is not None:
                setattr(params, name, value)
        self.handle = lib.llama_init_from_model(model, params)
        if not self.handle:
            raise Refused("llama.cpp cannot make a context with these settings")
        self.model, self.width = model, lib.llama_model_n_embd(model)
        self.vocabulary = lib.llama_model_get_vocab(model)
        self.vocabulary_size = lib.llama_vocab_n_tokens(self.vocabulary)
        self.size, self.batch_size = lib.llama_n_ctx_seq(self.handle), lib.llama_n_ubatch(self.handle)
        self._memory = lib.llama_get_memory(self.handle)
        self._batch = lib.llama_batch_init(self.batch_size, 0, 1)
        for i in range(self.batch_size):
            self._batch.n_seq_id[i] = 1
            self._batch.seq_id[i][0] = 0

    def read(self, tokens: Sequence[int], first: int, *, all_logits: bool = False) -> None:
        """Decode tokens that stand at `first` and after it; logits of the last, or of all."""
        batch, batch.n_tokens = self._batch, len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = first + i
            batch.logits[i] = all_logits
        batch.logits[len(tokens) - 1] = True
        if status := lib.llama_decode(self.handle, batch):
            raise RuntimeError(f"llama_decode returned {status}")

    def cut(self, length: int) -> None:
        """Forget everything from position `length` on."""
        if not lib.llama_memory_seq_rm(self._memory, 0, length, -1):
            raise RuntimeError("this model's memory cannot forget rejected tokens")

    def logits(self, i: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """A view that the next pass overwrites."""
        return np.ctypeslib.as_array(lib.llama_get_logits_ith(self.handle, i), shape=(self.vocabulary_size,))

    def likeliest(self, i: int, p_min: float) -> int | None:
        """None where its share of the likeliest tokens' probability is below `p_min`."""
        logits = self.logits(i)
        token = int(logits.argmax())
        if p_min > 0:
            rivals = np.partition(logits, -_RIVALS)[-_RIVALS:]
            return token if 1 / np.exp(rivals - logits[token]).sum() >= p_min else None
        return token


class Lookup:
    """What followed the last tokens where they stood before: llama-cpp-python's own prompt lookup."""

    longest = sys.maxsize

    def __init__(self, asked: Namespace) -> None:
        self._find = LlamaPromptLookupDecoding(max_ngram_size=asked.ngram_size, num_pred_tokens=asked.draft_tokens_max)

    def draft(self, tokens: list[int], most: int) -> list[int]:
        """At most so many tokens after `tokens`, of which the target has read all but the last."""
        found: list[int] = self._find(np.array(tokens, np.intc))[:most].tolist()
        return found

    def read(self, tokens: list[int], first: int, length: int) -> None:
        """The target has just read `tokens` from `first` on. Those from `length` on do not stand; a prompt does."""


class DraftModel(Lookup):
    """A smaller model with a cache of its own, in which `_length` tokens stand."""

    def __init__(self, context: Context, asked: Namespace) -> None:
        self._context, self._p_min, self._length = context, asked.p_min, 0

    def draft(self, tokens: list[int], most: int) -> list[int]:
        draft: list[int] = []
        unread = tokens[self._length :]
        for _ in range(most):
            self._context.read(unread, self._length)
            self._length += len(unread)
            if (token := self._context.likeliest(-1, self._p_min)) is None:
                break
            unread = [token]
            draft.append(token)
        return draft

    def read(self, tokens: list[int], first: int, length: int) -> None:
        """A prompt is read at once. Of a verification at most the last draft is unread; it waits for the next one."""
        self._length = min(self._length, length if first else 0)
        self._context.cut(self._length)
        if length - self._length > 1:
            self._context.read(tokens[self._length : length], self._length)
            self._length = length


class Head(Lookup):
    """A drafter that reads pairs of a token and a state, and follows the target's states.

    `_state`: of the target at the last token that it has read. `_length`: how many pairs stand in the cache.
    """

    def __init__(self, context: Context, target: Context, asked: Namespace) -> None:
        self._context, self._target, self._p_min = context, target, asked.p_min
        self._state, self._length = np.zeros(context.width, np.float32), 0
        self._batch = lib.llama_batch_ext_init(context.handle)
        self._buffers: list[Any] = []  # llama.cpp keeps their addresses
        ext.llama_set_embeddings_nextn(context.handle, True, True)

    def _add(self, state: Any, position: int, *, token: int | None = None, logits: bool = False) -> None:
        values, where = np.ascontiguousarray(state, np.float32), (ctypes.c_int32 * 1)(position)
        self._buffers += [values, where]
        vector = lib.llama_embd(values.ctypes.data_as(_FLOATS), 1, values.size)
        if token is None:
            i = lib.llama_batch_ext_add_embd(self._batch, 0, vector)
        else:
            i = lib.llama_batch_ext_add_token(self._batch, 0, token)
            lib.llama_batch_ext_set_embd_token(self._batch, i, vector)
        lib.llama_batch_ext_set_pos(self._batch, i, ctypes.cast(where, _INTS))
        lib.llama_batch_ext_set_output_logits(self._batch, i, logits)

    def _run(self, kind: int = lib.LLAMA_PROCESS_TYPE_DECODE, *, again: bool = False) -> None:
        if status := lib.llama_process(self._context.handle, kind, self._batch):
            raise RuntimeError(f"llama_process returned {status}")
        if not again:
            lib.llama_batch_ext_clear(self._batch)
            self._buffers.clear()

    def _state_after(self, i: int) -> Any:
        """The drafter's own state, which stands in for the target's while it drafts."""
        return _rows(ext.llama_get_embeddings_nextn_ith(self._context.handle, i), 1, self._context.width)[0]

    def _grown(self, token: int, position: int, most: int) -> list[int]:
        """Draft from the pair of `token` and the state at `position`. That pair stands, those after it do not."""
        draft: list[int] = []
        state = self._state
        for i in range(most):
            self._add(state, position + i, token=token, logits=True)
            self._run()
            if (found := self._context.likeliest(0, self._p_min)) is None:
                break
            token, state = found, self._state_after(0)
            draft.append(token)
        self._length = position + 1
        self._context.cut(self._length)
        return draft


class Mtp(Head):
    """Heads in the target's file, in a second context on the same model. Token k goes with the state of token k - 1.

    Of several heads each drafts at one distance, and has its own layer in the cache whose positions all share.
    """

    def __init__(self, context: Context, target: Context, asked: Namespace) -> None:
        super().__init__(context, target, asked)
        self._heads = lib.llama_model_n_layer_nextn(context.model)
        self.longest = self._heads if self._heads > 1 else Lookup.longest
        ext.llama_set_embeddings_nextn(target.handle, True, False)

    def draft(self, tokens: list[int], most: int) -> list[int]:
        first = len(tokens) - 1
        if self._heads == 1:
            return self._grown(tokens[-1], first, most)
        draft: list[int] = []
        states = [self._state]
        for head in range(most):
            self._choose(head, first)
            for i, (token, state) in enumerate(zip([tokens[-1], *draft], states, strict=True)):
                self._add(state, first + i, token=token, logits=i == head)
            self._run()
            if (found := self._context.likeliest(head, self._p_min)) is None:
                break
            draft.append(found)
            states.append(self._state_after(head))
        self._choose(0, first)
        return draft

    def read(self, tokens: list[int], first: int, length: int) -> None:
        if first == 0:
            self._choose(0, 0)
            self._state, self._length = np.zeros(self._context.width, np.float32), 0
        pointer = ext.llama_get_embeddings_nextn(self._target.handle)
        states = [self._state, *_rows(pointer, length - first, self._context.width)]
        done = max(first, self._length) if self._heads == 1 else first
        for k in range(done, length):
            self._add(states[k - first], k, token=tokens[k])
        for head in reversed(range(self._heads)) if done < length else ():
            if self._heads > 1:
                self._choose(head, first)
            self._run(again=head > 0)
        self._state, self._length = states[-1], length

    def _choose(self, head: int, first: int) -> None:
        """Let this head run; what another one wrote from `first` on is none of its own."""
        self._context.cut(first)
        ext.llama_set_nextn_layer_offset(self._context.handle, head)


class Eagle3(Head):
    """Inputs of some target layers are encoded to a state. Token k goes with that of token k - 1, at position k - 1."""

    def __init__(self, context: Context, target: Context, asked: Namespace) -> None:
        super().__init__(context, target, asked)
        model, wanted = [lib.llama_model_p_ctypes], [lib.llama_context_p_ctypes, ctypes.c_uint32]
        ids = _bind("llama_model_target_layer_ids", "PK11llama_model", model, _INTS)(context.model)
        count = _bind("llama_model_target_layer_ids_n", "PK11llama_model", model, ctypes.c_uint32)(context.model)
        keep = _bind("llama_set_embeddings_layer_inp", "P13llama_contextjb", [*wanted, ctypes.c_bool], None)
        self._input = _bind("llama_get_embeddings_layer_inp", "P13llama_contextj", wanted, _FLOATS)
        self._layers, self._depth = [ids[i] for i in range(count)], lib.llama_model_n_layer(target.model)
        for layer in self._layers:
            if layer < self._depth:
                keep(target.handle, layer, True)
            else:  # what leaves the last one
                ext.llama_set_embeddings_nextn(target.handle, True, False)

    def draft(self, tokens: list[int], most: int) -> list[int]:
        return self._grown(tokens[-1], len(tokens) - 2, most)

    def read(self, tokens: list[int], first: int, length: int) -> None:
        if first == 0:
            self._context.cut(0)
            self._length = 0
        states = [self._state, *self._encoded(length - first)]
        for k in range(max(1, first, self._length + 1), length):
            self._add(states[k - first], k - 1, token=tokens[k])
        if length - 1 > self._length:
            self._run()
        self._state, self._length = states[-1], length - 1

    def _encoded(self, n: int) -> Any:
        """The state of each of the first n tokens that the target has just read. Positions are not used."""
        target = self._target.handle
        pointers = [
            self._input(target, layer) if layer < self._depth else ext.llama_get_embeddings_nextn(target)
            for layer in self._layers
        ]
        features = np.concatenate([_rows(pointer, n, self._target.width) for pointer in pointers], axis=1)
        for i, values in enumerate(features):
            self._add(values, self._length + i, logits=True)
        self._run(lib.LLAMA_PROCESS_TYPE_ENCODE)
        return _rows(ext.llama_get_embeddings_nextn(self._context.handle), n, self._context.width)


class LlamaCpp:
    """A target with a drafter, as `serving.Model` wants it."""

    def __init__(self, asked: Namespace, *, version: str) -> None:
        lib.llama_log_set(ctypes.cast(0, lib.llama_log_callback), None)  # to standard error, without Python
        lib.llama_backend_init()
        model = _loaded(asked.model, asked.gpu_layers, heads=asked.method == "draft-mtp")
        types = (asked.cache_type_k, asked.cache_type_v)
        self._target = Context(model, asked, types, n_rs_seq=asked.draft_tokens_max)  # states that can be gone back to
        self._drafter = None if asked.method == "none" else _drafter(asked, self._target)
        self._least = asked.draft_tokens_min
        most = 0 if self._drafter is None else min(asked.draft_tokens_max, self._drafter.longest)
        template = lib.llama_model_chat_template(model, None)
        if most + 1 > self._target.batch_size:
            raise Refused(
                f"a draft of {most} tokens needs a batch of {most + 1}, and it holds {self._target.batch_size}"
            )
        self.properties = Properties(
            version=version,
            types=asked.method,
            draft_tokens_max=most,
            context_size=self._target.size,
            chat_template=template.decode() if template else None,
            model_type=lib.llama_ftype_name(lib.llama_model_ftype(model)).decode(),
        )
        if most:
            sys.stderr.write(f"spec {asked.method} - n_max={most}, n_min={self._least}, p_min={asked.p_min}\n")
        self._piece = cache(self._piece_of)
        self._ends = cache(lambda token: bool(lib.llama_vocab_is_eog(self._target.vocabulary, token)))

    def tokenize(self, text: str) -> list[int]:
        encoded = text.encode()
        room = len(encoded) + 8  # no token is shorter than a byte; special ones may come before and after
        found = (lib.llama_token * room)()
        n = lib.llama_tokenize(self._target.vocabulary, encoded, len(encoded), found, room, True, True)
        return list(found[:n])

    def apply_template(self, messages: list[dict[str, str]], *, thinking: bool | None) -> str:
        if self.properties.chat_template is None:
            raise Refused("the model has no chat template")
        vocabulary = self._target.vocabulary
        eos, bos = (find(vocabulary) for find in (lib.llama_vocab_eos, lib.llama_vocab_bos))
        names = ["" if token < 0 else lib.llama_vocab_get_text(vocabulary, token).decode() for token in (eos, bos)]
        more = {} if thinking is None else {"enable_thinking": thinking}
        try:
            prompt: str = Jinja2ChatFormatter(self.properties.chat_template, *names)(messages=messages, **more).prompt
        except (TemplateError, TypeError, ValueError) as error:
            raise Refused(f"the chat template: {error}") from error
        return prompt.removeprefix(names[1]) if lib.llama_vocab_get_add_bos(vocabulary) else prompt

    def generate(self, asked: Asked) -> Events:
        sampler = self._sampler(asked)
        try:
            yield from self._steps(asked, sampler)
        finally:
            lib.llama_sampler_free(sampler)

    def _steps(self, asked: Asked, sampler: Any) -> Events:
        tokens, target, drafter = list(asked.prompt), self._target, self._drafter
        target.cut(0)
        for first in range(0, len(tokens), target.batch_size):
            length = min(first + target.batch_size, len(tokens))
            target.read(tokens[first:length], first)
            if drafter is not None:
                drafter.read(tokens[:length], first, length)
            yield PromptPass(length)
        emitted, draft = [lib.llama_sampler_sample(sampler, target.handle, -1)], list[int]()
        top_two = [self._top_two(-1)] if asked.top_two else []
        text, left = codecs.getincrementaldecoder("utf-8")(errors="replace"), asked.output_tokens
        seconds: dict[str, float] = {}
        while True:
            tokens += emitted
            left -= len(emitted)
            stop = "eos" if self._ends(tokens[-1]) else "context" if len(tokens) >= target.size and left else None
            said = text.decode(b"".join(map(self._piece, emitted)))
            yield Step(emitted, said, len(draft), len(emitted) - 1, seconds, top_two, stop)
            if not left or stop:
                return
            began = time.perf_counter()
            room = min(self.properties.draft_tokens_max, left - 1, target.size - len(tokens) - 1)
            draft = drafter.draft(tokens, room) if drafter is not None and room > 0 else []
            draft = draft if len(draft) >= self._least else []
            drafted = time.perf_counter()
            first = len(tokens) - 1
            target.read([tokens[-1], *draft], first, all_logits=True)
            emitted = self._verified(sampler, draft)
            top_two = [self._top_two(i) for i in range(len(emitted))] if asked.top_two else []
            verified = time.perf_counter()
            if drafter is not None:
                length = first + len(emitted)
                target.cut(length)
                drafter.read([*tokens, *draft], first, length)
                caught_up = time.perf_counter() - verified
                seconds = {"draft": drafted - began, "verify": verified - drafted, "catch_up": caught_up}

    def _verified(self, sampler: Any, draft: list[int]) -> list[int]:
        """The target's tokens, up to the first that is not the drafted one or ends the text."""
        emitted: list[int] = []
        for i, drafted in enumerate([*draft, -1]):
            emitted.append(lib.llama_sampler_sample(sampler, self._target.handle, i))
            if emitted[-1] != drafted or self._ends(drafted):
                break
        return emitted

    def _sampler(self, asked: Asked) -> Any:
        """A chain in llama-server's order. It takes what it samples for accepted."""
        vocabulary, size = self._target.vocabulary, self._target.vocabulary_size
        parts = []
        if asked.json_schema is not None:
            try:
                rules = json_schema_to_gbnf(json.dumps(asked.json_schema)).replace(*_WHITE_SPACE)
            except (AssertionError, AttributeError, LookupError, ValueError, RecursionError) as error:
                raise Refused(f"no grammar for this JSON schema: {error}") from error
            grammar = lib.llama_sampler_init_grammar(vocabulary, rules.encode(), b"root")
            if not grammar:
                raise Refused("llama.cpp reads no grammar in this JSON schema")
            parts.append(grammar)
        elif asked.ignore_eos:  # what a schema binds must be able to end
            ends = [(token, float("-inf")) for token in range(size) if self._ends(token)]
            parts.append(lib.llama_sampler_init_logit_bias(size, len(ends), (lib.llama_logit_bias * len(ends))(*ends)))
        if asked.temperature > 0:
            parts += [lib.llama_sampler_init_top_k(asked.top_k), lib.llama_sampler_init_top_p(asked.top_p, 0)]
            parts += [lib.llama_sampler_init_min_p(asked.min_p, 0), lib.llama_sampler_init_temp(asked.temperature)]
            parts.append(lib.llama_sampler_init_dist(asked.seed))
        else:
            parts.append(lib.llama_sampler_init_greedy())
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for part in parts:
            lib.llama_sampler_chain_add(chain, part)
        return chain

    def _top_two(self, i: int) -> tuple[float, float]:
        """Log-probabilities of the two likeliest tokens, before sampling."""
        logits = self._target.logits(i).astype(np.float64)
        second, first = np.partition(logits, -2)[-2:]
        total = first + np.log(np.exp(logits - first).sum())
        return float(first - total), float(second - total)

    def _piece_of(self, token: int) -> bytes:
        text = ctypes.create_string_buffer(256)
        n = lib.llama_token_to_piece(self._target.vocabulary, token, text, len(text), 0, False)
        return text.raw[: max(0, n)]


def _drafter(asked: Namespace, target: Context) -> Lookup:
    if asked.method == "ngram":
        return Lookup(asked)
    types = (asked.draft_cache_type_k, asked.draft_cache_type_v)
    if asked.method == "draft-mtp":
        if asked.draft_model:
            raise Refused("these loops draft with heads in the target's file, not with heads in a file of their own")
        if not lib.llama_model_n_layer_nextn(target.model):
            raise Refused(f"{asked.model} has no MTP heads")
        second = {"ctx_type": lib.LLAMA_CONTEXT_TYPE_MTP, "ctx_other": target.handle}
        return Mtp(Context(target.model, asked, types, **second), target, asked)
    context = Context(_loaded(asked.draft_model, asked.draft_gpu_layers), asked, types, ctx_other=target.handle)
    return Eagle3(context, target, asked) if asked.method == "draft-eagle3" else DraftModel(context, asked)


def _loaded(path: str, gpu_layers: int | None, *, heads: bool = False) -> Any:
    params = lib.llama_model_default_params()
    params.load_mtp = heads
    if gpu_layers is not None:
        params.n_gpu_layers = gpu_layers
    model = lib.llama_model_load_from_file(path.encode(), params)
    if not model:
        raise Refused(f"llama.cpp cannot load {path}")
    return model


def _rows(pointer: Any, n: int, width: int) -> np.ndarray[Any, Any]:
    return np.ctypeslib.as_array(ctypes.cast(pointer, _FLOATS), shape=(n, width)).copy()


def _bind(name: str, arguments: str, types: list[Any], result: Any) -> Any:
    """A C++ function that llama-cpp-python does not bind, by its name in the ABI of GCC and Clang."""
    function = getattr(lib._lib, f"_Z{len(name)}{name}{arguments}", None)  # noqa: SLF001  the library itself
    if function is None:
        raise Refused(f"this build of llama.cpp does not export {name}, which EAGLE-3 needs")
    function.argtypes, function.restype = types, result
    return function

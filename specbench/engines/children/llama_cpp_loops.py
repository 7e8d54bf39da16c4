"""The loops of `llama_cpp_engine.py`: a target, a drafter, and what they say to each other in each step.

Drafts are the drafter's likeliest tokens. A token of the target's sampler that equals the drafted one accepts it, so
that sampling with drafts draws what sampling without them draws.
"""

from __future__ import annotations

import codecs
import ctypes
import sys
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import llama_cpp.llama_cpp as lib
import numpy as np

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Generator, Sequence

    from specbench.engines.children.serving import Asked, PromptPass, Properties, Refused, Step
else:
    from serving import PromptPass, Properties, Refused, Step

_FLOATS, _INTS = ctypes.POINTER(ctypes.c_float), ctypes.POINTER(ctypes.c_int32)
_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}
_RIVALS = 10  # likeliest tokens that share the probability which p_min is compared to, as in llama.cpp


class Gguf:
    """A model file that is loaded."""

    def __init__(self, path: str, asked: Namespace, *, gpu_layers: int | None, heads: bool = False) -> None:
        params = lib.llama_model_default_params()
        params.load_mtp = heads
        _set(params, n_gpu_layers=gpu_layers, main_gpu=asked.main_gpu)
        if asked.load_mode is not None:
            params.load_mode = _value("LLAMA_LOAD_MODE", asked.load_mode)
        if asked.split_mode is not None:
            params.split_mode = _value("LLAMA_SPLIT_MODE", asked.split_mode)
        self.handle = lib.llama_model_load_from_file(path.encode(), params)
        if not self.handle:
            raise Refused(f"llama.cpp cannot load {path}")
        self.vocabulary = lib.llama_model_get_vocab(self.handle)
        self.vocabulary_size = lib.llama_vocab_n_tokens(self.vocabulary)
        self.width = lib.llama_model_n_embd(self.handle)

    def metadata(self, key: str) -> str | None:
        size = lib.llama_model_meta_val_str(self.handle, key.encode(), None, 0)
        text = ctypes.create_string_buffer(size + 1)
        lib.llama_model_meta_val_str(self.handle, key.encode(), text, size + 1)
        return text.value.decode() if size >= 0 else None


class Context:
    """A model's cache of one sequence, and the batch that is read into it."""

    def __init__(
        self, model: Gguf, asked: Namespace, *, cache_types: tuple[str | None, str | None], **more: Any
    ) -> None:
        params = lib.llama_context_default_params()
        _set(params, n_ctx=asked.context_size, n_batch=asked.batch_size, n_ubatch=asked.ubatch_size)
        _set(params, n_threads=asked.threads, n_threads_batch=asked.threads, **more)
        params.flash_attn_type = _FLASH_ATTENTION[asked.flash_attention]
        for name, kind in zip(("type_k", "type_v"), cache_types, strict=True):
            if kind is not None:
                setattr(params, name, _value("GGML_TYPE", kind))
        self.model = model
        self.handle = lib.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise Refused("llama.cpp cannot make a context with these settings")
        self.size = lib.llama_n_ctx_seq(self.handle)
        self.batch_size = lib.llama_n_batch(self.handle)
        self._batch = lib.llama_batch_init(self.batch_size, 0, 1)
        for i in range(self.batch_size):
            self._batch.n_seq_id[i] = 1
            self._batch.seq_id[i][0] = 0
        self._memory = lib.llama_get_memory(self.handle)

    def read(self, tokens: Sequence[int], first: int, *, logits: str = "last") -> None:
        """Decode tokens that stand at `first` and after; `logits` of `all` of them, or of the last."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = first + i
            batch.logits[i] = logits == "all"
        batch.logits[len(tokens) - 1] = True
        _require(lib.llama_decode(self.handle, batch), "llama_decode")

    def cut(self, length: int) -> None:
        """Forget everything from position `length` on."""
        if not lib.llama_memory_seq_rm(self._memory, 0, length, -1):
            raise RuntimeError("this model's memory cannot forget rejected tokens")

    def logits(self, i: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """A view that the next pass overwrites."""
        return np.ctypeslib.as_array(lib.llama_get_logits_ith(self.handle, i), shape=(self.model.vocabulary_size,))

    def likeliest(self, i: int, p_min: float) -> int | None:
        """None where its share of the likeliest tokens' probability is below `p_min`."""
        logits = self.logits(i)
        token = int(logits.argmax())
        if p_min > 0:
            rivals = np.partition(logits, -_RIVALS)[-_RIVALS:]
            if 1 / np.exp(rivals - logits[token]).sum() < p_min:
                return None
        return token


class Drafter(Protocol):
    """`tokens`: the whole sequence, of which the target has read all but the last when it is drafted from."""

    def draft(self, tokens: list[int], most: int) -> list[int]: ...

    def read(self, tokens: list[int], first: int, length: int) -> None:
        """The target has just read `tokens` from `first` on; those from `length` on do not stand."""
        ...


class Lookup:
    """What followed the last tokens when they stood in the text before: llama-cpp-python's own prompt lookup."""

    def __init__(self, asked: Namespace) -> None:
        from llama_cpp.llama_speculative import LlamaPromptLookupDecoding  # noqa: PLC0415

        self._found = LlamaPromptLookupDecoding(max_ngram_size=asked.ngram_size, num_pred_tokens=asked.draft_tokens_max)

    def draft(self, tokens: list[int], most: int) -> list[int]:
        return [int(token) for token in self._found(np.array(tokens, np.intc))[:most]]

    def read(self, tokens: list[int], first: int, length: int) -> None:
        """It reads the sequence anew each time."""


class DraftModel:
    """A smaller model with a cache of its own, in which the first `length` tokens stand."""

    def __init__(self, context: Context, asked: Namespace) -> None:
        self._context, self._p_min, self._length = context, asked.p_min, 0

    def draft(self, tokens: list[int], most: int) -> list[int]:
        draft: list[int] = []
        while len(draft) < most:
            unread = [*tokens, *draft][self._length :] if not draft else draft[-1:]
            self._context.read(unread, self._length)
            self._length += len(unread)
            if (token := self._context.likeliest(-1, self._p_min)) is None:
                break
            draft.append(token)
        return draft

    def read(self, tokens: list[int], first: int, length: int) -> None:
        """A prompt is read at once. Of a verification at most the last draft is unread; it waits for the next one."""
        self._length = min(self._length, first if first == 0 else length)
        self._context.cut(self._length)
        if length - self._length > 1:
            self._context.read(tokens[self._length : length], self._length)
            self._length = length


class Head:
    """A drafter that reads pairs of a token and a state; `_pairs` is what it reads next, with the buffers it needs.

    `_state`: of the target at the last token that it has read. `_length`: how many pairs stand in the cache.
    """

    def __init__(self, context: Context, target: Context, asked: Namespace) -> None:
        from llama_cpp import llama_cpp_ext  # noqa: PLC0415  experimental

        self._ext, self._context, self._target, self._p_min = llama_cpp_ext, context, target, asked.p_min
        self._width = context.model.width
        self._state = np.zeros(self._width, np.float32)
        self._length = 0
        self._batch = lib.llama_batch_ext_init(context.handle)
        self._buffers: list[Any] = []
        llama_cpp_ext.llama_set_embeddings_nextn(context.handle, True, True)

    def _add(self, state: Any, position: int, *, token: int | None, logits: bool) -> None:
        values = np.ascontiguousarray(state, np.float32)
        where = (ctypes.c_int32 * 1)(position)
        self._buffers += [values, where]  # llama.cpp keeps their addresses
        vector = lib.llama_embd(values.ctypes.data_as(_FLOATS), 1, values.size)
        if token is None:
            i = lib.llama_batch_ext_add_embd(self._batch, 0, vector)
        else:
            i = lib.llama_batch_ext_add_token(self._batch, 0, token)
            lib.llama_batch_ext_set_embd_token(self._batch, i, vector)
        lib.llama_batch_ext_set_pos(self._batch, i, ctypes.cast(where, _INTS))
        lib.llama_batch_ext_set_output_logits(self._batch, i, logits)

    def _run(self, kind: int, *, keep: bool = False) -> None:
        _require(lib.llama_process(self._context.handle, kind, self._batch), "llama_process")
        if not keep:
            lib.llama_batch_ext_clear(self._batch)
            self._buffers.clear()

    def _drafted_state(self, i: int) -> Any:
        return _rows(self._ext.llama_get_embeddings_nextn_ith(self._context.handle, i), 1, self._width)[0]

    def _grow(self, token: int, position: int, most: int) -> list[int]:
        """Draft from the pair of `token` and the state, each time with its own state after it. The pair stands."""
        draft: list[int] = []
        state: Any = self._state
        for i in range(most):
            self._add(state, position + i, token=token, logits=True)
            self._run(lib.LLAMA_PROCESS_TYPE_DECODE)
            if (found := self._context.likeliest(0, self._p_min)) is None:
                break
            token, state = found, self._drafted_state(0)
            draft.append(token)
        self._length = position + 1
        self._context.cut(self._length)
        return draft


class Mtp(Head):
    """Heads in the target's file, in a second context on the same model. Token k goes with the state of token k - 1.

    Of several heads each drafts the token at one distance, and has the layers of one in the cache that all share.
    """

    def __init__(self, context: Context, target: Context, asked: Namespace) -> None:
        super().__init__(context, target, asked)
        self.heads = lib.llama_model_n_layer_nextn(context.model.handle)
        self._ext.llama_set_embeddings_nextn(target.handle, True, False)

    def draft(self, tokens: list[int], most: int) -> list[int]:
        position = len(tokens) - 1
        if self.heads == 1:
            return self._grow(tokens[-1], position, most)
        draft: list[int] = []
        states = [self._state]
        for head in range(most):
            self._choose(head, position)
            for i, (token, state) in enumerate(zip([tokens[-1], *draft], states, strict=True)):
                self._add(state, position + i, token=token, logits=i == head)
            self._run(lib.LLAMA_PROCESS_TYPE_DECODE)
            if (found := self._context.likeliest(head, self._p_min)) is None:
                break
            draft.append(found)
            states.append(self._drafted_state(head))
        self._choose(0, position)
        return draft

    def read(self, tokens: list[int], first: int, length: int) -> None:
        if first == 0:
            self._context.cut(0)
            self._length, self._state = 0, np.zeros(self._width, np.float32)
        pointer = self._ext.llama_get_embeddings_nextn(self._target.handle)
        states = [self._state, *_rows(pointer, length - first, self._width)]
        done = max(first, self._length) if self.heads == 1 else first
        for k in range(done, length):
            self._add(states[k - first], k, token=tokens[k], logits=False)
        for head in range(self.heads) if done < length else ():
            if self.heads > 1:
                self._choose(head, first)
            self._run(lib.LLAMA_PROCESS_TYPE_DECODE, keep=head < self.heads - 1)
        if self.heads > 1:
            self._ext.llama_set_nextn_layer_offset(self._context.handle, 0)
        self._state, self._length = states[length - first], length

    def _choose(self, head: int, first: int) -> None:
        """Let this head run; what another one wrote from `first` on is none of its own."""
        self._context.cut(first)
        self._ext.llama_set_nextn_layer_offset(self._context.handle, head)


class Eagle3(Head):
    """Inputs of some target layers are encoded to a state. Token k goes with that of token k - 1, at position k - 1."""

    def __init__(self, context: Context, target: Context, asked: Namespace) -> None:
        super().__init__(context, target, asked)
        model, layers = context.model.handle, lib.llama_model_n_layer(target.model.handle)
        ids = _bind("llama_model_target_layer_ids", "PK11llama_model", [lib.llama_model_p_ctypes], _INTS)(model)
        number = _bind("llama_model_target_layer_ids_n", "PK11llama_model", [lib.llama_model_p_ctypes], ctypes.c_uint32)
        wanted = [lib.llama_context_p_ctypes, ctypes.c_uint32]
        keep = _bind("llama_set_embeddings_layer_inp", "P13llama_contextjb", [*wanted, ctypes.c_bool], None)
        self._input = _bind("llama_get_embeddings_layer_inp", "P13llama_contextj", wanted, _FLOATS)
        self._layers = [ids[i] for i in range(number(model))]
        self._outputs = layers  # an id that is no layer's input: what leaves the last one
        for layer in self._layers:
            if layer < layers:
                keep(target.handle, layer, True)
            else:
                self._ext.llama_set_embeddings_nextn(target.handle, True, False)

    def draft(self, tokens: list[int], most: int) -> list[int]:
        return self._grow(tokens[-1], len(tokens) - 2, most)

    def read(self, tokens: list[int], first: int, length: int) -> None:
        if first == 0:
            self._context.cut(0)
            self._length = 0
        states = [self._state, *self._encoded(length - first)]
        for k in range(max(1, first, self._length + 1), length):
            self._add(states[k - first], k - 1, token=tokens[k], logits=False)
        if length - 1 > self._length:
            self._run(lib.LLAMA_PROCESS_TYPE_DECODE)
        self._state, self._length = states[-1], length - 1

    def _encoded(self, n: int) -> np.ndarray[Any, Any]:
        """The state of each of the first n tokens that the target has just read."""
        width = self._target.model.width
        inputs = [
            _rows(
                self._input(self._target.handle, layer)
                if layer < self._outputs
                else self._ext.llama_get_embeddings_nextn(self._target.handle),
                n,
                width,
            )
            for layer in self._layers
        ]
        for i, features in enumerate(np.concatenate(inputs, axis=1)):
            self._add(features, self._length + i, token=None, logits=True)
        self._run(lib.LLAMA_PROCESS_TYPE_ENCODE)
        return _rows(self._ext.llama_get_embeddings_nextn(self._context.handle), n, self._width)


class LlamaCpp:
    """A target with a drafter, as `serving.Model` wants it."""

    def __init__(self, asked: Namespace, *, version: str) -> None:
        self._log = lib.llama_log_callback(_log)
        lib.llama_log_set(self._log, ctypes.c_void_p(0))
        lib.llama_backend_init()
        mtp = asked.method == "draft-mtp"
        if mtp and asked.draft_model:
            raise Refused("these loops draft with heads in the target's file, not with heads in a file of their own")
        self._model = Gguf(asked.model, asked, gpu_layers=asked.gpu_layers, heads=mtp)
        types = (asked.cache_type_k, asked.cache_type_v)
        self._target = Context(self._model, asked, cache_types=types, n_rs_seq=asked.draft_tokens_max)
        self._drafter = self._make_drafter(asked)
        most = 0 if self._drafter is None else asked.draft_tokens_max
        if isinstance(self._drafter, Mtp) and self._drafter.heads > 1:
            most = min(most, self._drafter.heads)
        self._least = asked.draft_tokens_min
        template = lib.llama_model_chat_template(self._model.handle, None)
        kind = lib.llama_ftype_name(lib.llama_model_ftype(self._model.handle))
        self.properties = Properties(
            version=version,
            types=asked.method,
            draft_tokens_max=most,
            context_size=self._target.size,
            chat_template=template.decode() if template else None,
            model_type=kind.decode() if kind else None,
        )
        told = f"n_max={most}, n_min={self._least}, p_min={asked.p_min}"
        sys.stderr.write(f"spec {asked.method} - {told}\n" if most else "")
        self._piece = cache(self._piece_of)
        self._ends = cache(lambda token: bool(lib.llama_vocab_is_eog(self._model.vocabulary, token)))

    def _make_drafter(self, asked: Namespace) -> Drafter | None:
        if asked.method in {"none", "ngram"}:
            return None if asked.method == "none" else Lookup(asked)
        types = (asked.draft_cache_type_k, asked.draft_cache_type_v)
        if asked.method == "draft-mtp":
            if not lib.llama_model_n_layer_nextn(self._model.handle):
                raise Refused(f"{asked.model} has no MTP heads")
            mtp = {"ctx_type": lib.LLAMA_CONTEXT_TYPE_MTP, "ctx_other": self._target.handle}
            return Mtp(Context(self._model, asked, cache_types=types, **mtp), self._target, asked)
        model = Gguf(asked.draft_model, asked, gpu_layers=asked.draft_gpu_layers)
        context = Context(model, asked, cache_types=types, ctx_other=self._target.handle)
        if asked.method == "draft-eagle3":
            return Eagle3(context, self._target, asked)
        return DraftModel(context, asked)

    def tokenize(self, text: str) -> list[int]:
        encoded = text.encode()
        room = len(encoded) + 8  # no token is shorter than a byte; special ones may come before and after
        found = (lib.llama_token * room)()
        n = lib.llama_tokenize(self._model.vocabulary, encoded, len(encoded), found, room, True, True)
        return list(found[:n])

    def apply_template(self, messages: list[dict[str, str]], *, thinking: bool | None) -> str:
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter  # noqa: PLC0415

        if self.properties.chat_template is None:
            raise Refused("the model has no chat template")
        special = [self._text_of(find) for find in (lib.llama_vocab_eos, lib.llama_vocab_bos)]
        render = Jinja2ChatFormatter(self.properties.chat_template, *special)
        more = {} if thinking is None else {"enable_thinking": thinking}
        prompt: str = render(messages=messages, **more).prompt
        # The tokenizer adds it once more.
        return prompt.removeprefix(special[1]) if lib.llama_vocab_get_add_bos(self._model.vocabulary) else prompt

    def generate(self, asked: Asked) -> Generator[PromptPass | Step, None, None]:
        tokens = list(asked.prompt)
        target, most = self._target, self.properties.draft_tokens_max
        target.cut(0)
        for first in range(0, len(tokens), target.batch_size):
            length = min(first + target.batch_size, len(tokens))
            target.read(tokens[first:length], first)
            if self._drafter is not None:
                self._drafter.read(tokens[:length], first, length)
            yield PromptPass(length)
        text = codecs.getincrementaldecoder("utf-8")(errors="replace")
        sampler = self._sampler(asked)
        try:
            token = lib.llama_sampler_sample(sampler, target.handle, -1)
            emitted, draft, seconds = [token], list[int](), dict[str, float]()
            gaps = [self._top_two(-1)] if asked.top_two else []
            left = asked.output_tokens
            while True:
                tokens += emitted
                left -= len(emitted)
                full = len(tokens) >= target.size
                stop = "eos" if self._ends(tokens[-1]) else "context" if full and left else None
                said = text.decode(b"".join(map(self._piece, emitted)))
                yield Step(emitted, said, len(draft), len(emitted) - 1, seconds, gaps, stop)
                if not left or stop:
                    return
                began = time.perf_counter()
                room = min(most, left - 1, target.size - len(tokens) - 1)
                draft = self._drafter.draft(tokens, room) if self._drafter is not None and room > 0 else []
                draft = draft if len(draft) >= self._least else []
                drafted = time.perf_counter()
                first = len(tokens) - 1
                target.read([tokens[-1], *draft], first, logits="all")
                emitted = self._verified(sampler, draft)
                gaps = [self._top_two(i) for i in range(len(emitted))] if asked.top_two else []
                verified = time.perf_counter()
                if self._drafter is not None:
                    length = first + len(emitted)
                    target.cut(length)
                    self._drafter.read([*tokens, *draft], first, length)
                    caught_up = time.perf_counter() - verified
                    seconds = {"draft": drafted - began, "verify": verified - drafted, "catch_up": caught_up}
        finally:
            lib.llama_sampler_free(sampler)

    def _verified(self, sampler: Any, draft: list[int]) -> list[int]:
        """The target's tokens, up to the first that is not the drafted one or ends the text."""
        emitted: list[int] = []
        for i, drafted in enumerate([*draft, None]):
            emitted.append(lib.llama_sampler_sample(sampler, self._target.handle, i))
            if emitted[-1] != drafted or self._ends(drafted):
                break
        return emitted

    def _sampler(self, asked: Asked) -> Any:
        """A chain in llama-server's order, which takes what it samples for accepted."""
        size = self._model.vocabulary_size
        parts = []
        if asked.json_schema is not None:
            parts.append(self._grammar(asked.json_schema))
        if asked.ignore_eos:
            ends = [token for token in range(size) if self._ends(token)]
            biases = (lib.llama_logit_bias * len(ends))(*((token, float("-inf")) for token in ends))
            parts.append(lib.llama_sampler_init_logit_bias(size, len(ends), biases))
        if asked.temperature > 0:
            parts.append(lib.llama_sampler_init_top_k(asked.top_k))
            parts.append(lib.llama_sampler_init_top_p(asked.top_p, 0))
            parts.append(lib.llama_sampler_init_min_p(asked.min_p, 0))
            parts.append(lib.llama_sampler_init_temp(asked.temperature))
            parts.append(lib.llama_sampler_init_dist(asked.seed))
        else:
            parts.append(lib.llama_sampler_init_greedy())
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for part in parts:
            lib.llama_sampler_chain_add(chain, part)
        return chain

    def _grammar(self, schema: Any) -> Any:
        import json  # noqa: PLC0415

        from llama_cpp.llama_grammar import json_schema_to_gbnf  # noqa: PLC0415

        rules = json_schema_to_gbnf(json.dumps(schema)).encode()
        return lib.llama_sampler_init_grammar(self._model.vocabulary, rules, b"root")

    def _top_two(self, i: int) -> tuple[float, float]:
        """Log-probabilities of the two likeliest tokens, before sampling."""
        logits = self._target.logits(i).astype(np.float64)
        second, first = np.partition(logits, -2)[-2:]
        total = first + np.log(np.exp(logits - first).sum())
        return float(first - total), float(second - total)

    def _piece_of(self, token: int) -> bytes:
        text = ctypes.create_string_buffer(256)
        n = lib.llama_token_to_piece(self._model.vocabulary, token, text, len(text), 0, False)
        return text.raw[: max(0, n)]

    def _text_of(self, find: Any) -> str:
        token = find(self._model.vocabulary)
        return "" if token < 0 else lib.llama_vocab_get_text(self._model.vocabulary, token).decode()


def _log(level: int, text: bytes, _: Any) -> None:
    if level != _DEBUG:
        sys.stderr.buffer.write(text)
        sys.stderr.buffer.flush()


_DEBUG = 4


def _set(params: Any, **values: Any) -> None:
    for name, value in values.items():
        if value is not None:
            setattr(params, name, value)


def _value(kind: str, name: str) -> int:
    value = getattr(lib, f"{kind}_{name.upper().replace('-', '_')}", None)
    if value is None:
        raise Refused(f"llama.cpp has no {kind.removeprefix('LLAMA_').lower()} {name}")
    return int(value)


def _require(status: int, what: str) -> None:
    if status:
        raise RuntimeError(f"{what} returned {status}")


def _rows(pointer: Any, n: int, width: int) -> np.ndarray[Any, Any]:
    return np.ctypeslib.as_array(ctypes.cast(pointer, _FLOATS), shape=(n, width)).copy()


def _bind(name: str, arguments: str, types: list[Any], result: Any) -> Any:
    """A C++ function that llama-cpp-python does not bind, by its name in the Itanium ABI (GCC, Clang)."""
    function = getattr(lib._lib, f"_Z{len(name)}{name}{arguments}", None)  # noqa: SLF001
    if function is None:
        raise Refused(f"this build of llama.cpp does not export {name}, which EAGLE-3 needs")
    function.argtypes, function.restype = types, result
    return function

"""What libllama's own samplers draw from a row of logits, each made anew for one draw, with the seed that ours has."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

_MASK = 2**64 - 1


def mix(x: int) -> int:
    """The splitmix64 finaliser."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


def draw_seed(seed: int, position: int) -> int:
    return mix(seed ^ mix(position)) >> 32


def second_draw_seed(seed: int, position: int) -> int:
    return draw_seed(mix(seed) ^ _MASK, position)


def canonical(seed: int) -> float:
    """The first number in [0, 1) that std::discrete_distribution takes of std::mt19937(seed)."""
    generator = np.random.MT19937()
    generator._legacy_seeding(seed)
    low, high = generator.random_raw(2).tolist()
    return float((low + high * 2**32) / 2**64)


class Vocabulary:
    """libllama's, of a file without weights. Close it."""

    def __init__(self, path: str) -> None:
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        self._model = llama_cpp.llama_model_load_from_file(path.encode(), params)
        self.vocab = llama_cpp.llama_model_get_vocab(self._model)

    def close(self) -> None:
        llama_cpp.llama_model_free(self._model)


class Chain:
    """As llama-server builds it of the same parameters; `order` names the filters that it has."""

    def __init__(
        self,
        params: dict[str, Any],
        order: Sequence[str],
        position: int,
        history: Sequence[int],
        num_tokens: int,
        vocab: Any = None,
    ) -> None:
        self._params, self._position, self._num_tokens, self._vocab = params, position, num_tokens, vocab
        self._samplers = [self._made(name) for name in order]
        for sampler in self._samplers:
            for token in history:
                llama_cpp.llama_sampler_accept(sampler, token)

    def draw(self, logits: NDArray[np.float32]) -> int:
        data = (llama_cpp.llama_token_data * len(logits))(
            *[llama_cpp.llama_token_data(token, float(logit), 0.0) for token, logit in enumerate(logits)]
        )
        array = llama_cpp.llama_token_data_array(data, len(logits), -1, False)
        for sampler in self._samplers:
            llama_cpp.llama_sampler_apply(sampler, ctypes.byref(array))
            llama_cpp.llama_sampler_free(sampler)
        self._samplers = []
        return int(array.data[array.selected].id)

    def _made(self, name: str) -> Any:
        of, seed = self._params, draw_seed(self._params["seed"], self._position)
        match name:
            case "logit_bias":
                pairs = [llama_cpp.llama_logit_bias(token, bias) for token, bias in of["logit_bias"]]
                array = (llama_cpp.llama_logit_bias * len(pairs))(*pairs)
                return llama_cpp.llama_sampler_init_logit_bias(self._num_tokens, len(pairs), array)
            case "penalties":
                return llama_cpp.llama_sampler_init_penalties(
                    self._num_tokens,
                    of["repeat_last_n"],
                    of["repeat_penalty"],
                    of["frequency_penalty"],
                    of["presence_penalty"],
                )
            case "dry":
                texts = [text.encode() for text in of["dry_sequence_breakers"]]
                return llama_cpp.llama_sampler_init_dry(
                    self._vocab,
                    of["dry_multiplier"],
                    of["dry_base"],
                    of["dry_allowed_length"],
                    of["dry_penalty_last_n"],
                    (ctypes.c_char_p * len(texts))(*texts),
                    len(texts),
                )
            case "top_n_sigma":
                return llama_cpp.llama_sampler_init_top_n_sigma(of["top_n_sigma"])
            case "top_k":
                return llama_cpp.llama_sampler_init_top_k(of["top_k"])
            case "typ_p":
                return llama_cpp.llama_sampler_init_typical(of["typical_p"], 0)
            case "top_p":
                return llama_cpp.llama_sampler_init_top_p(of["top_p"], 0)
            case "min_p":
                return llama_cpp.llama_sampler_init_min_p(of["min_p"], 0)
            case "xtc":
                own_seed = second_draw_seed(of["seed"], self._position)
                return llama_cpp.llama_sampler_init_xtc(of["xtc_probability"], of["xtc_threshold"], 0, own_seed)
            case "temperature":
                return llama_cpp.llama_sampler_init_temp_ext(
                    of["temperature"], of["dynatemp_range"], of["dynatemp_exponent"]
                )
            case "mirostat":
                if of["mirostat"] == 2:
                    return llama_cpp.llama_sampler_init_mirostat_v2(seed, of["mirostat_tau"], of["mirostat_eta"])
                return llama_cpp.llama_sampler_init_mirostat(
                    self._num_tokens, seed, of["mirostat_tau"], of["mirostat_eta"], 100
                )
            case "adaptive_p":
                return llama_cpp.llama_sampler_init_adaptive_p(of["adaptive_target"], of["adaptive_decay"], seed)
            case _:
                return llama_cpp.llama_sampler_init_dist(seed)

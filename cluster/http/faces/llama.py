"""POST /completion, llama-server's own API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cluster.api.results import FinishReason
from cluster.api.sampling import SamplingParams
from cluster.chat.events import ChatEvent, Content, End, Failed, PromptProgress, Started, TokenLogprob
from cluster.http.faces.adapters import told
from cluster.http.faces.envelopes import openai_error
from cluster.http.faces.face import Asked, Body, Problem, RawRequest, Served
from cluster.http.faces.fields import Fields
from cluster.http.faces.grammars import grammar_of
from cluster.http.faces.params import num_choices_of, num_top_of, params_of
from cluster.http.faces.problems import problem_of
from cluster.http.faces.prompts import is_several, prompts_of
from cluster.http.faces.spelling import PING, SSE, logprob_entries, unnamed
from cluster.http.faces.usage import timings
from ggml.sampling.params import SAMPLERS

MAX_TOP = 20
_UNKNOWN_THERE = (
    *("logprobs", "prompt_logprobs", "grammar_prefix", "shown_tokens", "report_progress"),
    *("min_tokens", "stop_token_ids"),
)


class LlamaCompletion:
    """Answers are objects without choices; of several prompts, a list of them."""

    def parse(self, body: Body, served: Served, request_id: str) -> Asked:
        fields = Fields(body)
        fields.skip("model")
        prompts = prompts_of(fields)
        is_list = is_several(fields)
        num_choices = num_choices_of(fields, served.num_slots)
        num_top = num_top_of(fields, "n_probs", MAX_TOP)
        params = params_of(
            fields, limits=("n_predict", "max_tokens"), max_tokens=None, num_top=num_top, grammar=grammar_of(fields)
        )
        is_streamed = fields.flag("stream")
        encoder = LlamaEncoder(
            served,
            params,
            len(prompts) * num_choices,
            is_list or num_choices > 1,
            num_top,
            is_streamed,
            fields.flag("return_tokens"),
            tuple(str(one) for one in fields.items("response_fields")),
            prompts if served.settings.log_requests else ("",) * len(prompts),
        )
        progress = fields.flag("return_progress") and is_streamed
        return Asked(RawRequest(prompts, params, num_choices), is_streamed, encoder, fields.unread(), progress)

    def error(self, problem: Problem) -> Body:
        return openai_error(problem)


@dataclass(slots=True)
class _Choice:
    texts: list[str] = field(default_factory=list)
    drawn: list[TokenLogprob] = field(default_factory=list)
    started: Started | None = None
    end: End | None = None


@dataclass
class LlamaEncoder:
    """One request's."""

    served: Served
    params: SamplingParams
    num_choices: int
    is_list: bool  # of answers, be it of one
    num_top: int
    is_streamed: bool
    return_tokens: bool
    response_fields: tuple[str, ...]
    prompts: Sequence[Any]
    content_type: str = SSE
    _choices: list[_Choice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._choices = [_Choice() for _ in range(self.num_choices)]

    def open(self) -> bytes:
        return b""

    def keep_alive(self) -> bytes:
        return PING

    def push(self, event: ChatEvent) -> bytes:
        choice = self._choices[event.choice]
        match event:
            case Started():
                choice.started = event
            case Content():
                choice.texts.append(event.text)
                choice.drawn.extend(event.logprobs)
                if self.is_streamed:
                    return unnamed(self._part(event, choice))
            case PromptProgress():
                progress = {"total": event.num_prompt_tokens, "cache": 0, "processed": event.num_computed}
                return unnamed({"index": event.choice, "content": "", "stop": False, "prompt_progress": progress})
            case End():
                choice.end = event
                if self.is_streamed:
                    return unnamed(self._last(event.choice, "", []))
            case Failed():
                return unnamed(openai_error(problem_of(event.error)))
            case _:
                pass
        return b""

    def close(self) -> bytes:
        return b""

    def whole(self) -> Body:
        found = []
        for index, choice in enumerate(self._choices):
            tokens = [one.token for one in choice.drawn] if self.return_tokens else []
            answer = self._last(index, "".join(choice.texts), tokens)
            if self.num_top:
                answer["completion_probabilities"] = self._probabilities(choice.drawn)
            found.append(_only(answer, self.response_fields))
        # What is sent is JSON of either kind.
        return found if self.is_list else found[0]  # type: ignore[return-value]

    def _part(self, event: Content, choice: _Choice) -> Body:
        part: dict[str, Any] = {
            "index": event.choice,
            "content": event.text,
            "tokens": [one.token for one in event.logprobs],
            "stop": False,
            "id_slot": -1,
            "tokens_predicted": len(choice.drawn),
            "tokens_evaluated": choice.started.num_prompt_tokens if choice.started else 0,
        }
        if self.num_top:
            part["completion_probabilities"] = self._probabilities(event.logprobs)
        return part

    def _last(self, index: int, content: str, tokens: list[int]) -> dict[str, Any]:
        choice = self._choices[index]
        end, started = choice.end, choice.started
        assert end is not None, "it has ended"
        text = "".join(choice.texts)
        return {
            "index": index,
            "content": content,
            "tokens": tokens,
            "id_slot": -1,
            "stop": True,
            "model": self.served.alias,
            "tokens_predicted": end.timings.num_tokens,
            "tokens_evaluated": started.num_prompt_tokens if started else 0,
            "tokens_cached": started.num_cached_tokens if started else 0,
            "generation_settings": generation_settings(self.params) | {"stream": self.is_streamed},
            "prompt": self.prompts[index * len(self.prompts) // self.num_choices],
            "has_new_line": "\n" in text,
            "truncated": False,
            "stop_type": _stop_type(end),
            "stopping_word": end.stop_string or "",
            "timings": timings(end.timings),
        }

    def _probabilities(self, drawn: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
        entries = logprob_entries(tuple(drawn), self.served.vocabulary.pieces)
        for one, entry in zip(drawn, entries, strict=True):
            entry["id"] = one.token
            for (token, _), top in zip(one.top, entry["top_logprobs"], strict=True):
                top["id"] = token
        return entries


def generation_settings(params: SamplingParams) -> dict[str, Any]:
    """What llama-server tells of them, by its names."""
    found = asdict(params)
    for ours in _UNKNOWN_THERE:
        del found[ours]
    limit = found.pop("max_tokens")
    return found | {
        "seed": -1 if params.seed is None else params.seed,
        "n_predict": -1 if limit is None else limit,
        "max_tokens": -1 if limit is None else limit,
        "n_keep": 0,
        "n_discard": 0,
        "n_probs": params.logprobs,
        "min_keep": 0,
        "samplers": list(params.samplers or SAMPLERS),
        # What is not JSON there is null.
        "lora": told(params.lora),
        "logit_bias": [
            {"token": token, "bias": bias if abs(bias) < 1e9 else None} for token, bias in params.logit_bias
        ],
    }


def _stop_type(end: End) -> str:
    match end.reason:
        case FinishReason.LENGTH | FinishReason.CONTEXT:
            return "limit"
        case FinishReason.STOP:
            return "word" if end.stop_string else "eos"
        case _:
            return "none"


def _only(answer: dict[str, Any], paths: tuple[str, ...]) -> dict[str, Any]:
    """The fields that were asked for, by paths such as generation_settings/n_predict; all where none are named."""
    if not paths:
        return answer
    found: dict[str, Any] = {}
    for path in paths:
        value: Any = answer
        for name in path.split("/"):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            found[path.rpartition("/")[2]] = value
    return found

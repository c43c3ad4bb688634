"""What may be posted, by endpoint. Of sampling only what an API has otherwise is said here; the rest is derived."""

from __future__ import annotations

from cluster.api.sampling import MAX_GRAMMAR_BYTES
from cluster.chat.messages import FormatKind
from cluster.http.faces import params
from cluster.http.faces.messages import face as messages
from cluster.http.faces.ollama import options as ollama
from cluster.http.faces.responses import face as responses
from cluster.http.limits import MAX_CHOICES, MAX_EMBEDDINGS
from cluster.http.routes.openapi.sampling import Schema, sampling_schemas
from cluster.http.routes.openapi.schemas import (
    ANY_OBJECT,
    FLAG,
    FUNCTION,
    IMAGES,
    JSON_SCHEMA,
    TEXT,
    WHOLE,
    a_list,
    an_object,
    from_to,
    one_of_words,
    ref,
)
from ggml.sampling.params import MAX_LOGPROBS

_MAX_TOKENS = sampling_schemas({"max_tokens": "max_tokens"})["max_tokens"]
_GRAMMAR: Schema = {"type": "string", "maxLength": MAX_GRAMMAR_BYTES, "description": "GBNF"}
_TOP = from_to(0, MAX_LOGPROBS)
_STREAM_OPTIONS = an_object({"include_usage": FLAG, "continuous_usage_stats": FLAG})
_OPENAI_SAMPLING = {
    **sampling_schemas(params.SAMPLING),
    "logit_bias": ref("LogitBias"),
    "lora": ref("Adapters"),
    "max_tokens": _MAX_TOKENS,
    "n_predict": _MAX_TOKENS,
    "n": from_to(1, MAX_CHOICES),
    "grammar": _GRAMMAR,
    "json_schema": JSON_SCHEMA,
    "response_format": ref("ResponseFormat"),
    "stream": FLAG,
}
_MODEL = {"model": TEXT}

CHAT = an_object(
    {
        **_MODEL,
        "messages": ref("Messages"),
        **_OPENAI_SAMPLING,
        "max_completion_tokens": _MAX_TOKENS,
        "logprobs": FLAG,
        "top_logprobs": _TOP,
        "stream_options": _STREAM_OPTIONS,
        "timings_per_token": FLAG,
        "return_progress": FLAG,
        "tools": ref("Tools"),
        "tool_choice": ref("ToolChoice"),
        "parallel_tool_calls": FLAG,
        "functions": a_list(FUNCTION, 64),
        "function_call": {"anyOf": [one_of_words(("auto", "none")), an_object({"name": TEXT}, ("name",))]},
        "chat_template_kwargs": ANY_OBJECT,
        "reasoning_effort": TEXT,
        "enable_thinking": FLAG,
        "add_generation_prompt": FLAG,
        "continue_final_message": FLAG,
    },
    ("messages",),
)
COMPLETIONS = an_object(
    {
        **_MODEL,
        "prompt": ref("Prompt"),
        **_OPENAI_SAMPLING,
        "best_of": WHOLE,
        "logprobs": {"anyOf": [FLAG, _TOP]},
        "echo": FLAG,
        "stream_options": _STREAM_OPTIONS,
    },
    ("prompt",),
)
LLAMA_COMPLETION = an_object(
    {
        **_MODEL,
        "prompt": ref("Prompt"),
        **_OPENAI_SAMPLING,
        "n_probs": _TOP,
        "return_tokens": FLAG,
        "return_progress": FLAG,
        "response_fields": a_list(TEXT, 64),
    },
    ("prompt",),
)
RESPONSES = an_object(
    {
        **_MODEL,
        "input": ref("Items"),
        "instructions": TEXT,
        "previous_response_id": TEXT,
        **sampling_schemas(responses.SAMPLING),
        "lora": ref("Adapters"),
        "tools": ref("ItemTools"),
        "tool_choice": ref("ToolChoice"),
        "parallel_tool_calls": FLAG,
        "text": an_object(
            {"format": an_object({"type": one_of_words(responses.FORMATS), "name": TEXT, "schema": JSON_SCHEMA})}
        ),
        "reasoning": an_object({"effort": TEXT, "summary": TEXT}),
        "chat_template_kwargs": ANY_OBJECT,
        "include": a_list(one_of_words((responses.LOGPROBS, "reasoning.encrypted_content")), 8),
        "metadata": ANY_OBJECT,
        "store": FLAG,
        "stream": FLAG,
        "return_progress": FLAG,
    },
    ("input",),
)
_FORMAT = an_object({"type": {"const": str(FormatKind.JSON_SCHEMA)}, "schema": JSON_SCHEMA}, ("schema",))
MESSAGES = an_object(
    {
        **_MODEL,
        "messages": ref("AnthropicMessages"),
        "system": {"anyOf": [TEXT, a_list(an_object({"type": {"const": "text"}, "text": TEXT}), 64)]},
        **sampling_schemas(messages.SAMPLING),
        "lora": ref("Adapters"),
        "tools": ref("AnthropicTools"),
        "tool_choice": an_object(
            {"type": one_of_words(messages.MODES), "name": TEXT, "disable_parallel_tool_use": FLAG}, ("type",)
        ),
        "thinking": an_object({"type": one_of_words(messages.THINKING), "budget_tokens": WHOLE}, ("type",)),
        "output_config": an_object({"effort": TEXT, "format": _FORMAT}),
        "output_format": _FORMAT,
        "chat_template_kwargs": ANY_OBJECT,
        "stream": FLAG,
    },
    ("messages",),
)
_OLLAMA = {
    **_MODEL,
    "options": an_object(sampling_schemas(ollama.SAMPLING)),
    "logprobs": FLAG,
    "top_logprobs": _TOP,
    "format": {"anyOf": [{"const": "json"}, JSON_SCHEMA]},
    "think": {"anyOf": [FLAG, one_of_words(("low", "medium", "high"))]},
    "stream": {**FLAG, "default": True},
    "keep_alive": {"type": ["string", "number"]},
}
OLLAMA_CHAT = an_object({**_OLLAMA, "messages": ref("OllamaMessages"), "tools": ref("Tools")})
OLLAMA_GENERATE = an_object({**_OLLAMA, "prompt": TEXT, "system": TEXT, "raw": FLAG, "images": IMAGES})

EMBEDDINGS = an_object(
    {
        **_MODEL,
        "input": ref("Prompt"),
        "encoding_format": one_of_words(("float", "base64")),
        "dimensions": WHOLE,
        "user": TEXT,
    },
    ("input",),
)
_EMBED = {
    **_MODEL,
    "dimensions": WHOLE,
    "options": ANY_OBJECT,
    "truncate": FLAG,
    "keep_alive": {"type": ["string", "number"]},
}
OLLAMA_EMBED = an_object({**_EMBED, "input": ref("Prompt")}, ("input",))
OLLAMA_OLD_EMBED = an_object({**_EMBED, "prompt": ref("Prompt")}, ("prompt",))
_DOCUMENTS = a_list({"anyOf": [TEXT, an_object({"text": TEXT}, ("text",))]}, MAX_EMBEDDINGS, 1)
RERANK = an_object(
    {
        **_MODEL,
        "query": {"type": "string", "minLength": 1},
        "documents": _DOCUMENTS,
        "texts": _DOCUMENTS,
        "top_n": {"type": "integer", "minimum": 1},
        "return_documents": FLAG,
        "return_text": FLAG,
    },
    ("query",),
)
TOKENIZE = an_object(
    {
        "content": TEXT,
        "add_special": FLAG,
        "parse_special": FLAG,
        "with_pieces": FLAG,
        **CHAT["properties"],
        "prompt": TEXT,
        "add_special_tokens": FLAG,
        "return_token_strs": FLAG,
    }
)
ADAPTERS = ref("Adapters")
DETOKENIZE = an_object({"tokens": a_list({"type": "integer", "minimum": 0}, 1 << 20)}, ("tokens",))

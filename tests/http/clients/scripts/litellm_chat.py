# mypy: ignore-errors
"""LiteLLM against a server, whose address is the argument; prints what it got, as JSON."""

import json
import sys

import litellm

URL = sys.argv[1]
HI = [{"role": "user", "content": "Tell me a story."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "keep_tale",
        "parameters": {"type": "object", "properties": {"hero": {"type": "string"}}, "required": ["hero"]},
    },
}


def ask(model: str = "openai/demo", **more: object) -> object:
    more = {"messages": HI, **more}
    return litellm.completion(model=model, api_base=f"{URL}/v1", api_key="none", num_retries=0, **more)


def main() -> None:
    found = {"chat": ask().choices[0].message.content}
    found["vllm"] = ask("hosted_vllm/demo").choices[0].message.content
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    found["stream"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    found["has_usage"] = any(getattr(chunk, "usage", None) for chunk in chunks)
    message = ask(tools=[TOOL]).choices[0].message
    call = message.tool_calls[0]
    found["call"] = [call.function.name, json.loads(call.function.arguments)]
    result = {"role": "tool", "tool_call_id": call.id, "content": "kept"}
    found["after"] = ask(tools=[TOOL], messages=[*HI, message, result]).choices[0].message.content
    try:
        ask(messages=[{"role": "user", "content": "a cat " * 60_000}])
    except litellm.ContextWindowExceededError:
        found["overflow"] = "ContextWindowExceededError"
    print(json.dumps(found))


if __name__ == "__main__":
    main()

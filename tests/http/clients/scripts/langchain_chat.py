# mypy: ignore-errors
"""langchain-openai against a server, whose address is the argument; prints what it got, as JSON."""

import json
import sys

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Tale(BaseModel):
    """A tale."""

    hero: str
    pages: int


@tool
def keep_tale(hero: str) -> str:
    """Keeps a tale."""
    return f"kept {hero}"


def main() -> None:
    model = ChatOpenAI(base_url=f"{sys.argv[1]}/v1", api_key="none", model="demo", max_retries=0)
    hi = HumanMessage("Tell me a story.")
    found = {"chat": model.invoke([hi]).content}
    found["stream"] = "".join(chunk.content for chunk in model.stream([hi]))
    tale = model.with_structured_output(Tale, method="json_schema").invoke([hi])
    found["schema"] = tale.model_dump()
    with_tool = model.bind_tools([keep_tale])
    message = with_tool.invoke([hi])
    (call,) = message.tool_calls
    found["call"] = [call["name"], call["args"]]
    result = ToolMessage(keep_tale.invoke(call["args"]), tool_call_id=call["id"])
    found["after"] = with_tool.invoke([hi, message, result]).content
    try:
        model.invoke([HumanMessage("a cat " * 60_000)])
    except Exception as error:
        found["overflow"] = type(error).__name__
    print(json.dumps(found))


if __name__ == "__main__":
    main()

# mypy: ignore-errors
"""instructor against a server, whose address is the argument; prints what it got, as JSON."""

import json
import sys

import instructor
import openai
from pydantic import BaseModel


class Tale(BaseModel):
    """A tale."""

    hero: str
    pages: int


def main() -> None:
    found = {}
    for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA):
        client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="none", max_retries=0)
        made = instructor.from_openai(client, mode=mode)
        messages = [{"role": "user", "content": "Tell me a story."}]
        tale = made.chat.completions.create(model="demo", messages=messages, response_model=Tale, max_retries=0)
        found[mode.name] = tale.model_dump()
    print(json.dumps(found))


if __name__ == "__main__":
    main()

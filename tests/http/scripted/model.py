"""The model whose answers are scripted: a small one of noise, with words enough for the prompts of agents."""

from __future__ import annotations

import re
from collections import Counter
from itertools import accumulate
from pathlib import Path

from tests.fakes.tiny_models import TinyModel, write_tiny

CONTEXT_LENGTH = 65_536  # the largest prompt of an agent that we have seen has 48,000 of its tokens
NUM_WORDS = 1500
DOCS = Path(__file__).parents[3] / "docs"
UNKNOWN, CONTROL, USER_DEFINED, BYTE, NORMAL = 2, 3, 4, 6, 1
SPACE = "\u2581"

END_OF_TURN = "<|im_end|>"
SPECIAL = (
    ("<unk>", UNKNOWN),
    ("<s>", CONTROL),
    ("</s>", CONTROL),
    ("<|im_start|>", CONTROL),
    (END_OF_TURN, CONTROL),
    ("<tool_call>", USER_DEFINED),
    ("</tool_call>", USER_DEFINED),
    ("<think>", USER_DEFINED),
    ("</think>", USER_DEFINED),
)

# In the form of those of Qwen and Hermes.
CHAT_TEMPLATE = """\
{%- if tools %}
{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{ messages[0].content + '\\n\\n' }}{% endif %}
{{- 'You may call these functions:\\n<tools>' }}
{%- for tool in tools %}{{ '\\n' }}{{ tool | tojson }}{% endfor %}
{{- '\\n</tools>\\nFor each call, write its name and arguments as JSON between the marks:\\n' }}
{{- '<tool_call>\\n{"name": <its name>, "arguments": <its arguments>}\\n</tool_call><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'system' and loop.first %}
{%- elif message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- if message.reasoning_content %}{{ '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{% endif %}
{{- message.content or '' }}
{%- for call in message.tool_calls or [] %}
{%- if not loop.first or message.content %}{{ '\\n' }}{% endif %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson }}
{{- '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- elif message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}
{{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\\n' }}{% endif %}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}
{%- endif %}
"""


def tokens() -> tuple[tuple[str, int], ...]:
    """(text, type): special ones, all bytes, printable ASCII, and each beginning of the words that our docs use most.

    sentencepiece joins two pieces at a time, so that a word is found only by way of its beginnings.
    """
    found = dict(SPECIAL)
    found.update({f"<0x{byte:02X}>": BYTE for byte in range(256)})
    found.update(dict.fromkeys((SPACE, *map(chr, range(33, 127))), NORMAL))
    text = " ".join(page.read_text() for page in sorted(DOCS.glob("*.md")))
    words = Counter(re.findall(r"[A-Za-z]{2,}", text)).most_common(NUM_WORDS)
    for word, _ in words:
        found.update({begun: NORMAL for begun in accumulate(SPACE + word) if begun not in found})
    return tuple(found.items())


def write_scripted(path: Path) -> Path:
    """Of two layers, so that two stages have one each."""
    vocabulary = tokens()
    texts = [text for text, _ in vocabulary]
    model = TinyModel(
        num_layers=2,
        width=32,
        num_heads=1,
        num_kv_heads=1,
        feed_forward=64,
        context_length=CONTEXT_LENGTH,
        tokens=vocabulary,
        end_of_turn=texts.index(END_OF_TURN),
        chat_template=CHAT_TEMPLATE,
    )
    return write_tiny(path, model)

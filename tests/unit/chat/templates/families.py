"""Templates in the shapes of the families that people use: what each of them can do, and how it refuses the rest."""

from __future__ import annotations

from cluster.chat.templates.named import named_template

CHATML, GEMMA, QWEN = named_template("chatml"), named_template("gemma"), named_template("qwen")

# Llama 3: its own BOS, tools in the first turn of the user, one call in JSON, which wants an object.
LLAMA3 = """{{- bos_token }}
{%- for message in messages %}
{%- if message.role == 'tool' %}
{{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' + message.content + '<|eot_id|>' }}
{%- elif message.tool_calls %}
{%- if message.tool_calls|length != 1 %}{{ raise_exception('one call at a time') }}{% endif %}
{%- set call = message.tool_calls[0].function %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", ' }}
{{- '"parameters": ' + call.arguments|tojson + '}<|eot_id|>' }}
{%- else %}
{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
{%- if tools and loop.first %}{{ tools|tojson(indent=4) + '\\n\\n' }}{% endif %}
{{- message.content|trim + '<|eot_id|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

# Mistral: turns must alternate, and ids of calls have nine characters.
MISTRAL = """{{- bos_token }}
{%- set before = namespace(role='assistant') %}
{%- for message in messages %}
{%- if message.role == 'system' and loop.index0 > 0 %}{{ raise_exception('system comes first') }}{% endif %}
{%- if message.role == 'user' %}
{%- if before.role == 'user' %}{{ raise_exception('roles must alternate') }}{% endif %}
{%- if tools and loop.last %}{{ '[AVAILABLE_TOOLS] ' + tools|tojson + '[/AVAILABLE_TOOLS]' }}{% endif %}
{{- '[INST] ' + message.content + '[/INST]' }}
{%- elif message.tool_calls %}
{%- for call in message.tool_calls %}
{%- if call.id|length != 9 %}{{ raise_exception('ids of calls have 9 characters') }}{% endif %}
{{- '[TOOL_CALLS][' + {'name': call.function.name, 'arguments': call.function.arguments, 'id': call.id}|tojson + ']' }}
{%- endfor %}{{ eos_token }}
{%- elif message.role == 'tool' %}
{{- '[TOOL_RESULTS]{"content": ' + message.content + ', "call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
{%- elif message.role == 'system' %}{{ '[SYSTEM_PROMPT]' + message.content + '[/SYSTEM_PROMPT]' }}
{%- else %}{{ message.content + eos_token }}{% endif %}
{%- if message.role != 'system' %}{% set before.role = message.role %}{% endif %}
{%- endfor %}"""

# DeepSeek R1: earlier reasoning is cut off, the next one is opened; arguments as text, null beside calls.
DEEPSEEK = """{{- bos_token }}
{%- for message in messages %}
{%- if message.role == 'system' %}{{ message.content }}
{%- elif message.role == 'user' %}{{ '<User>' + message.content }}
{%- elif message.role == 'tool' %}{{ '<Output>' + message.content }}
{%- elif message.content is none %}
{%- for call in message['tool_calls'] %}
{{- '<Call>' + call.function.name + '\\n```json\\n' + call.function.arguments + '\\n```' }}
{%- endfor %}
{%- else %}{{ '<Assistant>' + message.content.split('</think>')[-1] + eos_token }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<Assistant><think>\\n' }}{% endif %}"""

# Kimi K2: it fills lists, and the id of a call says which function it is of.
KIMI = """{%- set found = namespace(all=[]) %}
{%- for message in messages %}{% set _ = found.all.append(message) %}{% endfor %}
{%- for message in found.all %}
{{- '<|im_' + message.role + '|>' + (message.content or '') }}
{%- for call in message.tool_calls or [] %}{{ '<|call|>' + call.id + '<|args|>' + call.function.arguments|tojson }}
{%- endfor %}<|im_end|>
{%- endfor %}
{%- if add_generation_prompt %}<|im_assistant|>{% endif %}"""

# gpt-oss: reasoning before a call has a key of its own, and stands for the content.
HARMONY = """{%- for message in messages %}
{%- if message.role == 'assistant' and message.tool_calls %}
{%- if message.content and message.thinking %}{{ raise_exception('both content and thinking') }}{% endif %}
{%- if message.thinking %}
{{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' }}
{%- endif %}
{{- '<|start|>assistant to=functions.' + message.tool_calls[0].function.name + '<|message|>' }}
{{- message.tool_calls[0].function.arguments|tojson + '<|call|>' }}
{%- elif message.role == 'tool' %}{{ '<|start|>functions<|message|>' + message.content|tojson + '<|end|>' }}
{%- else %}{{ '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|start|>assistant{% endif %}"""

# Content as a list of parts, and nothing else.
PARTS = """{%- for message in messages %}
{%- if message.content is string %}{{ raise_exception('content is a list') }}{% endif %}
{%- for part in message.content %}{{ message.role + ': ' + part.text + '\\n' }}{% endfor %}
{%- endfor %}"""

"""The families that are known. A new one is an entry here, and what its template writes is a sample in the tests."""

from __future__ import annotations

from dataclasses import replace

from cluster.chat.formats.format import ToolFormat, Values

_JSON_CALL = '{"name": "{name}", "arguments": {arguments}}'
_ARGUMENT_TAGS = "<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n"

HERMES = ToolFormat(
    "hermes",
    f"<tool_call>\n{_JSON_CALL}\n</tool_call>",
    between="\n",
    has=("<tool_call>",),
)

# Its reader is one of its own, since what a text is stands in the header of each channel.
HARMONY = ToolFormat(
    "harmony",
    "<|start|>assistant to=functions.{name}<|channel|>commentary json<|message|>{arguments}<|call|>",
    has=("<|channel|>", "<|message|>", "<|call|>"),
    prime="<|start|>assistant",
    content_close=("<|end|>", "<|return|>"),
    is_single=True,
)

_PYTHON_LIST = ToolFormat(
    "python_list",
    "{name}({arguments})",
    calls="<|tool_call_start|>[{calls}]<|tool_call_end|>",
    between=", ",
    values=Values.PYTHON,
    argument="{key}={value}",
    has=("<|tool_call_start|>",),
)

# The first whose literals are in a template, and whose text is what the template writes, is the template's.
FORMATS = (
    HARMONY,
    ToolFormat(
        "kimi_k3",
        '<|open|>call tool="{name}" index="{index}"<|sep|>{arguments}<|close|>call<|sep|>',
        calls="<|open|>tools<|sep|>{calls}<|close|>tools<|sep|>",
        values=Values.TAGGED,
        argument='<|open|>argument key="{key}" type="{type}"<|sep|>{value}<|close|>argument<|sep|>',
        text_argument='<|open|>argument key="{key}" type="string"<|sep|>{value}<|close|>argument<|sep|>',
        has=("<|open|>", "<|sep|>"),
        content_open=("<|open|>response<|sep|>",),
        content_close=("<|close|>response<|sep|>", "<|close|>message<|sep|>"),
        first_index=1,
    ),
    ToolFormat(
        "kimi_k2",
        "<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>",
        calls="<|tool_calls_section_begin|>{calls}<|tool_calls_section_end|>",
        has=("<|tool_calls_section_begin|>",),
    ),
    ToolFormat(
        "deepseek_v3",
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{arguments}\n```<｜tool▁call▁end｜>",
        calls="<｜tool▁calls▁begin｜>{calls}<｜tool▁calls▁end｜>",
        between="\n",
        has=("<｜tool▁calls▁begin｜>", "```json"),
    ),
    ToolFormat(
        "deepseek_v31",
        "<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>",
        calls="<｜tool▁calls▁begin｜>{calls}<｜tool▁calls▁end｜>",
        has=("<｜tool▁calls▁begin｜>",),
    ),
    *(
        ToolFormat(
            f"dsml_{section}",
            '<｜DSML｜invoke name="{name}">\n{arguments}</｜DSML｜invoke>',
            calls=f"<｜DSML｜{section}>\n{{calls}}\n</｜DSML｜{section}>",
            between="\n",
            values=Values.TAGGED,
            argument='<｜DSML｜parameter name="{key}" string="false">{value}</｜DSML｜parameter>\n',
            text_argument='<｜DSML｜parameter name="{key}" string="true">{value}</｜DSML｜parameter>\n',
            has=("｜DSML｜", section),
        )
        for section in ("function_calls", "tool_calls")
    ),
    ToolFormat(
        "mistral_callid",
        "[TOOL_CALLS]{name}[CALL_ID]{id}[ARGS]{arguments}",
        has=("[TOOL_CALLS]", "[CALL_ID]"),
    ),
    ToolFormat("mistral_args", "[TOOL_CALLS]{name}[ARGS]{arguments}", has=("[TOOL_CALLS]", "[ARGS]")),
    ToolFormat(
        "mistral_array",
        '{"name": "{name}", "arguments": {arguments}, "id": "{id}"}',
        calls="[TOOL_CALLS][{calls}]",
        between=", ",
        has=("[TOOL_CALLS]",),
        lacks=("[ARGS]",),
        short_end="}",
    ),
    ToolFormat(
        "solar",
        "<|tool_call:begin|>{id}<|tool_call:name|>{name}<|tool_call:args|>{arguments}<|tool_call:end|>",
        calls="<|tool_calls|>{calls}<|calls|>",
        has=("<|tool_call:begin|>",),
        content_open=("<|content|>", "<|begin|>assistant"),
        content_close=("<|end|>",),
    ),
    ToolFormat(
        "minimax_m3",
        ']<]minimax[>[<invoke name="{name}">{arguments}]<]minimax[>[</invoke>',
        calls="]<]minimax[>[<tool_call>\n{calls}\n]<]minimax[>[</tool_call>",
        between="\n",
        values=Values.TAGGED,
        argument="]<]minimax[>[<{key}>{value}]<]minimax[>[</{key}>",
        has=("]<]minimax[>[",),
    ),
    ToolFormat(
        "minimax_m2",
        '<invoke name="{name}">\n{arguments}</invoke>',
        calls="<minimax:tool_call>\n{calls}\n</minimax:tool_call>",
        between="\n",
        values=Values.TAGGED,
        argument='<parameter name="{key}">{value}</parameter>\n',
        has=("<minimax:tool_call>",),
    ),
    ToolFormat(
        "gemma4",
        "<|tool_call>call:{name}{arguments}<tool_call|>",
        values=Values.GEMMA,
        has=("<|tool_call>", "<tool_call|>"),
    ),
    *(
        ToolFormat(
            f"cohere_{content.lower()}",
            '{"tool_call_id": "{index}", "tool_name": "{name}", "parameters": {arguments}}',
            calls="<|START_ACTION|>[\n    {calls}\n]<|END_ACTION|>",
            between=",\n    ",
            has=("<|START_ACTION|>", f"<|START_{content}|>"),
            content_open=(f"<|START_{content}|>",),
            content_close=(f"<|END_{content}|>",),
        )
        for content in ("RESPONSE", "TEXT")
    ),
    ToolFormat(
        "apertus",
        '{"{name}": {arguments}}',
        calls="<|tools_prefix|>[{calls}]<|tools_suffix|>",
        between=", ",
        has=("<|tools_prefix|>",),
    ),
    ToolFormat(
        "nemotron_v2",
        _JSON_CALL,
        calls="<TOOLCALL>[{calls}]</TOOLCALL>",
        between=", ",
        has=("<TOOLCALL>",),
    ),
    ToolFormat(
        "json_array",
        _JSON_CALL,
        calls="<tool_calls>[{calls}]</tool_calls>",
        between=", ",
        has=("<tool_calls>[",),
    ),
    ToolFormat(
        "json_lines",
        _JSON_CALL,
        calls="<tool_calls>\n{calls}\n</tool_calls>",
        between="\n",
        has=("<tool_calls>",),
    ),
    _PYTHON_LIST,
    replace(_PYTHON_LIST, has=("<|tool_list_start|>",), needs_no_proof=True),
    ToolFormat(
        "granite3",
        _JSON_CALL,
        calls="<|tool_call|>[{calls}]",
        between=", ",
        has=("<|tool_call|>", "<|start_of_role|>"),
        needs_no_proof=True,
    ),
    ToolFormat(
        "gigachat31",
        f"<|function_call|>{_JSON_CALL}",
        has=("<|function_call|>",),
        is_single=True,
    ),
    ToolFormat(
        "gigachat3",
        f"function call<|role_sep|>\n{_JSON_CALL}",
        has=("function call", "<|role_sep|>"),
        is_single=True,
    ),
    ToolFormat(
        "functionary32",
        ">>>{name}\n{arguments}",
        has=(">>>",),
        prime=">>>",
        content_open=(">>>all\n",),
    ),
    ToolFormat("functionary31", "<function={name}>{arguments}</function>", has=("<function=",), lacks=("<parameter=",)),
    ToolFormat(
        "seed_xml",
        "<seed:tool_call>\n<function={name}>\n{arguments}</function>\n</seed:tool_call>",
        between="\n",
        values=Values.TAGGED,
        argument="<parameter={key}>{value}</parameter>\n",
        has=("<seed:tool_call>",),
    ),
    ToolFormat(
        "qwen_xml",
        "<tool_call>\n<function={name}>\n{arguments}</function>\n</tool_call>",
        between="\n",
        values=Values.TAGGED,
        argument="<parameter={key}>\n{value}\n</parameter>\n",
        has=("<tool_call>", "<parameter="),
    ),
    ToolFormat(
        "function_xml",
        '<function name="{name}">{arguments}</function>',
        between="\n",
        values=Values.TAGGED,
        argument='<param name="{key}">{value}</param>',
        has=('<function name="', "<param name="),
    ),
    ToolFormat(
        "hunyuan",
        "<tool_call:opensource>{name}<tool_sep:opensource>\n{arguments}</tool_call:opensource>",
        calls="<tool_calls:opensource>\n{calls}\n</tool_calls:opensource>",
        between="\n",
        values=Values.TAGGED,
        argument=(
            "<arg_key:opensource>{key}</arg_key:opensource>\n<arg_value:opensource>{value}</arg_value:opensource>\n"
        ),
        has=("tool_sep", "arg_key"),
    ),
    ToolFormat(
        "glm",
        "<tool_call>{name}\n{arguments}</tool_call>",
        between="\n",
        values=Values.TAGGED,
        argument=_ARGUMENT_TAGS,
        has=("<tool_call>", "<arg_key>"),
    ),
    HERMES,
    ToolFormat(
        "llama3_json",
        '{"name": "{name}", "parameters": {arguments}}',
        has=('"parameters": ',),
        is_single=True,
        is_first=True,
    ),
)

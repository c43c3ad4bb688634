"""What templates of each family write: get_weather for Paris and three days, then now without arguments."""

from __future__ import annotations

WRITTEN = {
    "harmony": (
        '<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{"city": "Paris", "d'
        'ays": 3}<|call|>'
    ),
    "kimi_k3": (
        '<|open|>tools<|sep|><|open|>call tool="get_weather" index="1"<|sep|><|open|>argument key="city" type'
        '="string"<|sep|>Paris<|close|>argument<|sep|><|open|>argument key="days" type="number"<|sep|>3<|clos'
        'e|>argument<|sep|><|close|>call<|sep|><|open|>call tool="now" index="2"<|sep|><|close|>call<|sep|><|'
        "close|>tools<|sep|>"
    ),
    "kimi_k2": (
        '<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{"'
        'city": "Paris", "days": 3}<|tool_call_end|><|tool_call_begin|>functions.now:1<|tool_call_argument_be'
        "gin|>{}<|tool_call_end|><|tool_calls_section_end|>"
    ),
    "deepseek_v3": (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n"
        "```json\n"
        '{"city": "Paris", "days": 3}\n'
        "```<｜tool▁call▁end｜>\n"
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n"
        "```json\n"
        "{}\n"
        "```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
    ),
    "deepseek_v31": (
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Paris", "days": 3}<｜tool▁cal'
        "l▁end｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
    ),
    "dsml_function_calls": (
        "<｜DSML｜function_calls>\n"
        '<｜DSML｜invoke name="get_weather">\n'
        '<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>\n'
        "</｜DSML｜invoke>\n"
        '<｜DSML｜invoke name="now">\n'
        "</｜DSML｜invoke>\n"
        "</｜DSML｜function_calls>"
    ),
    "dsml_tool_calls": (
        "<｜DSML｜tool_calls>\n"
        '<｜DSML｜invoke name="get_weather">\n'
        '<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>\n'
        "</｜DSML｜invoke>\n"
        '<｜DSML｜invoke name="now">\n'
        "</｜DSML｜invoke>\n"
        "</｜DSML｜tool_calls>"
    ),
    "mistral_callid": (
        '[TOOL_CALLS]get_weather[CALL_ID]abc123456[ARGS]{"city": "Paris", "days": 3}[TOOL_CALLS]now[CALL_ID]d'
        "ef123456[ARGS]{}"
    ),
    "mistral_args": ('[TOOL_CALLS]get_weather[ARGS]{"city": "Paris", "days": 3}[TOOL_CALLS]now[ARGS]{}'),
    "mistral_array": (
        '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}, "id": "abc123456"}, '
        '{"name": "now", "arguments": {}, "id": "def123456"}]'
    ),
    "solar": (
        '<|tool_calls|><|tool_call:begin|>abc123456<|tool_call:name|>get_weather<|tool_call:args|>{"city": "P'
        'aris", "days": 3}<|tool_call:end|><|tool_call:begin|>def123456<|tool_call:name|>now<|tool_call:args|'
        ">{}<|tool_call:end|><|calls|>"
    ),
    "minimax_m3": (
        "]<]minimax[>[<tool_call>\n"
        ']<]minimax[>[<invoke name="get_weather">]<]minimax[>[<city>Paris]<]minimax[>[</city>]<]minimax[>[<da'
        "ys>3]<]minimax[>[</days>]<]minimax[>[</invoke>\n"
        ']<]minimax[>[<invoke name="now">]<]minimax[>[</invoke>\n'
        "]<]minimax[>[</tool_call>"
    ),
    "minimax_m2": (
        "<minimax:tool_call>\n"
        '<invoke name="get_weather">\n'
        '<parameter name="city">Paris</parameter>\n'
        '<parameter name="days">3</parameter>\n'
        "</invoke>\n"
        '<invoke name="now">\n'
        "</invoke>\n"
        "</minimax:tool_call>"
    ),
    "gemma4": (
        '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>,days:3}<tool_call|><|tool_call>call:now{}<tool_call|>'
    ),
    "cohere_response": (
        "<|START_ACTION|>[\n"
        '    {"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "Paris", "days": 3}},\n'
        '    {"tool_call_id": "1", "tool_name": "now", "parameters": {}}\n'
        "]<|END_ACTION|>"
    ),
    "cohere_text": (
        "<|START_ACTION|>[\n"
        '    {"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "Paris", "days": 3}},\n'
        '    {"tool_call_id": "1", "tool_name": "now", "parameters": {}}\n'
        "]<|END_ACTION|>"
    ),
    "apertus": ('<|tools_prefix|>[{"get_weather": {"city": "Paris", "days": 3}}, {"now": {}}]<|tools_suffix|>'),
    "nemotron_v2": (
        '<TOOLCALL>[{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}, {"name": "now", "argu'
        'ments": {}}]</TOOLCALL>'
    ),
    "json_array": (
        '<tool_calls>[{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}, {"name": "now", "ar'
        'guments": {}}]</tool_calls>'
    ),
    "json_lines": (
        "<tool_calls>\n"
        '{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}\n'
        '{"name": "now", "arguments": {}}\n'
        "</tool_calls>"
    ),
    "python_list": ("<|tool_call_start|>[get_weather(city='Paris', days=3), now()]<|tool_call_end|>"),
    "granite3": (
        '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}, {"name": "now", "a'
        'rguments": {}}]'
    ),
    "gigachat31": ('<|function_call|>{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}'),
    "gigachat3": ('function call<|role_sep|>\n{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}'),
    "functionary32": ('>>>get_weather\n{"city": "Paris", "days": 3}>>>now\n{}'),
    "functionary31": ('<function=get_weather>{"city": "Paris", "days": 3}</function><function=now>{}</function>'),
    "seed_xml": (
        "<seed:tool_call>\n"
        "<function=get_weather>\n"
        "<parameter=city>Paris</parameter>\n"
        "<parameter=days>3</parameter>\n"
        "</function>\n"
        "</seed:tool_call>\n"
        "<seed:tool_call>\n"
        "<function=now>\n"
        "</function>\n"
        "</seed:tool_call>"
    ),
    "qwen_xml": (
        "<tool_call>\n"
        "<function=get_weather>\n"
        "<parameter=city>\n"
        "Paris\n"
        "</parameter>\n"
        "<parameter=days>\n"
        "3\n"
        "</parameter>\n"
        "</function>\n"
        "</tool_call>\n"
        "<tool_call>\n"
        "<function=now>\n"
        "</function>\n"
        "</tool_call>"
    ),
    "function_xml": (
        '<function name="get_weather"><param name="city">Paris</param><param name="days">3</param></function>'
        "\n"
        '<function name="now"></function>'
    ),
    "hunyuan": (
        "<tool_calls:opensource>\n"
        "<tool_call:opensource>get_weather<tool_sep:opensource>\n"
        "<arg_key:opensource>city</arg_key:opensource>\n"
        "<arg_value:opensource>Paris</arg_value:opensource>\n"
        "<arg_key:opensource>days</arg_key:opensource>\n"
        "<arg_value:opensource>3</arg_value:opensource>\n"
        "</tool_call:opensource>\n"
        "<tool_call:opensource>now<tool_sep:opensource>\n"
        "</tool_call:opensource>\n"
        "</tool_calls:opensource>"
    ),
    "glm": (
        "<tool_call>get_weather\n"
        "<arg_key>city</arg_key>\n"
        "<arg_value>Paris</arg_value>\n"
        "<arg_key>days</arg_key>\n"
        "<arg_value>3</arg_value>\n"
        "</tool_call>\n"
        "<tool_call>now\n"
        "</tool_call>"
    ),
    "hermes": (
        "<tool_call>\n"
        '{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}\n'
        "</tool_call>\n"
        "<tool_call>\n"
        '{"name": "now", "arguments": {}}\n'
        "</tool_call>"
    ),
    "llama3_json": ('{"name": "get_weather", "parameters": {"city": "Paris", "days": 3}}'),
}

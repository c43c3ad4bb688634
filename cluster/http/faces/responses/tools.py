"""Tools, some of which have a namespace: the model sees one flat list of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from cluster.chat.messages import Tool, ToolChoice, ToolMode
from cluster.http.faces.fields import Fields

BETWEEN = "__"  # a namespace and a name, as the model sees them
MODES = {"auto": ToolMode.AUTO, "none": ToolMode.NONE, "required": ToolMode.REQUIRED}
ALLOWED_MODES = {"auto": ToolMode.AUTO, "required": ToolMode.REQUIRED}


@dataclass(frozen=True, slots=True)
class FullName:
    """What a client calls a function."""

    name: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Tools:
    """All functions of a request. `full_names[i]` is what the client calls `tools[i]`."""

    tools: tuple[Tool, ...] = ()
    full_names: tuple[FullName, ...] = ()
    ignored: tuple[str, ...] = ()

    def full_name(self, shown: str) -> FullName:
        """What the client calls the function that the model called."""
        pairs = zip(self.tools, self.full_names, strict=True)
        return next((full for tool, full in pairs if tool.name == shown), FullName(shown))


def shown_name(name: str, namespace: str) -> str:
    """As the model sees it."""
    return f"{namespace}{BETWEEN}{name}" if namespace else name


def tools_of(fields: Fields) -> Tools:
    """The functions; tools that the server itself would have to carry out are left out, since agents send them always.

    Raises:
        UsageError: a function without a name, one of the wrong shape, or two that the model sees by one name.
    """
    found: list[tuple[Tool, FullName]] = []
    ignored: list[str] = []
    for tool in fields.inners("tools"):
        match tool.text("type", "function"):
            case "function":
                found.append(_function(tool, ""))
            case "namespace":
                found.extend(_members(tool, ignored))
            case _:
                ignored.append(tool.name_of("type"))
    (most_used, times), *_ = Counter(tool.name for tool, _ in found).most_common(1) or [("", 0)]
    if times > 1:
        raise fields.wrong("tools", f"{times} functions are named {most_used[:100]!r}; give each a name of its own")
    return Tools(tuple(tool for tool, _ in found), tuple(full for _, full in found), tuple(ignored))


def tool_choice_of(fields: Fields) -> ToolChoice:
    """What `tool_choice` says. UsageError for a form that is not known."""
    value = fields.any("tool_choice")
    if value is None:
        return ToolChoice()
    if isinstance(value, str):
        return ToolChoice(fields.choice("tool_choice", MODES, ToolMode.AUTO))
    choice = fields.inner("tool_choice")
    assert choice is not None
    match choice.text("type"):
        case "function":
            return ToolChoice(ToolMode.REQUIRED, (_chosen(choice),))
        case "allowed_tools":
            names = tuple(_chosen(tool) for tool in choice.inners("tools") if tool.text("type") == "function")
            return ToolChoice(choice.choice("mode", ALLOWED_MODES, ToolMode.AUTO), names)
        case kind:
            raise choice.wrong("type", f"{kind[:100]!r} cannot be forced here; give function or allowed_tools")


def _members(namespace: Fields, ignored: list[str]) -> Iterator[tuple[Tool, FullName]]:
    name = namespace.text("name")
    for tool in namespace.inners("tools"):
        if tool.text("type", "function") == "function":
            yield _function(tool, name)
        else:
            ignored.append(tool.name_of("type"))


def _function(tool: Fields, namespace: str) -> tuple[Tool, FullName]:
    name = _chosen_name(tool)
    parameters = tool.mapping("parameters") or {}
    shown = Tool(shown_name(name, namespace), tool.text("description"), parameters, tool.flag("strict"))
    return shown, FullName(name, namespace)


def _chosen(tool: Fields) -> str:
    return shown_name(_chosen_name(tool), tool.text("namespace"))


def _chosen_name(tool: Fields) -> str:
    name = tool.text("name")
    if not name:
        raise tool.wrong("name", "a function has none; give it")
    return name

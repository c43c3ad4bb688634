"""From a text to a grammar, compiled once and thrown away. Not bounded in time: see `child`."""

from __future__ import annotations

import json

from llguidance import LLMatcher
from llguidance.gbnf_to_lark import GbnfToLarkError, gbnf_to_lark

from cluster.api.errors import UsageError
from cluster.grammar.checking.question import Form
from cluster.grammar.grammar import Grammar
from cluster.grammar.parser_limits import parser_limits
from cluster.terminal.printable import printable

# Here there is no vocabulary, whose tokens a grammar may name.
_WITHOUT_VOCABULARY = "no tokenizer"
_NO_SUCH_DOCUMENT = "is not present in a registry"


def compiled(form: Form, text: str) -> Grammar:
    """UsageError says why it does not compile."""
    match form:
        case Form.REGEX:
            return _compiled(LLMatcher.grammar_from_regex(text))
        case Form.GBNF:
            return _compiled(_lark_of(text))
        case Form.GRAMMAR:
            return _compiled(text)


def _compiled(text: str) -> Grammar:
    is_error, said = LLMatcher.validate_grammar_with_warnings(text, None, limits=parser_limits())
    if is_error:
        raise UsageError(_reason(said[0]))
    warnings = dict.fromkeys(_shown(line) for line in said if not line.startswith(_WITHOUT_VOCABULARY))
    return Grammar(text, tuple(warnings))


def _lark_of(text: str) -> str:
    try:
        return gbnf_to_lark(text)
    except RecursionError as error:
        raise UsageError("grammar: its rules are nested too deep; make it flatter") from error
    except GbnfToLarkError as error:
        raise UsageError(f"grammar: {_shown(str(error))}; correct it") from error
    except Exception as error:  # some of what it finds it says with a bare Exception
        raise UsageError(f"grammar: {_shown(str(error)) or type(error).__name__}; correct it") from error


def _reason(said: str) -> str:
    if _NO_SUCH_DOCUMENT in said:
        return "schema: it refers to another document; give only references within the schema, such as #/$defs/name"
    return f"grammar: {_shown(said)}; correct it"


def _shown(said: str) -> str:
    """On one line, with a list of keywords as people write it."""
    line = printable(" ".join(said.split()))
    head, _, listed = line.partition("Unimplemented keys: ")
    if not head and listed:
        try:
            return ", ".join(map(str, json.loads(listed)))
        except ValueError:
            return listed
    return line

"""What a text must look like: grammars as text, checked before anybody waits for them, and the matcher of one.

grammar     a grammar, as clients and stages pass it on
forms       from a JSON schema, a regular expression, Lark or GBNF to a grammar
schema      a JSON schema within bounds
checking    the process that compiles a grammar first, so that one that takes for ever harms nobody
vocabulary  tokens as llguidance looks at them
matcher     which tokens may follow
"""

from cluster.grammar.forms import check, from_gbnf, from_json_object, from_lark, from_regex, from_schema
from cluster.grammar.grammar import Grammar

__all__ = ["Grammar", "check", "from_gbnf", "from_json_object", "from_lark", "from_regex", "from_schema"]

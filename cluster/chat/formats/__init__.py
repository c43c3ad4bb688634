"""How families of models write reasoning and tool calls: as data, from which grammars and readers are made."""

"""From messages to the prompt of one model, and from what it writes back to reasoning, content and tool calls."""

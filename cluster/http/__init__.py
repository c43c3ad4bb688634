"""The HTTP server: what speaks OpenAI's, Anthropic's or Ollama's API, the page and the metrics; a client like any."""

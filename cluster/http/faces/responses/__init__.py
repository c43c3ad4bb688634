"""OpenAI's Responses API: what is asked, what is answered, and what is remembered between the two."""

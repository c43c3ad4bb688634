"""What is served here, described for programs and people: OpenAPI 3.1."""

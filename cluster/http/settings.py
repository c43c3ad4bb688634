"""The settings of the HTTP server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Plain values: they travel to the server's process. Made by `cluster up` and `cluster serve`."""

    host: str = "127.0.0.1"
    port: int = 8000  # 0 takes a free one
    api_keys: tuple[str, ...] = ()  # any of them; () asks for none
    aliases: tuple[str, ...] = ()  # names of the model, the first of which answers carry; () is the file's name
    chat_template: str = ""  # text of a template instead of the model's own
    input_marking: bool = True  # names of control tokens in messages stay text
    cors: tuple[str, ...] = ()  # origins; ("*",) is any
    metrics: bool = True
    metrics_aliases: bool = False  # llama.cpp's names, too
    embeddings: bool = False  # of a model that was not made for it
    strict_model: bool = False  # other names of the model than its aliases are refused
    always_include_usage: bool = False
    log_requests: bool = False
    page: bool = True
    page_folder: str = ""  # of another page than ours
    max_streams: int = 512  # requests of which an answer is open

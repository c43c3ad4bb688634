"""The settings of the HTTP server."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from cluster.api.errors import UsageError
from cluster.http_config import HttpConfig

MAX_TEMPLATE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Plain values: they travel to the server's process. Made by `cluster up` and `cluster serve`."""

    host: str = "127.0.0.1"
    port: int = 8000  # 0 takes a free one
    api_keys: tuple[str, ...] = ()  # digests, as `digest_of` makes them: any of these keys; () asks for none
    aliases: tuple[str, ...] = ()  # names of the model, the first of which answers carry; () is the file's name
    chat_template: str = ""  # text of a template instead of the model's own
    input_marking: bool = True  # names of control tokens in messages stay text
    cors: tuple[str, ...] = ()  # origins; ("*",) is any
    metrics: bool = True
    metrics_aliases: bool = False  # llama.cpp's names, too
    embeddings: bool = False  # of a model that was not made for it
    strict_model: bool = False  # other names of the model than its aliases are refused
    fetch_pictures: bool = False  # that messages name by URLs, from public hosts
    always_include_usage: bool = False
    log_requests: bool = False
    page: bool = True
    page_folder: str = ""  # of another page than ours
    ssl_cert_file: str = ""
    ssl_key_file: str = ""
    max_streams: int = 512  # requests of which an answer is open

    @classmethod
    def of(cls, config: HttpConfig, host: str, port: int) -> Self:
        """What people asked for, with what files say. UsageError."""
        same = {field.name for field in fields(cls)} & {field.name for field in fields(HttpConfig)}
        values: dict[str, Any] = {name: getattr(config, name) for name in same if getattr(config, name) is not None}
        values |= {"host": host, "port": port, "api_keys": config.api_key, "aliases": config.alias}
        return cls(**{**values, "chat_template": _template(config.chat_template)})


def _template(given: str | None) -> str:
    """The text of a template: of a file, or of one that ships."""
    if given is None:
        return ""
    if not Path(given).is_absolute():
        from cluster.chat.templates.named import named_template

        return named_template(given)
    try:
        with open(given, "rb") as file:
            data = file.read(MAX_TEMPLATE_BYTES + 1)
        if len(data) > MAX_TEMPLATE_BYTES:
            raise UsageError(f"chat-template: {given}: more than {MAX_TEMPLATE_BYTES} bytes; give a template")
        return data.decode()
    except OSError as error:
        raise UsageError(f"chat-template: {given}: {error.strerror or error}; give a readable file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"chat-template: {given}: not UTF-8; give a jinja template") from error

"""Structured logs: an event name and fields, one JSON object a line, redacted before they leave the process."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, cast

import structlog

from clawdeploy_common.redaction import Redactor
from clawdeploy_common.reporting import Report

_PATTERNS_ONLY = Redactor(())
_ERRORS = frozenset({"error", "exception", "critical"})


def configure_logging(
    *, service: str, log_format: str = "json", level: str = "info", report: Report | None = None
) -> None:
    """Send structlog and the standard library's loggers to standard output in one shape; ``report`` is told of our errors."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    structlog.configure(
        processors=[
            *([_reporter(report)] if report else []),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.contextvars.bind_contextvars(service=service)
    for noisy in ("aiokafka", "alembic.runtime.plugins", "httpx", "httpcore", "uvicorn.access", "faststream"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _reporter(report: Report) -> structlog.typing.Processor:
    def tell(_logger: object, method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if method in _ERRORS:
            report(str(fields.get("event", method)), {**fields, "exc_info": _raised(fields.get("exc_info"))})
        return fields

    return tell


def _raised(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, tuple):
        exc_info = cast("tuple[Any, ...]", exc_info)[1]
    return exc_info if isinstance(exc_info, BaseException) else sys.exception() if exc_info else None


def _redact(_logger: object, _name: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in fields.items():
        fields[name] = _clean(value)
    return fields


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _PATTERNS_ONLY.redact(value)
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in cast("list[Any]", value)]
    return value

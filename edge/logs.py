"""structlog for the agent: JSON lines to the journal, colours on a terminal."""

import logging
import sys

import structlog

from edge.config import LogConfig


def set_up(config: LogConfig) -> None:
    """Configure the process's logging, once, from the command line."""
    is_console = config.format == "console" or (config.format == "auto" and sys.stderr.isatty())
    level = getattr(logging, config.level.upper())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if is_console else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )

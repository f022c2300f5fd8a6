"""Errors, named by what the caller does about them.

A library's exceptions are translated into one of these in the module that imports the library. Anything else that
is raised is a bug and ends the process.
"""


class MilepostError(Exception):
    """Base of every error that is not a bug."""


class ConfigError(MilepostError):
    """The configuration is wrong: print the path and the expectation, exit 78 (EX_CONFIG)."""

    exit_code = 78


class Unavailable(MilepostError):
    """A peer is away or not ready: back off with jitter, say so once, and try again."""

    def __init__(self, reason: str, retry_after_s: float = 1.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Rejected(MilepostError):
    """Input that will never become good: count it, set it aside, acknowledge it, go on."""


class Full(MilepostError):
    """A bounded store is full: apply the policy that its owner names."""


class Denied(MilepostError):
    """The caller may not do this."""


class NotFound(MilepostError):
    """The thing asked for is not there, or not for this caller."""


class Conflict(MilepostError):
    """The request contradicts the present state."""


class Invalid(MilepostError):
    """The request itself is wrong; the text says where and what was expected."""

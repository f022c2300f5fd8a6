"""What `milepost-cloud doctor` says of one thing."""

from typing import Literal

import msgspec

Verdict = Literal["good", "warning", "bad", "skipped"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `cure`: what to do when it is not good."""

    subject: str
    verdict: Verdict
    found: str
    cure: str = ""


def good(subject: str, found: str) -> Finding:
    """It is as it should be."""
    return Finding(subject, "good", found)


def warning(subject: str, found: str, cure: str) -> Finding:
    """It works, and somebody should see to it."""
    return Finding(subject, "warning", found, cure)


def bad(subject: str, found: str, cure: str) -> Finding:
    """It is not safe, or does not work."""
    return Finding(subject, "bad", found, cure)


def skipped(subject: str, found: str) -> Finding:
    """It could not be looked at, or is not used."""
    return Finding(subject, "skipped", found)

"""Which tables the log watches, and what of them it shows: every column is in exactly one of the lists.

A test fails for a table or a column that is in none. Nothing secret and nothing that names a person stands in the log:
people are numbers in it, so that erasing somebody leaves the chain whole.
"""

from typing import NamedTuple


class Watched(NamedTuple):
    """A table. A change of a `hidden` column is told without its values, one of `silent` columns alone is not told."""

    kind: str
    shown: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    key: str = "id"


def _watched(kind: str, shown: str, hidden: str = "", silent: str = "", key: str = "id") -> Watched:
    return Watched(kind, tuple(shown.split()), tuple(hidden.split()), tuple(silent.split()), key)


WATCHED = {
    "tenants": _watched("tenant", "name created suspended"),
    "vehicles": _watched("vehicle", "name plate vin make model year created"),
    "devices": _watched("device", "name agent_version created removed", key="name"),
    "assignments": _watched("assignment", "device_id vehicle_id valid_from"),
    "pulls": _watched("pull", "vehicle_id content"),
    "users": _watched(
        "user",
        "is_demo created disabled totp_since",
        "email name password_hash totp_secret recovery_hashes",
        "totp_step",
    ),
    "password_resets": _watched("password_reset", "user_id created expires used", "token_hash"),
    "api_keys": _watched("api_key", "name actions made_by created expires ended", "secret_hash", "used"),
    "memberships": _watched("member", "user_id role created", key="user_id"),
    "invitations": _watched("invitation", "role created expires used", "email token_hash"),
    "person_sessions": _watched(
        "session", "user_id created ended ended_why", "agent address", "generation refreshed expires"
    ),
    "claim_codes": _watched(
        "claim_code", "vehicle_id made_by created expires used public_key device_id", "code_hash hint"
    ),
    "device_keys": _watched(
        "device_key", "device_id public_key enrolled issued expires revoked cloned", key="public_key"
    ),
}
"""By the name of the table."""

NOT_WATCHED = {
    "vehicle_states": "made from frames by derive",
    "faults": "made from frames by derive",
    "derive_cursors": "where derive stands",
    "audit_entries": "the log itself",
    "audit_heads": "where the log ends",
}
"""Tables that nobody changes by hand, and why."""

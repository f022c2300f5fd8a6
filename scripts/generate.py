"""Write what is made from the code: docs/reference/{signals,cli,config}.md. CI fails on a difference."""

import ast
from collections.abc import Iterator
import inspect
from io import StringIO
from itertools import zip_longest
from pathlib import Path
import re
import textwrap
import tokenize
from typing import Any, get_args, get_type_hints

import click
from litestar.handlers import HTTPRouteHandler
import msgspec

from cloud.app import V1_ROUTES
from cloud.cli import main as cloud_main
from cloud.config import CloudConfig
from cloud.identity.policy import SCOPES, TABLE, Action, Role
from edge.cli import root as edge_main
from edge.config import DeviceConfig
from sync_protocol.signals import catalogue

OUT = Path("docs/reference")
MADE = "<!-- Made from the code by `just gen`; do not edit. -->\n\n"


def signals() -> str:
    """The catalogue as a table."""
    lines = [
        "# Signals\n",
        f"Catalogue {catalogue().version}, {len(catalogue().signals)} signals. `value = raw * resolution + offset`.\n",
        "| id | name | unit | resolution | offset | range | period s | stale s | PID | VSS path | |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for s in catalogue().signals:
        pid = f"01 {s.pid:02X}" if s.pid is not None else ""
        lines.append(
            f"| {s.id} | `{s.name}` | {s.unit} | {s.scale} | {s.offset:g} | {s.min:g} … {s.max:g} | {s.period_s:g} |"
            f" {s.stale_s:g} | {pid} | `{s.vss}` | {s.text} |"
        )
    return "\n".join(lines) + "\n"


def commands(command: click.Command, path: str) -> Iterator[str]:
    """A command and those below it, as --help shows them."""
    with click.Context(command, info_name=path, max_content_width=100, terminal_width=100) as context:
        level = "##" if " " not in path else "###"
        yield f"{level} {path}\n\n```\n{command.get_help(context)}\n```\n"
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                yield from commands(child, f"{path} {name}")


def fields(kind: type[Any], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """(section, key, default, text) of a config Struct and the Structs in it."""
    texts = _attribute_texts(kind)
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        inner = [t for t in (hints[field.name], *get_args(hints[field.name])) if isinstance(t, type)]
        struct = next((t for t in inner if issubclass(t, msgspec.Struct)), None)
        if struct is not None:
            yield from fields(struct, f"{prefix}{field.name}.")
        else:
            default = field.default if field.default is not msgspec.NODEFAULT else None
            if default is None and field.default_factory is not msgspec.NODEFAULT:
                default = field.default_factory()
            required = field.required
            yield prefix, field.name, "required" if required else _shown(default), texts.get(field.name, "")


def _shown(default: object) -> str:
    if default is None:
        return "none"
    if isinstance(default, str | Path):
        return f'"{default}"'
    return str(default).lower() if isinstance(default, bool) else repr(default)


def _attribute_texts(kind: type[Any]) -> dict[str, str]:
    """What the source says of each field: the string under it, else the comment behind it."""
    source = textwrap.dedent(inspect.getsource(kind))
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    comments = _comments(source)
    out: dict[str, str] = {}
    for before, after in zip_longest(body.body, body.body[1:]):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
            text = after.value if isinstance(after, ast.Expr) else None
            said = text.value if isinstance(text, ast.Constant) else comments.get(before.end_lineno or 0, "")
            out[before.target.id] = " ".join(str(said).split()).replace("|", "\\|")
    return out


def _comments(source: str) -> dict[int, str]:
    """The comments of a source by line, without what is meant for tools."""
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    found = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    return {line: text for line, text in found.items() if not text.startswith(("noqa", "fmt:", "type:"))}


def config(kind: type[Any], title: str, file: str) -> str:
    """One configuration file as a table."""
    lines = [f"## {title}: `{file}`\n", "| key | default | |", "|---|---|---|"]
    lines += [f"| `{prefix}{key}` | {default} | {text} |" for prefix, key, default, text in fields(kind, "")]
    return "\n".join(lines) + "\n"


def access() -> str:
    """Which role may call which operation, and which needs no log-in."""
    lines = [
        "# Who may call what\n",
        "One table (`cloud/identity/policy.py`) decides for REST and WebSocket alike; each route names its action.",
        "Always within the caller's own tenant. An API key may be given the actions marked `key`.\n",
        f"| operation | action | {' | '.join(Role)} | key |",
        f"|---|---|{'---|' * (len(Role) + 1)}",
    ]
    operations = sorted(
        (re.sub(r":\w+}", "}", path), method, handler.opt["action"])
        for handler in V1_ROUTES
        for path in handler.paths
        for method in (handler.http_methods if isinstance(handler, HTTPRouteHandler) else ("WebSocket",))
    )
    for path, method, action in operations:
        if action is Action.PUBLIC:
            marks = ["no log-in"] * (len(Role) + 1)
        else:
            marks = ["yes" if action in TABLE[role] else "" for role in Role] + ["key" if action in SCOPES else ""]
        lines.append(f"| {method} `{path}` | {action} | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    pages = {
        "signals": signals(),
        "access": access(),
        "cli": "# Command lines\n\n"
        + "\n".join([*commands(edge_main, "milepost"), *commands(cloud_main, "milepost-cloud")]),
        "config": "# Configuration\n\nTOML; the environment lies over it: `MILEPOST__GPS__HOST=gps` sets `gps.host`.\n"
        "Unknown keys and bad values are refused with their path, and the exit code is 78.\n\n"
        + config(DeviceConfig, "The device", "/etc/milepost/device.toml")
        + "\n"
        + config(CloudConfig, "The cloud", "milepost-cloud.toml"),
    }
    for name, text in pages.items():
        (OUT / f"{name}.md").write_text(MADE + text, encoding="utf-8")
        print(OUT / f"{name}.md")


if __name__ == "__main__":
    main()

"""Settings files: defaults of a command's options, from the TOML file of ``--config``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genomix_cli.config import read_toml
from genomix_cli.errors import UsageError
from genomix_cli.options import Leaf

if TYPE_CHECKING:
    from genomix_cli.cli.command import RequestCommand

# Key of the file in the context of Click.
SETTINGS = "genomix.settings"
# Options that are not those of a request, and can be set too.
OF_PROCESS = ("threads", "verbose", "quiet")


def load_settings(ctx: Any, param: Any, value: str | None) -> str | None:
    """Read defaults from a TOML file; command line and environment take precedence."""
    path = Path(value) if value else own_settings()
    if path is None:
        return None
    ctx.meta[SETTINGS] = path
    command: RequestCommand = ctx.command
    title = ".".join(command.table)
    settings: Any = read_toml(path)
    for name in command.table:
        settings = settings.get(name, {})
        if not isinstance(settings, dict):
            raise UsageError(f"{name} is not a table", where=path, expected=f"[{title}]")
    settings = {key.replace("_", "-"): item for key, item in settings.items()}
    known = {*command.known, *OF_PROCESS}
    unknown = [key for key in settings if key not in known]
    if unknown:
        hint = f"known keys: {', '.join(sorted(known))}"
        raise UsageError(f"unknown key {', '.join(unknown)}", where=f"{path} [{title}]", hint=hint)
    own = {key: leaf for leaf in command.by_name.values() for key in keys(leaf)}
    ctx.default_map = dict(ctx.default_map or {}) | {
        own[key].name if key in own else key: _relative_to(path.parent, own.get(key), item)
        for key, item in settings.items()
    }
    return value


def own_settings() -> Path | None:
    """Return the user's settings file in the standard configuration folder, if it exists."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = Path(home) / "genomix" / "config.toml"
    # Unlike Path.is_file, this is also False if the home is another user's, as in containers.
    return path if os.path.isfile(path) else None


def keys(leaf: Leaf) -> list[str]:
    """Return the names that settings files may use for an option."""
    spelled = [*leaf.flags, *leaf.option.old.split()]
    return [f.partition("/")[0][2:] for f in spelled if f.startswith("--")]


def _relative_to(folder: Path, leaf: Leaf | None, item: Any) -> Any:
    """Resolve paths in a settings file relative to that file, as build tools do."""
    if leaf is None:
        return item
    if leaf.is_list:
        items = item if isinstance(item, list) else [item]
        return [_relative_each(folder, leaf, str(each)) for each in items]
    if isinstance(item, list) and leaf.option.commas:
        item = ",".join(map(str, item))
    return item if leaf.is_flag else _relative_each(folder, leaf, str(item))


def _relative_each(folder: Path, leaf: Leaf, text: str) -> str:
    if leaf.is_path:
        name, equals, path = text.rpartition("=") if "NAME=" in leaf.metavar else ("", "", text)
        return f"{name}{equals}{folder / path}"
    if leaf.option.model and (folder / text).exists():
        return str(folder / text)
    return text

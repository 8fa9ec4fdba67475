"""Plug-ins by name, imported when asked for."""

from __future__ import annotations

import sys

import pytest

from genomix_cli import registry
from genomix_cli.errors import UsageError

REGISTRIES = [value for value in vars(registry).values() if isinstance(value, registry.Registry)]


def test_loading_is_lazy() -> None:
    sys.modules.pop("this", None)
    plugins = registry.Registry("poem", {"zen": "this:d"})
    assert list(plugins) == ["zen"]
    assert "this" not in sys.modules
    assert isinstance(plugins.load("zen"), dict)


def test_an_unknown_name_lists_the_known_ones() -> None:
    plugins = registry.Registry("model", {"a": "x:y", "b": "x:z"})
    with pytest.raises(UsageError, match=r"unknown model 'c' \(expected a or b\)"):
        plugins.load("c")


@pytest.mark.parametrize(
    ("plugins", "name"),
    [pytest.param(r, name, id=f"{r.kind}-{name}") for r in REGISTRIES for name in r],
)
def test_every_line_of_the_registry_can_be_loaded(plugins: registry.Registry, name: str) -> None:
    """A plug-in is a class or a function, or a variant baseline that says how it predicts."""
    plugin = plugins.load(name)
    assert callable(getattr(plugin, "predict", plugin))


def test_a_plugin_whose_package_is_missing_is_not_installed() -> None:
    entries = {"here": "this:d", "there": "this:d", "gone": "this:d"}
    plugins = registry.Registry("poem", entries, {"there": "json", "gone": "no_such_package"})
    assert plugins.installed() == ("here", "there")

"""Hooks of the site: links out of docs/, which lead somewhere in a checkout only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)]*)?\)")
_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Point links to code at the repository, if the site names one; else leave their text."""
    folder = Path(page.file.abs_src_path).parent
    docs, root = Path(config.docs_dir), Path(config.docs_dir).parent

    def changed(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        path = (folder / target).resolve()
        if "://" in target or not path.exists() or _is_page(path, docs):
            return link[0]
        if not config.repo_url:
            return text
        return f"[{text}]({config.repo_url}/blob/main/{path.relative_to(root)}{anchor})"

    parts, start = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_LINK.sub(changed, markdown[start : fence.start()]), fence[0]]
        start = fence.end()
    parts.append(_LINK.sub(changed, markdown[start:]))
    # Python-Markdown takes four spaces for what belongs to an item of a numbered list.
    return re.sub(r"^ {3}(?=\S)", "    ", "".join(parts), flags=re.MULTILINE)


def _is_page(path: Path, docs: Path) -> bool:
    """Return True for a file that is part of the site."""
    return path.is_file() and path.is_relative_to(docs) and path.suffix in (".md", ".svg", ".png")

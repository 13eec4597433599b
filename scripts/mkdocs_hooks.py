"""MkDocs hook: links to files outside the site lead to the repository, so that pages work on GitHub and on the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_LINK = re.compile(r"\]\((?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Called by MkDocs with each page's Markdown."""
    source = page.file.abs_src_path
    assert source is not None  # only generated pages have none, and there are none
    return link_to_repository(markdown, Path(source).parent, Path(config.docs_dir), config.extra["repository"])


def link_to_repository(markdown: str, folder: Path, docs: Path, repository: str) -> str:
    """Rewrites relative links to files outside `docs` and to folders as URLs below `repository`.

    folder: the page's own, where its links start. Links to missing files stay as they are: MkDocs reports them.
    """
    root = docs.resolve().parent

    def rewrite(link: re.Match[str]) -> str:
        path = (folder / link["target"]).resolve()
        served = path.is_file() and path.is_relative_to(docs.resolve())
        if served or not path.exists() or not path.is_relative_to(root):
            return link[0]
        kind = "tree" if path.is_dir() else "blob"
        return f"]({repository}/{kind}/main/{path.relative_to(root).as_posix()}{link['anchor'] or ''})"

    return _LINK.sub(rewrite, markdown)

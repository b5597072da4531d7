"""Plain text as Markdown, for the generated pages."""

from __future__ import annotations

import re
from urllib.parse import quote

ADDRESS = re.compile(
    r"(?P<url>https?://(?:\S*?\(SICI\)\S+?;2-\w|(?:[^\s;,()]|\([^\s()]*\))+(?<!\.)))|\bdoi:?\s*(?P<doi>10\.\d{4,}/[^\s;,)]+(?<!\.))"
)


def markdown(text: str) -> str:
    """Return plain text as Markdown: what Markdown would read as markup is kept as written, addresses become links."""
    found, at = "", 0
    for match in ADDRESS.finditer(text):
        shown = match["url"] or f"doi:{match['doi']}"
        target = quote(match["url"] or f"https://doi.org/{match['doi']}", safe=":/?#=&%")
        found += f"{escaped(text[at : match.start()])}[{escaped(shown)}]({target})"
        at = match.end()
    return found + escaped(text[at:])


def escaped(text: str) -> str:
    """Return text in which nothing is markup but code between backquotes."""
    return re.sub(r"([*_<>\[\]|$])", r"\\\1", text)


def cell(text: str) -> str:
    """Return text for a cell of a table: one line, double backquotes as single ones."""
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())

"""Docstrings in Google's style -> Markdown."""

from __future__ import annotations

import re
import textwrap

__all__ = ["fill", "render_doc"]

WIDTH = 118

_SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Warns")


def render_doc(doc: str) -> str:
    """A docstring as Markdown: sections become lists, doctests and indented blocks become code."""
    out: list[str] = []
    section, lines = "", doc.splitlines()
    block: list[str] = []
    for line in [*lines, "End:"]:
        heading = line.rstrip(":") if line.endswith(":") and line == line.lstrip() else ""
        if heading in (*_SECTIONS, "End"):
            out.append(_render_section(section, block))
            section, block = heading, []
        elif section and line and not line.startswith(" "):
            out.append(_render_section(section, block))
            section, block = "", [line]
        else:
            block.append(line)
    return "\n\n".join(filter(None, out))


def _render_section(section: str, lines: list[str]) -> str:
    text = textwrap.dedent("\n".join(lines)).strip("\n")
    if not text:
        return ""
    if not section:
        return _render_text(text)
    if section in ("Returns", "Yields"):
        return fill(f"**{section}:** {' '.join(text.split())}", "")
    items = []
    for item in re.split(r"\n(?! )", text):
        name, colon, rest = " ".join(item.split()).partition(": ")
        items.append(fill(f"- `{name}`: {rest}" if colon else f"- {name}", "  "))
    return f"**{section}**\n\n" + "\n".join(items)


def _render_text(text: str) -> str:
    """Prose as it is; runs of indented or ``>>>`` lines in fences."""
    out, code = [], False
    lines = text.splitlines()
    for i, line in enumerate(lines):
        starts = line.startswith((">>>", "    ")) or (bool(line) and line[0] in "├└")
        goes_on = code and (bool(line) or (i + 1 < len(lines) and lines[i + 1].startswith("    ")))
        if starts and not code:
            code = True
            above = [out.pop()] if out and out[-1] and line[0] in "├└" else []  # the root of a tree
            out += ["", "```text", *above]
        elif code and not (starts or goes_on):
            code = False
            out.append("```")
        out.append(line)
    if code:
        out.append("```")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip("\n")


def fill(text: str, indent: str) -> str:
    """Break a paragraph or list item into lines."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)

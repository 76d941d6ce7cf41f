"""What the site's generator cannot read from the source of maskferry by itself. It runs none of it.

- The ``__all__`` of a package that calls `maskferry._lazy.attach` is computed. The same names stand in its imports
  under ``TYPE_CHECKING`` (`tests/test_moved.py` compares the two), and those can be read.
- The members of an enumeration have comments in place of docstrings.
- Doctests and trees stand in docstrings as they are; in Markdown they need fences. A description that begins with
  ``>=`` is no quotation.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


class Maskferry(griffe.Extension):
    """Applied to every object while the sources are read."""

    def on_module(self, *, mod: griffe.Module, **_: Any) -> None:  # noqa: ANN401
        """Fill in ``__all__`` of the packages that use `_lazy.attach`."""
        if "_lazy" in mod.members:
            mod.exports = [name for name, member in mod.members.items() if _is_export(name, member)]

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:  # noqa: ANN401
        """Make docstrings of the comments of an enumeration's members."""
        if any(str(base).endswith("Enum") for base in cls.bases):
            for member in cls.members.values():
                if isinstance(member, griffe.Attribute) and member.docstring is None:
                    comment = "".join(member.lines).partition("#")[2].strip()
                    member.docstring = griffe.Docstring(comment or f"{member.value}", parent=member)

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:  # noqa: ANN401
        """Put doctests and trees of a docstring into fences; escape what Markdown would read as a quotation."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r": >(?=[= ])", r": \\>", fence(obj.docstring.value))


def _is_export(name: str, member: griffe.Object | griffe.Alias) -> bool:
    return isinstance(member, griffe.Alias) and bool(re.fullmatch(rf"maskferry\..*\b{name}", member.target_path))


def fence(text: str) -> str:
    """Put each paragraph that begins with ``>>>``, and each that holds a tree, into a fence.

    >>> print(fence(">>> 1 + 1\\n2"))
    ```pycon
    >>> 1 + 1
    2
    ```
    """
    return "\n\n".join(_fence_paragraph(paragraph) for paragraph in text.split("\n\n"))


def _fence_paragraph(paragraph: str) -> str:
    first = paragraph.lstrip("\n")
    indent = first[: len(first) - len(first.lstrip())]
    if first.lstrip().startswith(">>>"):
        language = "pycon"
    elif re.search("^ *[├└]", paragraph, re.MULTILINE):
        language = "text"
    else:
        return paragraph
    return f"{indent}```{language}\n{first}\n{indent}```"

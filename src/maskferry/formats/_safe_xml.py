"""Reading XML without trusting it: no document type, so no entities of any kind; bounded depth and size."""

from __future__ import annotations

import xml.parsers.expat
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder

from maskferry.errors import InputError
from maskferry.limits import check_text_file

__all__ = ["read_xml"]

_DEEPEST = 50
_MOST_ELEMENTS = 10_000_000
_PIECE = 1 << 20  # bytes


def read_xml(path: Path) -> Element:
    """Read a file as a tree of elements.

    Raises:
        InputError: no such file, no XML, or one that declares a document type or entities, which may blow up or read
            other files; or one that is absurdly deep or long.
    """
    check_text_file(path)
    reader = _Reader(path)
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                reader.parser.Parse(piece, False)
        reader.parser.Parse(b"", True)
    except OSError as err:
        raise InputError(f"cannot read {path}: {err.strerror or err}") from err
    except (xml.parsers.expat.ExpatError, ValueError, LookupError) as err:
        if isinstance(err, InputError):
            raise
        raise InputError(f"{path} is no XML: {err}") from err
    return reader.tree.close()


class _Reader:
    """Handlers of expat that build a tree and refuse what has no place in one."""

    def __init__(self, path: Path) -> None:
        self.path, self.tree, self.depth, self.count = path, TreeBuilder(), 0, 0
        self.parser = parser = xml.parsers.expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self.tree.data
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.EntityDeclHandler = self._refuse_entity
        parser.ExternalEntityRefHandler = self._refuse_external

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth, self.count = self.depth + 1, self.count + 1
        if self.depth > _DEEPEST or self.count > _MOST_ELEMENTS:
            self._refuse(f"more than {_DEEPEST} levels or {_MOST_ELEMENTS} elements")
        self.tree.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self.depth -= 1
        self.tree.end(tag)

    def _refuse_doctype(self, name: str, *_: object) -> None:
        self._refuse(f"a document type ({name!r:.40})")

    def _refuse_entity(self, name: str, *_: object) -> None:
        self._refuse(f"an entity ({name!r:.40})")

    def _refuse_external(self, *_: object) -> int:
        self._refuse("an external entity")

    def _refuse(self, what: str) -> NoReturn:
        raise InputError(f"{self.path}:{self.parser.CurrentLineNumber}: {what} has no place in such a file: refused")

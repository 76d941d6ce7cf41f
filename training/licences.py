"""Which files may go into the asset pack: public domain, CC0 and CC-BY, each stated for the file itself.

One rule for each package says where its licences are stated; what is stated nowhere is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from html import unescape

_BY_VERSION = re.compile(r"^CC-BY-(\d\.\d)(-US)?$")


@dataclass(frozen=True)
class Grant:
    """Who made a file, under what licence, and where that is stated."""

    author: str
    licence: str
    stated_in: str


def accepted(licence: str) -> str | None:
    """The licence by its usual name if the pack may take it, else None.

    >>> accepted("CC-BY-3.0-USA"), accepted("public-domain"), accepted("CC0")
    ('CC-BY-3.0-US', 'public-domain', 'CC0-1.0')
    >>> accepted("CC-BY-SA-3.0"), accepted("GPL-2+"), accepted("CC-BY-3.0 and Bitstream")
    (None, None, None)
    """
    name = licence.strip().replace("-USA", "-US")
    if name.lower() in ("public-domain", "pd"):
        return "public-domain"
    if name in ("CC0", "CC-0", "CC0-1.0"):
        return "CC0-1.0"
    return name if _BY_VERSION.match(name) else None


@dataclass(frozen=True)
class Stanza:
    """One "Files:" paragraph of a machine-readable debian/copyright."""

    patterns: tuple[str, ...]
    author: str
    licence: str
    statement: str  # what follows the licence's short name
    comment: str


def parse_debian_copyright(text: str) -> list[Stanza]:
    """All stanzas of a debian/copyright in the format 1.0, in their order."""
    stanzas = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line[:1] in (" ", "\t"):
                fields[name] = fields.get(name, "") + "\n" + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if "Files" in fields and "License" in fields:
            licence, _, statement = fields["License"].partition("\n")
            statement = " ".join(statement.split())
            author = ", ".join(part for part in fields.get("Copyright", "").split("\n") if part)
            stanzas.append(
                Stanza(
                    tuple(p.removeprefix("./") for p in fields["Files"].split()),
                    author,
                    licence,
                    statement,
                    fields.get("Comment", "").strip(),
                )
            )
    return stanzas


def grant_in(stanzas: list[Stanza], path: str, stated_in: str) -> Grant | None:
    """The grant for a path: the last stanza that matches it counts, as the format says.

    A picture that was stored anew in another format keeps its name, and so its grant.
    """
    found = None
    stem = _without_suffix(path)
    for stanza in stanzas:
        if any(fnmatchcase(path, p) or stem == _without_suffix(p) for p in stanza.patterns):
            found = stanza
    licence = accepted(found.licence) if found else None
    if found is None or licence is None or _doubtful(found):
        return None
    link = re.search(r"https?://\S+", found.comment)
    more = link[0] if link else (found.statement if licence == "public-domain" else "")
    return Grant(_author_name(found.author), licence, stated_in + (f": {more}" if more else ""))


_DOUBTS = ("morguefile", "morgue-file", "by-sa", "????", "esa")
"""Words of stanzas that are left out whatever licence they state: morgueFile, whose own terms are narrower than the
public domain; links to works under CC-BY-SA; authors not known; ESA, which does not give up its rights."""


def _doubtful(stanza: Stanza) -> bool:
    """Whether what a stanza tells beside its licence speaks against that licence."""
    text = f"{stanza.author} {stanza.statement} {stanza.comment}".lower()
    return any(re.search(rf"(?<![a-z]){re.escape(word)}(?![a-z])", text) for word in _DOUBTS)


def _without_suffix(path: str) -> str:
    """The path of a picture without its suffix; other paths as they are."""
    return re.sub(r"\.(jpe?g|png|webp)$", "", path, flags=re.IGNORECASE)


def _author_name(text: str) -> str:
    """A copyright line without its years and addresses.

    >>> _author_name("2018. Sander Klootwijk"), _author_name("Aitzol Berasategi, 2018")
    ('Sander Klootwijk', 'Aitzol Berasategi')
    """
    text = re.sub(r"<[^>]*>|\(c\)|©", "", text)
    text = re.sub(r"\b\d{4}(\s*-\s*\d{4})?\b[.,]?", "", text)
    return re.sub(r"\s+", " ", text).strip(" ,.") or "unknown"


def blend_swap_grant(text: str, catalogue_licence: str, creator: str, stated_in: str) -> Grant | None:
    """The grant in a Blend Swap licence file (text or page); it must be the one that the catalogue states."""
    plain = unescape(re.sub(r"<[^>]+>", " ", text)).lower()
    by_version = re.search(r"creative commons attribution (\d\.\d)", plain)
    if re.search(r"share.?alike|non.?commercial|no.?deriv", plain):
        return None
    is_zero = "creative commons zero" in plain or "cc-0" in plain
    if catalogue_licence == "CC0-1.0":
        return Grant(creator, "CC0-1.0", stated_in) if is_zero else None
    if is_zero or "attribution" not in plain:
        return None
    return Grant(creator, f"CC-BY-{by_version[1] if by_version else '3.0'}", stated_in)

"""Which file a path means: `html_handling` and `not_found_handling`, as a table. Knows no file system.

The page `about.html` or `about/index.html` is found at one address, which depends on the setting; from all others a
redirect leads there. The rows are in the order in which the platform tries them
(workers-sdk `packages/workers-shared/asset-worker/src/handler.ts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from durable.assets.folder import AssetFile

Find = Callable[[str], AssetFile | None]


class Found(NamedTuple):
    """`status` is 200, or 404 for a page that says so."""

    file: AssetFile
    status: Literal[200, 404] = 200


class Moved(NamedTuple):
    """The decoded path at which the page is found."""

    path: str


class _Row(NamedTuple):
    """Serve `file`, or lead to `to` if that is where `file` is served. `~` is the path without its ending."""

    file: str
    to: str = ""


_ENDINGS: Final = ("/index.html", "/index", "/", ".html", "")
"""The first that a path has decides about the rows that come first; `=` is the whole path."""

_AS_IT_IS: Final = _Row("=")

_ROWS: Final[dict[str, dict[str, tuple[_Row, ...]]]] = {
    "auto-trailing-slash": {
        "/index": (_AS_IT_IS, _Row("~/index.html", "~/"), _Row("~.html", "~")),
        "/index.html": (_Row("~/index.html", "~/"), _Row("~.html", "~")),
        "/": (_Row("~/index.html"), _Row("~.html", "~")),
        ".html": (_Row("~.html", "~"), _Row("~/index.html", "~/")),
        "": (),
        "any": (_AS_IT_IS, _Row("=.html"), _Row("=/index.html", "=/")),
    },
    "force-trailing-slash": {
        "/index": (_AS_IT_IS, _Row("~/index.html", "~/"), _Row("~.html", "~/")),
        "/index.html": (_Row("~/index.html", "~/"), _Row("~.html", "~/")),
        "/": (_Row("~/index.html"), _Row("~.html")),
        ".html": (_Row("~.html", "~/"), _AS_IT_IS, _Row("~/index.html", "~/")),
        "": (),
        "any": (_AS_IT_IS, _Row("=.html", "=/"), _Row("=/index.html", "=/")),
    },
    "drop-trailing-slash": {
        "/index": (_AS_IT_IS, _Row("~.html", "~"), _Row("~/index.html", "~")),
        "/index.html": (_Row("~/index.html", "~"), _AS_IT_IS, _Row("~.html", "~")),
        "/": (_Row("~.html", "~"), _Row("~/index.html", "~")),
        ".html": (_Row("~.html", "~"), _Row("~/index.html", "~")),
        "": (),
        "any": (_AS_IT_IS, _Row("=.html"), _Row("=/index.html")),
    },
    "none": {**dict.fromkeys(_ENDINGS, ()), "any": (_AS_IT_IS,)},
}


def meant(path: str, html_handling: str, find: Find) -> Found | Moved | None:
    """What is at a decoded path."""
    for file, to in _tried(path, html_handling):
        if not to:
            served = find(file)
            if served is not None:
                return Found(served)
        elif (page := find(file)) is not None and find(to) is None and _served_at(to, html_handling, find) == page:
            return Moved(to)
    return None


def not_found(path: str, not_found_handling: str, find: Find) -> Found | None:
    """What is answered where nothing is."""
    if not_found_handling == "single-page-application":
        page = find("/index.html")
        return Found(page) if page is not None else None
    if not_found_handling == "404-page":
        folder = path
        while folder:
            folder = folder.rpartition("/")[0]
            page = find(f"{folder}/404.html")
            if page is not None:
                return Found(page, 404)
    return None


def decoded(path: str) -> str:
    """A path as file names are; parts that are no UTF-8 stay as they are. Slashes in a row become one."""
    text = "/".join(_decoded_part(part) for part in path.split("/"))
    while "//" in text:  # else a redirect to what follows two of them would lead to another host
        text = text.replace("//", "/")
    return text


def encoded(path: str) -> str:
    """The one way to write a path, with the characters that JavaScript's encodeURIComponent leaves alone."""
    return quote(path, safe="/!'()*~-_.", errors="surrogatepass")


def _decoded_part(part: str) -> str:
    if "%" not in part:
        return part
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeError:  # also for bytes that were none in the request itself, which are surrogates here
        return part


def _tried(path: str, html_handling: str) -> Iterator[tuple[str, str]]:
    """File and redirect of each row that applies."""
    rows = _ROWS[html_handling]
    ending = next(ending for ending in _ENDINGS if path.endswith(ending))
    stem = path.removesuffix(ending)
    # The root has one address, "/", whatever the setting: it is never moved to the empty path, and served as itself.
    own = (_Row("~/index.html"),) if path == "/" and html_handling != "none" else rows[ending]
    for row in (*own, *rows["any"]):
        to = row.to.replace("~", stem).replace("=", path)
        yield row.file.replace("~", stem).replace("=", path), to or ("/" if row.to else "")


def _served_at(path: str, html_handling: str, find: Find) -> AssetFile | None:
    """The file that is served at a path without a redirect."""
    for file, to in _tried(path, html_handling):
        if not to and (served := find(file)) is not None:
            return served
    return None

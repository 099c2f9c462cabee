"""Where a page of a listing ended, as a word that the next page is asked with. Knows no file."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from durable.errors import UserInputError


@dataclass(frozen=True, slots=True)
class ListingPlace:
    """The last object of a page: what it was sorted by (None when it has none of that), its class and its id."""

    sort: str
    value: str | int | None
    class_name: str
    id: str

    def to_word(self) -> str:
        """Letters, digits, `-` and `_`; it begins with a letter."""
        facts = json.dumps([self.sort, self.value, self.class_name, self.id], ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(facts.encode("utf-8", "surrogatepass")).rstrip(b"=").decode()


def place_of(word: str, sort: str) -> ListingPlace:
    """Raises UserInputError for what no listing with this `sort` has said."""
    try:
        text = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        facts: object = json.loads(text.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError, binascii.Error):
        facts = None
    match facts:
        case [str(other), str() | int() | None as value, str(class_name), str(identity)]:
            if other == sort and not isinstance(value, bool) and (sort == "name" or not isinstance(value, str)):
                return ListingPlace(sort, value, class_name, identity)
            raise UserInputError(
                f"--after is from a listing that was sorted by {other[:20]!a}, and this one is sorted by {sort}",
                fix="give the same --sort, or leave --after out",
            )
        case _:
            raise UserInputError(
                "--after is not a place in a listing", fix="copy it from the end of the page before, or leave it out"
            )

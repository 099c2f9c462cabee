"""Blobs and files."""

import pytest

from durable.sdk.blobs import Blob, BlobEnding, File


async def test_parts_are_joined() -> None:
    blob = Blob(["one ", b"two ", bytearray(b"three "), Blob("four")], content_type="Text/Plain")
    assert await blob.text() == "one two three four"
    assert (blob.size, blob.content_type, blob.type) == (18, "text/plain", "text/plain")
    assert await blob.bytes() == b"one two three four"
    assert blob.js_object is blob


async def test_one_part_gives_its_type_on() -> None:
    assert Blob(Blob("x", "image/png")).content_type == "image/png"
    assert Blob([Blob("x", "image/png")]).content_type == ""
    assert Blob(b"x").content_type == ""


async def test_a_slice_counts_from_either_end() -> None:
    blob = Blob("0123456789", "text/plain")
    assert await blob.slice(2, 4).text() == "23"
    assert await blob.slice(-3).text() == "789"
    assert await blob.slice(8, 100).text() == "89"
    assert blob.slice(1).content_type == ""
    assert blob.slice(1, 2, "a/b").content_type == "a/b"


async def test_native_line_ends_are_those_of_this_system() -> None:
    assert await Blob("a\r\nb\rc\n", endings=BlobEnding.NATIVE).text() == "a\nb\nc\n"
    assert await Blob("a\r\nb", endings="transparent").text() == "a\r\nb"
    with pytest.raises(ValueError, match="'mac' is not a valid BlobEnding"):
        Blob("a", endings="mac")


async def test_a_file_has_a_name_and_a_date() -> None:
    file = File(["x"], "a.txt", "text/plain", last_modified=5)
    assert (file.name, file.filename, file.last_modified, file.content_type) == ("a.txt", "a.txt", 5, "text/plain")
    assert File(file, "b.txt").last_modified == 5
    assert File("x", "c").last_modified > 1_000_000_000_000


async def test_both_can_be_made_in_the_platforms_spelling() -> None:
    blob = Blob.new(["<b>"], {"type": "text/html"})
    assert (await blob.text(), blob.type) == ("<b>", "text/html")
    file = File.new([b"x"], "a.bin", {"type": "a/b", "lastModified": 7})
    assert (file.name, file.type, file.last_modified) == ("a.bin", "a/b", 7)
    assert Blob.new(["x"], type="a/b").type == "a/b"


async def test_a_blob_streams() -> None:
    assert [chunk async for chunk in Blob("abc").stream()] == [b"abc"]


@pytest.mark.parametrize("part", [5, ["x", 5], [None]])
def test_what_is_no_part_is_refused(part: object) -> None:
    with pytest.raises(TypeError, match="a blob is made of str, bytes and other blobs, not of (int|NoneType)"):
        Blob(part)  # type: ignore[arg-type]


def test_an_empty_blob_is_not_false() -> None:
    assert Blob("")
    assert len(Blob("")) == 0

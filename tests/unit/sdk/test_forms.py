"""Form data: as a mapping, and as bodies that browsers and servers we did not write understand."""

from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, cast

import pytest

from durable import Request, Response
from durable.errors import JsException
from durable.limits import FORM_PART_HEAD_BYTES_MAX, FORM_PARTS_MAX
from durable.sdk.blobs import Blob, File
from durable.sdk.forms import FormData
from durable.sdk.multipart import build_multipart, parse_multipart


def test_a_name_may_have_several_values() -> None:
    form = FormData({"a": "1"})
    form.append("a", "2")
    form["b"] = "3"
    assert form["a"] == "1"
    assert form.get_all("a") == ["1", "2"]
    assert list(form.keys()) == ["a", "a", "b"]
    assert list(form.values()) == ["1", "2", "3"]
    assert list(form.items()) == [("a", "1"), ("a", "2"), ("b", "3")]
    assert len(form) == 3
    assert "a" in form
    assert "c" not in form

    form["a"] = "4"
    assert list(form.items()) == [("a", "4"), ("b", "3")]
    del form["a"]
    assert list(form) == ["b"]


def test_a_name_that_is_not_there_has_no_value() -> None:
    assert FormData()["x"] is None
    assert FormData().get("x", "default") == "default"
    FormData().delete("x")


def test_a_list_is_no_value() -> None:
    with pytest.raises(TypeError, match="one name takes one value here"):
        FormData()["a"] = ["1", "2"]
    with pytest.raises(TypeError, match="form data is made of a dict or another FormData, got int"):
        FormData(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a filename needs a Blob or a File for a value, got str"):
        FormData().append("a", "text", "a.txt")


async def test_a_blob_becomes_a_file() -> None:
    form = FormData()
    form.append("a", Blob("x", "a/b"))
    form.append("b", Blob("y"), "y.txt")
    form.append("c", File("z", "z.txt", last_modified=3))
    form.append("d", b"raw")
    names = [value.name for value in form.values()]
    assert names == ["blob", "y.txt", "z.txt", "blob"]
    assert (form["a"].content_type, form["c"].last_modified) == ("a/b", 3)  # type: ignore[union-attr]


async def test_a_form_comes_back_from_the_body_it_makes() -> None:
    form = FormData({"text": "é\nline", 'quo"te\r\n': "x"})
    form.append("file", File(b"\x00\xff\r\n--", 'a"b.bin', "application/x"))
    request = Request("http://localhost/", method="POST", body=form)
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=----")

    back = await request.form_data()

    assert back["text"] == "é\r\nline"
    assert back['quo"te\r\n'] == "x"
    file = back["file"]
    assert isinstance(file, File)
    assert (await file.bytes(), file.name, file.content_type) == (b"\x00\xff\r\n--", 'a"b.bin', "application/x")


def test_pythons_own_parser_reads_what_is_built() -> None:
    data, content_type = build_multipart([("a", "one"), ("f", "n.txt", "text/x", b"two")])
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + data)
    parts = [
        (part.get_param("name", header="content-disposition"), part.get_content()) for part in message.iter_parts()
    ]
    assert parts == [("a", "one"), ("f", "two")]


BROWSER = (
    b'preamble\r\n--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--XX  \r\ncontent-disposition: form-data; name="f"; filename=""\r\nContent-Type: text/csv\r\n\r\n\r\n'
    b"--XX\r\nContent-Disposition: form-data; name=empty\r\n\r\n\r\n--XX--\r\nepilogue"
)


async def test_a_browsers_form_is_read() -> None:
    request = Request(
        "http://localhost/", method="POST", body=BROWSER, headers={"Content-Type": 'multipart/form-data; boundary="XX"'}
    )
    form = await cast("Any", request).formData()
    assert list(form) == ["a", "f", "empty"]
    assert (form["a"], form["empty"]) == ("1", "")
    file = form["f"]
    assert (file.name, file.size, file.content_type) == ("", 0, "text/csv")


async def test_an_urlencoded_form_is_read() -> None:
    response = Response(b"a=1&a=%C3%A9+x&b&=c", headers={"content-type": "application/x-www-form-urlencoded"})
    assert list((await response.form_data()).items()) == [("a", "1"), ("a", "é x"), ("b", ""), ("", "c")]


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        (None, b"", "by its Content-Type header, and this one has none"),
        ("application/json", b"{}", "form_data.. reads multipart/form-data and application/x-www-form-urlencoded"),
        ("multipart/form-data", b"", "needs the boundary that its Content-Type names"),
        ("multipart/form-data; boundary=" + "x" * 71, b"", "1 to 70 bytes long"),
        ("multipart/form-data; boundary=XX", b"--YY--", "does not contain the boundary"),
        ("multipart/form-data; boundary=XX", b"--XXrest", "something else than a line's end after its boundary"),
        ("multipart/form-data; boundary=XX", BROWSER[:60], "its last boundary is missing"),
        ("multipart/form-data; boundary=XX", b"--XX\r\n\r\nx\r\n--XX--", "has no Content-Disposition header"),
        ("multipart/form-data; boundary=XX", b"--XX\r\nA: b\r\n\r\nx\r\n--XX--", "has no header like"),
        (
            "multipart/form-data; boundary=XX",
            b"--XX\r\nA: " + b"b" * FORM_PART_HEAD_BYTES_MAX + b"\r\n\r\nx\r\n--XX--",
            f"at most {FORM_PART_HEAD_BYTES_MAX} bytes",
        ),
    ],
)
async def test_a_body_that_is_no_form_says_why(content_type: str | None, body: bytes, message: str) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = Response(body, headers=headers)
    with pytest.raises(TypeError, match=message) as raised:
        await response.form_data()
    assert isinstance(raised.value, JsException)


def test_a_form_has_a_bound_of_fields() -> None:
    field = b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    kind = "multipart/form-data; boundary=X"
    assert len(parse_multipart(field * FORM_PARTS_MAX + b"--X--", kind)) == FORM_PARTS_MAX
    with pytest.raises(TypeError, match=f"at most {FORM_PARTS_MAX} fields"):
        parse_multipart(field * (FORM_PARTS_MAX + 1) + b"--X--", kind)


async def test_a_response_takes_a_form() -> None:
    back = await Response(FormData({"a": "1"})).form_data()
    assert list(back.items()) == [("a", "1")]

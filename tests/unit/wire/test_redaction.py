"""Secrets do not stand in reports, whatever form they take."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
import pytest

from durable.wire.messages import ErrorReport, FailedSql, Frame, RelatedError
from durable.wire.redaction import Redaction, looks_secret

SECRET = 'sk-"live"\\4f/9a+8b é 7c'
FORMS = {
    "as it is": SECRET,
    "in a repr": repr({"key": SECRET}),
    "in the repr of bytes": repr(SECRET.encode()),
    "in JSON": json.dumps([SECRET]),
    "in an address": "https://example.com/?key=" + quote(SECRET, safe=""),
    "in a path": quote(SECRET),
    "in a form": quote_plus(SECRET),
    "in base64": base64.b64encode(SECRET.encode()).decode(),
    "in base64 for addresses": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "in a header of Basic authentication": base64.b64encode(f"me:{SECRET}".encode()).decode(),
    "in hex": SECRET.encode().hex(),
}


def hiding(**variables: str) -> Redaction:
    redaction = Redaction()
    redaction.learn(variables, variables)
    return redaction


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_replaced_by_its_name_in_every_form(form: str) -> None:
    hidden = hiding(API_KEY=SECRET).text(f"before {form} after")

    assert "«API_KEY»" in hidden
    assert form not in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")


@pytest.mark.parametrize("form", [SECRET, quote(SECRET), SECRET.encode().hex()])
def test_the_beginning_of_a_secret_does_not_stay_where_a_text_was_cut(form: str) -> None:
    hidden = {hiding(API_KEY=SECRET).text(f"before {form[:length]}…") for length in range(4, len(form))}

    assert hidden == {"before «API_KEY»…"}
    assert hiding(API_KEY=SECRET).text("before…") == "before…"


def report_with(text: str) -> ErrorReport:
    frame = Frame("main.py", 3, "f", text, True, f"a\n{text}", 2, 1, 5, "", text)
    return ErrorReport(
        "ValueError", text, args=text.encode(), frames=[frame], label=text, method="f", arguments=text,
        notes=[text], sql=FailedSql(text), related=[RelatedError("cause", "KeyError", text, [frame], [text])],
    )  # fmt: skip


def leaks(report: ErrorReport) -> bool:
    return "hunter2-hunter2" in repr(msgspec.to_builtins(report)) or b"hunter2-hunter2" in report.args


def test_no_part_of_a_report_tells_a_secret() -> None:
    report = report_with("it is hunter2-hunter2")

    shown = hiding(PASSWORD="hunter2-hunter2").report(report)
    assert not leaks(shown)
    assert shown.message == "it is «PASSWORD»"
    # A mark at the old place would point at something else.
    assert (shown.frames[0].column, shown.frames[0].end_column) == (0, 0)


def test_a_part_that_was_forgotten_would_be_noticed() -> None:
    shown = hiding(PASSWORD="hunter2-hunter2").report(report_with("it is hunter2-hunter2"))

    for field in ("message", "label", "arguments", "notes", "sql", "related", "frames", "args"):
        forgotten = {field: getattr(report_with("it is hunter2-hunter2"), field)}
        assert leaks(msgspec.structs.replace(shown, **forgotten)), field


def test_a_report_without_secrets_stays_the_same_object() -> None:
    report = report_with("nothing")

    assert hiding(PASSWORD="hunter2-hunter2").report(report) is report


def test_short_values_are_hidden_where_they_stand_alone() -> None:
    hidden = hiding(PIN="48151").text("48151 148151 4815162 (48151)")

    assert hidden == "«PIN» 148151 4815162 («PIN»)"


@pytest.mark.parametrize("value", ["", "abc", "true", "None"])
def test_values_that_are_no_secrets_are_left_alone(value: str) -> None:
    text = "true is not None, abc"

    assert hiding(DEBUG=value).text(text) == text


def test_lines_of_a_key_and_the_password_of_an_address_are_secrets_too() -> None:
    lines = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----"
    redaction = hiding(PEM=lines, DATABASE_URL="postgres://me:correcthorse@db/x")

    assert redaction.text("near MIIEvQIBADANBgkqhkiG9w0B") == "near «PEM»"
    assert redaction.text("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"
    assert redaction.text("no entry for correcthorse") == "no entry for «DATABASE_URL»"


def test_the_longer_secret_wins_where_one_begins_with_another() -> None:
    assert hiding(A="abcdefgh", B="abcdefghijkl").text("abcdefghijkl abcdefgh") == "«B» «A»"


def test_what_was_a_secret_stays_hidden_after_it_changed() -> None:
    redaction = hiding(KEY="the-old-value")
    redaction.learn({"KEY": "the-new-value"}, ["KEY"])

    assert redaction.text("the-old-value the-new-value") == "«KEY» «KEY»"


def test_variables_that_sound_secret_are_hidden_and_others_are_not(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    file.touch()
    environ: dict[str, Any] = {
        "STRIPE_API_KEY": "sk_test_12345678",
        "GREETING": "hello to everybody",
        "GOOGLE_APPLICATION_CREDENTIALS": str(file),
        "PWD": "/home/me/project",
        "LIMIT_TOKEN": 12345678,
    }
    redaction = Redaction()
    redaction.learn(environ)
    shown = [redaction.text(str(value)) for value in environ.values()]

    assert shown == ["«STRIPE_API_KEY»", *map(str, list(environ.values())[1:])]


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("API_KEY", True), ("apiKey", True), ("AWS_SECRET_ACCESS_KEY", True), ("token", True), ("GITHUB_TOKEN_2", True),
        ("DB_PASSWORD", True), ("dbPassword", True), ("SENTRY_DSN", True), ("API_KEY_2", True),
        ("key", False), ("KEYRING", False), ("PUBLIC_KEY", False), ("AUTHOR", False), ("PASSENGER", False),
        ("TOKENIZERS_PARALLELISM", False), ("OLDPWD", False), ("", False), ("primary_key", False),
    ],
)  # fmt: skip
def test_names_say_whether_a_value_is_secret(name: str, secret: bool) -> None:
    assert looks_secret(name) is secret

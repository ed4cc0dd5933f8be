"""Whatever is sent to the desk's API, by its own description or against it, it answers; it never fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from services.support.settings import SupportSettings
from tests.core.desk_books import KINDS, NOW, SetClock, client, empty_desk, mail, served

METHODS = ("get", "post", "put", "delete")
KNOWN = st.sampled_from(["T-1", "A-1", "S-1", "C-1", "1", "2", "E-1"])
"""Ids that are there, so that what is said meets what was said."""
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module", params=KINDS)
def http(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    desk = SupportSettings(zammad_secret=SecretStr("secret"))
    with (
        empty_desk(request.param, tmp_path_factory.mktemp("desk")) as engine,
        served(engine, SetClock(NOW), desk) as url,
        client(url) as found,
    ):
        person = {"account": "A-1", "addresses": ["a@example.ch"], "language": "fr"}
        found.put("/contacts/C-1", json=person)
        request_ = {"account": "A-1", "severity": "down", "ticket": "T-1", "contact": "C-1"}
        found.post("/tickets", json=request_)
        mail(engine)
        mail(engine, state="threaded", ticket="T-1")
        yield found


def values(schema: dict[str, Any], known: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What the schema allows, and ids that are there."""
    if "$ref" in schema:
        return values(known[schema["$ref"].rsplit("/", 1)[1]], known)
    if "anyOf" in schema:
        return st.one_of(*(values(one, known) for one in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "object":
            fields = {name: values(one, known) | JUNK for name, one in schema.get("properties", {}).items()}
            required = schema.get("required", [])
            return st.fixed_dictionaries(
                {name: one for name, one in fields.items() if name in required},
                optional={name: one for name, one in fields.items() if name not in required},
            )
        case "array":
            return st.lists(values(schema.get("items", {}), known), max_size=3)
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum")) | st.integers(0, 3)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "string" if schema.get("format") == "date-time":
            return st.datetimes().map(lambda at: at.isoformat(timespec="milliseconds") + "Z")
        case "string" if "pattern" in schema:
            return KNOWN | st.from_regex(schema["pattern"], fullmatch=True)
        case "string":
            return st.text(max_size=50) | KNOWN
    return JUNK


def test_nothing_that_is_sent_makes_it_fail(http: httpx.Client) -> None:
    description = http.get("/openapi.json").json()
    schemas = description["components"]["schemas"]
    routes = sorted(
        (path, method)
        for path, methods in description["paths"].items()
        for method in methods
        if method in METHODS
    )
    seen: set[int] = set()

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def sent(data: st.DataObject) -> None:
        path, method = data.draw(st.sampled_from(routes))
        route = description["paths"][path][method]
        query: dict[str, str] = {}
        for parameter in route.get("parameters", []):
            name, place = parameter["name"], parameter["in"]
            value = str(data.draw(values(parameter["schema"], schemas)))
            if place == "path":
                quoted = "".join(f"%{byte:02X}" for byte in value.encode("utf-8", "replace"))
                path = path.replace(f"{{{name}}}", quoted)
            elif place == "query":
                query[name] = value.encode("utf-8", "replace").decode()
        body = None
        if "requestBody" in route:
            schema = route["requestBody"]["content"]["application/json"]["schema"]
            body = json.dumps(data.draw(values(schema, schemas) | JUNK)).encode()
        key = data.draw(st.none() | st.sampled_from(["K-1", "K-2"]))
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        answer = http.request(method, path, params=query, content=body, headers=headers)
        assert answer.status_code < 500, (method, path, body, answer.text)
        seen.add(answer.status_code)

    sent()
    assert seen >= {200, 201, 404, 422}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"account": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"account": NaN}',
        b'{"minutes": 1e999}',
        b'{"account": "A-1", "severity": "down", "subject": "a\\u0000b"}',
        b"[" * 50_000,
        b'{"account": ' + b"9" * 5_000 + b"}",
    ],
    ids=lambda body: body[:30].decode("latin-1"),
)
def test_what_is_no_body_at_all_is_refused(http: httpx.Client, body: bytes) -> None:
    for path in ("/tickets", "/tickets/T-1/work", "/tickets/T-1/response"):
        answer = http.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["detail"]


def test_a_text_with_anything_in_it_is_written_or_refused(http: httpx.Client) -> None:
    for text in ("\x00", "a\x00b", "\u202egnirts", "=?utf-8?q?x=0ABcc=3A_a=40b.ch?=", "\r\nBcc: a@b.ch\r\n"):
        answer = http.post("/tickets/T-1/response", json={"text": text})
        assert answer.status_code in (201, 422), answer.text

"""Links of a source: followed on its own origin and below its own base path, however the rest is spelled."""

from __future__ import annotations

import itertools
from urllib.parse import unquote, urlsplit

import httpx2
import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st

from connectors.sdk.address import address_fault, resolve
from connectors.sdk.errors import WrongContent

BASE = "http://source.test:8080/trust/fhir"

FOREIGN = [
    # other origins
    "http://evil.test/trust/fhir/Patient",
    "https://source.test:8080/trust/fhir/Patient",
    "http://source.test/trust/fhir/Patient",
    "http://source.test:80/trust/fhir/Patient",
    "http://source.test:8081/trust/fhir/Patient",
    "http://source.test:08081/trust/fhir/Patient",
    "http://source.test:0/trust/fhir/Patient",
    "http://source.test:99999/trust/fhir/Patient",
    "http://source.test:-1/trust/fhir/Patient",
    "http://source.test:8080x/trust/fhir/Patient",
    "http://source.test.:8080/trust/fhir/Patient",
    "http://source.test.evil.test:8080/trust/fhir/Patient",
    "http://evil-source.test:8080/trust/fhir/Patient",
    "http://source.test%2eevil.test:8080/trust/fhir/Patient",
    "http://source。test:8080/trust/fhir/Patient",
    "http://ſource.test:8080/trust/fhir/Patient",
    "http://127.0.0.1:8080/trust/fhir/Patient",
    "http://[::1]:8080/trust/fhir/Patient",
    "http://[::1/trust/fhir/Patient",
    "http://]/trust/fhir/Patient",
    "ftp://source.test:8080/trust/fhir/Patient",
    "file:///trust/fhir/Patient",
    "javascript:alert(1)",
    "data:application/json,{}",
    "ws://source.test:8080/trust/fhir/Patient",
    # user information
    "http://user@source.test:8080/trust/fhir/Patient",
    "http://user:pw@source.test:8080/trust/fhir/Patient",
    "http://:pw@source.test:8080/trust/fhir/Patient",
    "http://@source.test:8080/trust/fhir/Patient",
    "http://source.test:8080@evil.test/trust/fhir/Patient",
    "http://source.test:8080%40evil.test/trust/fhir/Patient",
    "http://source.test:8080\\@evil.test/trust/fhir/Patient",
    "http://evil.test#@source.test:8080/trust/fhir/Patient",
    "http://evil.test?@source.test:8080/trust/fhir/Patient",
    # without a scheme
    "//evil.test/trust/fhir/Patient",
    "///evil.test/trust/fhir/Patient",
    "////evil.test/trust/fhir/Patient",
    "\\\\evil.test\\trust\\fhir",
    "/\\evil.test/trust/fhir/Patient",
    "/\t/evil.test/trust/fhir/Patient",
    "//source.test:8081/trust/fhir/Patient",
    # backslashes
    "http:\\\\evil.test/trust/fhir/Patient",
    "http://source.test:8080\\evil/trust/fhir/Patient",
    "http://source.test:8080/trust/fhir\\..\\..\\admin",
    "http://source.test:8080/trust/fhir/..\\admin",
    "http://source.test:8080/trust/fhir/%5c..%5cadmin",
    # other base paths
    "http://source.test:8080",
    "http://source.test:8080/",
    "http://source.test:8080/Patient",
    "http://source.test:8080/trust",
    "http://source.test:8080/trust/fhirx/Patient",
    "http://source.test:8080/trust/fhir-admin/Patient",
    "http://source.test:8080/trust/fhir;/Patient",
    "http://source.test:8080/trust/fhir%2fPatient",
    "http://source.test:8080/trust/FHIR/Patient",
    "http://source.test:8080//trust/fhir/Patient",
    "/Patient",
    "/other/fhir/Patient",
    # dot segments, plain and encoded
    "../admin",
    "../../admin",
    "Patient/../../../admin",
    "http://source.test:8080/trust/fhir/../admin",
    "http://source.test:8080/trust/fhir/..",
    "http://source.test:8080/trust/fhir/../fhir/Patient",
    "http://source.test:8080/trust/fhir/./Patient",
    "http://source.test:8080/trust/fhir/...//admin",
    "http://source.test:8080/trust/fhir/%2e%2e/admin",
    "http://source.test:8080/trust/fhir/%2E%2E/admin",
    "http://source.test:8080/trust/fhir/.%2e/admin",
    "http://source.test:8080/trust/fhir/%2e./admin",
    "http://source.test:8080/trust/fhir/%252e%252e/admin",
    "http://source.test:8080/trust/fhir/%c0%ae%c0%ae/admin",
    "http://source.test:8080/trust/fhir/%u002e%u002e/admin",
    "http://source.test:8080/trust/fhir/..%2fadmin",
    "http://source.test:8080/trust/fhir/..%252fadmin",
    "http://source.test:8080/trust/fhir/..;/admin",
    "http://source.test:8080/trust/fhir/..;x=1/admin",
    "http://source.test:8080/trust/fhir/;/../admin",
    "http://source.test:8080/trust/fhir/..%00/admin",
    "http://source.test:8080/trust/fhir/.\t./admin",
    "http://source.test:8080/trust/fhir/.\n./admin",
    "%2e%2e/%2e%2e/admin",
    "..;/admin",
    # characters that end a request line or hide
    "Patient x",
    "Patient HTTP/1.1\r\nHost: evil.test\r\n\r\n",
    "Patient\r\nX-Evil: 1",
    "Patient\x00",
    "Patient\x7f",
    "\x01http://source.test:8080/trust/fhir/Patient",
    " http://source.test:8080/trust/fhir/Patient",
    "Patient?name=é",
    "Patient\u202e",
]


@pytest.mark.parametrize("link", FOREIGN)
def test_a_link_that_leaves_the_source_is_not_followed(link: str) -> None:
    with pytest.raises(WrongContent) as caught:
        resolve(BASE, link)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    ("link", "followed"),
    [
        (BASE, BASE),
        (f"{BASE}?_getpages=1f3a&_getpagesoffset=20", f"{BASE}?_getpages=1f3a&_getpagesoffset=20"),
        (f"{BASE}/Patient?x=a|b%7Cc&y=../..//%2e", f"{BASE}/Patient?x=a|b%7Cc&y=../..//%2e"),
        ("HTTP://SOURCE.TEST:8080/trust/fhir/Patient", f"{BASE}/Patient"),
        ("http://source.test:08080/trust/fhir/Patient", f"{BASE}/Patient"),
        ("//source.test:8080/trust/fhir/Patient", f"{BASE}/Patient"),
        ("/trust/fhir/Patient?page=2", f"{BASE}/Patient?page=2"),
        ("Patient?page=2", f"{BASE}/Patient?page=2"),
        ("?page=2", f"{BASE}/?page=2"),
        ("Patient/P_100~1/Appointment", f"{BASE}/Patient/P_100~1/Appointment"),
        ("Patient/$gpc.getstructuredrecord", f"{BASE}/Patient/$gpc.getstructuredrecord"),
        ("Patient/1.2.3/_history/4", f"{BASE}/Patient/1.2.3/_history/4"),
        ("Patient#https://evil.test", f"{BASE}/Patient"),
        ("http:Patient", f"{BASE}/Patient"),
        ("Patient/../Observation", f"{BASE}/Observation"),
    ],
)
def test_a_link_below_the_base_is_followed_letter_for_letter(link: str, followed: str) -> None:
    assert resolve(BASE, link) == followed
    assert resolve(BASE, followed) == followed


def test_the_default_port_is_the_same_said_or_unsaid() -> None:
    assert resolve("https://source.test/fhir", "https://source.test:443/fhir/x") == "https://source.test/fhir/x"
    assert resolve("http://source.test:80/fhir", "http://source.test/fhir/x") == "http://source.test:80/fhir/x"
    with pytest.raises(WrongContent):
        resolve("http://source.test/fhir", "http://source.test:443/fhir/x")


def test_a_base_without_a_path_still_has_an_origin() -> None:
    assert resolve("http://source.test", "/Patient") == "http://source.test/Patient"
    assert resolve("http://source.test", "http://source.test?x=1") == "http://source.test?x=1"
    assert resolve("http://source.test", "http://source.test//evil.test/x") == "http://source.test//evil.test/x"
    with pytest.raises(WrongContent):
        resolve("http://source.test", "http://source.test.evil.test/Patient")


PIECES = ["http:", "//", "/", "\\", "source.test:8080", "evil.test", "@", "..", ".", "%2e", "%2f", "%5c", "%25", ";"]
PIECES += ["trust", "fhir", "Patient", "?", "#", "\t", "\n", " ", ":", "%00", "é", "["]


def assert_stays(url: str) -> None:
    """The URL is on the base, for every reader of URLs that we know, however often a server decodes its path."""
    for host, port, path in (
        (urlsplit(url).hostname, urlsplit(url).port, urlsplit(url).path),
        (httpx2.URL(url).host, httpx2.URL(url).port, httpx2.URL(url).path),
        (yarl.URL(url, encoded=True).host, yarl.URL(url, encoded=True).port, yarl.URL(url, encoded=True).raw_path),
    ):
        assert (host, port) == ("source.test", 8080)
        for _ in range(3):
            assert path == "/trust/fhir" or path.startswith("/trust/fhir/")
            assert not {".", ".."}.intersection(path.replace("\\", "/").replace(";", "/").split("/"))
            path = unquote(path)


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_whatever_is_followed_stays(link: str) -> None:
    try:
        url = resolve(BASE, link)
    except WrongContent:
        return
    assert_stays(url)


def test_every_short_mixture_stays() -> None:
    followed = 0
    for pieces in itertools.product(PIECES, repeat=3):
        try:
            url = resolve(BASE, "http://source.test:8080/trust/fhir/" + "".join(pieces))
        except WrongContent:
            continue
        followed += 1
        assert_stays(url)
    assert followed > 500


def test_the_fault_of_an_address_says_what_to_do() -> None:
    assert address_fault("https://source.test/fhir/R4/") is None
    assert address_fault("http://127.0.0.1:8000") is None
    assert address_fault("https://u:p@source.test") == "must not hold a user name or password; use auth"
    assert address_fault("https://source.test/?x") == "must not hold a query or fragment"
    assert address_fault("source.test") == "must be a whole http or https URL"
    assert address_fault("http://[") == "is not a URL"


@pytest.mark.parametrize("base", ["http://source.test", "https://source.test:8443/fhir/R4"])
@pytest.mark.parametrize("query", ["_count=3", "identifier=https%3A%2F%2Fx%7C1&a=//b/../c?d", "x=%2e%2e/@y:z"])
def test_a_search_by_its_name_leads_where_its_whole_address_does(base: str, query: str) -> None:
    assert resolve(base, f"Patient?{query}") == resolve(base, f"{base}/Patient?{query}") == f"{base}/Patient?{query}"


@pytest.mark.parametrize("url", ["Patient?a=b c", "Patient?a=\r\nHost:x", "Patient?a=é", "../Patient?a=b"])
def test_a_search_by_its_name_is_held_to_the_same_rules(url: str) -> None:
    with pytest.raises(WrongContent):
        resolve("http://source.test/fhir", url)

"""Whether a sender is the one a token was given to: bindings, certificates from the proxy, and nobody else's word."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

import pytest

from gateway.caller.certificate import Proxies, certificate_thumbprint
from gateway.caller.credentials import Credentials
from gateway.caller.dpop import Proofs
from gateway.caller.presented import Presented
from gateway.caller.sender import Senders
from gateway.caller.settings import IssuerSettings
from gateway.caller.tokens import VerifiedToken
from gateway.errors import BadRequest, NotSignedIn
from tests.marks import Marks
from tests.proofs import Prover, b64

DER: Final = b"0\x82 any bytes: their hash is all that is compared"
CLIENT_CERT: Final = f":{base64.b64encode(DER).decode()}:"
THUMBPRINT: Final = b64(hashlib.sha256(DER).digest())
PROXY: Final = "10.9.9.9"
URL: Final = "https://connect-care.test/fhir/R4/Patient/9990000409"
TOKEN: Final = "aa.bb.cc"
NOW: Final = 1_800_000_000.0
SETTINGS: Final = IssuerSettings(issuer="https://issuer.test", audience="a", algorithms=("ES256",))


def presented(*certificate: str, peer: str = PROXY, dpop: tuple[str, ...] = ()) -> Presented:
    return Presented((), dpop, certificate, "GET", URL, peer)


class Bench:
    def __init__(self, *, required: bool = True) -> None:
        self.prover = Prover(clock=lambda: NOW)
        self.senders = Senders(Proofs(Marks(), clock=lambda: NOW), Proxies([PROXY]), required)

    async def check(self, scheme: str, cnf: Any = None, *, certificate: str = "", dpop: bool = False) -> None:
        claims = {} if cnf is None else {"cnf": cnf}
        token = VerifiedToken(SETTINGS, claims, None, "ES256", "")
        proofs = (self.prover.proof("GET", URL, TOKEN),) if dpop else ()
        sent = presented(*([certificate] if certificate else []), dpop=proofs)
        await self.senders.check(sent, Credentials(scheme, TOKEN), token, self.senders.certificate(sent))

    async def refused(self, *args: Any, **kwargs: Any) -> str:
        with pytest.raises(NotSignedIn) as refused:
            await self.check(*args, **kwargs)
        return refused.value.rule


async def test_a_token_that_is_bound_passes_with_what_it_is_bound_to() -> None:
    bench = Bench()
    await bench.check("DPoP", bench.prover.cnf, dpop=True)
    await bench.check("Bearer", {"x5t#S256": THUMBPRINT}, certificate=CLIENT_CERT)
    await bench.check("DPoP", bench.prover.cnf | {"x5t#S256": THUMBPRINT}, certificate=CLIENT_CERT, dpop=True)


async def test_a_token_that_is_bound_to_nothing_passes_only_where_binding_is_optional() -> None:
    assert await Bench().refused("Bearer") == "token.unbound"
    assert await Bench().refused("Bearer", certificate=CLIENT_CERT) == "token.unbound"
    await Bench(required=False).check("Bearer")


async def test_optional_is_about_tokens_without_a_binding_alone() -> None:
    bench = Bench(required=False)
    assert await bench.refused("Bearer", {"x5t#S256": THUMBPRINT}) == "token.certificate"
    assert await bench.refused("Bearer", bench.prover.cnf) == "token.scheme"
    assert await bench.refused("DPoP", bench.prover.cnf) == "dpop.header"


async def test_the_scheme_must_be_that_of_the_binding() -> None:
    bench = Bench(required=False)
    assert await bench.refused("Bearer", bench.prover.cnf, dpop=True) == "token.scheme"
    assert await bench.refused("DPoP", dpop=True) == "token.scheme"
    assert await bench.refused("DPoP", {"x5t#S256": THUMBPRINT}, certificate=CLIENT_CERT, dpop=True) == "token.scheme"


async def test_of_two_bindings_both_must_hold() -> None:
    bench = Bench()
    both = bench.prover.cnf | {"x5t#S256": THUMBPRINT}
    assert await bench.refused("DPoP", both, dpop=True) == "token.certificate"
    assert await bench.refused("DPoP", both, certificate=CLIENT_CERT) == "dpop.header"
    assert await bench.refused("Bearer", both, certificate=CLIENT_CERT) == "token.scheme"


async def test_another_certificate_is_another() -> None:
    other = f":{base64.b64encode(b'another').decode()}:"
    assert await Bench().refused("Bearer", {"x5t#S256": THUMBPRINT}, certificate=other) == "token.certificate"


@pytest.mark.parametrize(
    "cnf",
    [{}, [], "jkt", 7, {"jkt": 7}, {"jkt": ""}, {"jkt": None}, {"kid": "a"}, {"jkt": "a", "jwk": {}}, {"jkt": "ä"}],
    ids=str,
)
async def test_a_binding_that_cannot_be_checked_is_refused(cnf: Any) -> None:
    assert await Bench(required=False).refused("DPoP", cnf, dpop=True) == "token.binding"


def test_the_thumbprint_is_that_of_rfc_8705() -> None:
    assert certificate_thumbprint(presented(CLIENT_CERT), Proxies([PROXY])) == THUMBPRINT
    assert certificate_thumbprint(presented(f" {CLIENT_CERT} "), Proxies([PROXY])) == THUMBPRINT
    assert certificate_thumbprint(presented(), Proxies([])) is None


NOT_ONE: Final = {
    "empty": [""],
    "no colons": [base64.b64encode(DER).decode()],
    "an empty byte sequence": ["::"],
    "base64url": [":_-__:"],
    "padding in the middle": [":AA==AAAA:"],
    "a length that no base64 has": [":AAAAA:"],
    "PEM": ["-----BEGIN CERTIFICATE----- AAAA -----END CERTIFICATE-----"],
    "parameters": [f"{CLIENT_CERT};a=1"],
    "a list": [f"{CLIENT_CERT}, {CLIENT_CERT}"],
    "two headers": [CLIENT_CERT, CLIENT_CERT],
    "enormous": [f":{'A' * 20_000}:"],
}


@pytest.mark.parametrize("name", NOT_ONE)
def test_a_header_that_is_not_one_certificate_is_refused(name: str) -> None:
    with pytest.raises(NotSignedIn) as refused:
        certificate_thumbprint(presented(*NOT_ONE[name]), Proxies([PROXY]))
    assert refused.value.rule == "certificate.header"


@pytest.mark.parametrize("peer", ["", "127.0.0.1", "10.9.9.8", "::1", "unix:/run/other.sock", "10.9.9.9:80", "proxy"])
def test_from_anybody_else_the_header_is_refused_whatever_it_says(peer: str) -> None:
    for certificate in (CLIENT_CERT, ""):
        with pytest.raises(BadRequest) as refused:
            certificate_thumbprint(presented(certificate, peer=peer), Proxies([PROXY, "unix:/run/gateway.sock"]))
        assert (refused.value.rule, refused.value.status) == ("certificate.not-from-the-proxy", 400)


def test_proxies_are_addresses_small_networks_and_our_own_sockets() -> None:
    proxies = Proxies(["10.9.9.9", "10.8.0.0/24", "fd00::1", "unix:/run/gateway.sock"])
    for peer in ("10.9.9.9", "::ffff:10.9.9.9", "10.8.0.77", "fd00::1", "unix:/run/gateway.sock"):
        assert proxies.believes(peer), peer
    for peer in ("10.8.1.0", "fd00::2", "unix:/run/gateway.sock2", "unix:", ""):
        assert not proxies.believes(peer), peer
    assert proxies
    assert not Proxies([])


@pytest.mark.parametrize("written", ["0.0.0.0/0", "10.0.0.0/8", "fd00::/64", "proxy.test", "10.9.9.9/24", ""])
def test_what_is_no_proxy_is_not_taken_for_one(written: str) -> None:
    with pytest.raises(ValueError, match=r"addresses|does not appear|host bits"):
        Proxies([written])

"""Where clients learn how to sign in, before they have a token.

    /fhir/R4/.well-known/smart-configuration        SMART App Launch 2.2, "Conformance"; also at the server's root
    /.well-known/oauth-protected-resource           RFC 9728, of the gateway; and with the path of its FHIR API

What they say of an issuer is what that issuer's own discovery document says. Where only one can be named (SMART names
one `issuer`) it is the first of the settings at which people sign in; RFC 9728 lists all.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from gateway.api.capability import OAuthAddresses
from gateway.api.challenge import FHIR_PATH, METADATA
from gateway.api.door import parts_of
from gateway.caller.directory import Published
from gateway.caller.dpop import ALGORITHMS
from gateway.caller.refusals import SignInUnavailable
from gateway.caller.settings import IssuerSettings
from gateway.errors import GatewayError, NotFound
from gateway.parts import Parts

router = APIRouter(include_in_schema=False)
_SMART: Final = "/.well-known/smart-configuration"
_SMART_MEMBERS: Final = (
    "issuer", "jwks_uri", "authorization_endpoint", "token_endpoint", "registration_endpoint",
    "introspection_endpoint", "revocation_endpoint", "grant_types_supported", "response_types_supported",
    "scopes_supported", "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported",
    "dpop_signing_alg_values_supported",
)  # fmt: skip
_OURS: Final = ("permission-patient", "permission-user", "permission-v1", "permission-v2")
"""What the gateway itself makes of scopes, whoever issues the token."""
_OF_METHODS: Final = (
    ("client-public", frozenset({"none"})),
    ("client-confidential-symmetric", frozenset({"client_secret_basic", "client_secret_post", "client_secret_jwt"})),
    ("client-confidential-asymmetric", frozenset({"private_key_jwt"})),
)


@router.get(FHIR_PATH + _SMART)
@router.get(_SMART)
async def smart_configuration(request: Request) -> Response:
    """JSON, whatever the client says it accepts (SMART asks for that)."""
    directory = parts_of(request).directory
    if not directory.issuers:
        raise NotFound(
            "People sign in to Connect Care in their own system: there is no sign-in here.", rule="smart.none"
        )
    first = await directory.first()
    if first is None or "token_endpoint" not in first[1]:
        raise _unavailable()
    return JSONResponse(_smart(*first))


@router.get(METADATA)
@router.get(METADATA + "/{path:path}")
async def protected_resource(request: Request, path: str = "") -> Response:
    """RFC 9728, section 3: the metadata of the gateway, or of its FHIR API, whose paths follow the well-known one."""
    parts = parts_of(request)
    base = parts.settings.public_url.rstrip("/")
    resources = {urlsplit(url).path.strip("/"): url for url in (base, base + FHIR_PATH)}
    resource = resources.get(path.strip("/")) if path else base
    if resource is None:
        raise NotFound(
            "Connect Care is no resource of that path. Ask for its FHIR API's: /fhir/R4.", rule="resource.none"
        )
    return JSONResponse(_protected(resource, parts))


async def oauth_addresses(parts: Parts) -> OAuthAddresses | None:
    """Where to sign in, for the CapabilityStatement (`oauth-uris`); None where that isn't known just now."""
    first = await parts.directory.first()
    if first is None or not {"authorization_endpoint", "token_endpoint"} <= first[1].keys():
        return None
    return OAuthAddresses(authorize=first[1]["authorization_endpoint"], token=first[1]["token_endpoint"])


def _smart(settings: IssuerSettings, published: Published) -> dict[str, Any]:
    document = {name: published[name] for name in _SMART_MEMBERS if name in published}
    methods = published.get("code_challenge_methods_supported", [])
    document["code_challenge_methods_supported"] = [method for method in methods if method != "plain"]
    document["capabilities"] = _capabilities(settings, published)
    return document


def _capabilities(settings: IssuerSettings, published: Published) -> list[str]:
    """What the issuer's document shows, what the gateway does, and what the settings add of the issuer."""
    # OpenID Connect Discovery 1.0, section 3: left out, it means client_secret_basic.
    methods = set(published.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]))
    found = [name for name, any_of in _OF_METHODS if methods & any_of]
    if "authorization_endpoint" in published:
        found.append("launch-standalone")
    if "openid" in published.get("scopes_supported", ()) and "jwks_uri" in published:
        found.append("sso-openid-connect")
    return sorted({*found, *_OURS, *settings.smart_capabilities})


def _protected(resource: str, parts: Parts) -> dict[str, Any]:
    settings = parts.settings
    types = sorted(parts.usable.types(None))
    document: dict[str, Any] = {
        "resource": resource,
        "resource_name": "Connect Care",
        "bearer_methods_supported": ["header"],
        "scopes_supported": [f"{kind}/{name}.rs" for kind in ("patient", "user") for name in types],
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
        "dpop_bound_access_tokens_required": settings.sender_must_prove and not settings.certificate_proxies,
        "tls_client_certificate_bound_access_tokens": bool(settings.certificate_proxies),
    }
    servers = [each.issuer for each in parts.directory.issuers]
    return document | ({"authorization_servers": servers} if servers else {})


def _unavailable() -> GatewayError:
    return SignInUnavailable("the issuer's discovery document can't be had")

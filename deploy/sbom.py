"""The software bill of materials of a gateway, as CycloneDX 1.6 JSON: `make sbom`, or `python -m deploy.sbom FILE`."""

from __future__ import annotations

import sys
import tomllib
import uuid
from pathlib import Path
from typing import Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as Listed
from cyclonedx.model.component import ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from deploy.components import ROOT, Component, components, read_licences, refused

_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:connect-care:sbom")


def bill(found: list[Component], version: str) -> Bom:
    """The bill for one release: the same components make the same bill, but for the moment at which it was made."""
    gateway = Listed(
        name="connect-care",
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=f"connect-care@{version}",
        licenses=_licences("MIT"),
    )
    made = Bom(metadata=BomMetaData(component=gateway), components=map(_listed, found))
    made.serial_number = uuid.uuid5(_NAMESPACE, repr((version, found)))
    made.register_dependency(gateway, made.components)
    return made


def _listed(one: Component) -> Listed:
    purl = PackageURL(one.kind, None, one.name, one.version)
    return Listed(
        name=one.name,
        version=one.version,
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string(),
        purl=purl,
        licenses=_licences(one.licence),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one.sha256)] if one.sha256 else [],
    )


def _licences(expression: str) -> list[License]:
    return [LicenseFactory().make_from_string(expression)]


def main(place: str = "build/sbom/connect-care.cdx.json") -> int:
    """1 where a component's licence is one that a gateway may not be made with."""
    licences = read_licences()
    found = components(licences)
    if wrong := refused(found, licences.allowed):
        print("\n".join(wrong))
        return 1
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    file = Path(place)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(JsonV1Dot6(bill(found, version)).output_as_string(indent=2) + "\n", encoding="utf-8")
    print(f"{file}: {len(found)} components")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

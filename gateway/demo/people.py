"""The demo's people: one for each role, and as many more as are asked for. All are made up."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_SPOKEN: Final = re.compile(r"([a-z-]{2,40})(?:@([A-Z0-9]{2,6}))?", re.ASCII)
_MORE_NAMES: Final = (
    ("Imogen", "Farrow"),
    ("Tomasz", "Lind"),
    ("Adaeze", "Holloway"),
    ("Ravi", "Sandhurst"),
    ("Niamh", "Corbett"),
    ("Owen", "Delacroix"),
    ("Leila", "Marchbank"),
    ("Samuel", "Okafor-Reed"),
)


class NoSuchPerson(LookupError):
    """The demo has nobody of that role. The text says whom it has."""


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """Somebody who can sign in to the demo: one role profile in one organisation."""

    role: str
    organisation: str
    given_name: str
    family_name: str
    title: str
    job_role: str
    job_role_name: str
    activities: tuple[str, ...] = ()
    private: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What the issuer says of them as a private person: `birthdate`, `address`, `nhs_number`."""

    @property
    def spoken(self) -> str:
        """How a person is asked for: `gp@G85005`."""
        return f"{self.role}@{self.organisation}"

    @property
    def user_id(self) -> str:
        """Twelve digits, as in Care Identity; 555 opens those that its test systems give out."""
        return "555" + self._digits("user")

    @property
    def name(self) -> str:
        """As Care Identity writes it: family name, given name, title."""
        return f"{self.family_name.upper()} {self.given_name} {self.title}"

    def claims(self) -> dict[str, Any]:
        """Care Identity's claims about this person."""
        profile = "555" + self._digits("profile")
        return {
            "sub": self.user_id,
            "nhsid_useruid": self.user_id,
            "name": self.name,
            "given_name": self.given_name,
            "family_name": self.family_name,
            "nhsid_nrbac_roles": [
                {
                    "person_orgid": "555" + self._digits("organisation"),
                    "person_roleid": profile,
                    "org_code": self.organisation,
                    "role_code": self.job_role,
                    "role_name": self.job_role_name,
                    "activity_codes": list(self.activities),
                }
            ],
            "selected_roleid": profile,
            **self.private,
        }

    def _digits(self, of: str) -> str:
        digest = hashlib.sha256(f"{of}|{self.spoken}".encode()).digest()
        return f"{int.from_bytes(digest[:8]) % 10**9:09d}"


_EMERGENCY: Final = "B0168"
_LOGS: Final = ("B0011", "B0015", "B0016")
PEOPLE: Final = (
    DemoPerson(
        "gp", "G85005", "Meera", "Ashworth", "Dr", "S8000:G8000:R8000",
        '"Clinical":"Clinical Provision":"Clinical Practitioner Access Role"', (_EMERGENCY,),
    ),
    DemoPerson(
        "hospital-doctor", "RJ2", "Kwame", "Thornbury", "Dr", "S8000:G8000:R8000",
        '"Clinical":"Clinical Provision":"Clinical Practitioner Access Role"', (_EMERGENCY,),
    ),
    DemoPerson(
        "nurse", "RJ2", "Siobhan", "Vale", "Ms", "S8000:G8000:R8001",
        '"Clinical":"Clinical Provision":"Nurse Access Role"', (_EMERGENCY,),
    ),
    DemoPerson(
        "district-nurse", "RPG", "Patience", "Wetherby", "Mrs", "S8000:G8000:R8001",
        '"Clinical":"Clinical Provision":"Nurse Access Role"',
    ),
    DemoPerson(
        "occupational-therapist", "RPG", "Daniel", "Quayle", "Mr", "S8000:G8000:R8003",
        '"Clinical":"Clinical Provision":"Health Professional Access Role"',
    ),
    DemoPerson(
        "social-worker", "709", "Yasmin", "Prescott", "Ms", "S8000:G8000:R8014",
        '"Clinical":"Clinical Provision":"Social Worker Access Role"',
    ),
    DemoPerson(
        "privacy-officer", "RJ2", "Graham", "Ellery", "Mr", "S8001:G8003:R0001",
        '"Support":"Privacy":"Privacy Officer"', _LOGS,
    ),
    DemoPerson(
        "commissioner", "08L", "Helen", "Marlowe", "Ms", "S8001:G8002:R8012",
        '"Support":"Support":"Information Officer Access Role"',
    ),
)  # fmt: skip

ALSO_PATIENTS: Final = (
    DemoPerson(
        "nurse", "G83021", "Siobhan", "Murphy", "Ms", "S8000:G8000:R8001",
        '"Clinical":"Clinical Provision":"Nurse Access Role"', (_EMERGENCY,),
        {
            "birthdate": "1992-04-05",
            "nhs_number": "9990000751",
            "address": {"street_address": "5 Vanbrugh Terrace", "postal_code": "SE3 7AP"},
        },
    ),
    DemoPerson(
        "hospital-doctor", "RPG", "Linh", "Nguyen", "Dr", "S8000:G8000:R8000",
        '"Clinical":"Clinical Provision":"Clinical Practitioner Access Role"', (),
        {
            "birthdate": "1988-01-30",
            "address": {"street_address": "18 Plumstead Common Rd", "postal_code": "SE18 3TN"},
        },
    ),
)  # fmt: skip
"""Staff who show what the privacy officer's alerts are for: one who is a patient of her own practice, and one who
shares surname and address with a child on record."""


def person(spoken: str) -> DemoPerson:
    """The person for `gp`, or for `gp@G85004`: somebody else of that role, in that organisation.

    Raises NoSuchPerson.
    """
    match = _SPOKEN.fullmatch(spoken)
    of_role = next((each for each in PEOPLE if match and each.role == match[1]), None)
    if match is None or of_role is None:
        raise NoSuchPerson(f"Ask for one of {', '.join(each.role for each in PEOPLE)}, or for gp@G85004.")
    if match[2] in (None, of_role.organisation):
        return of_role
    also = (each for each in ALSO_PATIENTS if (each.role, each.organisation) == (match[1], match[2]))
    return next(also, None) or _colleague(of_role, match[2])


def _colleague(of_role: DemoPerson, organisation: str) -> DemoPerson:
    digest = hashlib.sha256(f"{of_role.role}@{organisation}".encode()).digest()
    given_name, family_name = _MORE_NAMES[digest[0] % len(_MORE_NAMES)]
    return DemoPerson(
        of_role.role, organisation, given_name, family_name, of_role.title,
        of_role.job_role, of_role.job_role_name, of_role.activities,
    )  # fmt: skip

"""GP Connect's STU3 resources become UK Core R4, resource by resource, and nothing is lost silently.

`translate` takes the resources of the collection Bundle, in any order, and accounts for every one of them. How each
type is translated is in `resources/`, one table a file; what holds for all of them is in `tidy` (references, code
systems, extensions, empty text). Where and why our output differs from other translations: docs/decisions/0008.
"""

from connectors.gp_connect.stu3.model import ListStatement, Translated
from connectors.gp_connect.stu3.reasons import Reason
from connectors.gp_connect.stu3.translation import prepare, translate

__all__ = ["ListStatement", "Reason", "Translated", "prepare", "translate"]

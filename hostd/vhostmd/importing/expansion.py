"""What stands in shell text for each of vhostmd's tokens: the expansion of a variable, in the quotes that are there."""

import enum
from collections.abc import Mapping

VARIABLES: Mapping[str, str] = {
    "NAME": "VIRTWIRE_DOMAIN_NAME",
    "VMID": "VIRTWIRE_DOMAIN_ID",
    "UUID": "VIRTWIRE_DOMAIN_UUID",
}
CONNECT = "CONNECT"
HOSTILE = "NAME"
"""The rest are libvirt's own numbers, and the operator's URI."""
URI = "VIRTWIRE_URI"


class Form(enum.Enum):
    """How an expansion is written: what a variable's is, and what CONNECT becomes; $ stands for the variable."""

    UNQUOTED = '"$"', '--connect "$"'
    DOUBLE = "${}", "--connect '${}'"
    SINGLE = "'\"$\"'", "--connect '\"$\"'"
    BARE = "${}", "--connect ${}"

    def written(self, token: str) -> str:
        """What stands for `token`."""
        variable, connect = self.value
        template = connect if token == CONNECT else variable
        name = VARIABLES.get(token, URI)
        return template.replace("${}", f"${{{name}}}") if "${}" in template else template.replace("$", f"${name}")

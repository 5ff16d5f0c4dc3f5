"""For mkdocstrings: docstrings name things as Sphinx does, :func:`down`; pages show `down`."""

import re
from typing import Any

import griffe

ROLE = re.compile(r':(?:func|class|meth|mod|data|attr):`~?([^`]+)`')


class SphinxRoles(griffe.Extension):
    """Turns the roles of a docstring into code, and drops the '::' before a block."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            text = ROLE.sub(r'`\1`', obj.docstring.value)
            obj.docstring.value = re.sub(r'^::\n', '', text, flags=re.MULTILINE)

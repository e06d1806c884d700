"""A Griffe extension: what the stubs and their docstrings say in Python's way, said so that the site understands it.

Roles, such as ``:class:`Client```, become links or code, and classes that are made by ``__new__`` get its parameters.
Docstrings are written for editors and ``help()``; Markdown knows no roles. What the roles name is looked up in the
public classes of the package; where it is not documented on the site it becomes code and no link.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:py:)?(?:class|meth|func|attr|exc|mod|data):`~?([^`]+)`")
LITERAL = re.compile(r"(?<!`)``([^`]+)``(?!`)")

# Where the pages of the reference document what a bare name means; the first that knows the name wins.
HOMES = (
    "aerospike_py._aerospike",
    "aerospike_py.types",
    "aerospike_py.stages",
    "aerospike_py.probes",
    "aerospike_py.async_pool",
    "aerospike_py.numpy_batch",
    "aerospike_py.testing.server",
    "aerospike_py.testing.fixtures",
    "aerospike_py",
)


class DocstringRoles(griffe.Extension):
    """Rewrites the docstrings of the package once all of it is loaded."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Rewrite every docstring of the package."""
        self._rewrite(pkg, pkg)

    def _rewrite(self, pkg: griffe.Module, described: griffe.Object) -> None:
        if described.docstring is not None:
            text = ROLE.sub(lambda role: link(pkg, described, role.group(1)), described.docstring.value)
            described.docstring.value = LITERAL.sub(r"`\1`", text)
        if described.is_class and "__new__" in described.members:
            # Griffe looks for the parameters of a class in __init__ only; classes of the extension have none.
            made_by = described.members["__new__"]
            if isinstance(made_by, griffe.Function):
                made_by.returns = None
                described.members.setdefault("__init__", made_by)
        for member in list(described.members.values()):
            if isinstance(member, griffe.Object):
                self._rewrite(pkg, member)


def link(pkg: griffe.Module, described: griffe.Object, name: str) -> str:
    """Return the Markdown for a name that a docstring mentions."""
    shown = name.removeprefix(f"{pkg.path}.").rpartition(".")[2] if name.startswith(pkg.path) else name
    target = found(pkg, described, name)
    return f"[`{shown}`][{target}]" if target else f"`{shown}`"


def found(pkg: griffe.Module, described: griffe.Object, name: str) -> str | None:
    """Return the path under which the site documents what a docstring of this object mentions."""
    scope: griffe.Object | None = described if described.is_class else described.parent
    candidates = [f"{scope.path}.{name}"] if scope is not None and scope.is_class else []
    candidates += [f"{home}.{name}" for home in HOMES]
    if name.startswith(f"{pkg.path}."):
        short = name.removeprefix(f"{pkg.path}.")
        candidates = [name, *(f"{home}.{short}" for home in HOMES)]
    for candidate in candidates:
        try:
            member = pkg[candidate.removeprefix(f"{pkg.path}.")]
        except KeyError:
            continue
        if not member.is_alias and not member.is_module:
            return candidate
    return None

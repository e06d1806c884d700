"""Roles of docstrings become links where the site documents what they name, and code elsewhere."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# It comes with the requirements of the linters and of the site; without the GIL only those of the tests are installed.
griffe = pytest.importorskip("griffe")

sys.path.insert(0, str(ROOT / "scripts" / "site"))
import docstring_roles  # noqa: E402 - needs griffe


@pytest.fixture(scope="module")
def package():
    return griffe.load(
        "aerospike_py",
        search_paths=[ROOT / "python"],
        allow_inspection=False,
        extensions=griffe.Extensions(docstring_roles.DocstringRoles()),
    )


def docstrings(described):
    if described.docstring is not None:
        yield described.path, described.docstring.value
    for member in described.members.values():
        if isinstance(member, griffe.Object):
            yield from docstrings(member)


def test_no_role_and_no_double_backtick_is_left(package):
    texts = dict(docstrings(package))
    assert len(texts) > 100
    assert [path for path, text in texts.items() if docstring_roles.ROLE.search(text)] == []
    assert [path for path, text in texts.items() if docstring_roles.LITERAL.search(text)] == []
    assert "    ```python\n    with aerospike_py.client(" in texts["aerospike_py._aerospike.Client"]


@pytest.mark.parametrize(
    ("where", "name", "markdown"),
    [
        ("_aerospike.AsyncClient.put", "Client.put", "[`Client.put`][aerospike_py._aerospike.Client.put]"),
        (
            "_aerospike.LazyBatchRecords.to_dict",
            "by_set",
            "[`by_set`][aerospike_py._aerospike.LazyBatchRecords.by_set]",
        ),
        (
            "_aerospike.LazyBatchRecords",
            "aerospike_py.types.ClientConfig",
            "[`ClientConfig`][aerospike_py.types.ClientConfig]",
        ),
        ("_aerospike.Client", "KeyError", "`KeyError`"),
    ],
)
def test_names_are_looked_up_where_the_site_documents_them(package, where, name, markdown):
    assert docstring_roles.link(package, package[where], name) == markdown


def test_classes_of_the_extension_show_their_parameters(package):
    assert [parameter.name for parameter in package["_aerospike.Client"].parameters] == ["cls", "config"]

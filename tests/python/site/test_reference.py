"""The reference on the site has every public name, once; constants are told by their stubs."""

import re
from collections import Counter
from types import ModuleType

import aerospike_py
import pytest
from pages import ROOT

DIRECTIVE = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
DOCUMENTED = Counter(
    path for page in sorted((ROOT / "docs" / "reference").glob("*.md")) for path in DIRECTIVE.findall(page.read_text())
)
# Old names of exceptions; the page about errors mentions them in its text.
RENAMED = {"IndexError", "TimeoutError"}
# Shapes of arguments, closed sets of numbers: named in the signatures that take them.
SHAPES = {
    "AerospikeRecord",
    "AuthMode",
    "BatchRecords",
    "PolicyCommitLevel",
    "PolicyExists",
    "PolicyGen",
    "PolicyKey",
    "PolicyReadModeAP",
    "PolicyReplica",
    "TTL",
}


def public_names():
    names = {name for name in aerospike_py.__all__ if not name.isupper() and not name.startswith("_")} - RENAMED
    return sorted(name for name in names - SHAPES if not isinstance(getattr(aerospike_py, name), ModuleType))


@pytest.mark.parametrize("name", public_names())
def test_the_name_is_in_the_reference(name):
    pages = [path for path in DOCUMENTED if path.rpartition(".")[2] == name]
    assert pages, f"document {name}: add a line `::: path.of.{name}` to a page in docs/reference"


def test_nothing_is_documented_twice():
    assert [path for path, count in DOCUMENTED.items() if count > 1] == []

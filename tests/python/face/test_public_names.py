"""What the package exports, under which names, with which numbers."""

import ast
import logging
import subprocess
import sys
from pathlib import Path

import aerospike_py
import pytest
from aerospike_py import constants, exception

STUB = ast.parse((Path(aerospike_py.__file__).parent / "_aerospike.pyi").read_text())

TREE = {
    "AerospikeError": ["Exception"],
    "ClientError": ["AerospikeError"],
    "BackpressureError": ["ClientError"],
    "RustPanicError": ["ClientError"],
    "ClusterError": ["AerospikeError"],
    "AerospikeTimeoutError": ["AerospikeError"],
    "InvalidArgError": ["AerospikeError", "ValueError"],
    "RecordError": ["AerospikeError"],
    "RecordNotFound": ["RecordError"],
    "RecordExistsError": ["RecordError"],
    "RecordGenerationError": ["RecordError"],
    "RecordTooBig": ["RecordError"],
    "BinNameError": ["RecordError", "ValueError"],
    "BinExistsError": ["RecordError"],
    "BinNotFound": ["RecordError"],
    "BinTypeError": ["RecordError"],
    "FilteredOut": ["RecordError"],
    "ServerError": ["AerospikeError"],
    "AerospikeIndexError": ["ServerError"],
    "IndexNotFound": ["AerospikeIndexError"],
    "IndexFoundError": ["AerospikeIndexError"],
    "QueryError": ["ServerError"],
    "QueryAbortedError": ["QueryError"],
    "AdminError": ["ServerError"],
    "UDFError": ["ServerError"],
}


def constants_of_the_stub():
    """Names and values of ``NAME: Final[Literal[value]]``."""
    found = {}
    for statement in STUB.body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.annotation).startswith("Final[Literal["):
            value = ast.unparse(statement.annotation).removeprefix("Final[Literal[").removesuffix("]]")
            found[ast.unparse(statement.target)] = int(value)
    return found


def test_every_exported_name_exists_once():
    assert len(aerospike_py.__all__) == len(set(aerospike_py.__all__))
    with pytest.warns(DeprecationWarning, match="hides a builtin"):
        missing = [name for name in aerospike_py.__all__ if not hasattr(aerospike_py, name)]
    assert missing == []


def test_constants_have_the_numbers_that_the_stub_declares():
    declared = constants_of_the_stub()
    assert len(declared) == 171
    assert sorted(declared) == sorted(constants.__all__)
    assert {name: getattr(aerospike_py, name) for name in declared} == declared


def test_numbers_that_go_over_the_wire_are_the_protocols():
    assert (aerospike_py.OPERATOR_READ, aerospike_py.OPERATOR_WRITE, aerospike_py.OPERATOR_INCR) == (1, 2, 5)
    assert (aerospike_py.OPERATOR_APPEND, aerospike_py.OPERATOR_PREPEND, aerospike_py.OPERATOR_TOUCH) == (9, 10, 11)
    assert aerospike_py.AEROSPIKE_ERR_RECORD_NOT_FOUND == 2
    assert aerospike_py.AEROSPIKE_ERR_TIMEOUT == 9
    assert aerospike_py.AEROSPIKE_ERR_FILTERED_OUT == 27
    assert aerospike_py.TTL_NEVER_EXPIRE == -1


@pytest.mark.parametrize("name", TREE)
def test_exceptions_form_the_tree(name):
    raised = getattr(aerospike_py, name)
    assert [base.__name__ for base in raised.__bases__] == TREE[name]
    assert raised is getattr(exception, name)
    assert (raised.__module__, raised.__qualname__) == ("aerospike_py", name)


def test_the_tree_is_complete():
    assert sorted(TREE) == sorted(exception.__all__)


@pytest.mark.parametrize("name", TREE)
def test_exceptions_made_by_hand_have_the_attributes_of_those_that_are_raised(name):
    made = getattr(aerospike_py, name)("reason")
    assert str(made) == "reason"
    assert made.result_code == -1
    assert made.in_doubt is False


@pytest.mark.parametrize("module", [aerospike_py, exception])
@pytest.mark.parametrize(
    ("old", "new"), [("TimeoutError", "AerospikeTimeoutError"), ("IndexError", "AerospikeIndexError")]
)
def test_old_names_warn_and_are_the_same_class(module, old, new):
    with pytest.warns(DeprecationWarning, match=f"{module.__name__}.{old} .* use {new}") as caught:
        renamed = getattr(module, old)
    assert renamed is getattr(aerospike_py, new)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("module", [aerospike_py, exception])
def test_other_names_are_attribute_errors(module):
    with pytest.raises(AttributeError, match=f"'{module.__name__}' has no attribute 'nothing'"):
        _ = module.nothing


def test_factories_make_the_native_classes():
    assert type(aerospike_py.client({"hosts": [("127.0.0.1", 1)]})) is aerospike_py.Client
    assert type(aerospike_py.async_client({"hosts": [("127.0.0.1", 1)]})) is aerospike_py.AsyncClient


def test_logging_stays_silent_unless_configured():
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("aerospike_py").handlers)


def test_importing_does_not_import_numpy_or_pytest():
    script = "import sys, aerospike_py.testing; print([name for name in ('numpy', 'pytest') if name in sys.modules])"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert finished.stdout.strip() == "[]"

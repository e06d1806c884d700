"""Arguments that are text: what is no text, or cannot be sent as UTF-8, is refused by its name."""

import aerospike_py
import pytest
from expectations import raises_exactly

TEXT_ARGUMENTS = [
    ("append", {"key": ("test", "demo", "k"), "bin": "b", "val": "a"}, "bin"),
    ("prepend", {"key": ("test", "demo", "k"), "bin": "b", "val": "a"}, "bin"),
    ("increment", {"key": ("test", "demo", "k"), "bin": "b", "offset": 1}, "bin"),
    ("truncate", {"namespace": "test", "set_name": "demo"}, "namespace"),
    ("truncate", {"namespace": "test", "set_name": "demo"}, "set_name"),
    ("info_all", {"command": "status"}, "command"),
    ("info_random_node", {"command": "status"}, "command"),
]


@pytest.mark.parametrize(("method", "arguments", "name"), TEXT_ARGUMENTS, ids=lambda value: str(value)[:12])
def test_text_is_needed_and_has_to_be_utf8(api, method, arguments, name):
    for half in ("\ud800", "\udfff"):
        with raises_exactly(aerospike_py.InvalidArgError, match=f"{name} has half of a surrogate pair"):
            getattr(api, method)(**{**arguments, name: half})
    with raises_exactly(TypeError, match=f"{name} must be str, not bytes"):
        getattr(api, method)(**{**arguments, name: b"b"})

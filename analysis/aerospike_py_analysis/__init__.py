"""Reads recordings of aerospike-py and explains them: which stage makes the tail, whose fault it is, what to change.

Nothing of this is loaded by the client; it runs on a laptop. ``analyse`` is the way in from Python, ``aerospike-py``
from a shell.
"""

from aerospike_py_analysis.analysis import Analysis, analyse
from aerospike_py_analysis.recording import NothingToReadError, Recording

__all__ = ["Analysis", "NothingToReadError", "Recording", "analyse"]

"""``python -m aerospike_py_analysis`` is the command line."""

import sys

from aerospike_py_analysis.cli import main

sys.exit(main())

"""Planted scenarios: workloads on the embedded server with a cause put in on purpose, and the verdict it must get.

``scenario`` says what a scenario is, ``server_side``, ``client_side``, ``python_side`` and ``several`` hold them,
``stage`` is what they run on, ``play`` runs one in a process of its own, ``score`` judges the recordings and
``__main__`` prints the table. ``simulate_check`` compares what ``aerospike-py simulate`` predicts with what is
measured. Nothing of this is installed with the package.
"""

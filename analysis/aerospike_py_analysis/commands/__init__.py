"""Commands of ``aerospike-py`` that need more than a recording: the client's extension, a server, a running process.

Each module adds its own commands to the command line. The client is imported only when one of them runs.
"""

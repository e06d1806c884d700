"""An Aerospike client for Python that accounts for every microsecond.

``client()`` and ``async_client()`` make clients; :func:`stage_snapshot` tells where the time of their operations went,
once :func:`internal_stage_profiling`, :func:`set_internal_stage_metrics_enabled` or ``AEROSPIKE_PY_INTERNAL_METRICS=1``
has switched recording on. This module only gathers names: the classes live in the native ``_aerospike``, whose stub is
the reference of the API, and an embedded server for tests in :mod:`aerospike_py.testing`.
"""

import logging
from typing import TYPE_CHECKING

from aerospike_py import constants, exception, logs, metrics, probes, stages, tracing, types
from aerospike_py._aerospike import (
    AsyncClient,
    Client,
    LazyBatchRecords,
    __version__,
    event_loop_wakeup,
    flamegraph_svg,
    get_metrics,
    is_internal_stage_metrics_enabled,
    is_metrics_enabled,
    set_internal_stage_metrics_enabled,
    set_metrics_enabled,
    start_metrics_server,
    stop_metrics_server,
    stop_probes,
)
from aerospike_py._types import Operation
from aerospike_py.async_pool import AsyncPool
from aerospike_py.constants import *  # noqa: F403
from aerospike_py.exception import *  # noqa: F403
from aerospike_py.logs import *  # noqa: F403
from aerospike_py.metrics import *  # noqa: F403
from aerospike_py.numpy_batch import NumpyBatchRecords
from aerospike_py.probes import *  # noqa: F403
from aerospike_py.stages import *  # noqa: F403
from aerospike_py.tracing import *  # noqa: F403
from aerospike_py.types import *  # noqa: F403
from aerospike_py.types import ClientConfig

if TYPE_CHECKING:
    from aerospike_py.exception import AerospikeIndexError as IndexError  # noqa: A004 - the old public name
    from aerospike_py.exception import AerospikeTimeoutError as TimeoutError  # noqa: A004 - the old public name
else:

    def __getattr__(name):
        return exception.renamed_exception(__name__, name, stacklevel=2)


logging.getLogger("aerospike_py").addHandler(logging.NullHandler())


def client(config: ClientConfig) -> Client:
    """Make a client for synchronous code; it connects when ``connect`` is called.

    Args:
        config: A :class:`ClientConfig` dictionary; ``hosts`` is needed.

    Raises:
        TypeError: The configuration is no dictionary, or one of its entries has the wrong type.
        InvalidArgError: ``hosts`` is missing or empty, or an entry is out of range.

    Example:
        ```python
        with aerospike_py.client({"hosts": hosts}).connect() as connected:
            assert connected.is_connected()
        ```
    """
    return Client(config)


def async_client(config: ClientConfig) -> AsyncClient:
    """Make a client for asyncio; it connects when ``connect`` is awaited.

    Args:
        config: A :class:`ClientConfig` dictionary; ``hosts`` is needed.

    Raises:
        TypeError: The configuration is no dictionary, or one of its entries has the wrong type.
        InvalidArgError: ``hosts`` is missing or empty, or an entry is out of range.

    Example:
        ```python
        async with await aerospike_py.async_client({"hosts": hosts}).connect() as connected:
            assert connected.is_connected()
        ```
    """
    return AsyncClient(config)


__all__ = [
    "AsyncClient",
    "AsyncPool",
    "Client",
    "IndexError",
    "LazyBatchRecords",
    "NumpyBatchRecords",
    "Operation",
    "TimeoutError",
    "__version__",
    "async_client",
    "client",
    "event_loop_wakeup",
    "exception",
    "flamegraph_svg",
    "get_metrics",
    "is_internal_stage_metrics_enabled",
    "is_metrics_enabled",
    "set_internal_stage_metrics_enabled",
    "set_metrics_enabled",
    "start_metrics_server",
    "stop_metrics_server",
    "stop_probes",
]
__all__ += constants.__all__
__all__ += exception.__all__
__all__ += logs.__all__
__all__ += metrics.__all__
__all__ += probes.__all__
__all__ += stages.__all__
__all__ += tracing.__all__
__all__ += types.__all__

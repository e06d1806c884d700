"""Results before times: what a service answers is compared with what it has to, before it is measured."""

from __future__ import annotations

import http.client
import json
import math
import urllib.error
import urllib.request
from functools import cache
from typing import Any

from benchmark.harness.operations import Work
from benchmark.processes.values import WrongResultError
from benchmark.web.model import Predict, model_named
from benchmark.web.sample import Sample, digest_of, features_of

# Libraries of linear algebra add up in orders of their own.
NEAR, SCORES_NEAR = 1e-6, 1e-3
_REQUESTS = 2
_PATIENCE_SECONDS = 30.0


@cache
def _model(sets: int) -> Predict:
    return model_named("numpy", sets)


def expected(work: Work, step: int) -> dict[str, Any]:
    """The answer to a request, made of what is stored."""
    sample = Sample(work, step)
    dense, sparse = features_of(sample.stored(), sample.keys())
    answer: dict[str, Any] = {"records": work.keys_per_step(), "features": digest_of(dense, sparse)}
    if work.model:
        scores = _model(work.space.sets)(dense, sparse)
        answer["best"] = sorted((float(score) for score in scores), reverse=True)
    return answer


def difference(got: dict[str, Any], want: dict[str, Any]) -> str | None:
    """Say where an answer is not what it should be, or nothing."""
    if got["records"] != want["records"]:
        return f"{got['records']} records instead of {want['records']}"
    for name, value in want["features"].items():
        if not math.isclose(got["features"][name], value, rel_tol=NEAR):
            return f"features {name}: {got['features'][name]} instead of {value}"
    if ("best" in got) != ("best" in want):
        return "scores are there although there is no model, or the other way round"
    for (key, score), wanted in zip(got.get("best", []), want.get("best", []), strict=False):
        if not math.isclose(score, wanted, rel_tol=SCORES_NEAR):
            return f"the score of {key} is {score} instead of {wanted}"
    return None


def verify(url: str, work: Work, name: str) -> int:
    """Look at the answers to the first requests; returns how many.

    Raises:
        WrongResultError: An answer is wrong, or is none.
    """
    for step in range(_REQUESTS):
        try:
            with urllib.request.urlopen(f"{url}&step={step}", timeout=_PATIENCE_SECONDS) as response:
                got = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise WrongResultError(f"{name}: status {error.code}: {error.read()[:500]!r}") from error
        except (OSError, http.client.HTTPException) as error:
            raise WrongResultError(f"{name}: no answer: {error}") from error
        where = difference(got, expected(work, step))
        if where is not None:
            raise WrongResultError(f"{name}: answer {step} is wrong: {where}")
    return _REQUESTS

"""Verdicts: a table of rules, each with what it looks for, its evidence, what to do and what that gains.

``table`` lists the rules, ``rule`` says what a rule and a finding are, the other modules hold the checks by subject.
"""

from aerospike_py_analysis.verdicts.table import RULES, judge

__all__ = ["RULES", "judge"]

"""The engines that every row and every grid of edge values runs on."""

from __future__ import annotations

from tests.engines.native import NATIVE
from tests.isa.case import Engine
from tests.isa.oracle_engine import OracleEngine

ORACLE = OracleEngine()
# Those that are checked against the oracle.
CHECKED: list[Engine] = [*NATIVE]
ENGINES: list[Engine] = [ORACLE, *CHECKED]

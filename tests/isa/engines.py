"""The engines that every row and every grid of edge values runs on; regions, many rows at once, are apart from ENGINES."""

from __future__ import annotations

from tests.engines.native import NATIVE, NativeEngine
from tests.engines.regions import REGIONS
from tests.isa.case import Engine
from tests.isa.oracle_engine import OracleEngine

ORACLE = OracleEngine()
# Those that are checked against the oracle.
CHECKED: list[NativeEngine] = [*NATIVE, *REGIONS]
ENGINES: list[Engine] = [ORACLE, *NATIVE]

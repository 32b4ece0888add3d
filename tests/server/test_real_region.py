"""From a guest's executed blocks to code in the store of the next run: the real worker behind the real process."""

import os

import pytest

from dragoman.dbt.compiler_client import Client
from dragoman.dbt.isa import riscv
from dragoman.dbt.region_growth import Grower
from dragoman.dbt.region_image import RegionImage
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.regions import Isa
from dragoman.dbt.store import Store
from tests.engines.guest import guest
from tests.engines.program import CODE, Program, run
from tests.isa.assemble import encode
from tests.isa.case import Instruction
from tests.server.conftest import answers, status, stop


def word(name, **operands):
    return encode(Instruction(name, **operands))

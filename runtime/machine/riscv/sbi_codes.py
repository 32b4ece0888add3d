"""Numbers of the SBI 2.0 specification: standard errors and extension ids."""

from __future__ import annotations

Answer = tuple[int, int]        # error for a0, value for a1

SUCCESS, FAILED, NOT_SUPPORTED, INVALID_PARAM, DENIED, INVALID_ADDRESS = 0, -1, -2, -3, -4, -5
ALREADY_AVAILABLE, ALREADY_STARTED, ALREADY_STOPPED, NO_SHMEM = -6, -7, -8, -9

EID_BASE = 0x10
EID_TIME = 0x54494D45           # "TIME"
EID_IPI = 0x735049              # "sPI"
EID_RFENCE = 0x52464E43         # "RFNC"
EID_HSM = 0x48534D              # "HSM"
EID_RESET = 0x53525354          # "SRST"
EID_CONSOLE = 0x4442434E        # "DBCN"
EID_PMU = 0x504D55              # "PMU"

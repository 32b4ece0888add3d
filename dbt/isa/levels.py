"""Names of what a guest's CPU can do, in which all that chooses or tells it agrees; a start reads them before anything else of dbt."""

# rv64gcb is rv64gc with Zba, Zbb, Zbs (B), Zbc and Zicond.
BASE, WITH_BITS = LEVELS = ("rv64gc", "rv64gcb")

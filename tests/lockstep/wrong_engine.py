"""`dragoman run --lockstep` with an engine that was built with a wrong recipe: the one of another instruction.

The interpreter and stencils are in an image, regions are compiled while the guest runs.

    python wrong_engine.py ENGINE FORM ITS_RECIPE IMAGE WORDS...     # words as of `dragoman run`
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))


def build(form: str, recipe: str, path: str) -> None:
    """The engine's image as it would be if `form` were defined as `recipe` is; in a process that knows no other."""
    child = os.fork()
    if child == 0:
        from dragoman.dbt import engine_image
        from dragoman.dbt.isa import riscv
        object.__setattr__(riscv.FORM[form], "recipe", riscv.FORM[recipe].recipe)       # it is frozen
        engine_image.build("engine").save(path)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("the wrong image was not built")


def compile_wrongly(form: str, recipe: str) -> None:
    """Regions are compiled as if `form` were defined as `recipe` is; the oracle, in this process, goes by the right one."""
    from dragoman.dbt import compile_jobs
    from dragoman.dbt.isa import riscv
    compile_rightly, right = compile_jobs.region, riscv.FORM[form].recipe

    def region(request: bytes) -> bytes:
        object.__setattr__(riscv.FORM[form], "recipe", riscv.FORM[recipe].recipe)       # it is frozen
        try:
            return compile_rightly(request)
        finally:
            object.__setattr__(riscv.FORM[form], "recipe", right)
    compile_jobs.region = region


def run(wrong: str, path: str, words: list[str]) -> int:
    from dragoman.cli import host_environment, run_options
    from dragoman.dbt import engine
    from dragoman.dbt.images import Images
    from dragoman.runtime.process import run
    from dragoman.runtime.process.lockstep import LockstepProcess
    from dragoman.runtime.process.native import make_engine

    def make(options, base, kind=engine.Engine):
        if options.engine != wrong or wrong == "region":
            return make_engine(options, base, kind)
        return kind(options, base, Images(lambda name: path if name == "engine" else None))
    # Without the compiler process: it would send the right stencils as soon as it has them.
    run.begin(LockstepProcess(run_options(["--compiler", "off" if wrong == "stencil" else "inline", *words],
                                          host_environment()), make))
    return 1


if __name__ == "__main__":
    engine_name, form_name, recipe_name, image, *rest = sys.argv[1:]
    if engine_name == "region":
        compile_wrongly(form_name, recipe_name)
    elif not os.path.exists(image):
        build(form_name, recipe_name, image)
    sys.exit(run(engine_name, image, rest))

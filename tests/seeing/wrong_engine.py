"""`dragoman vm run --lockstep` with an engine that was built with a wrong recipe: the one of another instruction.

    python wrong_engine.py ENGINE FORM ITS_RECIPE IMAGE WORDS...     # words as of `dragoman vm run`
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
        from dragoman.runtime.machine.riscv import architecture
        object.__setattr__(riscv.FORM[form], "recipe", riscv.FORM[recipe].recipe)       # it is frozen
        engine_image.build("paged-counting", architecture.functions).save(path)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("the wrong image was not built")


def run(wrong: str, path: str, words: list[str]) -> int:
    from dragoman.dbt import image, paged_engine
    from dragoman.dbt.images import Images
    from dragoman.runtime.machine.lockstep import LockstepMachine
    from dragoman.runtime.machine.machine import Machine
    from dragoman.vm import vm_options
    from dragoman.vm_run import run_here

    class WrongImages(Images):
        def engine(self, counting):
            return image.load(path)

    def make(options):
        paged_engine.Images = WrongImages if options.engine == wrong else Images
        return Machine(options)
    return run_here(vm_options(words), lambda options: LockstepMachine(options, make))


if __name__ == "__main__":
    engine_name, form_name, recipe_name, image_path, *rest = sys.argv[1:]
    if not os.path.exists(image_path):
        build(form_name, recipe_name, image_path)
    sys.exit(run(engine_name, image_path, rest))

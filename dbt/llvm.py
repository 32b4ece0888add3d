"""The only user of llvmlite.binding: text IR to optimised x86-64 object code."""

from __future__ import annotations

import functools

import llvmlite.binding as binding

CHEAP = "cheap"                # sroa, new_gvn, simplify_cfg: most of what O2 gives on straight translated code, at 40 %


@functools.cache
def machine(level: int = 2, cpu: str | None = None, features: str | None = None) -> binding.TargetMachine:
    """Code generator for this host (or the named CPU): absolute addresses below 2 GiB, no relocation at run time."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    binding.initialize_native_asmparser()
    # Two accesses merged into one would have no pc of their own when they fault (region_image.py).
    for option in ("-enable-tail-merge=false", "-combiner-store-merging=false"):
        binding.set_option("dragoman", option)
    return binding.Target.from_triple(triple()).create_target_machine(
        cpu=host_cpu() if cpu is None else cpu, features=host_features() if features is None else features,
        opt=level, reloc="static", codemodel="small")


def triple() -> str:
    return "x86_64-unknown-linux-gnu"


def host_cpu() -> str:
    return binding.get_host_cpu_name()


@functools.cache
def host_features() -> str:
    features = binding.get_host_cpu_features().flatten()
    if "+vaes," in features + ",":
        # These hosts (Ice Lake, Zen 3, and later) divide 64 bits in some 15 cycles: to look first whether 32 bits would do costs more.
        features += ",-idivq-to-divl"
    return features


def version() -> str:
    """What the code depends on, for keys of stores."""
    return f"{binding.__name__.split('.')[0]}-{'.'.join(map(str, binding.llvm_version_info))}"


def parse(text: str) -> binding.ModuleRef:
    """A module from text IR, checked by LLVM's verifier. Raises RuntimeError with LLVM's message."""
    module = binding.parse_assembly(text)
    module.verify()
    module.triple = triple()
    module.data_layout = str(machine().target_data)
    return module


def optimize(module: binding.ModuleRef, level: int | str = 2) -> None:
    """LLVM's own pipeline O1..O3, `CHEAP`, or nothing (0)."""
    if level == 0:
        return
    builder = binding.create_pass_builder(
        machine(), binding.create_pipeline_tuning_options(2 if isinstance(level, str) else level))
    if level == CHEAP:
        passes = binding.create_new_module_pass_manager()
        passes.add_sroa_pass()
        passes.add_new_gvn_pass()
        passes.add_simplify_cfg_pass()
    else:
        passes = builder.getModulePassManager()
    passes.run(module, builder)


def emit(module: binding.ModuleRef, level: int = 2) -> bytes:
    """A relocatable ELF object; `level` is the code generator's own."""
    return machine(level).emit_object(module)


def assembly(module: binding.ModuleRef, level: int = 2) -> str:
    """The same as text, for listings."""
    return machine(level).emit_assembly(module)

"""LLVM IR of compiled functions: Numba's front end without its wrappers, its optimiser and its runtime.

Numba types and lowers each function by itself; a callee is an external C function to it. All land in one module, where
LLVM inlines them. So there is neither a reference to Python in the result, nor a compile per function.
"""

# Numba's annotations do not know its own attributes.
# mypy: disable-error-code="assignment,misc,attr-defined"

from __future__ import annotations

import gc
import operator
import re
import types as python
from collections.abc import Iterable

from llvmlite import ir
from numba.core import codegen, compiler, cpu, interpreter, lowering, transforms, types, typing
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
from numba.core.errors import NumbaError
from numba.core.typed_passes import NativeLowering, NopythonTypeInference
from numba.core.typing.templates import Signature

from dragoman.dbt.compiled import FUNCTIONS, Compiled, CompiledError

INT, BOOL = types.int64, types.boolean


def _operators() -> dict[tuple, Signature]:
    """Operators as these functions use them; asking Numba's own tables costs a third of the compile time."""
    table: dict[tuple, Signature] = {}
    for name in "add sub mul floordiv mod and_ or_ xor lshift rshift".split():
        for function in (getattr(operator, name), getattr(operator, "i" + name.strip("_"))):
            table[function, (INT, INT)] = Signature(INT, (INT, INT), None)
    for name in "lt le gt ge eq ne".split():
        table[getattr(operator, name), (INT, INT)] = Signature(BOOL, (INT, INT), None)
    for name in "neg invert".split():
        table[getattr(operator, name), (INT,)] = Signature(INT, (INT,), None)
    for kind in (INT, BOOL):
        table[bool, (kind,)] = table[operator.not_, (kind,)] = Signature(BOOL, (kind,), None)
    return table


class _Typing(typing.BaseContext):
    """Types of integers; the rest of Numba's builtins by its own rules."""
    operators = _operators()

    def resolve_function_type(self, func, args, kws):
        kind = type(func)
        if kind is types.ExternalFunction and len(args) == len(func.sig.args):
            return func.sig
        if kind is types.Function and not kws:
            key = func.typing_key
            signature = self.operators.get((key, tuple(map(types.unliteral, args))))
            if signature is not None:
                func._impl_keys[signature.args] = key
                return signature
        return super().resolve_function_type(func, args, kws)


_EMIT = {operator.add: "add", operator.sub: "sub", operator.mul: "mul", operator.and_: "and_", operator.or_: "or_",
         operator.xor: "xor", operator.lshift: "shl", operator.rshift: "ashr"}
_COMPARE = {operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.eq: "==",
            operator.ne: "!="}


class _Lower(lowering.Lower):
    """Numba's own way looks for an implementation four times per operator, and promises LLVM no overflow."""

    def lower_binop(self, resty, expr, op):
        sides = [(side.name, self.typeof(side.name)) for side in (expr.lhs, expr.rhs)]
        if (op in _EMIT or op in _COMPARE) and all(types.unliteral(kind) == INT for _, kind in sides):
            a, b = (ir.Constant(ir.IntType(64), kind.literal_value) if isinstance(kind, types.IntegerLiteral)
                    else self.loadvar(name) for name, kind in sides)
            if op in _EMIT:
                return getattr(self.builder, _EMIT[op])(a, b)
            return self.builder.icmp_signed(_COMPARE[op], a, b)
        return super().lower_binop(resty, expr, op)


@register_pass(mutates_CFG=True, analysis_only=False)
class _NativeLowering(NativeLowering):
    _name = "dragoman_lowering"

    @property
    def lowering_class(self):
        return _Lower


class _Target(cpu.CPUContext):
    """Numba's CPU target with integers only, and no execution engine."""

    def init(self) -> None:
        self.is32bit = False
        self._internal_codegen = codegen.AOTCPUCodegen("dragoman")

    def load_additional_registries(self) -> None:
        from numba.cpython import builtins, numbers, rangeobj  # noqa: F401


class _Library(codegen.CodeLibrary):
    """Where Numba hands over the IR of a function; nothing is compiled."""
    module = None

    def add_ir_module(self, ir_module): self.module = ir_module
    def add_linking_library(self, library): pass
    def finalize(self): pass
    def get_function(self, name): raise NotImplementedError(name)
    def get_llvm_str(self): return str(self.module)
    def get_asm_str(self): raise NotImplementedError


class _Interpreter(interpreter.Interpreter):
    """What Numba rewrites then are tuples, dictionaries and `with`: a tenth of the time, for nothing."""

    def post_process(self, peepholes, func_ir):
        return func_ir


@register_pass(mutates_CFG=True, analysis_only=False)
class _Translate(FunctionPass):
    """Byte code to Numba's IR. Nobody asks how long variables live: integers are not freed, and there are no generators."""
    _name = "dragoman_translate"

    def __init__(self):
        super().__init__()

    def run_pass(self, state):
        state["func_ir"] = made = _Interpreter(state["func_id"]).interpret(state["bc"])
        made.blocks = transforms.canonicalize_cfg(made.blocks)
        made.generator_info, state["nargs"] = None, made.arg_count
        return True


class _Pipeline(compiler.CompilerBase):
    """From byte code to IR, with the passes that integer code needs: no SSA, since LLVM does that."""

    def define_pipelines(self):
        manager = PassManager("dragoman")
        for step in (_Translate, NopythonTypeInference, _NativeLowering, compiler.NoPythonBackend):
            manager.add_pass(step, step.__name__)
        manager.finalize()
        return [manager]


class FrontEnd:
    """Numba's contexts, made once a process."""

    def __init__(self) -> None:
        self.typing = _Typing()
        self.target = _Target(self.typing)
        self.target.refresh()
        self.flags = compiler.Flags()
        self.flags.no_compile = self.flags.no_cpython_wrapper = self.flags.no_cfunc_wrapper = True
        self.flags.no_rewrites, self.flags.error_model = True, "numpy"
        self.flags.nrt = self.flags.enable_pyobject = False
        self.external: dict[str, types.ExternalFunction] = {}

    def _external(self, name: str, known: Compiled) -> types.ExternalFunction:
        if name not in self.external:
            result = INT if known.returns else types.none
            self.external[name] = types.ExternalFunction(name, result(*[INT] * known.arguments))
        return self.external[name]

    def lower(self, name: str) -> tuple[str, set[str]]:
        """IR of one function (its definition under Numba's own convention, and a C entry), and what it calls."""
        known = FUNCTIONS[name]
        function, called = known.function, set()
        names = dict(function.__globals__)
        for word in function.__code__.co_names:
            value = names.get(word)
            callee = getattr(value, "__name__", "") if isinstance(value, python.FunctionType) else ""
            if callee in FUNCTIONS and FUNCTIONS[callee].function is value:
                names[word] = self._external(callee, FUNCTIONS[callee])
                called.add(callee)
        library = _Library(self.target.codegen(), name)
        try:
            result = compiler.compile_extra(
                self.typing, self.target, python.FunctionType(function.__code__, names, name),
                (INT,) * known.arguments, INT if known.returns else types.none, self.flags, {},
                library=library, pipeline_class=_Pipeline)
        except NumbaError as error:
            raise CompiledError(f"{name} ({function.__module__}): {error}") from error
        for variable, kind in result.fndesc.typemap.items():
            if isinstance(kind, (types.Number, types.BaseTuple)) and types.unliteral(kind) not in (INT, BOOL):
                raise CompiledError(f"{name} ({function.__module__}): {variable} is {kind}, not int64")
        text = str(library.module)
        start = text.index("\ndefine ")
        text = text[start:].replace(f'"{result.fndesc.mangled_name}"', f'"{name}.numba"').replace(
            '".const.', f'".const.{name}.')
        # Numba promises LLVM that its sums do not overflow; ours are addresses and hashes.
        text = "\n".join(line for line in text.replace(" nsw ", " ").splitlines()
                         if not line.startswith(("declare ", "!")))
        text = re.sub(r", !\w+ !\d+", "", text)            # numbered per function
        return text.replace("\ndefine i32", "\ndefine internal i32").replace(
            "\n{\nentry:", " #1\n{\nentry:") + _entry(name, known), called


def _kind(known: Compiled) -> str:
    return "i64" if known.returns else "void"


def _entry(name: str, known: Compiled) -> str:
    arguments = [f"i64 %{letter}" for letter in "abcdefghijklmnop"[:known.arguments]]
    result = "  %v = load i64, ptr %r\n  ret i64 %v" if known.returns else "  ret void"
    return (f"\ndefine {_kind(known)} @{name}({', '.join(arguments)}) #0 {{\nentry:\n  %r = alloca i64\n"
            f'  call i32 @"{name}.numba"({", ".join(["ptr %r", "ptr null", *arguments])})\n{result}\n}}\n')


def _primitive(name: str, known: Compiled) -> str:
    arguments = ", ".join(f"i64 %{letter}" for letter in "abcdefgh"[:known.arguments])
    return f"define internal {_kind(known)} @{name}({arguments}) #1 {{\nentry:\n  {known.body}\n}}\n"


_front_end: FrontEnd | None = None


def prepare() -> None:
    """What every use of Numba begins with, half a second with its import: once, before processes are forked that use it."""
    global _front_end
    _front_end = _front_end or FrontEnd()


def module(names: Iterable[str]) -> str:
    """IR of the named functions and all that they call."""
    collecting = gc.isenabled()
    gc.disable()                   # nothing here is garbage before the end; collecting took a tenth of the time
    try:
        prepare()
        assert _front_end is not None
        public, texts, wanted, done = set(names), [], list(dict.fromkeys(names)), set()
        while wanted:
            name = wanted.pop()
            if name in done:
                continue
            done.add(name)
            known = FUNCTIONS[name]
            if known.body is not None:
                texts.append(_primitive(name, known))
                continue
            text, called = _front_end.lower(name)
            if name not in public:
                text = text.replace(f"\ndefine {_kind(known)} @{name}(", f"\ndefine internal {_kind(known)} @{name}(")
            texts.append(text)
            wanted += sorted(called - done)
    finally:
        if collecting:
            gc.enable()
    # no-builtins: LLVM must not make calls of memcpy and memset out of loops.
    return "\n".join(texts) + ('\ndeclare void @llvm.x86.sse2.pause()\nattributes #0 = { nounwind "no-builtins" }\n'
                               'attributes #1 = { nounwind alwaysinline "no-builtins" }\n')

"""What an engine supplies to the lowering: where operands, registers, memory and exits come from.

lower.py walks a recipe and asks a Site. The interpreter, stencils and regions each have one; an instruction's name
appears in none. Values are pairs (text, LLVM type).
"""

from __future__ import annotations

from dragoman.dbt import state
from dragoman.dbt.memory_model import Flat, Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.recipe import Form

Lowered = tuple[str, str]

CONVENTION = "preserve_nonecc"
# `preserve_none` passes arguments in r12 r13 r14 r15 rdi rsi rdx rcx r8 r9 r11, in this order. The pinned slots are all of
# one encoding class, and none that shifts, division or calls need. `target` carries a computed guest pc; `free` the
# decoded record in the interpreter.
ARGUMENTS = ("p0", "p1", "p2", "p3", "state", "mem", "target", "free", "p4", "p5", "p6")
PINS = ("p0", "p1", "p2", "p3", "p4", "p5", "p6")
TYPES = {a: "ptr" if a in ("state", "mem", "free") else "i64" for a in ARGUMENTS}
PARAMETERS = ", ".join(f"{TYPES[a]} %{a}" for a in ARGUMENTS)
ARGUMENT_TYPES = ", ".join(TYPES[a] for a in ARGUMENTS)


class Site:
    """Collects IR lines for one place in the code. Subclasses decide where things live."""
    shared = False              # memory is seen by other threads: accesses stay as they are written
    alone = False               # nobody else sees memory: what is atomic is so without the host's help
    count_instructions = False  # the counting build: cycle and instret are exact
    model: Model = Flat      # of memory

    def __init__(self, prefix: str = "", label: str = "entry"):
        self.lines: list[str] = []
        self.tail: list[str] = []                       # what is hardly ever executed: at the end of the function
        self.prefix, self.count, self.label = prefix, 0, label
        self.now = {a: f"%{a}" for a in ARGUMENTS}      # current value of each argument of the convention

    # --- text
    def name(self) -> str:
        self.count += 1
        return f"{self.prefix}v{self.count}"

    def emit(self, text: str) -> str:
        name = f"%{self.name()}"
        self.lines.append(f"{name} = {text}")
        return name

    def do(self, text: str) -> None:
        self.lines.append(text)

    def start(self, label: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{label}:")
        self.label = label

    def by_operand(self, op: str, bits: int, value: str, field: str) -> str | None:
        """`value` op an operand field, where the site has a way of its own to say that."""
        return None

    # --- state
    def at_state(self, offset: int | str) -> str:
        return self.emit(f"getelementptr i8, ptr {self.now['state']}, i64 {offset}")

    def field_pointer(self, name: str) -> str:
        return self.at_state(state.OFFSET[name])

    def get_field(self, name: str) -> str:
        return self.emit(f"load i64, ptr {self.field_pointer(name)}, align 8")

    def count_one(self, field: str) -> None:
        """One more in this field of the state."""
        self.set_field(field, self.emit(f"add i64 {self.get_field(field)}, 1"))

    def count_form(self, form: Form, itself: bool = True) -> None:
        """For the counting build: an instruction of this form is about to be executed. itself: it counts; else somebody has done that."""
        self.count_instructions = True
        if itself:
            self.count_one("instructions")
        if form.counter:
            self.count_one(form.counter)

    def set_field(self, name: str, value: str) -> None:
        pointer = self.field_pointer(name)
        self.do(f"store i64 {value}, ptr {pointer}, align 8")

    # --- memory
    def access(self, address: str, size: int, write: bool) -> str:
        """Host pointer for `size` bytes at a guest address."""
        return self.model.access(self, address, size, write)

    def tlb_miss(self, address: str, size: int, write: bool, hit: str) -> None:
        """Paged memory: go to label `hit` when the TLB has the page, or end here and have the instruction tried again."""
        raise NotImplementedError

    def opaque(self, text: str, kind: str) -> str:
        """A value of which LLVM may know nothing; for engines whose operands can be constants."""
        return text

    def before_trap(self) -> None:
        """Called once before the first op of an instruction that may trap."""

    # --- leaving: a call in tail position with the pinned registers in place
    def arguments(self, **changed: str) -> str:
        now = self.now | changed
        return ", ".join(f"{TYPES[a]} {now[a]}" for a in ARGUMENTS)

    def go(self, code: str, **changed: str) -> None:
        self.do(f"musttail call {CONVENTION} void {code}({self.arguments(**changed)})")
        self.do("ret void")

    def leave(self, reason: str, pc: str, value: str = "0") -> None:
        """End here: `pc` and `value` (texts) go with the reason into the state."""
        if value != "0":
            self.set_field("exit_data", value)
        self.go(f"@leave_{reason}", target=pc)

    # --- what a subclass supplies
    def operand(self, field: str) -> str: raise NotImplementedError
    def pc(self) -> str: raise NotImplementedError
    def next_pc(self) -> str: raise NotImplementedError
    def get(self, file: str, field: str) -> Lowered: raise NotImplementedError
    def put(self, file: str, field: str, value: Lowered) -> None: raise NotImplementedError
    def branch(self, condition: str) -> None: raise NotImplementedError
    def jump(self) -> None: raise NotImplementedError
    def jump_to(self, address: str, hint: str, whole: str = "", mask: int = 0) -> None:
        """whole, if any: what `address` was before it was masked."""
        raise NotImplementedError

    def trap(self, reason: str, value: str) -> None: self.leave(reason, self.pc(), value)


def function(name: str, lines: list[str], attributes: str = "") -> str:
    """A function of the shared convention around these lines."""
    body = "\n  ".join(["entry:", *lines])
    return f"define {CONVENTION} void @{name}({PARAMETERS}) strictfp {attributes} {{\n{body}\n}}"

"""Native routines between guest code and the runtime: leave, look up, poll; LLVM IR text for the engine image.

All have the shared convention (sites.py). `leave_REASON` and whatever ends in a runtime call stores the pinned registers;
`stop_REASON` is for the interpreter, which has none. `dispatch` goes on at guest pc `target` by the thread's jump cache,
`miss` by the block table (resolve), `absent` the same for a direct jump, `poll` after the budget ran out.
"""

from __future__ import annotations

from dragoman.dbt.memory_model import MISSES, Flat, Model, miss_name
from dragoman.dbt.sites import PINS, Site, function
from dragoman.dbt.state import ACCESS_PLAIN, ACCESS_WRITE, CACHE, EXITS, OFFSET, RECORD_PC, register_offset


class NativeSite(Site):
    """Code that knows the pinned registers: `pinned` is the register number of each slot."""

    def __init__(self, pinned: tuple[int, ...], model: Model = Flat):
        super().__init__()
        self.pinned, self.model = pinned, model

    def store_pins(self) -> None:
        for slot, number in zip(PINS, self.pinned):
            pointer = self.at_state(register_offset("x", number))
            self.do(f"store i64 {self.now[slot]}, ptr {pointer}, align 8")

    def load_pins(self) -> dict[str, str]:
        return {slot: self.emit(f"load i64, ptr {self.at_state(register_offset('x', number))}, align 8")
                for slot, number in zip(PINS, self.pinned)}

    def stop(self, reason: str) -> None:
        self.set_field("pc", self.now["target"])
        self.set_field("exit_reason", str(EXITS[reason]))
        self.do("ret void")

    def go_if(self, code: str, pins: dict[str, str]) -> None:
        """To `code` (i64 text) unless it is 0: then the exit reason is set already and `target` is the pc."""
        found, none = self.name(), self.name()
        self.do(f"br i1 {self.emit(f'icmp ne i64 {code}, 0')}, label %{found}, label %{none}")
        self.start(none)
        self.set_field("pc", self.now["target"])
        self.do("ret void")
        self.start(found)
        pointer = self.emit(f"inttoptr i64 {code} to ptr")
        self.go(pointer, **pins)


def probe(site: Site, target: str) -> tuple[str, str]:
    """Jump-cache entry of `target` (text): pointer to it, and whether it is the right one."""
    cache = site.emit(f"load ptr, ptr {site.field_pointer('jump_cache')}, align 8")
    offset = site.emit(f"and i64 {site.emit(f'shl i64 {target}, 3')}, {((1 << site.model.jump_bits) - 1) << 4}")
    entry = site.emit(f"getelementptr i8, ptr {cache}, i64 {offset}")
    key = site.emit(f"load i64, ptr {entry}, align 8")
    return entry, site.emit(f"icmp eq i64 {key}, {target}")


def code_of(site: Site, entry: str) -> str:
    return site.emit(f"load ptr, ptr {site.emit(f'getelementptr i8, ptr {entry}, i64 8')}, align 8")


def _leaves(pinned: tuple[int, ...]) -> list[str]:
    texts = []
    for reason in EXITS:
        site = NativeSite(pinned)
        site.store_pins()
        site.stop(reason)
        texts.append(function(f"leave_{reason}", site.lines))
        site = NativeSite(pinned)
        site.stop(reason)
        texts.append(function(f"stop_{reason}", site.lines))
    return texts


def _dispatch(pinned: tuple[int, ...], model: Model) -> str:
    site = NativeSite(pinned, model)
    entry, hit = probe(site, "%target")
    site.do(f"br i1 {hit}, label %hit, label %miss")
    site.start("miss")
    site.go("@miss")
    site.start("hit")
    site.go(code_of(site, entry))
    return function("dispatch", site.lines)


def _miss(pinned: tuple[int, ...], name: str, resolve: str) -> str:
    site = NativeSite(pinned)
    site.store_pins()
    code = site.emit(f"call i64 @{resolve}(ptr %state, i64 %target)")
    site.go_if(code, site.load_pins())
    return function(name, site.lines)


def _poll(pinned: tuple[int, ...]) -> str:
    """target: where to go on; free: the guest pc whose heat it is."""
    site = NativeSite(pinned)
    site.store_pins()
    code = site.emit("call i64 @polled(ptr %state, i64 %target, ptr %free)")
    site.go_if(code, site.load_pins())
    return function("poll", site.lines)


def _note_refusal(site: NativeSite, access: int) -> None:
    """The access to `target` is the runtime's business: a page fault, a device, an access across pages; a misaligned one, if nobody does them."""
    reason = str(EXITS["memory"])
    if site.model.strict:
        site.set_field("access", str(access | ACCESS_PLAIN))
        aligned = site.emit(f"icmp eq i64 {site.emit(f'and i64 %target, {(access & ACCESS_WRITE - 1) - 1}')}, 0")
        reason = site.emit(f"select i1 {aligned}, i64 {reason}, i64 {EXITS['misaligned']}")
    else:
        site.set_field("access", str(access))
    site.set_field("exit_data", site.now["target"])
    site.set_field("exit_reason", reason)


def _refused(site: NativeSite, access: int, pc: str) -> None:
    _note_refusal(site, access)
    site.set_field("pc", pc)
    site.do("ret void")


def _fill(site: NativeSite, access: int) -> None:
    """Ask the runtime for the page of `target`; falls into %filled, or goes to %refused."""
    if site.model.strict:
        misaligned = site.emit(f"icmp ne i64 {site.emit(f'and i64 %target, {(access & ACCESS_WRITE - 1) - 1}')}, 0")
        site.do(f"br i1 {misaligned}, label %refused, label %aligned")
        site.start("aligned")
    cache = site.emit(f"load ptr, ptr {site.field_pointer('cache')}, align 8")
    pointer = site.emit(f"getelementptr i8, ptr {cache}, i64 {CACHE['tlb_fill']}")
    fill = site.emit(f"load ptr, ptr {pointer}, align 8")
    done = site.emit(f"call i64 {fill}(ptr %state, i64 %target, i64 {access})")
    site.do(f"br i1 {site.emit(f'icmp ne i64 {done}, 0')}, label %filled, label %refused")


def _misses(pinned: tuple[int, ...], model: Model, count: bool) -> list[str]:
    """TLB misses. `target`: the guest address; `free`: stencil code that tries again, or the interpreter's record."""
    texts = []
    for name, access in MISSES.items():
        site = NativeSite(pinned, model)
        site.store_pins()
        _fill(site, access)
        site.start("refused")
        cache = site.emit(f"load i64, ptr {site.field_pointer('cache')}, align 8")
        host = site.emit("ptrtoint ptr %free to i64")
        _refused(site, access, site.emit(f"call i64 @guest_pc_of(i64 {cache}, i64 {host})"))
        site.start("filled")
        site.go("%free", target="undef", free="undef", **site.load_pins())
        texts.append(function(name, site.lines))
        site = NativeSite(pinned, model)
        _fill(site, access)
        site.start("refused")
        pointer = site.emit(f"getelementptr i8, ptr %free, i64 {RECORD_PC}")
        _refused(site, access, site.emit(f"load i64, ptr {pointer}, align 8"))
        site.start("filled")
        if count:                                       # the handler counts its instruction again
            site.set_field("instructions", site.emit(f"sub i64 {site.get_field('instructions')}, 1"))
        site.go(site.emit("load ptr, ptr %free, align 8"), target="undef", **dict.fromkeys(PINS, "undef"))
        texts.append(function(f"record_{name}", site.lines))
    return [*texts, "declare i64 @guest_pc_of(i64, i64)"]


def region_miss(size: int, write: bool) -> str:
    """Name of the routine that a compiled region calls when the TLB lacks a page."""
    return f"region_{miss_name(size, write)}"


def _region_routines(pinned: tuple[int, ...], model: Model) -> list[str]:
    """What regions of paged memory call or leave to. A call keeps every register but that of its result: it costs nothing on the way
    that is taken as a rule, and the region goes on where it was.

    region_load_miss8(state) and its like: fill the TLB for the guest address in `exit_data`; 0: refused, leave by region_refused,
    whose `target` is the pc.
    region_poll(state): the budget ran out; 1: go on, nobody wants this thread.
    region_entry: `target` is the number of an entry of which another page (`free`: region_install.py) is not where it was.
    """
    texts = []
    for name, access in MISSES.items():
        site = NativeSite(pinned, model)
        site.do(f"%target = load i64, ptr {site.field_pointer('exit_data')}, align 8")
        _fill(site, access)
        site.start("refused")
        _note_refusal(site, access)
        site.do("ret i64 0")
        site.start("filled")
        site.do("ret i64 1")
        texts.append("\n  ".join([f"define preserve_mostcc i64 @region_{name}(ptr %state) {{\nentry:", *site.lines]) + "\n}")
    site = NativeSite(pinned)
    site.store_pins()
    site.set_field("pc", "%target")
    site.do("ret void")
    texts.append(function("region_refused", site.lines))
    texts.append("define preserve_mostcc i64 @region_poll(ptr %state) {\n  %s = ptrtoint ptr %state to i64\n"
                 "  %r = call i64 @renew_budget(i64 %s)\n  ret i64 %r\n}")
    site = NativeSite(pinned)
    site.store_pins()
    code = site.emit("call i64 @looked_over(ptr %state, i64 %target, ptr %free)")
    site.now["target"] = site.get_field("pc")
    site.go_if(code, site.load_pins())
    texts.append(function("region_entry", site.lines))
    look = locked("looked_over", ["ptr %state", "i64 %n", "ptr %pages"], "look_over_entry", ["i64 %s", "i64 %n", "i64 %c"])
    texts.append(look.replace("entry:", "entry:\n%s = ptrtoint ptr %state to i64\n%c = ptrtoint ptr %pages to i64", 1))
    return [*texts, "declare i64 @renew_budget(i64)", "declare i64 @look_over_entry(i64, i64, i64, i64)"]


def locked(name: str, parameters: list[str], callee: str, arguments: list[str]) -> str:
    """A C function that calls another one under the cache's lock, marked in the state for the fault handler."""
    start = [f"%cp = getelementptr i8, ptr %state, i64 {OFFSET['cache']}", "%cache = load i64, ptr %cp",
             f"%la = add i64 %cache, {CACHE['lock']}", "%lock = inttoptr i64 %la to ptr",
             f"%held = getelementptr i8, ptr %state, i64 {OFFSET['in_resolve']}"]
    return "\n".join([
        f"define i64 @{name}({', '.join(parameters)}) {{", "entry:", *start, "br label %take",
        "take:", "%old = cmpxchg ptr %lock, i64 0, i64 1 seq_cst seq_cst", "%got = extractvalue { i64, i1 } %old, 1",
        "br i1 %got, label %have, label %wait",
        "wait:", "call void @yield_host()", "br label %take",
        "have:", "store volatile i64 1, ptr %held", f"%r = call i64 @{callee}({', '.join(['i64 %cache', *arguments])})",
        "store volatile i64 0, ptr %held", "store atomic i64 0, ptr %lock release, align 8", "ret i64 %r", "}"])


def _lock_alone(name: str, body: list[str]) -> str:
    """take_lock(state) before a fork, so that no thread is in the middle of a change; drop_lock after it, on both sides."""
    return "\n".join([f"define i64 @{name}(ptr %state) {{", "entry:",
                      f"%cp = getelementptr i8, ptr %state, i64 {OFFSET['cache']}", "%cache = load i64, ptr %cp",
                      f"%la = add i64 %cache, {CACHE['lock']}", "%lock = inttoptr i64 %la to ptr", *body, "ret i64 0", "}"])


_TAKE = ["br label %take", "take:", "%old = cmpxchg ptr %lock, i64 0, i64 1 seq_cst seq_cst",
         "%got = extractvalue { i64, i1 } %old, 1", "br i1 %got, label %have, label %wait",
         "wait:", "call void @yield_host()", "br label %take", "have:"]
_DROP = ["store atomic i64 0, ptr %lock release, align 8"]

# sched_yield: the holder may be waiting for this core.
_YIELD = """define void @yield_host() noinline {
  call i64 asm sideeffect "syscall", "={rax},{rax},~{rcx},~{r11},~{memory}"(i64 24)
  ret void
}"""


def text(pinned: tuple[int, ...], model: Model = Flat, count: bool = False) -> str:
    """The module's text without triple and metadata; `resolve_block`, `on_poll` are compiled functions (translate.py). count: of the
    counting build."""
    cast = "%s = ptrtoint ptr %state to i64"
    resolve = locked("resolve", ["ptr %state", "i64 %pc"], "resolve_block", ["i64 %s", "i64 %pc"])
    linked = locked("resolve_direct", ["ptr %state", "i64 %pc"], "resolve_linked", ["i64 %s", "i64 %pc"])
    polled = locked("polled", ["ptr %state", "i64 %pc", "ptr %sample"], "on_poll", ["i64 %s", "i64 %pc", "i64 %c"])
    call = locked("locked_call", ["ptr %state", "i64 %f", "i64 %a", "i64 %b", "i64 %c"], "invoke",
                  ["i64 %f", "i64 %a", "i64 %b", "i64 %c"])
    return "\n".join([
        *_leaves(pinned), _dispatch(pinned, model), *((*_misses(pinned, model, count), *_region_routines(pinned, model)) if model.paged else ()),
        _miss(pinned, "miss", "resolve"), _miss(pinned, "absent", "resolve_direct"),
        _poll(pinned), _YIELD,
        _lock_alone("take_lock", _TAKE), _lock_alone("drop_lock", _DROP),
        *(each.replace("entry:", f"entry:\n{cast}", 1) for each in (resolve, linked)),
        polled.replace("entry:", f"entry:\n{cast}\n%c = ptrtoint ptr %sample to i64", 1), call,
        "define internal i64 @invoke(i64 %cache, i64 %f, i64 %a, i64 %b, i64 %c) {",
        "%p = inttoptr i64 %f to ptr", "%r = call i64 %p(i64 %cache, i64 %a, i64 %b, i64 %c)", "ret i64 %r", "}",
        "declare i64 @resolve_block(i64, i64, i64)", "declare i64 @resolve_linked(i64, i64, i64)", "declare i64 @on_poll(i64, i64, i64, i64)"])

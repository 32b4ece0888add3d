"""Images: linked, saved, mapped at their base or elsewhere, called; damaged ones are refused."""

import ctypes
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.dbt import image, llvm
from dragoman.dbt.host import elf
from dragoman.dbt.host.linker import BASE, LinkError, link

# Absolute addresses in code (a jump table), constants, writable data; calls within and between objects.
FIRST = """
declare i64 @second(i64)
@counter = global i64 40
@zeros = global [600 x i64] zeroinitializer
@pointers = constant [2 x ptr] [ptr @twice, ptr @second]
define i64 @twice(i64 %a) noinline { %r = shl i64 %a, 1  ret i64 %r }
define i64 @both(i64 %a) noinline { %x = call i64 @twice(i64 %a)  %y = call i64 @second(i64 %x)  ret i64 %y }
define i64 @pick(i64 %which, i64 %a) {
  %p = getelementptr [2 x ptr], ptr @pointers, i64 0, i64 %which
  %f = load ptr, ptr %p  %r = call i64 %f(i64 %a)  ret i64 %r }
define i64 @count() { %a = load i64, ptr @counter  %b = add i64 %a, 1  store i64 %b, ptr @counter  ret i64 %b }
define i64 @zero(i64 %i) {
  %p = getelementptr [600 x i64], ptr @zeros, i64 0, i64 %i  %r = load i64, ptr %p  ret i64 %r }
define double @switch(i64 %a) {
  switch i64 %a, label %z [ i64 0, label %b0  i64 1, label %b1  i64 2, label %b2  i64 3, label %b3  i64 4, label %b4 ]
z: ret double 9.5
b0: ret double 1.25
b1: %v1 = call i64 @twice(i64 7)  %d1 = sitofp i64 %v1 to double  ret double %d1
b2: %v2 = call i64 @second(i64 7)  %d2 = sitofp i64 %v2 to double  ret double %d2
b3: %v3 = call i64 @both(i64 7)  %d3 = sitofp i64 %v3 to double  ret double %d3
b4: %v4 = call i64 @count()  %d4 = sitofp i64 %v4 to double  ret double %d4 }
"""
SECOND = "define i64 @second(i64 %a) { %r = add i64 %a, 1000  ret i64 %r }"
BLOB = bytes(range(256)) * 3


def compile_ir(text):
    return llvm.emit(llvm.parse(text))


@pytest.fixture(scope="module")
def objects():
    return [compile_ir(FIRST), compile_ir(SECOND)]


@pytest.fixture(scope="module")
def linked(objects):
    return link(objects, BASE + 0x800_0000, blobs={"table": BLOB, "empty": b""})


@pytest.fixture
def saved(linked, tmp_path):
    linked.save(tmp_path / "engine")
    return tmp_path / "engine"


def call(mapped, name, *arguments, result=ctypes.c_int64):
    return ctypes.CFUNCTYPE(result, *[ctypes.c_int64] * len(arguments))(mapped.symbols[name])(*arguments)


def check(mapped):
    assert call(mapped, "twice", 21) == 42 and call(mapped, "both", 5) == 1010
    assert [call(mapped, "pick", k, 3) for k in (0, 1)] == [6, 1003]
    assert [call(mapped, "count"), call(mapped, "count")] == [41, 42]
    assert [call(mapped, "zero", k) for k in (0, 599)] == [0, 0]
    assert [call(mapped, "switch", k, result=ctypes.c_double) for k in range(6)] == [1.25, 14, 1007, 1014, 43, 9.5]
    assert mapped.blob("table") == BLOB and mapped.blob("empty") == b"" and mapped.blobs["table"][0] % 16 == 0


def protection(address):
    for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
        low, high = (int(x, 16) for x in line.split()[0].split("-"))
        if low <= address < high:
            return line.split()[1], line.split()[-1]
    raise AssertionError("not mapped")


def test_mapped_without_a_file(linked):
    mapped = linked.map()
    check(mapped)
    assert mapped.base == linked.base
    mapped.unmap()


def test_loaded_at_its_base(linked, saved):
    mapped = image.load(saved)
    assert mapped.base == linked.base
    assert protection(mapped.symbols["twice"])[0] == "r-xp" and protection(mapped.symbols["counter"])[0] == "rw-p"
    check(mapped)
    mapped.unmap()
    check(again := image.load(saved))               # what was written to its data stayed in the process
    again.unmap()


def test_what_becomes_of_the_file_is_nothing_to_who_has_loaded_it(saved):
    mapped = image.load(saved)
    with open(saved, "r+b") as file:
        file.write(bytes(os.stat(saved).st_size))
    assert call(mapped, "twice", 21) == 42
    os.truncate(saved, 0)
    check(mapped)
    mapped.unmap()


def test_an_image_is_of_one_name_and_version(linked, tmp_path):
    linked.save(tmp_path / "engine", "1")
    image.load(tmp_path / "engine", "1").unmap()
    with pytest.raises(image.ImageError, match="checksum"):
        image.load(tmp_path / "engine", "2")
    os.rename(tmp_path / "engine", tmp_path / "library")
    with pytest.raises(image.ImageError, match="checksum"):
        image.load(tmp_path / "library", "1")


def test_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "engine")
    with pytest.raises(image.ImageError):
        image.load(tmp_path / "engine")


def test_loaded_elsewhere_when_its_range_is_taken(linked, saved):
    first, second = image.load(saved), image.load(saved)
    assert first.base == linked.base != second.base and second.base + second.size < 1 << 31
    assert protection(second.symbols["twice"])[0] == "r-xp" and protection(second.symbols["counter"])[0] == "rw-p"
    check(first)
    check(second)
    first.unmap()
    second.unmap()


def test_loaded_elsewhere_when_only_the_data_is_in_the_way(linked, saved):
    taken = linked.base + len(linked.code)
    assert image._map(taken, image.PAGE)
    mapped = image.load(saved)
    assert mapped.base != linked.base
    check(mapped)
    mapped.unmap()
    image._libc.munmap(taken, image.PAGE)


def test_a_folder_mounted_noexec(linked, saved, tmp_path):
    (tmp_path / "mounted").mkdir()
    mount = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o noexec none "$0" && cp "$1" "$0" && shift && exec "$@"',
             tmp_path / "mounted", saved]
    if shutil.which("unshare") is None or subprocess.run([*mount, "true"], capture_output=True).returncode:
        pytest.skip("no folder can be mounted noexec here")
    code = ("import sys; sys.path[:] = sys.argv[2:]; from tests.image import test_image as test;"
            "mapped = test.image.load(sys.argv[1]); test.check(mapped);"
            "print(hex(mapped.base), *test.protection(mapped.base))")
    output = subprocess.run([*mount, sys.executable, "-c", code, tmp_path / "mounted" / "engine", *sys.path],
                            capture_output=True, text=True)
    assert output.stdout.split() == [hex(linked.base), "r-xp", "0"], output.stderr


def test_calls_to_fixed_addresses_outside_survive_a_move(linked, tmp_path):
    outside = linked.map()
    code = compile_ir("""declare i64 @helper(i64)
                         @p = global ptr @helper
                         define i64 @ask(i64 %a) { %r = call i64 @helper(i64 %a)  ret i64 %r }
                         define i64 @ask2(i64 %a) { %f = load ptr, ptr @p  %r = call i64 %f(i64 %a)  ret i64 %r }""")
    caller = link([code], BASE + 0x900_0000, externals={"helper": outside.symbols["twice"]})
    caller.save(tmp_path / "caller")
    for mapped in (image.load(tmp_path / "caller"), image.load(tmp_path / "caller")):
        assert call(mapped, "ask", 4) == call(mapped, "ask2", 4) == 8


@pytest.mark.parametrize("text, message", [
    ("declare i64 @nowhere()\ndefine i64 @f() { %r = call i64 @nowhere()  ret i64 %r }", "undefined symbol nowhere"),
    ("@c = common global i64 0", "common"), ("@t = thread_local global i64 1", "needs a loader"),
])
def test_what_cannot_be_linked(text, message):
    with pytest.raises(LinkError, match=message):
        link([compile_ir(text)])


def test_a_symbol_defined_twice(objects):
    with pytest.raises(LinkError, match="second is defined twice"):
        link([objects[1], objects[1]])


@pytest.mark.parametrize("base", [BASE + 8, 1 << 31, -4096])
def test_base_must_be_a_page_below_2_gib(objects, base):
    with pytest.raises(LinkError, match="base"):
        link(objects, base)


@pytest.mark.parametrize("data", [b"", b"\x7fELF\x01\x01" + bytes(60), b"\x7fELF\x02\x01" + bytes(60)])
def test_what_is_not_an_object(data):
    with pytest.raises(elf.ElfError):
        elf.read(data)


@pytest.mark.parametrize("size", [0, 1, 16, 60, 4095, 4096, -4096, -1])
def test_a_cut_image_is_refused(saved, size):
    data = saved.read_bytes()
    saved.write_bytes(data[:size])
    with pytest.raises(image.ImageError):
        image.load(saved)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_changed_bit_is_noticed(linked, data):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "engine"
        linked.save(path)
        content = bytearray(path.read_bytes())
        header = data.draw(st.booleans())
        at = data.draw(st.integers(0, 51 if header else len(content) - 4097)) + (0 if header else 4096)
        content[at] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        with pytest.raises(image.ImageError):
            image.load(path)


def test_saving_leaves_nothing_behind_when_it_fails(linked, tmp_path):
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "occupied").touch()
    with pytest.raises(OSError):
        linked.save(tmp_path / "engine")
    assert [p.name for p in tmp_path.iterdir()] == ["engine"]
    with pytest.raises(FileNotFoundError):
        image.load(tmp_path / "none")


def test_loading_imports_little(saved):
    # ctypes first: what it imports itself depends on the Python (3.14: sysconfig and threading).
    code = ("import ctypes, sys; before = set(sys.modules); from dragoman.dbt import image; image.load(sys.argv[1]);"
            "print(*{m.split('.')[0] for m in set(sys.modules) - before if m[0] != '_'} - {'dragoman'})")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.run([sys.executable, "-S", "-c", code, saved], env=environment, capture_output=True, text=True)
    assert set(output.stdout.split()) <= {"ctypes", "mmap", "struct", "types", "zlib", "os", "posixpath", "stat",
                                          "genericpath", "abc", "codecs", "encodings", "marshal", "errno"}, output.stderr

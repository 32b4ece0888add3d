"""A Debian root made without root rights or mounts: packages unpacked as dpkg would leave them before it configures them."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests.kernel.kernel import ARCHITECTURE, SUITE
from tests.real.fetch import closure, index, package_file

# Beside what is essential: init, a network, apt, busybox for downloads, and what checks the disk.
PACKAGES = ("sysvinit-core", "ifupdown", "udhcpc", "busybox", "apt", "e2fsprogs", "netbase", "login", "passwd", "procps")
PASSWORD = "dragoman"
FIRST_BOOT = "sbin/first-boot"

# Run once in the place of init: what dpkg would have done at installation. base-passwd comes first, since the others' scripts
# ask for users; services are not started before init is there. What enables and orders a service is not run for each, which
# would be most of the time, but once for all, at the end.
FIRST_BOOT_SCRIPT = f"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs run /run
echo "FIRST-BOOT $(cut -d' ' -f1 /proc/uptime)"
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
for tool in insserv update-rc.d; do mv /usr/sbin/$tool /usr/sbin/$tool.real; ln -s ../bin/true /usr/sbin/$tool; done
dpkg --force-unsafe-io --force-depends --configure base-passwd base-files &&
dpkg --force-unsafe-io --configure -a || {{ echo "CONFIGURE-FAILED $?"; exec setsid sh -c 'exec sh </dev/ttyS0 >/dev/ttyS0 2>&1'; }}
for tool in insserv update-rc.d; do mv /usr/sbin/$tool.real /usr/sbin/$tool; done
(cd /etc/init.d && insserv -d $(grep -l "^### BEGIN INIT INFO" *))
rm /usr/sbin/policy-rc.d
echo root:{PASSWORD} | chpasswd
sed -i '/tty[1-6]$/d; /getty.*tty/d' /etc/inittab
echo 'T0:2345:respawn:/sbin/getty -L ttyS0 115200 vt100' >>/etc/inittab
echo "CONFIGURED $(dpkg-query -f '${{Status}}\\n' -W | grep -c '^install ok installed$') $(cut -d' ' -f1 /proc/uptime)"
rm /{FIRST_BOOT}; umount /run /sys /proc
exec /sbin/init
"""
FILES = {
    FIRST_BOOT: FIRST_BOOT_SCRIPT,
    "etc/fstab": "/dev/vda / ext4 defaults 0 0\n",
    "etc/hostname": "debian\n",
    "etc/hosts": "127.0.0.1 localhost debian\n",
    "etc/network/interfaces": "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n",
    "etc/apt/sources.list": f"deb http://deb.debian.org/debian {SUITE} main\n",
}

Owners = dict[str, tuple[int, int, int]]  # path in the root -> mode, user, group


def packages() -> tuple[str, list[dict[str, str]]]:
    """The mirror, and the control fields of all that a root consists of; base-files first, whose links others' files go by."""
    base, known = index(SUITE, ARCHITECTURE)
    essential = [name for name, fields in known.items() if fields.get("Essential") == "yes" and fields["Package"] == name]
    chosen = closure(known, [*essential, *PACKAGES])
    return base, sorted(chosen, key=lambda fields: (fields["Package"] != "base-files", fields["Package"]))


def unpack(deb: Path, fields: dict[str, str], root: Path) -> tuple[str, Owners]:
    """Unpacks a package as `dpkg --unpack` would, without its preinst; its paragraph for dpkg's status, and who owns what."""
    subprocess.run(["dpkg-deb", "-x", deb, root], check=True)
    listing = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(listing)) as files:
        members = files.getmembers()
    names = [member.name.removeprefix(".").rstrip("/") or "/." for member in members]
    owners = {name: (member.mode, member.uid, member.gid) for name, member in zip(names, members) if not member.issym()}
    information = root / "var/lib/dpkg/info"
    information.mkdir(parents=True, exist_ok=True)
    name = fields["Package"] + (f":{ARCHITECTURE}" if fields.get("Multi-Arch") == "same" else "")
    (information / f"{name}.list").write_text("".join(f"{path}\n" for path in names))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-e", deb, folder], check=True)
        for file in Path(folder).iterdir():
            if file.name != "control":
                copy = information / f"{name}.{file.name}"
                copy.write_bytes(file.read_bytes())
                copy.chmod(file.stat().st_mode)
        control = (Path(folder) / "control").read_text().rstrip()
    paragraph = f"{control}\nStatus: install ok unpacked\n"
    conffiles = information / f"{name}.conffiles"
    kept = [line for line in conffiles.read_text().splitlines() if line.startswith("/")] if conffiles.exists() else []
    for path in kept:  # dpkg puts the new file in its place when it configures the package
        (root / path[1:]).rename(root / f"{path[1:]}.dpkg-new")
        owners[f"{path}.dpkg-new"] = owners.pop(path, (0o644, 0, 0))
    return paragraph + "".join(["Conffiles:\n"] * bool(kept) + [f" {path} newconffile\n" for path in kept]), owners


def make_root(root: Path) -> Owners:
    """Makes the root in an empty folder; who owns what in it, which is so already where a root user makes it."""
    base, chosen = packages()
    paragraphs, owners = [], Owners()
    for fields in chosen:
        paragraph, owned = unpack(package_file(base, fields), fields, root)
        paragraphs.append(paragraph)
        owners |= owned
    database = root / "var/lib/dpkg"
    (database / "status").write_text("\n".join(paragraphs))
    (database / "info/format").write_text("1\n")
    for name in ("available", "diversions", "statoverride"):
        (database / name).touch()
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    os.chmod(root / FIRST_BOOT, 0o755)
    return owners

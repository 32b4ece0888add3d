"""A profile as tables and listings for a terminal, and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from dragoman.perf import profile_listing, table, words
from dragoman.perf.profile_sample import PERIOD
from dragoman.perf.profile_shares import KINDS, Piece, Shares, named

LISTED = 3                      # of the hottest pieces, those whose code is shown
FEW = 5                         # names of routines and files that are shown
TITLE = 60                      # characters of a command line that are shown
GUEST_WIDTH = 34                # columns of guest code in a listing: at least, and with a kernel's addresses
WIDER = 46


def summary(shares: Shares, title: str, top: int) -> Group:
    """All of it. `top`: functions and pieces that are shown."""
    recording, title = shares.recording, " ".join(title.split())
    title = title if len(title) <= TITLE else title[:TITLE] + " ..."
    parts: list[RenderableType] = [Text(
        f"{title}: {words.seconds(shares.total / 1e9)} of CPU time in {words.seconds(recording.wall)}, "
        f"{shares.samples} samples ({recording.way}, one for about {PERIOD / 1e6:.3g} ms)", style="bold")]
    if not shares.total:
        return Group(*parts, Text("no samples"))
    parts += [kinds(shares), functions(shares, top), pieces(shares, top)]
    parts += [listing(shares, piece) for piece in shares.hottest()[:min(LISTED, top)] if piece.hosts]
    return Group(*(item for part in parts for item in (part, Text(""))), *(Text(f"note: {note}", style="dim") for note in notes(shares)))


def share(shares: Shares, weight: float) -> str:
    percent = 100 * weight / shares.total
    return f"{percent:.1f} %" if percent >= 0.05 else ""


def kinds(shares: Shares) -> RenderableType:
    made = table.new("Where CPU time went", "", "share", "CPU")
    for kind, text in KINDS.items():
        if shares.kinds[kind]:
            made.add_row(text, share(shares, shares.kinds[kind]), words.seconds(shares.kinds[kind] / 1e9))
            for name, weight in named(shares.details.items(), kind)[:FEW]:
                made.add_row(f"  {name}", Text(share(shares, weight), style="dim"), "")
    return made


def functions(shares: Shares, top: int) -> RenderableType:
    made = table.new("Guest functions", "function", "tier", "share", "CPU")
    for (tier, name), weight in shares.functions.most_common(top):
        made.add_row(Text(name), tier, share(shares, weight), words.seconds(weight / 1e9))
    return made


def pieces(shares: Shares, top: int) -> RenderableType:
    made = table.new("Blocks and regions", "entered at", "tier", "guest bytes", "share", "CPU")
    for piece in shares.hottest()[:top]:
        made.add_row(Text(piece.name), piece.tier, str(piece.size or ""), share(shares, piece.weight), words.seconds(piece.weight / 1e9))
    return made


def listing(shares: Shares, piece: Piece) -> RenderableType:
    """Share of time, guest code, host code."""
    made = Text(f"{piece.name} [{piece.tier}], {share(shares, piece.weight)}: guest code beside host code\n", style="bold", no_wrap=True)
    wide = GUEST_WIDTH if piece.pc < 1 << 32 else WIDER
    for line in profile_listing.shortened(profile_listing.lines(piece)):
        if line is None:
            made.append(f"{'':9}...\n", style="dim not bold")
            continue
        made.append(f"{share(shares, line.weight):>7}  ", style="not bold green")
        made.append(f"{line.guest:<{wide}} ", style="not bold cyan")
        made.append(f"{line.host}\n", style="not bold")
    made.rstrip()
    return made


def notes(shares: Shares) -> list[str]:
    """What is to be known about what is shown."""
    recording, found = shares.recording, []
    if recording.status:
        found.append(f"the program's exit status was {recording.status}")
    if recording.unseen_in_kernel:
        found.append("samples are of user mode only; the time of the host's kernel is what is left of all CPU time, also that of other processes")
    if recording.lost:
        found.append(f"{recording.lost} samples were lost: what is shown is of the others")
    if shares.others:
        found.append(f"other processes took {words.seconds(shares.others / 1e9)}, which are in nothing shown: programs of the host, the compiler")
    if shares.own:
        found.append(f"the profile's own work took {words.seconds(shares.own / 1e9)} more, which is in nothing shown")
    return found


def as_json(shares: Shares, program: str, arguments: list[str]) -> dict[str, Any]:
    """Weights in seconds of CPU time; addresses as numbers."""
    recording = shares.recording
    return {
        "program": program, "arguments": arguments, "status": recording.status, "wall": recording.wall, "cpu": shares.total / 1e9,
        "way": recording.way, "period": PERIOD / 1e9, "samples": shares.samples, "lost": recording.lost, "own": shares.own / 1e9,
        "others": shares.others / 1e9,
        "kinds": {kind: shares.kinds[kind] / 1e9 for kind in KINDS if shares.kinds[kind]},
        "details": [{"kind": kind, "name": name, "seconds": weight / 1e9} for (kind, name), weight in shares.details.most_common()],
        "functions": [{"tier": tier, "name": name, "seconds": weight / 1e9} for (tier, name), weight in shares.functions.most_common()],
        "pieces": [{"tier": piece.tier, "pc": piece.pc, "bytes": piece.size, "name": piece.name, "seconds": piece.weight / 1e9,
                    "listing": [] if n >= LISTED else [
                        {"seconds": line.weight / 1e9, "guest": line.guest, "host": line.host} for line in profile_listing.lines(piece)]}
                   for n, piece in enumerate(shares.hottest())],
    }

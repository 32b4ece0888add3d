"""The console's menu: what is typed behind Ctrl-] is for the monitor, all else for the guest."""

from __future__ import annotations

from collections.abc import Callable

ESCAPE = 0x1D                   # Ctrl-]


class Action:
    """A key of the menu. `run` may return a text to show."""

    def __init__(self, key: str, text: str, run: Callable[[], str | None]) -> None:
        self.key, self.text, self.run = key, text, run


class Menu:
    """`say` shows a text of whole lines to who types."""

    def __init__(self, actions: tuple[Action, ...], say: Callable[[str], None]) -> None:
        self._actions = {action.key: action for action in actions}
        self._say = say
        self._escaped = False   # the last byte was the escape

    def feed(self, data: bytes) -> bytes:
        """Act on the commands in what was typed; returns what is for the guest."""
        guest = bytearray()
        for byte in data:
            if not self._escaped:
                if byte == ESCAPE:
                    self._escaped = True
                else:
                    guest.append(byte)
                continue
            self._escaped = False
            if byte == ESCAPE:
                guest.append(byte)
            else:
                self._act(chr(byte).lower())
        return bytes(guest)

    def _act(self, key: str) -> None:
        action = self._actions.get(key)
        if action is None:
            self._say(self.help())
            return
        text = action.run()
        if text:
            self._say(text)

    def help(self) -> str:
        rows = [(f"Ctrl-] {action.key}", action.text) for action in self._actions.values()]
        rows += [("Ctrl-] h", "this"), ("Ctrl-] Ctrl-]", "send Ctrl-] to the guest")]
        return "".join(f"{keys:15}{text}\n" for keys, text in rows)

"""A Chromium without a window, spoken to by its DevTools protocol through two pipes: opens a page, asks it things, takes pictures."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
           "--disable-sync --remote-debugging-pipe").split()
READ, WRITE = 3, 4      # descriptors that Chromium reads commands from and writes answers to, each ended by a NUL


class Browser:
    """`events` are all that came unasked: method -> parameters, in order."""

    def __init__(self) -> None:
        assert CHROMIUM is not None
        self.folder = tempfile.mkdtemp(prefix="dragoman-chromium-")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        def pipes() -> None:
            low_in, low_out = os.dup(theirs_in), os.dup(theirs_out)     # neither may be the other's target
            os.dup2(low_in, READ)
            os.dup2(low_out, WRITE)
        self.process = subprocess.Popen([CHROMIUM, *OPTIONS, f"--user-data-dir={self.folder}", "about:blank"], preexec_fn=pipes,
                                        close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer, self._number, self._session = b"", 0, ""
        self.events: list[tuple[str, dict]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._out)
        os.close(self._in)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, method: str, **parameters: object) -> dict:
        """The result of a command. Raises RuntimeError with Chromium's words, TimeoutError."""
        self._number += 1
        command: dict = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._out, json.dumps(command).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            if "method" in message:
                self.events.append((message["method"], message["params"]))

    def _message(self, seconds: float = 60) -> dict:
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], seconds)[0]:
                raise TimeoutError("Chromium does not answer")
            data = os.read(self._in, 1 << 16)
            if not data:
                raise RuntimeError("Chromium has ended")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def open(self, path: Path, width: int, height: int) -> None:
        """Load a file at this size of the window, in CSS pixels, until its script has drawn."""
        self.events.clear()
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.ask("Page.navigate", url=path.as_uri())
        end = time.monotonic() + 60
        while not self.value("document.readyState === 'complete' && document.documentElement.dataset.drawn !== undefined"):
            if time.monotonic() > end:
                raise TimeoutError(f"{path} was not drawn: {self.complaints()}")
            time.sleep(0.1)

    def value(self, expression: str) -> object:
        """What a script's expression gives, of plain types."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def complaints(self) -> list[str]:
        """Errors of scripts, and what the console and the browser said of errors."""
        return [json.dumps(parameters) for method, parameters in self.events
                if method == "Runtime.exceptionThrown"
                or (method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"))
                or (method == "Log.entryAdded" and parameters["entry"]["level"] == "error")]

    def fetched(self) -> list[str]:
        """Addresses that were asked for, but those of data inside the page."""
        found = [parameters["request"]["url"] for method, parameters in self.events if method == "Network.requestWillBeSent"]
        return [address for address in found if not address.startswith(("data:", "blob:"))]

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]))

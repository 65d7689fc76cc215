"""A real server and a real browser; tests that need them are skipped, with the reason, where there is no browser."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runs.folder import list_runs
from runs.launch import terminate
from runs.lock import is_locked

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", *QUIET]
TEXT_CHARACTERS = 40_000
OWN = ("http://localhost", "data:", "blob:")
SCREENSHOTS = Path(__file__).parent / "screenshots"


@dataclass
class Server:
    """`streamlit run main.py` in a folder with a small text; started, killed and started again on one port."""

    folder: Path
    port: int
    process: subprocess.Popen | None = field(default=None)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "main.py")]
        command += [f"--server.port={self.port}", "--server.headless=true", "--server.fileWatcherType=none"]
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
                time.sleep(0.1)

    def kill(self) -> None:
        """As `kill -9`: nothing of the server can say goodbye."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path):
    (tmp_path / ".streamlit").symlink_to(ROOT / ".streamlit")
    text = (ROOT / "training.txt").read_text(encoding="utf-8")[:TEXT_CHARACTERS]
    (tmp_path / "training.txt").write_text(text, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(tmp_path, port)
    server.start()
    yield server
    server.kill()
    end_workers(tmp_path / "checkpoints")


def end_workers(checkpoints: Path) -> None:
    """End what the test has started, and only that: the process that each state.json names."""
    for run in list_runs(checkpoints):
        if is_locked(run):
            terminate(run)


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip(
            "no Chromium on this machine: install it (Debian: apt-get install chromium) to run the browser tests"
        )
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: it is in the dev group"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server, request):
    """A page of its own; requests to other machines and errors in the browser are collected, and must stay none."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    foreign, errors = [], []
    page.on("request", lambda sent: sent.url.startswith(OWN) or foreign.append(sent.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{request.node.name}.png")  # how it looked at the end, also of a failure
    context.close()
    assert not foreign, f"the page asked other machines: {foreign}"
    assert not errors, f"errors in the browser: {errors}"

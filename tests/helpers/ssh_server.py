"""An SSH server on loopback that runs commands as this user, and can cut or spoil connections on request."""

import asyncio
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest


class SshServer:
    """`cuts`: after how many bytes, both ways together, each next connection breaks; `spoil_at`: a byte to change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.device_folder = folder / "device"
        self.device_folder.mkdir()
        self.cuts: Iterator[int] = iter(())
        self.cuts_done = 0
        self.connections = 0
        self.spoil_at: int | None = None
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        import asyncssh

        host_key, client_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        client_key.write_private_key(self.folder / "id")
        (self.folder / "id").chmod(stat.S_IRUSR)
        client_key.write_public_key(self.folder / "id.pub")
        host_key.write_public_key(self.folder / "host.pub")
        self._thread.start()

        async def listen() -> Any:
            return await asyncssh.create_server(
                asyncssh.SSHServer,
                "127.0.0.1",
                0,
                server_host_keys=[host_key],
                authorized_client_keys=str(self.folder / "id.pub"),
                process_factory=self._serve,
                encoding=None,
            )

        self._server = asyncio.run_coroutine_threadsafe(listen(), self._loop).result(30)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        async def close() -> None:
            self._server.close()
            await self._server.wait_closed()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def known_hosts(self) -> str:
        key = (self.folder / "host.pub").read_text().strip()
        return f"[127.0.0.1]:{self.port} {key}\n"

    async def _serve(self, process: Any) -> None:
        self.connections += 1
        left = next(self.cuts, None)
        environment = os.environ | {"TMPDIR": str(self.device_folder)}
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_shell(
            process.command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
        )
        assert child.stdin is not None
        to_child, seen = child.stdin, 0

        async def relay(source: Any, sink: Any, *, incoming: bool) -> None:
            nonlocal left, seen
            while data := await source.read(16384):
                if incoming and self.spoil_at is not None and seen <= self.spoil_at < seen + len(data):
                    place = self.spoil_at - seen
                    data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
                seen += len(data) if incoming else 0
                if left is not None:
                    sink.write(data[:left])
                    left -= len(data)
                    if left <= 0:
                        with suppress(ConnectionError, OSError):
                            await sink.drain()
                        self.cuts_done += 1
                        process.channel.get_connection().abort()
                        return
                else:
                    sink.write(data)
                with suppress(ConnectionError):
                    await sink.drain()

        async def inwards() -> None:
            with suppress(ConnectionError, asyncio.CancelledError):
                await relay(process.stdin, to_child, incoming=True)
            to_child.close()

        feeding = asyncio.ensure_future(inwards())
        with suppress(ConnectionError, OSError):
            await asyncio.gather(
                relay(child.stdout, process.stdout, incoming=False), relay(child.stderr, process.stderr, incoming=False)
            )
        feeding.cancel()
        to_child.close()
        code = await child.wait()
        with suppress(ConnectionError, OSError):
            process.exit(code)


@contextmanager
def ssh_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """A running server; `ssh 127.0.0.1` reaches it, by an `ssh` on the PATH that adds options of this test's own."""
    pytest.importorskip("asyncssh")
    program = shutil.which("ssh")
    if program is None:
        pytest.skip("no OpenSSH client on this machine")
    server = SshServer(folder)
    server.start()
    (folder / "known_hosts").write_text(server.known_hosts())
    options = (
        f"-F none -p {server.port} -i {folder}/id -o IdentitiesOnly=yes -o UserKnownHostsFile={folder}/known_hosts"
    )
    binaries = folder / "bin"
    binaries.mkdir()
    (binaries / "ssh").write_text(f'#!/bin/sh\nexec {program} {options} -o IdentityAgent=none "$@"\n')
    (binaries / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    try:
        yield server
    finally:
        server.stop()

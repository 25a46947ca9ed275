"""A PostgreSQL server of the tests' own: in a temporary folder, on a free port of loopback, without root's rights."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "geheim:wort/1@7"  # with what must be quoted in a URL


@dataclass(frozen=True)
class Server:
    """Where a server answers: `owner` needs no password there, `reader` has `PASSWORD` and may only read."""

    port: int

    def url(self, user="owner", password=None, database="postgres", port=None):
        """Return a SQLAlchemy URL."""
        from sqlalchemy import URL

        made = URL.create("postgresql", user, password, "127.0.0.1", port or self.port, database)
        return made.render_as_string(hide_password=False)

    def connect(self):
        """Return a psycopg connection of the owner's, outside transactions."""
        import psycopg

        return psycopg.connect(
            f"host=127.0.0.1 port={self.port} user=owner dbname=postgres options='-c client_min_messages=warning'",
            autocommit=True,
        )


@contextlib.contextmanager
def running():
    """Give a `Server` that is stopped and removed afterwards."""
    programs = Path(shutil.which("initdb")).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="embedkit-postgres-"))
    data = folder / "data"
    ordinary = _ordinary_user(folder)

    def call(program, *arguments):
        command = [str(programs / program), "-D", str(data), *arguments]
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            **ordinary,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"

    try:
        call("initdb", "-U", "owner", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync")
        rules = "host all reader 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
        (data / "pg_hba.conf").write_text(rules)
        port = _free_port()
        settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        call("pg_ctl", "-w", "-s", "-l", str(folder / "log"), "-o", settings, "start")
        try:
            server = Server(port)
            with server.connect() as connection:
                connection.execute(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
            yield server
        finally:
            call("pg_ctl", "-w", "-s", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ordinary_user(folder):
    """Return what makes a process run as somebody else where this one runs as root, which PostgreSQL refuses."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

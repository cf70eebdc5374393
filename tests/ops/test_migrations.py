"""What files make of a publication, compared with what PostgreSQL makes of the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from realtime_hub.changes import TableName
from realtime_hub.errors import SettingsError
from realtime_hub.ops.migrations import MigrationFacts, read_migrations

TABLES = "create table a(); create table b(); create table c(); create table d();"
PUBLICATION = "create publication p for table a;"
SAME_AS_POSTGRES = {
    "the last state counts": "alter publication p add table b, c; alter publication p drop table a",
    "set replaces all": "alter publication p set table b, only c",
    "options are no tables": "alter publication p set (publish = 'insert')",
    "dropped and made anew": "drop publication p; create publication p for table d",
    "a dropped table is gone": "drop table a",
    "a renamed table stays": "alter table a rename to z",
    "column lists and filters": "alter table b add x int; alter table b add primary key (x);"
    " alter publication p add table b (x) where (x > 1)",
    "all tables": "drop publication p; create publication p for all tables",
    "a schema": "create schema s; create table s.t(); alter publication p add tables in schema s",
    "another publication": "create publication q for table b, c",
    "a DO block over an array": """
      do $$ declare t text; tables text[] := array['b', 'c']; begin
        foreach t in array tables loop
          if not exists (select from pg_publication_tables where tablename = t) then
            execute format('alter publication %I add table %I.%I', 'p', 'public', t);
          end if;
        end loop;
      exception when others then raise notice 'no';
      end $$""",
    "a DO block over rows": """
      do $$ declare r record; begin
        for r in select unnest(array['b']) as name loop
          execute 'alter publication p add table ' || quote_ident(r.name);
        end loop;
        for r in select * from (values ('c'), ('d')) v(name) loop
          execute format('alter publication p add table public.%2$I %1$s', '', r.name);
        end loop;
      end $$""",
    "a DO block with an array literal and an assignment": """
      do $$ declare t text; q text; begin
        foreach t in array '{b, d}'::text[] loop
          q := 'alter publication p add table ' || t;
          execute q;
        end loop;
        alter publication p drop table a;
      end $$""",
}


def read(folder: Path, *texts: str) -> MigrationFacts:
    for number, text in enumerate(texts):
        (folder / f"{number}.sql").write_text(text)
    return read_migrations(folder, "p")


def names(conn: psycopg.Connection[Any], query: LiteralString) -> set[TableName]:
    return {TableName(*row) for row in conn.execute(query).fetchall()}


@pytest.mark.parametrize("statements", SAME_AS_POSTGRES.values(), ids=SAME_AS_POSTGRES.keys())
def test_the_files_say_what_postgres_would_make_of_them(
    statements: str, tmp_path: Path, database: str
) -> None:
    texts = (TABLES, PUBLICATION, statements)
    with psycopg.connect(database, autocommit=True) as conn:
        for text in texts:
            conn.execute(text.encode())
        found = names(
            conn, "select schemaname, tablename from pg_publication_tables where pubname = 'p'"
        )
        every = names(
            conn, "select schemaname, tablename from pg_tables where schemaname in ('public', 's')"
        )
    facts = read(tmp_path, *texts)
    assert {table for table in every if facts.holds(table)} == found
    assert facts.unresolved == ()


def test_files_count_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "2.sql").write_text("alter publication p drop table a")
    (tmp_path / "1.sql").write_text("create publication p for table a, b")
    assert [table.name for table in read_migrations(tmp_path, "p").tables] == ["b"]


def test_the_place_is_that_of_the_statement(tmp_path: Path) -> None:
    facts = read(tmp_path, "-- first\n\nselect 1;\n-- é\n\n  create publication p\n for table a;")
    ((_, place),) = facts.tables.items()
    assert (place.file, place.line) == ("0.sql", 6)


@pytest.mark.parametrize(
    "text",
    [
        "create publication p for table;",
        "do $$ begin create publication p for table a; $$;",
        "do $$ declare t text; begin for t in select tablename from pg_tables loop"
        " execute format('alter publication p add table %I', t); end loop; end $$",
        "\\connect other\ncreate publication p (for table x;",
    ],
)
def test_what_can_t_be_followed_is_said(text: str, tmp_path: Path) -> None:
    facts = read(tmp_path, text)
    assert facts.tables == {}
    assert any(item.startswith("0.sql:") for item in facts.unresolved)


def test_a_file_with_one_odd_statement_is_read_all_the_same(tmp_path: Path) -> None:
    facts = read(tmp_path, "\\set x 1;\nthis is no sql;\ncreate publication p for table a;")
    assert [table.name for table in facts.tables] == ["a"]


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        read_migrations(tmp_path / "nowhere", "p")

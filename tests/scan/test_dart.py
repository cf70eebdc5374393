"""Channels and streams in Dart."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_hub.scan import Cleanup, Style
from tests.scan.parts import one, scanned

STATE = """
class _ChatState extends State<Chat> {
  RealtimeChannel? _channel;
  static const table = 'messages';

  @override
  void initState() {
    super.initState();
    _channel = supabase
        .channel('room-${widget.room}')
        .onPostgresChanges(
          event: PostgresChangeEvent.insert,
          schema: 'public',
          table: table,
          filter: PostgresChangeFilter(
            type: PostgresChangeFilterType.eq,
            column: 'room',
            value: 7,
          ),
          callback: (payload) => show(payload),
        )
        .onPresenceSync((payload) {})
        .subscribe();
  }

  @override
  void dispose() {
    supabase.removeChannel(_channel!);
    super.dispose();
  }
}
"""


def test_a_states_channel_is_read_whole(tmp_path: Path) -> None:
    channel = one(tmp_path, STATE, "lib/chat.dart")
    assert [(b.kind, b.event.text, b.table.text, b.filter.text) for b in channel.bindings] == [
        ("postgres_changes", "INSERT", "messages", "room=eq.7"),
        ("presence", "sync", None, None),
    ]
    assert channel.owner == "_ChatState"
    assert channel.cleanup is Cleanup.YES
    assert channel.name_kind == "template"


def test_cascades_listen_on_the_channel_that_they_follow(tmp_path: Path) -> None:
    channel = one(
        tmp_path,
        """
        void main() {
          final channel = client.channel('tasks')
            ..onPostgresChanges(
                event: PostgresChangeEvent.all, table: 'tasks', callback: (p) {})
            ..subscribe();
        }
        """,
        "lib/main.dart",
    )
    assert [b.table.text for b in channel.bindings] == ["tasks"]
    assert len(channel.subscribe) == 1


def test_the_first_versions_filter_object_is_read(tmp_path: Path) -> None:
    channel = one(
        tmp_path,
        """
        void listen() {
          supabase.channel('old').on(
            RealtimeListenTypes.postgresChanges,
            ChannelFilter(event: 'UPDATE', schema: 'public', table: 'notes', filter: 'id=eq.1'),
            (payload, [ref]) {},
          ).subscribe();
        }
        """,
        "lib/old.dart",
    )
    (binding,) = channel.bindings
    assert (binding.event.text, binding.table.text, binding.filter.text) == (
        "UPDATE",
        "notes",
        "id=eq.1",
    )


def test_a_stream_listens_to_its_table_and_a_builder_stops_it(tmp_path: Path) -> None:
    found = scanned(
        tmp_path,
        {
            "lib/list.dart": """
            class Page extends StatelessWidget {
              Widget build(BuildContext context) {
                return StreamBuilder(
                  stream: supabase.from('files').stream(primaryKey: ['id']).eq('project', 7),
                  builder: (context, snapshot) => Text(''),
                );
              }
            }
            class Repository {
              Stream<List<Map>> all() => supabase.from('notes').stream(primaryKey: ['id']);
            }
            class _S extends State<P> {
              void initState() {
                sub = supabase.from('logs').stream(primaryKey: ['id']).listen((rows) {});
              }
              void dispose() { sub.cancel(); }
            }
            """
        },
    )
    assert [(c.style, c.cleanup) for c in found.channels] == [
        (Style.STREAM, Cleanup.YES),
        (Style.STREAM, Cleanup.RETURNED),
        (Style.STREAM, Cleanup.YES),
    ]
    assert [(s.table, s.event, s.filter.text) for s in found.subscriptions] == [
        ("files", "*", "project=eq.7"),
        ("notes", "*", None),
        ("logs", "*", None),
    ]


CANCELLED = """
Stream<Map<String, dynamic>> watch(String id) {
  START
  final channel = client.channel('x').onPostgresChanges(
    event: PostgresChangeEvent.update, table: 'recipes', callback: (p) => controller.add(p));
  channel.subscribe();
  END
  return controller.stream;
}
"""


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("final controller = make();", "controller.onCancel = () { channel.unsubscribe(); };"),
        (
            "late RealtimeChannel channel;"
            " final controller = StreamController(onCancel: () => channel.unsubscribe());",
            "",
        ),
    ],
)
def test_who_listens_to_a_stream_closes_its_channel(tmp_path: Path, start: str, end: str) -> None:
    text = CANCELLED.replace("START", start).replace("END", end)
    text = text.replace("final channel", "channel") if "late" in start else text
    assert one(tmp_path, text, "lib/recipes.dart").cleanup is Cleanup.CALLER


def test_a_first_versions_topic_may_be_joined_from_constants(tmp_path: Path) -> None:
    text = """
    class State {
      static const String where = ':id=eq.';
      static const String board = 'boards';
      void listen() {
        client.from(board + where + '$_id').on(SupabaseEventTypes.update, show).subscribe();
      }
    }
    """
    (binding,) = one(tmp_path, text, "lib/state.dart").bindings
    assert (binding.table.text, binding.event.text, binding.filter.text) == (
        "boards",
        "UPDATE",
        "`id=eq.$_id`",
    )


def test_a_named_argument_decides_whether_there_is_a_filter(tmp_path: Path) -> None:
    text = """
    class Sync {
      void start() { _open(table: 'a'); _open(table: 'b', filtered: false); }
      void _open({required String table, bool filtered = true}) {
        client.channel(table).onPostgresChanges(
          event: PostgresChangeEvent.all, table: table, callback: f,
          filter: filtered ? PostgresChangeFilter(
            type: PostgresChangeFilterType.eq, column: 'shop', value: '7') : null,
        ).subscribe();
      }
    }
    """
    found = scanned(tmp_path, {"lib/sync.dart": text})
    assert [(each.table, each.filter.text) for each in found.subscriptions] == [
        ("a", "shop=eq.7"),
        ("b", None),
    ]

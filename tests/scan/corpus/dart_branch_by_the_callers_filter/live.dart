import 'package:supabase_flutter/supabase_flutter.dart';

final supabase = Supabase.instance.client;

RealtimeChannel follow(String table, void Function() refresh, {String? owner}) {
  var channel = supabase.channel('live-$table');
  if (owner != null && !(owner == '')) {
    channel = channel.onPostgresChanges(
      event: PostgresChangeEvent.update,
      schema: 'public',
      table: table,
      filter: PostgresChangeFilter(
        type: PostgresChangeFilterType.eq,
        column: 'owner',
        value: owner,
      ),
      callback: (_) => refresh(),
    );
  } else {
    channel = channel.onPostgresChanges(
      event: PostgresChangeEvent.all,
      schema: 'public',
      table: table,
      callback: (_) => refresh(),
    );
  }
  return channel.subscribe();
}

final boats = follow('boats', () {});
final moorings = follow('moorings', () {}, owner: 'me');

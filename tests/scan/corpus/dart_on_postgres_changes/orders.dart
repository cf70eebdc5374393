import 'package:supabase_flutter/supabase_flutter.dart';

class OrdersRepository {
  final SupabaseClient _client = Supabase.instance.client;
  RealtimeChannel? _channel;

  void listen(void Function(Map<String, dynamic>) onOrder) {
    _channel = _client
        .channel('orders')
        .onPostgresChanges(
          event: PostgresChangeEvent.insert,
          schema: 'public',
          table: 'orders',
          callback: (payload) => onOrder(payload.newRecord),
        )
        .subscribe();
  }

  void dispose() {
    if (_channel != null) _client.removeChannel(_channel!);
  }
}

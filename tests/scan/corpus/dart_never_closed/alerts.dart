import 'package:flutter/widgets.dart';
import 'package:supabase_flutter/supabase_flutter.dart';

class Alerts extends StatefulWidget {
  const Alerts({super.key});

  @override
  State<Alerts> createState() => _AlertsState();
}

class _AlertsState extends State<Alerts> {
  int count = 0;

  @override
  void initState() {
    super.initState();
    Supabase.instance.client
        .channel('alerts')
        .onPostgresChanges(
          event: PostgresChangeEvent.insert,
          schema: 'public',
          table: 'alerts',
          callback: (payload) => setState(() => count++),
        )
        .subscribe();
  }

  @override
  Widget build(BuildContext context) => Text('$count');
}

import 'package:supabase_flutter/supabase_flutter.dart';

final supabase = Supabase.instance.client;

Stream<List<Map<String, dynamic>>> openTodos() =>
    supabase.from('todos').stream(primaryKey: ['id']).eq('done', false).order('created_at');

void main() {
  openTodos().listen(print);
}

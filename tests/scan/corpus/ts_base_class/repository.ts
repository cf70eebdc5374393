import { supabase } from './db'

export class Repository<Row> {
  constructor(
    protected readonly table: string,
    protected readonly schema = 'public',
  ) {}

  watch(onRow: (row: Row) => void) {
    const channel = supabase
      .channel(`${this.schema}:${this.table}`)
      .on(
        'postgres_changes',
        { event: '*', schema: this.schema, table: this.table },
        (change) => onRow(change.new as Row),
      )
      .subscribe()
    return () => supabase.removeChannel(channel)
  }
}

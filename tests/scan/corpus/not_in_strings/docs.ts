export const HELP = `
supabase
  .channel('example')
  .on('postgres_changes', { event: '*', schema: 'public', table: 'example' }, handler)
  .subscribe()
`
export const LINE = "supabase.channel('x').on('postgres_changes', { table: 'y' }).subscribe()"

import { randomUUID } from 'node:crypto'
import { client } from './client'

export async function follow(jobId: number) {
  const channel = client
    .channel(`job-${randomUUID()}`)
    .on('postgres_changes', { event: 'UPDATE', schema: 'jobs', table: 'runs', filter: 'state=eq.done' }, () => done())
    .subscribe()
  function done() {
    client.removeChannel(channel)
    console.log(jobId)
  }
}
follow(1)

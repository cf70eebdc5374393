import { LiveRows } from './LiveRows'

const QUAYS = 'quays'

export function Harbour({ show, about }: { show: (row: unknown) => void; about: object }) {
  return (
    <section>
      <LiveRows table="arrivals" onRow={show} />
      <LiveRows {...about} table={QUAYS} event="UPDATE" onRow={show} />
    </section>
  )
}

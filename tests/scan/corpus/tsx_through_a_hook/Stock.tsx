import { useTableChanges } from './useTableChanges'

export function Stock({ reload }: { reload: () => void }) {
  useTableChanges('stock_levels', reload)
  return <p>stock</p>
}

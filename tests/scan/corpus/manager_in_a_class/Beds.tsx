import { useFollowed } from './useFollowed'

export function Beds({ ward }: { ward: string }) {
  useFollowed({ name: 'beds', rows: `ward=eq.${ward}` }, () => location.reload())
  return <p>{ward}</p>
}

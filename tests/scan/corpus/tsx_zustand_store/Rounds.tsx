import { useEffect } from 'react'
import { useWard } from './useWard'

export function Rounds() {
  const watch = useWard((ward) => ward.watch)
  const { watchAll, stop } = useWard()
  useEffect(() => {
    watch('visits', 'INSERT')
    watchAll()
    return () => stop('visits')
  }, [watch, watchAll, stop])
  return <button onClick={() => useWard.getState().watch('doses')}>doses</button>
}

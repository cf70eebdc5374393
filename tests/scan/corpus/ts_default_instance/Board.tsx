import { useEffect, useState } from 'react'
import live from './feedService'

export function Board() {
  const [notices, setNotices] = useState<unknown[]>([])
  useEffect(() => live.subscribe('notices', (row) => setNotices((all) => [...all, row])), [])
  return <p>{notices.length}</p>
}

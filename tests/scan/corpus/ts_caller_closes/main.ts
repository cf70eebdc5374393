import { listenToShifts } from './listen'
import { db } from './db'

const stop = listenToShifts(db, 7, console.log)
process.on('SIGTERM', stop)

import { onTable } from './wrapper'

const offA = onTable('apples', console.log)
const offB = onTable('pears', console.log)
process.on('exit', () => { offA(); offB() })

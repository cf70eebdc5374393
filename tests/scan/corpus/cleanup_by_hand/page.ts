import { db } from './db'
import { LiveOrders } from './live-orders'

const live = new LiveOrders(db)
live.start((row) => console.log(row))
document.querySelector('#pause')?.addEventListener('click', () => live.pause())

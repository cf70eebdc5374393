import { watchOrders } from './orders'

const stop = watchOrders(console.log)
window.addEventListener('beforeunload', stop)

import { EventEmitter } from 'node:events'

const orders = new EventEmitter()
orders.on('INSERT', (row) => console.log(row))
orders.on('postgres_changes', (row) => console.log(row))
orders.emit('INSERT', { id: 1 })

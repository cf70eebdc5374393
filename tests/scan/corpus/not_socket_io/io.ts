import { io } from 'socket.io-client'

const socket = io('http://localhost')
socket.on('broadcast', (data: unknown) => console.log(data))
socket.emit('subscribe', { table: 'orders' })

const socket = new WebSocket('ws://localhost:4000/realtime/v1/websocket?apikey=anon&vsn=1.0.0')

socket.onopen = () => {
  socket.send(JSON.stringify({
    topic: 'realtime:raw',
    event: 'phx_join',
    payload: { config: { postgres_changes: [{ event: 'INSERT', schema: 'public', table: 'events' }] } },
    ref: '1',
  }))
}
socket.onmessage = (message) => console.log(JSON.parse(message.data))

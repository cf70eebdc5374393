const stripe = require('stripe')(process.env.STRIPE_KEY)
const elements = stripe.elements()

const card = elements.create('card')
card.on('change', (event) => show(event.error))
card.on('ready', () => card.focus())

const pusher = new Pusher(process.env.PUSHER_KEY)
pusher.subscribe('orders').bind('INSERT', (order) => draw(order))

const ably = new Ably.Realtime(process.env.ABLY_KEY)
ably.channels.get('orders').subscribe('INSERT', (message) => draw(message.data))

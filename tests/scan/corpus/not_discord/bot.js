const { Client } = require('discord.js')

const client = new Client({ intents: [] })
client.on('presence', () => {})
client.channels.fetch('1').then((channel) => channel.send('INSERT into orders'))

const tabs = new BroadcastChannel('orders')
tabs.onmessage = (event) => console.log(event.data)
tabs.postMessage({ table: 'orders', event: 'INSERT' })

import { ChangeService } from './service'
import { client } from './client'

const service = new ChangeService(client, 'vehicles')
service.start(() => {})
process.once('SIGTERM', () => service.stop())

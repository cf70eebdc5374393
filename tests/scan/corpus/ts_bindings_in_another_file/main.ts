import { supabase } from './db'
import { bindOrders } from './bind'

const channel = supabase.channel('shop')
bindOrders(channel)
channel.subscribe()

import { onScopeDispose, ref } from 'vue'
import { supabase } from '@/supabase'

export function useOrders() {
  const orders = ref<unknown[]>([])
  const channel = supabase
    .channel('composable')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'orders' }, (p) => orders.value.push(p.new))
    .subscribe()
  onScopeDispose(() => supabase.removeChannel(channel))
  return { orders }
}

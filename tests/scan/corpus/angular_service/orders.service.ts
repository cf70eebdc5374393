import { Injectable, OnDestroy } from '@angular/core'
import { Subject } from 'rxjs'
import { RealtimeChannel } from '@supabase/supabase-js'
import { SupabaseService } from './supabase.service'

@Injectable({ providedIn: 'root' })
export class OrdersService implements OnDestroy {
  readonly changes = new Subject<unknown>()
  private channel: RealtimeChannel

  constructor(private supabase: SupabaseService) {
    this.channel = this.supabase.client
      .channel('ng-orders')
      .on('postgres_changes', { event: '*', schema: 'public', table: 'orders' }, (p) => this.changes.next(p))
      .subscribe()
  }

  ngOnDestroy() {
    this.supabase.client.removeChannel(this.channel)
  }
}

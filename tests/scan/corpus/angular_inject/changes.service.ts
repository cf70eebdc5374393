import { Injectable } from '@angular/core'
import { Observable } from 'rxjs'
import { supabase } from './db'

@Injectable({ providedIn: 'root' })
export class ChangesService {
  of(table: string): Observable<unknown> {
    return new Observable((observer) => {
      const channel = supabase
        .channel(`changes-${table}`)
        .on('postgres_changes', { event: '*', schema: 'public', table }, (row) => observer.next(row))
        .subscribe()
      return () => supabase.removeChannel(channel)
    })
  }
}

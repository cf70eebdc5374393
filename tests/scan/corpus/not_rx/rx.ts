import { Subject } from 'rxjs'
import { filter } from 'rxjs/operators'

const changes = new Subject<{ table: string }>()
changes.pipe(filter((c) => c.table === 'orders')).subscribe((c) => console.log(c))

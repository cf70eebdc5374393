import { Component, inject } from '@angular/core'
import { ChangesService } from './changes.service'

@Component({ selector: 'app-gates', template: '{{ rows | async }}' })
export class GatesComponent {
  private readonly live = inject(ChangesService)
  readonly rows = this.live.of('gates')
}

import { Repository } from './repository'

export class Lakes extends Repository<{ id: number }> {
  constructor() {
    super('lakes')
  }
}

class Named extends Repository<{ name: string }> {
  constructor(table: string) {
    super(table)
  }
}

export const rivers = new Named('rivers')
export const peaks = new Repository('peaks')

export const stops = [new Lakes(), rivers, peaks].map((place) => place.watch(console.log))

import { hall } from './hall'

export const stopDancers = hall.subscribe('floor', { table: 'dancers', onArrival: console.log })
export const stopSongs = hall.subscribe('desk', {
  table: 'songs',
  onChange: console.log,
  onLeaving: console.log,
})

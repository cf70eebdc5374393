import { follow, followNew } from './follow'

export const stops = [
  follow('harbours', console.log),
  follow(['ships', 'crews'], console.log),
  followNew('tides', location.reload),
  followNew(['storms', 'buoys'], location.reload),
]

import { hub } from './hub'

export const off = [hub.subscribe('cars', console.log), hub.subscribe('cars', console.warn)]

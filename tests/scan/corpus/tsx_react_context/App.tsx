import { Kiosk } from './Kiosk'
import { LiveProvider } from './Live'

export const App = () => (
  <LiveProvider>
    <Kiosk reload={() => location.reload()} />
  </LiveProvider>
)

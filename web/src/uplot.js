// The console's charts: the library alone, since the console's own sources are not bundled.
import 'uplot/dist/uPlot.min.css'
export { default } from 'uplot'

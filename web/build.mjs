// Makes what the wheel ships of web/: the demo's page, and the chart library of the console, whose
// own sources are served as they are. With each go the licences of what is in it. Run by `make web`;
// the same sources make the same bytes.
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { build } from 'esbuild'

const root = process.argv[2] ?? '../src/realtime_hub'
const SHARED_LICENCE = '@supabase/supabase-js' // its packages carry no licence file of their own

await bundle(`${root}/demo/page`, { page: 'src/main.js' }, { external: ['/demo/*'] })
for (const name of ['index.html', 'icon.svg']) await copyFile(`src/${name}`, `${root}/demo/page/${name}`)
await bundle(`${root}/console/page`, { uplot: 'src/uplot.js' })

async function bundle(out, entryPoints, options = {}) {
  await mkdir(out, { recursive: true })
  const { metafile } = await build({
    entryPoints,
    outdir: out,
    bundle: true,
    minify: true,
    format: 'esm',
    target: ['es2022', 'chrome109', 'firefox115', 'safari16'],
    legalComments: 'none',
    charset: 'utf8',
    metafile: true,
    ...options,
  })
  const [name] = Object.keys(entryPoints)
  const texts = await Promise.all(packages(metafile).map(licence))
  await writeFile(`${out}/licenses.txt`, `${name}.js and ${name}.css contain:\n\n${texts.join('\n')}`)
}

function packages({ inputs }) {
  const found = Object.keys(inputs).flatMap((path) => [...path.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)/g)])
  return [...new Set(found.map(([, name]) => name))].sort()
}

async function licence(name) {
  const home = `node_modules/${name}`
  const { version, license } = JSON.parse(await readFile(`${home}/package.json`, 'utf8'))
  for (const file of ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'CopyrightNotice.txt'])
    try {
      return `== ${name} ${version} (${license}) ==\n\n${await readFile(`${home}/${file}`, 'utf8')}`
    } catch {
      // the next name
    }
  if (!name.startsWith('@supabase/')) throw new Error(`${name} has no licence file`)
  return `== ${name} ${version} (${license}) ==\n\nCopyright (c) Supabase; see ${SHARED_LICENCE}.\n`
}

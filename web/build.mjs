// Makes the page that the wheel ships: one script, one style sheet, and the licences of what is in
// them. Run by `make web`; the same sources make the same bytes.
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { build } from 'esbuild'

const out = process.argv[2] ?? '../src/realtime_hub/demo/page'
const PACKAGES = ['supabase-js', 'auth-js', 'functions-js', 'postgrest-js', 'realtime-js', 'storage-js', 'phoenix'].map(
  (name) => `@supabase/${name}`
)

await mkdir(out, { recursive: true })
const { metafile } = await build({
  external: ['/demo/*'],
  entryPoints: [
    { in: 'src/main.js', out: 'page' },
  ],
  outdir: out,
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022', 'chrome109', 'firefox115', 'safari16'],
  legalComments: 'none',
  charset: 'utf8',
  metafile: true,
})
for (const name of ['index.html', 'icon.svg']) await copyFile(`src/${name}`, `${out}/${name}`)

const used = new Set()
for (const path of Object.keys(metafile.inputs)) {
  const found = /node_modules\/((?:@[^/]+\/)?[^/]+)/g
  for (const [, name] of path.matchAll(found)) used.add(name)
}
const texts = await Promise.all([...used].sort().map(licence))
await writeFile(`${out}/licenses.txt`, `page.js and page.css contain:\n\n${texts.join('\n')}`)

async function licence(name) {
  const home = `node_modules/${name}`
  const { version, license } = JSON.parse(await readFile(`${home}/package.json`, 'utf8'))
  for (const file of ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'LICENSE.md', 'CopyrightNotice.txt'])
    try {
      return `== ${name} ${version} (${license}) ==\n\n${await readFile(`${home}/${file}`, 'utf8')}`
    } catch {
      // the next name
    }
  if (!PACKAGES.includes(name)) throw new Error(`${name} has no licence file`)
  return `== ${name} ${version} (${license}) ==\n\nCopyright (c) Supabase; see @supabase/supabase-js.\n`
}

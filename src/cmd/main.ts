// The one entry of the bundle: finds the program by name and hands it the arguments. Programs load only when they are called.

type Program = (args: readonly string[]) => Promise<number>

const programs: { readonly [name: string]: () => Promise<{ readonly run: Program }> } = {}

const [name = '--help', ...args] = process.argv.slice(2)
const load = programs[name]
if (load) {
  const { run } = await load()
  process.exitCode = await run(args)
} else {
  process.stderr.write(`k8ts: no program named ${JSON.stringify(name)}\n`)
  process.exitCode = 1
}

// The one entry of the bundle: finds the program by name and hands it the arguments. Programs load only when they are called.

type Program = (args: readonly string[]) => Promise<number>

const programs: { readonly [name: string]: () => Promise<{ readonly run: Program }> } = {
  cluster: () => import('./cluster.ts'),
  'container-runtime': () => import('./container-runtime.ts'),
  down: () => import('./down.ts'),
  etcd: () => import('./etcd.ts'),
  etcdctl: () => import('./etcdctl.ts'),
  etcdutl: () => import('./etcdutl.ts'),
  image: () => import('./image.ts'),
  'kube-apiserver': () => import('./kube-apiserver.ts'),
  'kube-controller-manager': () => import('./kube-controller-manager.ts'),
  'kube-proxy': () => import('./kube-proxy.ts'),
  'kube-scheduler': () => import('./kube-scheduler.ts'),
  kubectl: () => import('./kubectl.ts'),
  kubelet: () => import('./kubelet.ts'),
  node: () => import('./node.ts'),
  unit: () => import('./unit.ts'),
}

const [name = 'help', ...args] = process.argv.slice(2)
const load = Object.hasOwn(programs, name) ? programs[name] : undefined
if (load) {
  const { run } = await load()
  process.exitCode = await run(args)
} else if (['help', '--help', '-h'].includes(name)) {
  process.stdout.write(`k8ts: a complete Kubernetes in TypeScript\n\nUsage:\n  k8ts <program> [flags]\n\nPrograms:\n${Object.keys(programs).sort().map((p) => `  ${p}`).join('\n')}\n`)
} else {
  process.stderr.write(`k8ts: no program named ${JSON.stringify(name)}; see 'k8ts --help'\n`)
  process.exitCode = 1
}

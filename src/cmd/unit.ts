// `k8ts unit PROGRAM [flags…]` prints a systemd unit that runs a program with these flags: `k8ts unit etcd --name=a > /etc/systemd/system/etcd.service`.
//
// The program runs as it would here: same flags, same folder for relative paths.
// Source: systemd.unit(5), systemd.service(5), systemd.syntax(7)
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Service {
  readonly description: string
  /** `notify`: it says when it is ready. */
  readonly type: 'notify' | 'exec'
  /** Units that should run before it does. */
  readonly after: readonly string[]
  readonly settings?: readonly string[]
}

const network = ['network-online.target']

export const services: { readonly [program: string]: Service } = {
  // A member of several is ready once there is a leader: the others may come much later.
  etcd: { description: "etcd, the cluster's key-value store", type: 'notify', after: network, settings: ['TimeoutStartSec=infinity'] },
  'kube-apiserver': { description: 'Kubernetes API server', type: 'exec', after: [...network, 'etcd.service'] },
  'kube-controller-manager': { description: 'Kubernetes controller manager', type: 'exec', after: [...network, 'kube-apiserver.service'] },
  'kube-scheduler': { description: 'Kubernetes scheduler', type: 'exec', after: [...network, 'kube-apiserver.service'] },
  'kube-proxy': { description: 'Kubernetes network proxy', type: 'exec', after: network },
  // Containers outlive the programs that started them.
  kubelet: { description: 'Kubernetes node agent', type: 'exec', after: [...network, 'container-runtime.service'], settings: ['KillMode=process', 'Delegate=yes'] },
  'container-runtime': { description: 'container runtime', type: 'exec', after: network, settings: ['KillMode=process', 'Delegate=yes'] },
}

/** @throws Error for a program that is no service */
export function formatUnit(program: string, flags: readonly string[], launcher: readonly string[], folder: string): string {
  const service = Object.hasOwn(services, program) ? services[program] : undefined
  if (!service) throw new Error(`${JSON.stringify(program)} is no service; one of ${Object.keys(services).join(', ')}`)
  return `[Unit]
Description=${service.description}
Documentation=${program === 'etcd' ? 'https://etcd.io/docs/' : `https://kubernetes.io/docs/reference/command-line-tools-reference/${program.startsWith('kube') ? `${program}/` : ''}`}
After=${service.after.join(' ')}
Wants=${network.join(' ')}

[Service]
Type=${service.type}
ExecStart=${[...launcher, ...flags].map(quote).join(' \\\n  ')}
WorkingDirectory=${folder.replaceAll('%', '%%')}
Restart=on-failure
RestartSec=5s
LimitNOFILE=65536
${(service.settings ?? []).map((line) => `${line}\n`).join('')}
[Install]
WantedBy=multi-user.target
`
}

/** A word of a command line as systemd reads it: `%` begins a specifier, `$` a variable. */
export function quote(word: string): string {
  const escaped = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('\t', '\\t').replaceAll('%', '%%').replaceAll('$', '$$$$')
  return escaped !== '' && /^[A-Za-z0-9_@%+=:,./$-]+$/.test(escaped) ? escaped : `"${escaped}"`
}

/** The shortest command that starts a program of this installation. */
export function launcherOf(program: string, mainFile: string): readonly string[] {
  for (let folder = dirname(mainFile); folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'bin', program)) && existsSync(join(folder, 'k8ts'))) return [join(folder, 'bin', program)]
    if (existsSync(join(folder, 'k8ts'))) return [join(folder, 'k8ts'), program]
  }
  return [process.execPath, ...process.execArgv, mainFile, program]
}

const help = `Prints a systemd unit that runs a program with the given flags.

Usage:
  k8ts unit PROGRAM [flags…]

Programs:
${Object.entries(services).map(([name, { description }]) => `  ${name.padEnd(26)}${description}`).join('\n')}

Example:
  k8ts unit etcd --name=a --data-dir=/var/lib/etcd > /etc/systemd/system/etcd.service
  systemctl daemon-reload && systemctl enable --now etcd
`

export function run(args: readonly string[]): Promise<number> {
  const [program, ...flags] = args
  if (program === undefined || program === '--help' || program === '-h' || program === 'help') {
    ;(program === undefined ? process.stderr : process.stdout).write(help)
    return Promise.resolve(program === undefined ? 1 : 0)
  }
  try {
    process.stdout.write(formatUnit(program, flags, launcherOf(program, fileURLToPath(import.meta.url)), process.cwd()))
    return Promise.resolve(0)
  } catch (error) {
    process.stderr.write(`k8ts unit: ${error instanceof Error ? error.message : String(error)}\n`)
    return Promise.resolve(1)
  }
}

// The command line of crun or runc: the OCI runtime that makes the processes.
import { spawn } from 'node:child_process'
import type { ChildProcess, StdioOptions } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HostFacts } from './host-facts.ts'
import type { OciResources } from './oci-spec.ts'
import { hostEnvironment, runCommand, runSuccessfully } from '../../../lib/async/run-command.ts'

export class OciRuntime {
  readonly name: 'crun' | 'runc'
  readonly path: string
  readonly #stateDir: string

  constructor(found: NonNullable<HostFacts['ociRuntime']>, stateDir: string) {
    this.name = found.name
    this.path = found.path
    this.#stateDir = stateDir
  }

  /** Arguments that go before every command. */
  get globalArgs(): readonly string[] { return this.name === 'crun' ? [`--root=${this.#stateDir}`, '--cgroup-manager=cgroupfs'] : [`--root=${this.#stateDir}`] }

  /** False when the runtime keeps no state for it: nothing to delete. */
  knows(id: string): boolean { return existsSync(join(this.#stateDir, id)) }

  async start(id: string, signal: AbortSignal): Promise<void> { await runSuccessfully(this.path, [...this.globalArgs, 'start', id], { signal }) }

  /** Creates and starts without a shim: for the pod's holder process, whose output and exit code nobody needs. */
  async createDetached(id: string, bundle: string, pidFile: string, signal: AbortSignal): Promise<void> {
    await runInQuiet(this.path, [...this.globalArgs, 'create', '--bundle', bundle, '--pid-file', pidFile, id], signal)
    await this.start(id, signal)
  }

  /** Deletes a container's state and cgroups; kills it when `force`. Nothing to delete is fine. */
  async remove(id: string, force: boolean): Promise<void> {
    if (!this.knows(id)) return
    await runSuccessfully(this.path, [...this.globalArgs, 'delete', ...(force ? ['--force'] : []), id])
  }

  /** `created`, `running`, `stopped` …; undefined when the runtime doesn't know the container. */
  async state(id: string): Promise<string | undefined> {
    const { code, stdout } = await runCommand(this.path, [...this.globalArgs, 'state', id])
    return code === 0 ? /"status"\s*:\s*"(\w+)"/.exec(stdout)?.[1] : undefined
  }

  /** @param file where the resources may be written for the runtime: crun can't read them from the socket that Node gives a child for its input */
  async update(id: string, resources: OciResources, file: string, signal: AbortSignal): Promise<void> {
    await writeFile(file, JSON.stringify(resources), { mode: 0o600 })
    await runSuccessfully(this.path, [...this.globalArgs, 'update', '--resources', file, id], { signal })
  }

  /** crun hands a terminal over and still waits for its process; runc does so only when it does not wait. */
  get handsTerminalsOver(): boolean { return this.name === 'crun' }

  /**
   * Runs another process in a running container; the child's exit code is the process's.
   * @param options.consoleSocket where the master of the process's terminal is sent to, when the process file asks for one
   * @param options.ownTerminal the runtime's own streams are a terminal, from and to which it copies: a controlling one, so that it is told of nothing but our resizes
   */
  exec(id: string, options: { readonly processFile: string; readonly pidFile: string; readonly stdio: StdioOptions; readonly consoleSocket?: string; readonly ownTerminal?: boolean }): ChildProcess {
    const terminal = options.consoleSocket === undefined ? [] : ['--console-socket', options.consoleSocket]
    const args = [...this.globalArgs, 'exec', '--process', options.processFile, '--pid-file', options.pidFile, ...terminal, id]
    return options.ownTerminal ? spawn('setsid', ['-c', this.path, ...args], { stdio: options.stdio, env: hostEnvironment }) : spawn(this.path, args, { stdio: options.stdio, env: hostEnvironment })
  }
}

/** Without pipes: the container inherits the streams, and a pipe of ours would stay open as long as it runs. */
function runInQuiet(command: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'ignore', env: hostEnvironment, signal })
    child.on('error', reject)
    child.on('exit', (code) => { if (code === 0) resolve(); else reject(new Error(`${command} ${args.at(-1)}: exit code ${code}`)) })
  })
}

// etcd as a program of its own, with the original's flags, environment variables (ETCD_NAME for --name) and configuration file.
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { etcdVersion } from '../control-plane/etcd/version.ts'
import { FlagError } from '../lib/component-base/flags.ts'
import { realClock } from '../lib/async/real-clock.ts'
import { advertiseDefaultHost } from './etcd/advertise-default-host.ts'
import { checkSettings, readFeatures } from './etcd/check-settings.ts'
import { createEtcdLogger } from './etcd/etcd-logger.ts'
import { deprecatedFlags, etcdFlags, withoutEffect } from './etcd/flag-specs.ts'
import { runGateway } from './etcd/gateway.ts'
import { runGrpcProxy } from './etcd/grpc-proxy.ts'
import { readArguments, type EtcdArguments } from './etcd/read-arguments.ts'
import { runMember } from './etcd/run-member.ts'
import { runComponent } from './run-component.ts'

export function run(args: readonly string[]): Promise<number> {
  if (args[0] === 'gateway') {
    if (args[1] === 'start') return runGateway(args.slice(2))
    process.stderr.write('Usage:\n  etcd gateway start [flags]\n')
    return Promise.resolve(1)
  }
  if (args[0] === 'grpc-proxy') {
    if (args[1] === 'start') return runGrpcProxy(args.slice(2))
    process.stderr.write('Usage:\n  etcd grpc-proxy start [flags]\n')
    return Promise.resolve(1)
  }
  let read: EtcdArguments
  try {
    read = readArguments(args, process.env, (path) => readFileSync(path, 'utf8'))
  } catch (error) {
    if (!(error instanceof FlagError)) throw error
    process.stderr.write(`etcd: ${error.message}\n`)
    return Promise.resolve(1)
  }
  return runComponent({
    name: 'etcd',
    description: 'etcd keeps keys and values reliably: every change is a new revision, durable before it is acknowledged, and can be watched.',
    version: `etcd Version: ${etcdVersion}\nGit SHA: Not provided (k8ts)\nGo Version: none (Node.js ${process.version})\nGo OS/Arch: ${process.platform}/${process.arch}`,
    flags: etcdFlags,
    async main({ flags: parsed, given, args: rest }, _, signal) {
      if (rest[0] !== undefined) throw new FlagError(`${JSON.stringify(rest[0])} is not a valid flag`)
      // Who says where to listen has to say where to be reached; a file need not.
      const isUnadvertised = read.source === 'flags' && given.has('listen-client-urls') && !given.has('advertise-client-urls')
      const said = isUnadvertised ? { ...parsed, 'advertise-client-urls': [] } : parsed
      checkSettings(said, given)
      const flags = advertiseDefaultHost(said, ownAddress())
      const features = readFeatures(flags)
      using log = createEtcdLogger(flags, realClock)
      const { logger } = log
      for (const warning of read.warnings) logger.warn(warning)
      for (const [name, word] of Object.entries(deprecatedFlags)) if (given.has(name)) logger.warn(word)
      for (const [name, { usage }] of Object.entries(withoutEffect)) if (given.has(name)) logger.warn('this flag has no effect here', { flag: `--${name}`, why: usage.replace(/^no effect[,:] /, '') })
      if (flags.name === 'default') logger.warn('it is not recommended to use default name, please set a value for --name', { name: flags.name })
      try {
        return await runMember(flags, features, read.clientAllowedCns, logger, signal)
      } catch (error) {
        if (!signal.aborted) logger.error('failed to start', error)
        throw error
      }
    },
  }, read.args)
}

/** The first that is not loopback. */
function ownAddress(): string | undefined {
  return Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []).find(({ family, internal }) => family === 'IPv4' && !internal)?.address
}

// kubectl version: ours and the server's. Upstream: kubectl/pkg/cmd/version
import { isJsonObject } from '../../../lib/base/json.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import { TransportError } from '../../../lib/client/transport.ts'
import { formatYaml } from '../../../lib/component-base/yaml-writer.ts'
import { KubectlError, defineCommand } from '../command.ts'
import { formatJson } from '../printers/json-printer.ts'

const clientVersion: JsonObject = { major: '1', minor: '37', gitVersion: 'v1.37.0', gitCommit: '', gitTreeState: 'clean', buildDate: '2026-11-22T00:00:00Z', goVersion: 'go1.26', compiler: 'gc', platform: 'linux/amd64' }
const kustomizeVersion = 'v5.8.0'

export const versionCommand = defineCommand({
  name: 'version', group: 'Other Commands', short: 'Print the client and server version information', usage: '[flags] [options]',
  flags: { client: { type: 'bool', usage: 'Only the client version; no server needed.' }, output: { type: 'string', short: 'o', usage: "One of 'yaml' or 'json'." } },
  async run(context, { flags, args }) {
    if (args.length > 0) throw new KubectlError(`extra arguments: [${args.join(' ')}]`)
    if (!['', 'json', 'yaml'].includes(flags.output)) throw new KubectlError(`--output must be 'yaml' or 'json'`)
    let serverVersion: JsonObject | undefined
    let failure: unknown
    if (!flags.client) {
      try {
        serverVersion = await context.session().request('GET', '/version')
      } catch (error) {
        if (!(error instanceof TransportError)) throw error
        failure = error
      }
    }
    const all: JsonObject = { clientVersion, kustomizeVersion, ...(serverVersion ? { serverVersion } : {}) }
    if (flags.output === 'json') context.out(formatJson(all))
    else if (flags.output === 'yaml') context.out(formatYaml(all))
    else {
      context.out(`Client Version: ${String(clientVersion['gitVersion'])}\nKustomize Version: ${kustomizeVersion}\n`)
      if (serverVersion && isJsonObject(serverVersion)) context.out(`Server Version: ${String(serverVersion['gitVersion'])}\n`)
    }
    if (failure) throw failure
    const skew = serverVersion ? Number(String(serverVersion['minor']).replace(/\D.*$/, '')) - Number(clientVersion['minor']) : 0
    if (Math.abs(skew) > 1) context.err(`Warning: version difference between client (1.37) and server (1.${37 + skew}) exceeds the supported minor version skew of +/-1\n`)
    return 0
  },
})

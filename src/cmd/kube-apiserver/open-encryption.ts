// --encryption-provider-config: the file, the plugins that it names, and the clock that looks at it again.
import { readFileSync } from 'node:fs'
import { EncryptionAtRest } from '../../control-plane/kube-apiserver/storage/encryption/encryption-at-rest.ts'
import { EncryptionConfigError } from '../../control-plane/kube-apiserver/storage/encryption/encryption-configuration.ts'
import { connectKms } from '../../control-plane/kube-apiserver/storage/encryption/kms-service.ts'
import { realClock } from '../../lib/async/real-clock.ts'
import { realRandom } from '../../lib/async/real-random.ts'
import type { Logger } from '../../lib/component-base/log.ts'

interface Flags { readonly 'encryption-provider-config': string; readonly 'encryption-provider-config-automatic-reload': boolean }

/** undefined: nothing is encrypted. @throws EncryptionConfigError, with a sentence that names the file */
export async function openEncryption(flags: Flags, logger: Logger, signal: AbortSignal): Promise<EncryptionAtRest | undefined> {
  const path = flags['encryption-provider-config']
  if (path === '') return undefined
  try {
    return await EncryptionAtRest.open({
      reload: flags['encryption-provider-config-automatic-reload'], clock: realClock, random: realRandom, logger: logger.named('encryption'), connectKms: (endpoint, timeoutMs) => connectKms(endpoint, timeoutMs, realClock),
      readFile() {
        try { return readFileSync(path) } catch (error) {
          throw new EncryptionConfigError(`error reading encryption provider configuration file ${JSON.stringify(path)}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
        }
      },
    }, signal)
  } catch (error) {
    if (error instanceof EncryptionConfigError) throw new EncryptionConfigError(`--encryption-provider-config: ${path}: ${error.message}`, { cause: error })
    throw error
  }
}

// Regenerates into a scratch folder and compares with what is committed.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const scratch = mkdtempSync(join(tmpdir(), 'k8ts-generated-'))
try {
  for (const [script, folder] of [['tools/generate.ts', 'src/lib/api/generated'], ['tools/generate-cri.ts', 'src/lib/cri-api/generated'], ['tools/generate-rbac.ts', 'src/control-plane/kube-apiserver/bootstrap/generated'], ['tools/generate-etcd.ts', 'src/lib/etcd-api/generated']] as const) {
    const out = join(scratch, folder.replaceAll('/', '_'))
    execFileSync(process.execPath, [script, out], { stdio: 'pipe' })
    execFileSync('diff', ['-r', out, folder], { stdio: 'inherit' })
  }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

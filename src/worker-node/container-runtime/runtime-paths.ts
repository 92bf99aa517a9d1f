// Where everything lies. `rootDir` survives a reboot (images, container state, writable layers), `runDir` doesn't have to (pinned namespaces,
// mounts, the OCI runtime's own state, exit files).
import { join } from 'node:path'

export interface RuntimePaths {
  readonly rootDir: string
  readonly runDir: string
  readonly images: string
  /** conmon writes `<container id>` here when the container ends. */
  readonly exits: string
  readonly ociState: string
  readonly trash: string
  readonly containers: string
  readonly sandboxes: string
  readonly bundles: string
  readonly pods: string
}

export function runtimePaths(rootDir: string, runDir: string): RuntimePaths {
  return {
    rootDir, runDir, images: join(rootDir, 'images'), exits: join(runDir, 'exits'), ociState: join(runDir, 'oci'), trash: join(rootDir, 'trash'),
    containers: join(rootDir, 'containers'), sandboxes: join(rootDir, 'sandboxes'), bundles: join(runDir, 'bundles'), pods: join(runDir, 'pods'),
  }
}

/** Ids are made by us; anything else from outside must not become part of a path. */
export function isId(text: string): boolean { return /^[0-9a-f]{64}$/.test(text) }
